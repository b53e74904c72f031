package iam

import (
	"context"
	"fmt"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store"
)

// The records, one table for each kind. A record holds all that belongs to it alone; the
// quotas keep it small.
var (
	users    = store.NewTable[user]("iam.user")
	roles    = store.NewTable[role]("iam.role")
	policies = store.NewTable[managed]("iam.policy")
	profiles = store.NewTable[profile]("iam.profile")
	keyTable = store.NewTable[accessKey]("iam.key") // by access key id
	counts   = store.NewTable[int]("iam.count")     // records of a kind, and attachments by policy ARN
)

type tag struct {
	Key   string `json:"k"`
	Value string `json:"v"`
}

type inline struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// grants is what users and roles have in common: their policies, sorted.
type grants struct {
	Inline   []inline `json:"inline,omitempty"`
	Attached []string `json:"attached,omitempty"` // ARNs
}

type user struct {
	Name    string   `json:"name"`
	Path    string   `json:"path"`
	ID      string   `json:"id"`
	Created int64    `json:"created"` // µs
	Tags    []tag    `json:"tags,omitempty"`
	Keys    []string `json:"keys,omitempty"`
	grants
}

type role struct {
	Name        string   `json:"name"`
	Path        string   `json:"path"`
	ID          string   `json:"id"`
	Created     int64    `json:"created"`
	Description *string  `json:"description,omitempty"`
	Trust       string   `json:"trust"`
	MaxSession  int32    `json:"maxSession"` // seconds
	Tags        []tag    `json:"tags,omitempty"`
	Profiles    []string `json:"profiles,omitempty"` // instance profiles that hold it, sorted
	grants
}

type managed struct {
	Name        string    `json:"name"`
	Path        string    `json:"path"`
	ID          string    `json:"id"`
	Created     int64     `json:"created"`
	Updated     int64     `json:"updated"`
	Description *string   `json:"description,omitempty"`
	Tags        []tag     `json:"tags,omitempty"`
	Last        int       `json:"last"` // number of the newest version
	Default     string    `json:"default"`
	Versions    []version `json:"versions"` // newest first
	builtIn     bool
}

type version struct {
	ID      string `json:"id"`
	Text    string `json:"text"`
	Created int64  `json:"created"`
}

type profile struct {
	Name    string `json:"name"`
	Path    string `json:"path"`
	ID      string `json:"id"`
	Created int64  `json:"created"`
	Role    string `json:"role,omitempty"`
	Tags    []tag  `json:"tags,omitempty"`
}

type accessKey struct {
	ID      string `json:"id"`
	User    string `json:"user"`
	UserID  string `json:"userId"`
	Active  bool   `json:"active"`
	Created int64  `json:"created"`
	Sealed  []byte `json:"sealed"`
}

func (s *Service) userARN(u *user) string       { return s.arn("user" + u.Path + u.Name) }
func (s *Service) roleARN(r *role) string       { return s.arn("role" + r.Path + r.Name) }
func (s *Service) profileARN(p *profile) string { return s.arn("instance-profile" + p.Path + p.Name) }

func (s *Service) policyARN(p *managed) string {
	if p.builtIn {
		return "arn:aws:iam::aws:policy" + p.Path + p.Name
	}
	return s.arn("policy" + p.Path + p.Name)
}

func noUser(name string) error { return noSuch("The user with name %s cannot be found.", name) }
func noRole(name string) error { return noSuch("The role with name %s cannot be found.", name) }
func noProfile(name string) error {
	return noSuch("Instance Profile %s cannot be found.", name)
}

// missing turns the store's NotFound into the service's own words.
func missing(err, words error) error {
	if fault.Is(err, fault.NotFound) {
		return words
	}
	return err
}

// get reads one record.
func get[T any](tx *store.Tx, t *store.Table[T], name string, absent error) (T, int64, error) {
	v, rev, err := t.Get(tx, key(name))
	return v, rev, missing(err, absent)
}

// view reads one record in a transaction of its own.
func view[T any](ctx context.Context, s *Service, t *store.Table[T], name string, absent error) (v T, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		v, _, err = get(tx, t, name, absent)
		return err
	})
	return v, err
}

// update runs a transaction, after which no older answer is given.
func (s *Service) update(ctx context.Context, f func(*store.Tx) error) error {
	err := s.db.Update(ctx, f)
	s.cache.forget()
	return err
}

// change changes one record.
func change[T any](ctx context.Context, s *Service, t *store.Table[T], name string, absent error, f func(*store.Tx, *T) error) error {
	return s.update(ctx, func(tx *store.Tx) error {
		v, rev, err := get(tx, t, name, absent)
		if err != nil {
			return err
		}
		if err := f(tx, &v); err != nil {
			return err
		}
		_, err = t.Put(tx, key(name), v, rev)
		return err
	})
}

// create adds a record, within the quota for its kind.
func create[T any](tx *store.Tx, t *store.Table[T], kind, name string, v T, most int, taken error) error {
	if err := count(tx, kind, 1, most); err != nil {
		return err
	}
	_, err := t.Put(tx, key(name), v, store.Absent)
	if fault.Is(err, fault.Conflict) {
		return taken
	}
	return err
}

// count adds to a counter, and refuses to go above most.
func count(tx *store.Tx, name string, add, most int) error {
	n, _, err := counts.Get(tx, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if n += add; add > 0 && n > most {
		return tooMany("Cannot exceed quota for %s: %d", name, most)
	}
	if n <= 0 {
		return missing(counts.Delete(tx, name), nil)
	}
	_, err = counts.Put(tx, name, n, store.Any)
	return err
}

func countOf(tx *store.Tx, name string) (int, error) {
	n, _, err := counts.Get(tx, name)
	return n, missing(err, nil)
}

func stamp(t time.Time) int64  { return t.UnixMicro() }
func date(us int64) *time.Time { t := time.UnixMicro(us).UTC().Truncate(time.Second); return &t }
func versionID(n int) string   { return fmt.Sprintf("v%d", n) }
