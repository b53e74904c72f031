package native

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/upkeep"
	"drover/internal/wire"
)

// Objects is what the API asks of the object store.
type Objects interface {
	// Events gives what happened after a point, as Amazon S3 notifies, and where to go on.
	Events(ctx context.Context, after int64, limit int, bucket string) (events []json.RawMessage, next int64, err error)
	// LastEvent is the point behind what has happened so far.
	LastEvent(ctx context.Context) (int64, error)
	// Changed is closed when an event has happened since the call.
	Changed() <-chan struct{}
	House(ctx context.Context) (*upkeep.House, error)
	KeepHouse(ctx context.Context, now bool) error
	// VerifySome reads a part of what is stored; next is nil at the end.
	VerifySome(ctx context.Context, from upkeep.Place, long time.Duration, rate int64, report func(upkeep.Damaged)) (v upkeep.Verified, next *upkeep.Place, err error)
}

// Keep lets the service answer for the object store.
func (s *Service) Keep(o Objects) *Service {
	s.objects = o
	return s
}

// ListObjectEventsInput asks for the events of objects after a point.
type ListObjectEventsInput struct {
	After       *int64  // Next of the answer before; absent: begin now; 0: the oldest that are kept
	Limit       *int32  // most rows read; 1,000 if absent
	WaitSeconds *int32  // how long to wait for the first one; 0 if absent
	Bucket      *string // only of this bucket
}

// ListObjectEventsOutput is what happened, each as a record of Amazon S3's.
type ListObjectEventsOutput struct {
	Events []string `json:"events"` // JSON objects
	Next   int64    `json:"next"`   // After of the next call
}

var _ = wire.Op(Ops, "ListObjectEvents", (*Service).ListObjectEvents, path("listobjectevents"),
	wire.Range("Limit", 1, 1000), wire.Range("WaitSeconds", 0, maxWaitSeconds))

// ListObjectEvents gives what was created and deleted after a point, and waits for something
// if there is nothing.
func (s *Service) ListObjectEvents(ctx context.Context, in *ListObjectEventsInput) (*ListObjectEventsOutput, error) {
	if s.objects == nil {
		return nil, errNoObjects()
	}
	if in.After == nil {
		last, err := s.objects.LastEvent(ctx)
		return &ListObjectEventsOutput{Events: []string{}, Next: last}, err
	}
	limit, bucket := int(given(in.Limit, 1000)), given(in.Bucket, "")
	out := &ListObjectEventsOutput{}
	var err error
	out.Events, out.Next, err = eventsAfter(ctx, in.WaitSeconds, s.objects.Changed, *in.After, func(after int64) ([]json.RawMessage, int64, error) {
		return s.objects.Events(ctx, after, limit, bucket)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ObjectHousekeepingInput says what to do.
type ObjectHousekeepingInput struct {
	Now *bool // do all of it first
}

// ObjectHousekeepingOutput is what housekeeping has to do and has done.
type ObjectHousekeepingOutput struct {
	House upkeep.House `json:"house"`
}

var _ = wire.Op(Ops, "ObjectHousekeeping", (*Service).ObjectHousekeeping, path("objecthousekeeping"))

// ObjectHousekeeping tells of lifecycle rules and sweeps. To have them done now is the
// account's root's alone.
func (s *Service) ObjectHousekeeping(ctx context.Context, in *ObjectHousekeepingInput) (*ObjectHousekeepingOutput, error) {
	if s.objects == nil {
		return nil, errNoObjects()
	}
	if in.Now != nil && *in.Now {
		if err := rootOnly(ctx, "have the housekeeping done"); err != nil {
			return nil, err
		}
		if err := s.objects.KeepHouse(ctx, true); err != nil {
			return nil, err
		}
	}
	h, err := s.objects.House(ctx)
	if err != nil {
		return nil, err
	}
	return &ObjectHousekeepingOutput{*h}, nil
}

// VerifyObjectsInput asks for a part of a check.
type VerifyObjectsInput struct {
	After *string // Next of the answer before; absent: the beginning
	Rate  *int64  // bytes a second; 64 MiB if absent
}

// VerifyObjectsOutput is what the part has found.
type VerifyObjectsOutput struct {
	Objects int64            `json:"objects"` // versions that were read
	Bytes   int64            `json:"bytes"`
	Damaged []upkeep.Damaged `json:"damaged"`
	Next    string           `json:"next"` // After of the next call; "" = all was read
}

// Bounds of one part of a check.
const (
	verifyFor  = 2 * time.Second
	verifyRate = 64 << 20
)

var _ = wire.Op(Ops, "VerifyObjects", (*Service).VerifyObjects, path("verifyobjects"), wire.Range("Rate", 1<<10, 1<<40))

// VerifyObjects reads stored contents for a moment and compares their checksums. Only the
// account's root may: it costs the disk's time, and it names objects of all buckets.
func (s *Service) VerifyObjects(ctx context.Context, in *VerifyObjectsInput) (*VerifyObjectsOutput, error) {
	if err := rootOnly(ctx, "check all objects"); err != nil {
		return nil, err
	}
	if s.objects == nil {
		return nil, errNoObjects()
	}
	var from upkeep.Place
	if in.After != nil && *in.After != "" {
		text, err := base64.RawURLEncoding.DecodeString(*in.After)
		if err == nil {
			err = json.Unmarshal(text, &from)
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "ValidationException", "After must be the Next of an answer before, got %q", *in.After)
		}
	}
	rate := given(in.Rate, verifyRate)
	out := &VerifyObjectsOutput{Damaged: []upkeep.Damaged{}}
	v, next, err := s.objects.VerifySome(ctx, from, verifyFor, rate, func(d upkeep.Damaged) { out.Damaged = append(out.Damaged, d) })
	if err != nil {
		return nil, err
	}
	out.Objects, out.Bytes = v.Objects, v.Bytes
	if next != nil {
		text, err := json.Marshal(next)
		if err != nil {
			return nil, err
		}
		out.Next = base64.RawURLEncoding.EncodeToString(text)
	}
	return out, nil
}

func errNoObjects() error {
	return fault.New(fault.NotBuilt, "NotImplemented", "this server has no object store")
}

// rootOnly refuses everybody but the account's root.
func rootOnly(ctx context.Context, do string) error {
	if p, ok := wire.PrincipalFrom(ctx); !ok || p.Kind != wire.Root {
		return fault.New(fault.Denied, "AccessDeniedException", "only the root key may %s; use the one in the data folder's credentials file", do)
	}
	return nil
}
