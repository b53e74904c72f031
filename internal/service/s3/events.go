package s3

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"drover/internal/store"
)

// origin is the user value that says who makes a request, for its events.
const origin = "drover-origin"

// originText joins what an event says of the request that caused it.
func originText(principal, address, request string) string {
	return "AWS:" + principal + "\n" + address + "\n" + request
}

// originOf reads it; what is no request's is S3's own doing, as lifecycle rules are.
func originOf(ctx context.Context) string {
	if s, ok := ctx.Value(origin).(string); ok {
		return s
	}
	return "s3.amazonaws.com\n\n"
}

// Record is an event of an object in the shape that Amazon S3 notifies with.
type Record struct {
	Version  string `json:"eventVersion"`
	Source   string `json:"eventSource"`
	Region   string `json:"awsRegion"`
	Time     string `json:"eventTime"`
	Name     string `json:"eventName"`
	Identity struct {
		Principal string `json:"principalId"`
	} `json:"userIdentity"`
	Request struct {
		Address string `json:"sourceIPAddress"`
	} `json:"requestParameters"`
	Response struct {
		ID   string `json:"x-amz-request-id"`
		Host string `json:"x-amz-id-2"`
	} `json:"responseElements"`
	S3 struct {
		Schema        string       `json:"s3SchemaVersion"`
		Configuration string       `json:"configurationId"`
		Bucket        recordBucket `json:"bucket"`
		Object        recordObject `json:"object"`
	} `json:"s3"`
}

type recordBucket struct {
	Name  string `json:"name"`
	Owner struct {
		Principal string `json:"principalId"`
	} `json:"ownerIdentity"`
	ARN string `json:"arn"`
}

type recordObject struct {
	Key       string `json:"key"` // as in a query: "red flower" is red+flower
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"eTag,omitempty"`
	Version   string `json:"versionId,omitempty"`
	Sequencer string `json:"sequencer"`
}

// maxEvents bounds the events of one call.
const maxEvents = 1000

// Events gives what happened to objects after a point (0 is the beginning of the last day), of
// all buckets or one: each creation and deletion exactly once, in the order of their
// transactions. Called again with next it goes on.
func (s *Service) Events(ctx context.Context, after int64, limit int, bucket string) (events []json.RawMessage, next int64, err error) {
	return s.vault.events(ctx, after, min(max(limit, 1), maxEvents), bucket)
}

// LastEvent is the point behind what has happened so far.
func (s *Service) LastEvent(ctx context.Context) (seq int64, err error) {
	err = s.vault.db.View(ctx, func(tx *store.Tx) error {
		return tx.Row(`SELECT coalesce(max(seq), 0) FROM s3_events`).Scan(&seq)
	})
	return seq, err
}

// Changed is closed when an event has happened since the call.
func (s *Service) Changed() <-chan struct{} { return s.vault.told.wait() }

func (o *vault) events(ctx context.Context, after int64, limit int, bucket string) (out []json.RawMessage, next int64, err error) {
	err = o.db.View(ctx, func(tx *store.Tx) error {
		out, next = nil, after
		rows, err := tx.Query(`SELECT seq, at, name, bucket, key, vid, size, etag, origin FROM s3_events WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq, at, size int64
			var name, in, vid, etag, from string
			var key []byte
			if err := rows.Scan(&seq, &at, &name, &in, &key, &vid, &size, &etag, &from); err != nil {
				return err
			}
			next = seq
			if bucket != "" && in != bucket {
				continue
			}
			r := o.record(name, in, string(key), vid, at, seq, from)
			if strings.HasPrefix(name, "ObjectCreated:") {
				r.S3.Object.Size, r.S3.Object.ETag = &size, trimETag(etag)
			}
			text, err := json.Marshal(r)
			if err != nil {
				return err
			}
			out = append(out, text)
		}
		return rows.Err()
	})
	return out, next, err
}

func (o *vault) record(name, bucket, key, vid string, at, seq int64, from string) *Record {
	r := &Record{Version: "2.1", Source: "aws:s3", Region: o.region, Name: name, Time: time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.000Z")}
	if strings.HasPrefix(name, "LifecycleExpiration:") {
		r.Version = "2.3"
	}
	part := strings.SplitN(from+"\n\n", "\n", 4)
	r.Identity.Principal, r.Request.Address, r.Response.ID, r.Response.Host = part[0], part[1], part[2], part[2]
	r.S3.Schema = "1.0"
	r.S3.Bucket.Name, r.S3.Bucket.ARN = bucket, "arn:aws:s3:::"+bucket
	r.S3.Bucket.Owner.Principal = o.account
	r.S3.Object.Key = strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
	r.S3.Object.Version, r.S3.Object.Sequencer = vid, fmt.Sprintf("%016X", seq)
	return r
}

// bell wakes all who wait for something to happen.
type bell struct {
	at atomic.Pointer[chan struct{}] // nil while nobody waits
}

// wait gives a channel that the next ring closes.
func (b *bell) wait() <-chan struct{} {
	for {
		if c := b.at.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if b.at.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

func (b *bell) ring() {
	if b.at.Load() == nil {
		return
	}
	if c := b.at.Swap(nil); c != nil {
		close(*c)
	}
}
