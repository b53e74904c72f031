package s3

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"drover/internal/core/upkeep"
	"drover/internal/store"
)

// How often housekeeping is done. Lifecycle rules count in days; both look at every object.
const (
	expireEvery = time.Hour
	sweepEvery  = 24 * time.Hour
)

// house does the housekeeping, one pass at a time.
type house struct {
	mu sync.Mutex // held while it is done
}

// passed is what s3_house keeps of a pass.
type passed struct {
	Took    int64   `json:"took"`
	Error   string  `json:"error,omitempty"`
	Expired Expired `json:"expired"`
	Swept   Swept   `json:"swept"`

	at int64
}

// KeepHouse does the housekeeping that is due, or with now all of it, and writes down what it
// did.
func (s *Service) KeepHouse(ctx context.Context, now bool) error {
	o := s.vault
	o.house.mu.Lock()
	defer o.house.mu.Unlock()
	notes, err := o.houseNotes(ctx)
	if err != nil {
		return err
	}
	due := func(name string, every time.Duration) bool {
		return now || o.now().Sub(time.UnixMicro(notes[name].at)) >= every
	}
	var failed error
	if due("lifecycle", expireEvery) {
		failed = o.pass(ctx, "lifecycle", func(p *passed) (err error) {
			p.Expired, err = s.Expire(ctx)
			return err
		})
	}
	if due("sweep", sweepEvery) && ctx.Err() == nil {
		err := o.pass(ctx, "sweep", func(p *passed) (err error) {
			p.Swept, err = s.Sweep(ctx, SweepGrace)
			return err
		})
		if failed == nil {
			failed = err
		}
	}
	return failed
}

// pass does one thing and notes it. What it removed is logged.
func (o *vault) pass(ctx context.Context, name string, do func(p *passed) error) error {
	var p passed
	began := o.now()
	err := do(&p)
	if err != nil {
		p.Error = err.Error()
	}
	p.Took = o.now().Sub(began).Microseconds()
	if name != "lifecycle" && (p.Expired != (Expired{}) || p.Swept.Removed > 0) { // its buckets have said so
		o.log.Info("s3: housekeeping removed", "pass", name, "objects", p.Expired.Objects, "versions", p.Expired.Versions, "markers", p.Expired.Markers,
			"uploads", p.Expired.Uploads, "contents", p.Swept.Removed, "bytes", p.Expired.Bytes+p.Swept.Bytes)
	}
	if e := o.noteHouse(context.WithoutCancel(ctx), name, began, &p); err == nil {
		err = e
	}
	return err
}

func (o *vault) noteHouse(ctx context.Context, name string, at time.Time, p *passed) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return o.db.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO s3_house (name, at, result) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET at = $2, result = $3`, name, at.UnixMicro(), string(text))
		return err
	})
}

func (o *vault) houseNotes(ctx context.Context) (map[string]passed, error) {
	out := map[string]passed{}
	err := o.db.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT name, at, result FROM s3_house`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, text string
			var at int64
			if err := rows.Scan(&name, &at, &text); err != nil {
				return err
			}
			var p passed
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				return fmt.Errorf("s3: what is noted of the housekeeping %s cannot be read: %w", name, err)
			}
			p.at = at
			out[name] = p
		}
		return rows.Err()
	})
	return out, err
}

// House tells what housekeeping has to do and has done.
func (s *Service) House(ctx context.Context) (*upkeep.House, error) {
	o := s.vault
	notes, err := o.houseNotes(ctx)
	if err != nil {
		return nil, err
	}
	view := func(name string, every time.Duration) upkeep.Pass {
		p := notes[name]
		out := upkeep.Pass{Last: p.at, Took: p.Took, Error: p.Error, Next: o.now().UnixMicro()}
		if p.at != 0 {
			out.Next = max(out.Next, p.at+every.Microseconds())
		}
		return out
	}
	out := &upkeep.House{Lifecycle: view("lifecycle", expireEvery), Sweep: view("sweep", sweepEvery), Swept: notes["sweep"].Swept, Buckets: []upkeep.Bucket{}}
	for _, b := range o.sorted() {
		if b.config.Lifecycle == nil {
			continue
		}
		p := notes[bucketNote(b)]
		h := upkeep.Bucket{Bucket: b.name, Last: p.at, Expired: p.Expired}
		for i := range b.config.Lifecycle.Rules {
			h.Rules = append(h.Rules, b.config.Lifecycle.Rules[i].words())
		}
		out.Buckets = append(out.Buckets, h)
	}
	return out, nil
}

// bucketNote names what is noted of a bucket; one that is made again is another.
func bucketNote(b *bucket) string { return fmt.Sprintf("lifecycle/%d", b.id) }

// words says what a rule does.
func (r *lifecycleRule) words() upkeep.Rule {
	f := r.filter()
	which := "all objects"
	if f.prefix != "" {
		which = fmt.Sprintf("keys that begin with %q", f.prefix)
	}
	for _, t := range f.tags {
		which += fmt.Sprintf(", tagged %s=%s", t.Key, t.Value)
	}
	if f.greater != nil {
		which += fmt.Sprintf(", above %d bytes", *f.greater)
	}
	if f.less != nil {
		which += fmt.Sprintf(", below %d bytes", *f.less)
	}
	var does string
	add := func(format string, args ...any) {
		if does != "" {
			does += "; "
		}
		does += fmt.Sprintf(format, args...)
	}
	if x := r.Expiration; x != nil {
		switch {
		case x.Days > 0:
			add("expire after %s", days(x.Days))
		case x.Date != nil:
			add("expire on %s", x.Date.UTC().Format(time.DateOnly))
		case x.DeleteMarker:
			add("remove delete markers that nothing is behind")
		}
	}
	if n := r.Noncurrent; n != nil {
		add("remove old versions after %s", days(n.Days))
		if n.Keep > 0 {
			does += fmt.Sprintf(" but the newest %d", n.Keep)
		}
	}
	if a := r.Abort; a != nil {
		add("abort uploads after %s", days(a.Days))
	}
	return upkeep.Rule{ID: r.ID, Enabled: r.Status == "Enabled", Which: which, Does: does}
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}
