package s3

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/store"
	"drover/internal/wire"
	"drover/internal/wire/authz"
)

// A placed file starts work. A bucket with the tag
//
//	drover:on-put         <job queue> <job definition[:revision]>
//	drover:on-put-prefix  only keys that begin so (optional)
//	drover:on-put-suffix  only keys that end so (optional)
//
// submits one Batch job for every version of an object that is made in it. The wish is
// written in the object's own transaction; the job is submitted afterwards with a token made
// of the version, so that however often that is tried there is one job. What is refused
// (no such queue, say) is tried again for a day, ever more rarely, and each refusal logged.
// (A comma may part them too, but AWS's clients and rules allow none in a tag's value.)
const (
	onPutTag  = "drover:on-put"
	prefixTag = "drover:on-put-prefix"
	suffixTag = "drover:on-put-suffix"
)

const (
	triggerPage  = 64               // wishes read at once
	triggerLanes = 8                // submissions at a time
	triggerPause = 10 * time.Minute // longest wait between two tries
	triggerDays  = 24 * time.Hour   // after which a wish is given up
)

// onPut is what a bucket's tags ask for.
type onPut struct{ queue, definition, prefix, suffix string }

// notRoot is the user value that says that somebody else than the account's root makes the
// request.
const notRoot = "drover-not-root"

// checkOnPut refuses tags that cannot be read, and those that start work from anybody but
// root: the jobs are submitted as root, so whoever may set them could run any definition
// with any role.
func checkOnPut(ctx context.Context, tags map[string]string) error {
	_, ok, err := readOnPut(tags)
	if err == nil && ok && ctx.Value(notRoot) != nil {
		return apiError(403, "AccessDenied", "Only the account's root key may set the tag "+onPutTag+": the jobs that it starts are submitted as root.")
	}
	return err
}

// readOnPut reads a bucket's tags; ok is false where they ask for nothing.
func readOnPut(tags map[string]string) (t onPut, ok bool, err error) {
	v, ok := tags[onPutTag]
	if !ok {
		for _, tag := range []string{prefixTag, suffixTag} {
			if _, stray := tags[tag]; stray {
				return t, false, apiError(400, "InvalidTag", "The tag "+tag+" means nothing without "+onPutTag+".")
			}
		}
		return t, false, nil
	}
	words := strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' })
	if len(words) != 2 {
		return t, false, apiError(400, "InvalidTag", "The tag "+onPutTag+" must be a job queue and a job definition parted by a space, got \""+v+"\".")
	}
	return onPut{words[0], words[1], tags[prefixTag], tags[suffixTag]}, true, nil
}

func (t *onPut) matches(key string) bool {
	return strings.HasPrefix(key, t.prefix) && strings.HasSuffix(key, t.suffix)
}

// wish writes down that a version asks for a job.
func (c *change) wish(v *version) error {
	t, ok, err := readOnPut(c.bucket.config.Tags)
	if err != nil || !ok || !t.matches(string(v.key)) {
		return nil // tags that cannot be read were refused when they were put
	}
	now := c.o.now().UnixMicro()
	_, err = c.tx.Exec(`INSERT INTO s3_triggers (seq, due, since, tries, queue, definition, bucket, key, vid, size, etag) VALUES ($1, $2, $2, 0, $3, $4, $5, $6, $7, $8, $9)`,
		-v.rank, now, t.queue, t.definition, c.bucket.name, v.key, v.vid, v.size, v.etag)
	c.wished = err == nil
	return err
}

// awaited is a row of s3_triggers.
type awaited struct {
	seq, since, tries     int64
	queue, definition     string
	bucket, key, vid, tag string
	size                  int64
}

