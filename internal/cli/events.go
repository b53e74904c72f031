package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"

	"drover/internal/core/fault"
	"drover/internal/service/native"
)

// eventsCommand is `drover events`.
type eventsCommand struct {
	Follow bool   `short:"f" help:"Go on with what happens from now, until Ctrl-C."`
	Job    string `placeholder:"ID" help:"Only this job and its children."`
	Bucket string `placeholder:"NAME" help:"Only objects of this bucket."`
}

// Help is shown by drover events --help.
func (*eventsCommand) Help() string {
	return `Prints each change of a job's status, and each object that is created or deleted. Without -f it prints those of the last day and ends; with -f it begins now and outlives a restart of the server. With --json
a job's is an event as Amazon EventBridge gives it (source aws.batch, detail-type Batch Job State Change), an object's a record as Amazon S3 notifies (eventSource aws:s3).

  drover events -f
  drover events -f --json
  drover events --job ID --json
  drover events -f --bucket inbox`
}

// happening is one line of drover events.
type happening struct {
	at   int64 // µs
	text string
}

// waitForEvents is how long a call for more of them is held open.
const waitForEvents = 20

// Run carries out the command.
func (c *eventsCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	if c.Job != "" && c.Bucket != "" {
		return wrong("--job and --bucket have nothing in common; give one of them")
	}
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	var sources []iter.Seq2[happening, error]
	if c.Bucket == "" && g.JSON {
		sources = append(sources, c.jobEvents(ctx, sh, conn))
	} else if c.Bucket == "" {
		sources = append(sources, c.transitions(ctx, sh, conn))
	}
	if c.Job == "" {
		sources = append(sources, c.objectEvents(ctx, sh, conn, g.JSON))
	}
	if c.Follow {
		return asTheyCome(ctx, sh, sources)
	}
	return inOrder(sh, sources)
}

