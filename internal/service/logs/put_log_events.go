package logs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"drover/internal/store"
	"drover/internal/wire"
)

const dayMillis = 24 * 60 * 60 * 1000

const (
	putEvents = 10_000
	putBytes  = 1 << 20
	putBody   = 8 << 20 // JSON writes a byte as up to six
	putSpan   = 24 * time.Hour
	tooNew    = 2 * time.Hour       // ahead of the clock
	tooOld    = 14 * 24 * time.Hour // behind it
)

var _ = wire.Op(ops, "PutLogEvents", (*Service).PutLogEvents, wire.Required("LogGroupName", "LogStreamName", "LogEvents"), wire.MaxBody(putBody))

// PutLogEvents adds a client's events to a stream. Events too far from now are refused
// one by one, in the answer; a batch that breaks a rule is refused whole.
func (s *Service) PutLogEvents(ctx context.Context, in *cloudwatchlogs.PutLogEventsInput) (*cloudwatchlogs.PutLogEventsOutput, error) {
	name, err := readStream(in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	events, err := eventsOf(in.LogEvents)
	if err != nil {
		return nil, err
	}
	now := nowMillis()
	d := &draft{name: name}
	var days int64
	err = s.db.View(ctx, func(tx *store.Tx) (err error) {
		d.from, days, err = target(tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	lo, hi, rejected := accepted(events, now, days)
	d.parts = []part{{-1, events[lo:hi]}}
	d.want = d.plan(d.from.next)
	if err := s.db.Update(ctx, func(tx *store.Tx) error { return put(tx, d, now) }); err != nil {
		return nil, err
	}
	s.committed([]*draft{d})
	return &cloudwatchlogs.PutLogEventsOutput{
		NextSequenceToken:     aws.String(eventID(now, d.to.id, d.to.next)),
		RejectedLogEventsInfo: rejected,
	}, nil
}

// target finds a stream and how many days its group keeps events.
func target(tx *store.Tx, name streamName) (st streamState, days int64, err error) {
	if st.group, err = groupID(tx, name.group); err != nil {
		return st, 0, err
	}
	if err = tx.Row(`SELECT retention_days FROM log_groups WHERE id = $1`, st.group).Scan(&days); err != nil {
		return st, 0, err
	}
	st.id, st.next, err = streamIn(tx, st.group, name.stream)
	return st, days, err
}

// put writes a draft to a stream that must exist.
func put(tx *store.Tx, d *draft, now int64) error {
	g := &groupShare{id: d.from.group}
	b := batch{tx: tx, now: now, groups: map[string]*groupShare{d.name.group: g}, order: []*groupShare{g}}
	done, err := b.extend(d, d.from)
	if err == nil && !done {
		var st streamState
		if st, _, err = target(tx, d.name); err != nil {
			return err
		}
		g.id = st.group
		_, err = b.extend(d, st)
	}
	if err != nil {
		return err
	}
	return b.finish()
}

// eventsOf checks the rules that a whole batch must keep.
func eventsOf(in []types.InputLogEvent) ([]Event, error) {
	if len(in) < 1 || len(in) > putEvents {
		return nil, invalid("1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length between 1 and %d, it has %d", putEvents, len(in))
	}
	events := make([]Event, len(in))
	bytes := 0
	for i, e := range in {
		switch {
		case aws.ToString(e.Message) == "":
			return nil, invalid("1 validation error detected: Value at 'logEvents.%d.member.message' failed to satisfy constraint: Member must have length greater than or equal to 1", i+1)
		case e.Timestamp == nil || *e.Timestamp < 0:
			return nil, invalid("1 validation error detected: Value at 'logEvents.%d.member.timestamp' failed to satisfy constraint: Member must have value greater than or equal to 0", i+1)
		case i > 0 && *e.Timestamp < events[i-1].At:
			return nil, invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
		events[i] = Event{At: *e.Timestamp, Text: clean(*e.Message)}
		bytes += len(*e.Message) + eventOverhead
	}
	if bytes > putBytes {
		return nil, invalid("Upload too large: %d bytes exceeds limit of %d", bytes, putBytes)
	}
	if events[len(events)-1].At-events[0].At > putSpan.Milliseconds() {
		return nil, invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return events, nil
}

// accepted gives the range of events that are near enough to now, and what to say about
// the others; days is how long the group keeps events, 0 = for ever.
func accepted(events []Event, now, days int64) (lo, hi int, rejected *types.RejectedLogEventsInfo) {
	before := func(at int64) int {
		n, _ := slices.BinarySearchFunc(events, at, func(e Event, at int64) int { return cmp.Compare(e.At, at) })
		return n
	}
	old, expired := before(now-tooOld.Milliseconds()), 0
	if days > 0 {
		expired = before(now - days*dayMillis)
	}
	lo, hi = max(old, expired), before(now+tooNew.Milliseconds()+1)
	if lo == 0 && hi == len(events) {
		return lo, hi, nil
	}
	rejected = &types.RejectedLogEventsInfo{}
	if old > 0 {
		rejected.TooOldLogEventEndIndex = aws.Int32(int32(old))
	}
	if expired > 0 {
		rejected.ExpiredLogEventEndIndex = aws.Int32(int32(expired))
	}
	if hi < len(events) {
		rejected.TooNewLogEventStartIndex = aws.Int32(int32(hi))
	}
	return lo, max(lo, hi), rejected
}
