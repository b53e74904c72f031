package s3

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"

	"drover/internal/core/upkeep"
	"drover/internal/store"
)

// Expired counts what lifecycle rules removed.
type Expired = upkeep.Expired

// Expire applies the lifecycle rules of all buckets.
func (s *Service) Expire(ctx context.Context) (Expired, error) {
	o := s.vault
	var out Expired
	for _, b := range o.sorted() {
		if b.config.Lifecycle == nil {
			continue
		}
		var did Expired
		e := &expiry{o: o, b: b, now: o.now(), out: &did}
		err := o.pass(ctx, bucketNote(b), func(p *passed) error {
			err := e.run(ctx)
			p.Expired = did
			return err
		})
		out.Add(did)
		if err != nil {
			return out, o.explain("bucket "+b.name, err)
		}
	}
	return out, nil
}

// expiry is one pass over a bucket.
type expiry struct {
	o   *vault
	b   *bucket
	now time.Time
	out *Expired

	newer *version // the version of the same key that came before: made after this one
	older int      // how many non-current ones of the key came before
	due   []due
}

// due is a version that a rule has found.
type due struct {
	v       *version
	forGood bool // its row goes; otherwise its key is deleted as a client would
}

func (e *expiry) run(ctx context.Context) error {
	var key []byte
	rank := int64(-1 << 63)
	for {
		page, err := e.o.versionsAfter(ctx, e.b, key, rank)
		if err != nil {
			return err
		}
		for _, v := range page {
			e.look(v)
			key, rank = v.key, v.rank
		}
		if len(page) == 0 {
			e.loneMarker(nil)
		}
		if err := e.remove(ctx); err != nil {
			return err
		}
		if len(page) == 0 {
			return e.uploads(ctx)
		}
	}
}

// look judges one version; they come key by key, the newest first.
func (e *expiry) look(v *version) {
	e.loneMarker(v)
	if e.newer == nil || string(e.newer.key) != string(v.key) {
		e.newer, e.older = v, 0
		if !v.marker && e.expires(v) {
			e.due = append(e.due, due{v, e.b.versioning == ""})
		}
		return
	}
	if e.superseded(v) {
		e.due = append(e.due, due{v, true})
	}
	e.newer = v
	e.older++
}

// rules gives the enabled rules that fit a version.
func (e *expiry) rules(v *version, fn func(r *lifecycleRule) bool) bool {
	for i := range e.b.config.Lifecycle.Rules {
		r := &e.b.config.Lifecycle.Rules[i]
		f := r.filter()
		if r.Status == "Enabled" && f.version(v) && fn(r) {
			return true
		}
	}
	return false
}

func (e *expiry) expires(v *version) bool {
	return e.rules(v, func(r *lifecycleRule) bool {
		x := r.Expiration
		return x != nil && (x.Days > 0 && !dueAfter(v.modified, x.Days).After(e.now) || x.Date != nil && !x.Date.After(e.now))
	})
}

func (e *expiry) superseded(v *version) bool {
	since := e.newer.modified
	return e.rules(v, func(r *lifecycleRule) bool {
		n := r.Noncurrent
		return n != nil && e.older >= n.Keep && !dueAfter(since, n.Days).After(e.now)
	})
}

// loneMarker removes a delete marker behind which nothing is left, once the next version
// shows that.
func (e *expiry) loneMarker(next *version) {
	m := e.newer
	if m == nil || !m.marker || e.older > 0 || next != nil && string(next.key) == string(m.key) {
		return
	}
	if e.rules(m, func(r *lifecycleRule) bool {
		x := r.Expiration
		return x != nil && (x.DeleteMarker || x.Days > 0 && !dueAfter(m.modified, x.Days).After(e.now))
	}) {
		e.due = append(e.due, due{m, true})
	}
}

// remove deletes what was found, if it is still what it was.
func (e *expiry) remove(ctx context.Context) error {
	for len(e.due) > 0 {
		group := e.due[:min(len(e.due), deleteGroup)]
		e.due = e.due[len(group):]
		var did Expired
		err := e.o.alter(ctx, e.b, func(c *change) error {
			did = Expired{}
			c.expiry = true
			for _, d := range group {
				if err := e.removeOne(c, d, &did); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		e.out.Add(did)
	}
	return nil
}

func (e *expiry) removeOne(c *change, d due, did *Expired) error {
	v, isCurrent, err := exactly(c.tx, c.bucket.id, d.v.key, d.v.vid)
	if err != nil || v == nil || v.rank != d.v.rank || d.forGood && v.protected(e.now) {
		return err
	}
	none := func(*version) error { return nil }
	switch {
	case !d.forGood:
		if isCurrent {
			_, err = c.delete(v.key, "", none)
			did.Objects++
		}
	default:
		_, err = c.delete(v.key, v.vid, none)
		did.Bytes += v.size
		switch {
		case v.marker:
			did.Markers++
		case isCurrent:
			did.Objects++
		default:
			did.Versions++
		}
	}
	return err
}

// protected reports whether a lock forbids to remove a version for good.
func (v *version) protected(now time.Time) bool {
	if v.attrs.Hold != nil && *v.attrs.Hold {
		return true
	}
	var r types.ObjectLockRetention
	if v.attrs.Retention == "" || json.Unmarshal([]byte(v.attrs.Retention), &r) != nil {
		return v.attrs.Retention != ""
	}
	return r.RetainUntilDate != nil && r.RetainUntilDate.After(now)
}

// uploads aborts uploads that were not completed in time.
func (e *expiry) uploads(ctx context.Context) error {
	for i := range e.b.config.Lifecycle.Rules {
		r := &e.b.config.Lifecycle.Rules[i]
		if r.Status != "Enabled" || r.Abort == nil {
			continue
		}
		f := r.filter()
		from := []byte(f.prefix)
		if from == nil {
			from = []byte{}
		}
		var ids []string
		err := e.o.db.View(ctx, func(tx *store.Tx) error {
			ids = ids[:0]
			end, args := ``, []any{e.b.id, from}
			if to := successor(f.prefix); to != nil {
				end, args = ` AND key < $3`, append(args, to)
			}
			rows, err := tx.Query(`SELECT id, initiated FROM s3_uploads WHERE bucket = $1 AND key >= $2`+end, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id string
				var initiated int64
				if err := rows.Scan(&id, &initiated); err != nil {
					return err
				}
				if !dueAfter(initiated, r.Abort.Days).After(e.now) {
					ids = append(ids, id)
				}
			}
			return rows.Err()
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			var size int64
			err := e.o.alter(ctx, e.b, func(c *change) error {
				if err := c.tx.Row(`SELECT coalesce(sum(size), 0) FROM s3_parts WHERE upload = $1`, id).Scan(&size); err != nil {
					return err
				}
				return c.forgetUpload(id)
			})
			if err != nil {
				return err
			}
			e.out.Add(Expired{Uploads: 1, Bytes: size})
		}
	}
	return nil
}

// putLifecycle sets or, with nil, removes a bucket's rules.
func (o *vault) putLifecycle(ctx context.Context, name string, l *lifecycle) error {
	return o.configure(ctx, name, func(b *bucket) error { b.config.Lifecycle = l; return nil })
}

// getLifecycle gives a bucket's rules.
func (o *vault) getLifecycle(name string) (*lifecycle, error) {
	b, err := o.bucket(name)
	if err == nil && b.config.Lifecycle == nil {
		err = s3err.APIError{Code: "NoSuchLifecycleConfiguration", Description: "The lifecycle configuration does not exist", HTTPStatusCode: 404}
	}
	if err != nil {
		return nil, err
	}
	return b.config.Lifecycle, nil
}