// asTheyCome prints what each source has, when it has it.
func asTheyCome(ctx context.Context, sh *shell, sources []iter.Seq2[happening, error]) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	lines := make(chan string)
	for _, s := range sources {
		go func() {
			for h, err := range s {
				if err != nil {
					stop(err)
					return
				}
				select {
				case lines <- h.text:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	for {
		select {
		case line := <-lines:
			if _, err := fmt.Fprintln(sh.out, line); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// inOrder prints what the sources have to their ends, the oldest first.
func inOrder(sh *shell, sources []iter.Seq2[happening, error]) error {
	type head struct {
		next func() (happening, error, bool)
		happening
	}
	var heads []*head
	for _, s := range sources {
		next, stop := iter.Pull2(s)
		defer stop()
		heads = append(heads, &head{next: next})
	}
	advance := func(h *head) (more bool, err error) {
		h.happening, err, more = h.next()
		return more, err
	}
	var open []*head
	for _, h := range heads {
		more, err := advance(h)
		if err != nil {
			return err
		}
		if more {
			open = append(open, h)
		}
	}
	for len(open) > 0 {
		first := 0
		for i := range open {
			if open[i].at < open[first].at {
				first = i
			}
		}
		if _, err := fmt.Fprintln(sh.out, open[first].text); err != nil {
			return err
		}
		more, err := advance(open[first])
		if err != nil {
			return err
		}
		if !more {
			open = append(open[:first], open[first+1:]...)
		}
	}
	return nil
}

// awayPause is how long a follower leaves a server alone that does not answer.
const awayPause = 500 * time.Millisecond

// ask calls the server. A follower waits for one that is away, and goes on where it was: its
// place in what happens is its own.
func ask[Out any](ctx context.Context, sh *shell, conn *connection, follow bool, op string, in any) (*Out, error) {
	for told := false; ; told = true {
		out, err := native.Call[Out](ctx, conn.client, op, in)
		_, answered := errors.AsType[*fault.Error](err)
		if err == nil || !follow || ctx.Err() != nil || answered && !fault.Is(err, fault.Unavailable) {
			return out, err
		}
		if !told {
			fmt.Fprintf(sh.err, "drover: the server does not answer; going on when it does (%v)\n", err)
		}
		select {
		case <-time.After(awayPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// transitions are the changes of jobs' states as lines for people.
func (c *eventsCommand) transitions(ctx context.Context, sh *shell, conn *connection) iter.Seq2[happening, error] {
	return func(yield func(happening, error) bool) {
		limit, wait := int32(1000), int32(0)
		in := &native.ListTransitionsInput{Limit: &limit, WaitSeconds: &wait}
		if c.Job != "" {
			in.Job = &c.Job
		}
		if c.Follow {
			wait = waitForEvents
		} else {
			in.After = aws.Int64(0)
		}
		for {
			out, err := ask[native.ListTransitionsOutput](ctx, sh, conn, c.Follow, "ListTransitions", in)
			if err != nil {
				yield(happening{}, err)
				return
			}
			for _, t := range out.Transitions {
				if !yield(happening{t.At, transitionLine(t)}, nil) {
					return
				}
			}
			if !c.Follow && len(out.Transitions) == 0 {
				return
			}
			in.After = &out.Next
		}
	}
}

// jobEvents are the changes of jobs' states in the shape of EventBridge.
func (c *eventsCommand) jobEvents(ctx context.Context, sh *shell, conn *connection) iter.Seq2[happening, error] {
	return func(yield func(happening, error) bool) {
		in := &native.ListEventsInput{WaitSeconds: new(int32)}
		if c.Job != "" {
			in.Job = &c.Job
		}
		if c.Follow {
			*in.WaitSeconds = waitForEvents
		} else {
			in.After = aws.String("")
		}
		for {
			out, err := ask[native.ListEventsOutput](ctx, sh, conn, c.Follow, "ListEvents", in)
			if err != nil {
				yield(happening{}, err)
				return
			}
			for _, e := range out.Events {
				var when struct{ Time time.Time }
				_ = json.Unmarshal([]byte(e), &when) // without a time it comes first
				if !yield(happening{when.Time.UnixMicro(), e}, nil) {
					return
				}
			}
			if !c.Follow && len(out.Events) == 0 {
				return
			}
			in.After = &out.Next
		}
	}
}

// objectEvents are creations and deletions of objects. Who may not see them sees jobs alone.
func (c *eventsCommand) objectEvents(ctx context.Context, sh *shell, conn *connection, asJSON bool) iter.Seq2[happening, error] {
	return func(yield func(happening, error) bool) {
		in := &native.ListObjectEventsInput{WaitSeconds: new(int32)}
		if c.Bucket != "" {
			in.Bucket = &c.Bucket
		}
		if c.Follow {
			*in.WaitSeconds = waitForEvents
		} else {
			in.After = aws.Int64(0)
		}
		for {
			out, err := ask[native.ListObjectEventsOutput](ctx, sh, conn, c.Follow, "ListObjectEvents", in)
			if c.Bucket == "" && fault.Is(err, fault.Denied) {
				fmt.Fprintln(sh.err, "drover: you may not see what happens to objects: only jobs are shown")
				return
			}
			if err != nil {
				yield(happening{}, err)
				return
			}
			for _, e := range out.Events {
				h, err := objectLine(e, asJSON)
				if !yield(h, err) || err != nil {
					return
				}
			}
			if !c.Follow && in.After != nil && *in.After == out.Next {
				return
			}
			in.After = &out.Next
		}
	}
}

// objectLine reads a record of Amazon S3's.
func objectLine(record string, asJSON bool) (happening, error) {
	var r struct {
		EventTime time.Time
		EventName string
		S3        struct {
			Bucket struct{ Name string }
			Object struct {
				Key       string
				Size      *int64
				VersionID string
			}
		}
	}
	if err := json.Unmarshal([]byte(record), &r); err != nil {
		return happening{}, fmt.Errorf("the server's record of an object's event cannot be read: %w", err)
	}
	h := happening{r.EventTime.UnixMicro(), record}
	if asJSON {
		return h, nil
	}
	key, err := url.QueryUnescape(r.S3.Object.Key)
	if err != nil {
		return h, errors.New("the server's record of an object's event has a key that is not URL-encoded")
	}
	o := &r.S3.Object
	h.text = fmt.Sprintf("%s  %-48s %s", r.EventTime.Local().Format("15:04:05.000"), address(r.S3.Bucket.Name, key), r.EventName)
	if o.Size != nil {
		h.text += " " + sized(*o.Size)
	}
	if o.VersionID != "" {
		h.text += " version " + o.VersionID
	}
	return h, nil
}

// address names an object in one line, whatever its key.
func address(bucket, key string) string {
	a := "s3://" + bucket + "/" + key
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(a)
	}
	return a
}

func transitionLine(t native.Transition) string {
	unit := t.Job
	switch {
	case t.First == nil:
	case *t.First == *t.Last:
		unit = fmt.Sprintf("%s:%d", t.Job, *t.First)
	default:
		unit = fmt.Sprintf("%s:%d-%d", t.Job, *t.First, *t.Last)
	}
	from := t.From
	if from == "" || from == "UNKNOWN" {
		from = "(new)"
	}
	return fmt.Sprintf("%s  %-48s %s -> %s", time.UnixMicro(t.At).Format("15:04:05.000"), unit, from, t.To)
}
