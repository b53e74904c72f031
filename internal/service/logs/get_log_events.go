package logs

import (
	"context"
	"math"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"drover/internal/store"
	"drover/internal/wire"
)

var _ = wire.Op(ops, "GetLogEvents", (*Service).GetLogEvents, wire.Required("LogStreamName"))

// GetLogEvents reads one stream, forward or backward. At either end of the stream the
// token given comes back, which is how clients know that they have it all.
func (s *Service) GetLogEvents(ctx context.Context, in *cloudwatchlogs.GetLogEventsInput) (*cloudwatchlogs.GetLogEventsOutput, error) {
	group, err := groupNamed(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	stream := aws.ToString(in.LogStreamName)
	if err := checkStream(stream); err != nil {
		return nil, err
	}
	r := reader{onward: aws.ToBool(in.StartFromHead)}
	if r.limit, err = limit(in.Limit, pageEvents); err != nil {
		return nil, err
	}
	if r.window, err = windowOf(in.StartTime, in.EndTime, 0); err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.GetLogEventsOutput{}
	err = s.reading(ctx, group, stream, func() error {
		return s.db.View(ctx, func(tx *store.Tx) error {
			id, next, err := find(tx, group, stream)
			if err != nil {
				return err
			}
			if !r.onward {
				r.next = next
			}
			if in.NextToken != nil {
				if r.onward, r.next, err = parseEventToken(*in.NextToken, id); err != nil {
					return err
				}
			}
			asked := r.next
			if err := r.read(tx, id); err != nil {
				return err
			}
			out.NextForwardToken, out.NextBackwardToken = r.tokens(id, asked)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	out.Events = make([]types.OutputLogEvent, len(r.lines))
	for i, l := range r.lines {
		out.Events[i] = types.OutputLogEvent{Timestamp: &r.lines[i].At, Message: &r.lines[i].Text, IngestionTime: aws.Int64(l.Ingested)}
	}
	return out, nil
}

// tokens gives the tokens for both directions after a page that was asked for at a place.
func (r *reader) tokens(stream, asked int64) (onward, backward *string) {
	low, high := asked, asked
	switch {
	case len(r.lines) > 0:
		low, high = r.lines[0].Number, r.lines[len(r.lines)-1].Number+1
		if r.onward && r.full {
			high = r.next
		}
		if !r.onward && r.full {
			low = r.next
		}
	case r.full && r.onward:
		high = r.next // much was passed over: go on there
	case r.full:
		low = r.next
	}
	return aws.String(eventToken(true, stream, high)), aws.String(eventToken(false, stream, low))
}

// windowOf reads a time range; past is how much its end reaches beyond end.
func windowOf(start, end *int64, past int64) (window, error) {
	w := window{math.MinInt64, math.MaxInt64}
	if start != nil {
		w.from = *start
	}
	if end != nil && *end < math.MaxInt64-past {
		w.to = *end + past
	}
	if start != nil && *start < 0 || end != nil && *end < 0 {
		return w, invalid("startTime and endTime are milliseconds since 1970 and must not be negative")
	}
	if start != nil && end != nil && *start > *end {
		return w, invalid("End time must not be less than start time: startTime %d is after endTime %d", *start, *end)
	}
	return w, nil
}
