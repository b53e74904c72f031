package cli

import (
	"context"
	"fmt"
	"time"

	"drover/internal/core/fault"
	"drover/internal/service/native"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// logsIdentity is how CloudWatch Logs is spoken to.
var logsIdentity = wire.Identity{Name: "logs", TargetPrefix: "Logs_20140328", Protocols: []wire.Protocol{wire.JSON11}, LowerFirst: true}

// logGroup is where the output of jobs goes.
const logGroup = "/aws/batch/job"

// logsCommand is `drover logs`.
type logsCommand struct {
	ID      string `arg:"" help:"Job, or child of an array (ID:INDEX)."`
	Follow  bool   `short:"f" help:"Go on until the job has ended."`
	Attempt int32  `placeholder:"N" help:"Only attempt N."`
	Times   bool   `short:"t" help:"Write the time before each line."`
}

// Help is shown by drover logs --help.
func (*logsCommand) Help() string {
	return `Prints what each attempt of the job wrote, oldest first.

  drover logs 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11
  drover logs -f 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11:17

An array has no output of its own: name a child. Of a job of several containers each line
begins with the name of its container. With --json each line is an object.`
}

// followFor is how long one call waits for more output; after it the job may have ended.
const followFor = 300 * time.Millisecond

// Run carries out the command.
func (c *logsCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	p := &logPrinter{sh: sh, json: g.JSON, times: c.Times, conn: conn, next: map[string]*string{}}
	for {
		v, err := conn.view(ctx, c.ID)
		if err != nil {
			return err
		}
		if v.Size > 0 {
			return wrong("%s is an array of %s; name a child, such as %s:0 (drover jobs --array %s lists them)", c.ID, counted(int64(v.Size), "job"), c.ID, c.ID)
		}
		if err := p.print(ctx, v, c.Attempt); err != nil {
			return err
		}
		// Output is recorded before the end that follows it, so nothing comes after it.
		if ended := v.Status == "SUCCEEDED" || v.Status == "FAILED"; ended || !c.Follow {
			if len(v.Attempts) == 0 && !g.JSON {
				fmt.Fprintf(sh.err, "drover: %s is %s and has written nothing; drover job %s says why\n", c.ID, v.Status, c.ID)
			}
			return nil
		}
		if err := p.wait(ctx, v); err != nil {
			return err
		}
	}
}

// logPrinter writes the logs of a job's attempts and knows how far it got.
type logPrinter struct {
	sh          *shell
	json, times bool
	conn        *connection
	next        map[string]*string // by stream: where to go on
}

// wait returns when the latest attempt has written more, or after followFor. Several
// containers are looked at in turn, so it is always that long.
func (p *logPrinter) wait(ctx context.Context, v *native.GetJobViewOutput) error {
	if len(v.Attempts) == 0 || v.Attempts[len(v.Attempts)-1].Log == "" {
		if !pause(ctx, followFor) {
			return ctx.Err()
		}
		return nil
	}
	stream := v.Attempts[len(v.Attempts)-1].Log
	_, err := native.Call[native.WaitLogOutput](ctx, p.conn.client, "WaitLog", &native.WaitLogInput{
		LogGroupName: aws.String(logGroup), LogStreamName: &stream, Token: p.next[stream], WaitMillis: aws.Int32(int32(followFor.Milliseconds()))})
	return err
}

// print writes what is new in the attempts' logs.
func (p *logPrinter) print(ctx context.Context, v *native.GetJobViewOutput, only int32) error {
	for i := range v.Attempts {
		a := &v.Attempts[i]
		from := origins(a)
		if len(from) == 0 || only > 0 && a.Number != only {
			continue
		}
		_, again := p.next[from[0].log]
		if !again && len(v.Attempts) > 1 && only == 0 && !p.json {
			fmt.Fprintf(p.sh.out, "--- attempt %d\n", a.Number)
		}
		for _, o := range from {
			if err := p.stream(ctx, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// origin is where lines come from: an attempt, or one of the containers of an attempt that
// has several.
type origin struct {
	attempt        int32
	container, log string
}

func origins(a *native.Attempt) []origin {
	if a.Log != "" {
		return []origin{{attempt: a.Number, log: a.Log}}
	}
	out := make([]origin, len(a.Containers))
	for i, c := range a.Containers {
		out[i] = origin{a.Number, c.Name, c.Log}
	}
	return out
}

// stream writes one log from where the last call ended.
func (p *logPrinter) stream(ctx context.Context, o origin) error {
	if _, known := p.next[o.log]; !known {
		p.next[o.log] = nil
	}
	for {
		out, err := p.conn.logEvents(ctx, &cloudwatch.GetLogEventsInput{LogStreamName: &o.log, StartFromHead: aws.Bool(true), NextToken: p.next[o.log]})
		if err != nil {
			return err
		}
		for _, e := range out.Events {
			if err := p.event(o, e); err != nil {
				return err
			}
		}
		same := out.NextForwardToken == nil || aws.ToString(p.next[o.log]) == *out.NextForwardToken
		p.next[o.log] = out.NextForwardToken
		if same || len(out.Events) == 0 {
			return nil
		}
	}
}

func (p *logPrinter) event(o origin, e types.OutputLogEvent) error {
	if p.json {
		line := map[string]any{"attempt": o.attempt, "at": aws.ToInt64(e.Timestamp), "message": aws.ToString(e.Message)}
		if o.container != "" {
			line["container"] = o.container
		}
		return printLine(p.sh, line)
	}
	if p.times {
		fmt.Fprintf(p.sh.out, "%s  ", time.UnixMilli(aws.ToInt64(e.Timestamp)).Format("15:04:05.000"))
	}
	if o.container != "" {
		fmt.Fprintf(p.sh.out, "%s | ", o.container)
	}
	_, err := fmt.Fprintln(p.sh.out, aws.ToString(e.Message))
	return err
}

// logEvents reads a log of a job. One that nothing was written to yet is empty.
func (c *connection) logEvents(ctx context.Context, in *cloudwatch.GetLogEventsInput) (*cloudwatch.GetLogEventsOutput, error) {
	in.LogGroupName = aws.String(logGroup)
	out, err := wire.Call[cloudwatch.GetLogEventsOutput](ctx, c.client, logsIdentity, "GetLogEvents", in)
	if f := fault.From(err); err != nil && f.Code == "ResourceNotFoundException" {
		return &cloudwatch.GetLogEventsOutput{}, nil
	}
	return out, err
}