// RunTriggers submits the jobs that placed objects ask for, until ctx ends.
func (s *Service) RunTriggers(ctx context.Context, caller wire.Caller) {
	o := s.vault
	for ctx.Err() == nil {
		list, wait, err := o.dueTriggers(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			o.log.Error("s3: reading the jobs that objects ask for", "err", err)
			wait = time.Second
		}
		if len(list) > 0 {
			o.fire(ctx, caller, list)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-o.wished:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// dueTriggers gives what may be tried now, or how long there is nothing.
func (o *vault) dueTriggers(ctx context.Context) (list []awaited, wait time.Duration, err error) {
	now := o.now().UnixMicro()
	wait = time.Minute
	err = o.db.View(ctx, func(tx *store.Tx) error {
		list = list[:0]
		rows, err := tx.Query(`SELECT seq, since, tries, queue, definition, bucket, key, vid, size, etag, due FROM s3_triggers ORDER BY due, seq LIMIT $1`, triggerPage)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a awaited
			var due int64
			if err := rows.Scan(&a.seq, &a.since, &a.tries, &a.queue, &a.definition, &a.bucket, &a.key, &a.vid, &a.size, &a.tag, &due); err != nil {
				return err
			}
			if due > now {
				wait = min(wait, time.Duration(due-now)*time.Microsecond)
				break
			}
			list = append(list, a)
		}
		return nil
	})
	return list, wait, err
}

// fire tries to submit, some at a time, and writes down how it went.
func (o *vault) fire(ctx context.Context, caller wire.Caller, list []awaited) {
	lanes := make(chan struct{}, triggerLanes)
	var all sync.WaitGroup
	for i := range list {
		lanes <- struct{}{}
		all.Go(func() {
			defer func() { <-lanes }()
			a := &list[i]
			id, err := o.submit(ctx, caller, a)
			if err != nil && ctx.Err() != nil {
				return // the next start tries again, with the same token
			}
			if e := o.settle(context.WithoutCancel(ctx), a, err); e != nil {
				o.log.Error("s3: writing down a submitted job", "job", id, "err", e)
			}
		})
	}
	all.Wait()
}

func (o *vault) submit(ctx context.Context, caller wire.Caller, a *awaited) (string, error) {
	vid := a.vid
	if vid == nullVersion {
		vid = ""
	}
	what := map[string]string{"bucket": a.bucket, "key": a.key, "version": vid, "size": strconv.FormatInt(a.size, 10), "etag": trimETag(a.tag)}
	in := &batch.SubmitJobInput{
		JobName: aws.String(jobName(a.key)), JobQueue: &a.queue, JobDefinition: &a.definition, Parameters: what,
		Tags: map[string]string{"drover:token": fmt.Sprintf("s3/%s/%d", a.bucket, a.seq)}, ContainerOverrides: &batchtypes.ContainerOverrides{},
	}
	for _, name := range []string{"bucket", "key", "version", "size", "etag"} {
		in.ContainerOverrides.Environment = append(in.ContainerOverrides.Environment,
			batchtypes.KeyValuePair{Name: aws.String("DROVER_OBJECT_" + strings.ToUpper(name)), Value: aws.String(what[name])})
	}
	var out batch.SubmitJobOutput
	err := caller.Call(ctx, authz.Principal{Account: o.account, Kind: authz.Root}, "batch", "SubmitJob", in, &out)
	return aws.ToString(out.JobId), err
}

// jobName makes a job's name of the last part of a key.
func jobName(key string) string {
	name := []byte("on-put-" + key[strings.LastIndexByte(strings.TrimRight(key, "/"), '/')+1:])
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			name[i] = '_'
		}
	}
	return string(name[:min(len(name), 128)])
}

// settle forgets what was submitted and puts off what was refused.
func (o *vault) settle(ctx context.Context, a *awaited, refused error) error {
	now := o.now()
	over := now.Sub(time.UnixMicro(a.since)) > triggerDays
	if refused != nil {
		say := o.log.Warn
		if over {
			say = o.log.Error
		}
		say("s3: a placed object asks for a job that was refused", "object", "s3://"+a.bucket+"/"+a.key, "version", a.vid, "queue", a.queue, "definition", a.definition, "tries", a.tries+1, "given up", over, "err", refused)
	}
	return o.db.Update(ctx, func(tx *store.Tx) error {
		if refused == nil || over {
			_, err := tx.Exec(`DELETE FROM s3_triggers WHERE seq = $1`, a.seq)
			return err
		}
		pause := min(time.Second<<min(a.tries, 20), triggerPause)
		_, err := tx.Exec(`UPDATE s3_triggers SET tries = tries + 1, due = $2 WHERE seq = $1`, a.seq, now.Add(pause).UnixMicro())
		return err
	})
}
