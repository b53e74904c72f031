// Package iam is the part of AWS IAM that jobs and their users need, API version
// 2010-05-08: users and their access keys, roles, inline and managed policies, and instance
// profiles. It is also where drover's own doors ask: it knows the users' access keys and
// decides by policies what a user or role may do.
//
// What it promises:
//   - A document that cannot be judged whole is refused when it is put; one that is found
//     so later denies everything to whom it is attached.
//   - Nobody may do what no policy allows; an explicit Deny wins; a session policy can only
//     take away. A user or role that is deleted may do nothing from that moment, and one
//     that is made again under the same name inherits no session.
//   - A change counts from the moment its call is answered.
//   - Secrets of access keys are sealed on the disk and shown once.
//   - Everything is bounded: AWS's quotas are kept always, and the caches are limited.
//
// Permissions boundaries, groups, federation and MFA are not built and say so.
package iam

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/wire"
	"drover/internal/wire/keys"
)

// Identity is how the service presents itself on the wire.
var Identity = wire.Identity{
	Name:      "iam",
	Version:   "2010-05-08",
	Namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
	Protocols: []wire.Protocol{wire.Query},
	Invalid:   "ValidationError",
}

var ops = wire.NewTable[*Service](Identity)

// AWS's quotas, which drover keeps.
const (
	maxUsers         = 5000
	maxRoles         = 5000
	maxPolicies      = 5000
	maxProfiles      = 5000
	maxKeys          = 2 // of a user
	maxVersions      = 5 // of a managed policy
	maxAttached      = 20
	maxTags          = 50
	maxManagedText   = 6144 // characters that are not white space
	maxUserInline    = 2048 // of all inline policies together
	maxRoleInline    = 10240
	maxTrustText     = 4096
	defaultSession   = 3600
	maxSessionPolicy = 2048
)

// Options of a Service.
type Options struct {
	DB      *store.DB
	Account string
	Vault   *keys.Vault
	Log     *slog.Logger     // nil: nowhere
	Now     func() time.Time // nil: time.Now
}

// Service answers the operations of IAM, and the questions of drover's doors.
type Service struct {
	db      *store.DB
	account string
	vault   *keys.Vault
	log     *slog.Logger
	now     func() time.Time

	keys  keyring
	cache cache
}

// Open makes the service and reads the access keys.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{db: o.DB, account: o.Account, vault: o.Vault, log: o.Log, now: o.Now}
	return s, s.loadKeys(ctx)
}

// Wire is the service, ready for wire.Mux.Add.
func (s *Service) Wire() wire.Service { return wire.Bind(ops, s) }

func (s *Service) arn(resource string) string { return "arn:aws:iam::" + s.account + ":" + resource }

// newID makes a unique id of AWS's form: a prefix and 17 characters.
func newID(prefix string) string {
	var b [11]byte
	rand.Read(b[:])
	return prefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])[:17]
}

// key is the key of a record: names differ only if they differ in more than letter case.
func key(name string) string { return strings.ToLower(name) }

func coded(status int, code, format string, args ...any) error {
	kind := fault.Invalid
	switch status {
	case 404:
		kind = fault.NotFound
	case 409:
		kind = fault.Conflict
	}
	e := fault.New(kind, code, format, args...)
	e.Status = status
	return e
}

func noSuch(format string, args ...any) error { return coded(404, "NoSuchEntity", format, args...) }
func exists(format string, args ...any) error {
	return coded(409, "EntityAlreadyExists", format, args...)
}
func inUse(format string, args ...any) error { return coded(409, "DeleteConflict", format, args...) }
func tooMany(format string, args ...any) error {
	return coded(409, "LimitExceeded", format, args...)
}
func invalid(format string, args ...any) error {
	return coded(400, "ValidationError", format, args...)
}

// notBuilt refuses a member that drover does not have yet.
func notBuilt(member string) error {
	return fault.New(fault.NotBuilt, "NotImplemented", "%s is not built in this version of drover; leave it out", member)
}
