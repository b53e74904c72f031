package logs

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"drover/internal/store"
	"drover/internal/wire"
)

var _ = wire.Op(ops, "FilterLogEvents", (*Service).FilterLogEvents)

// FilterLogEvents searches the streams of a group. A page looks at the group's chunks in
// the order of their first event's time and gives what matches sorted by time; it ends
// after limit events, 1 MiB, or when it has looked at enough, so a page may be empty and
// yet have a token.
func (s *Service) FilterLogEvents(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	group, err := groupNamed(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	f, err := newFilter(in)
	if err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if f.group, err = groupID(tx, group); err != nil {
			return err
		}
		return f.run(tx, in.LogStreamNames)
	})
	if err != nil {
		return nil, err
	}
	return f.answer(), nil
}

func newFilter(in *cloudwatchlogs.FilterLogEventsInput) (*filter, error) {
	f := &filter{newest: in.StartFromHead != nil && !*in.StartFromHead, prefix: aws.ToString(in.LogStreamNamePrefix)}
	var err error
	if f.limit, err = limit(in.Limit, pageEvents); err != nil {
		return nil, err
	}
	// Unlike that of GetLogEvents, this endTime is inclusive.
	if f.window, err = windowOf(in.StartTime, in.EndTime, 1); err != nil {
		return nil, err
	}
	if f.pattern, err = parsePattern(aws.ToString(in.FilterPattern)); err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 100 {
		return nil, invalid("1 validation error detected: Value at 'logStreamNames' failed to satisfy constraint: Member must have length less than or equal to 100")
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, invalid("logStreamNames and logStreamNamePrefix are mutually exclusive: give one of them")
	}
	if in.NextToken == nil {
		return f, nil
	}
	if f.after, err = parsePageToken("filter", *in.NextToken); err == nil {
		f.newest = f.after.name == "newest"
		f.resumed = true
		return f, nil
	}
	return nil, err
}

// answer writes the page as the API has it.
func (f *filter) answer() *cloudwatchlogs.FilterLogEventsOutput {
	slices.SortStableFunc(f.found, func(a, b found) int {
		c := cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.stream, b.stream), cmp.Compare(a.Number, b.Number))
		if f.newest {
			return -c
		}
		return c
	})
	out := &cloudwatchlogs.FilterLogEventsOutput{
		Events:             make([]types.FilteredLogEvent, len(f.found)),
		SearchedLogStreams: []types.SearchedLogStream{}, // AWS fills it no more
	}
	for i := range f.found {
		e := &f.found[i]
		out.Events[i] = types.FilteredLogEvent{
			EventId:       aws.String(eventID(e.At, e.stream, e.Number)),
			LogStreamName: &e.name,
			Timestamp:     &e.At,
			IngestionTime: &e.Ingested,
			Message:       &e.Text,
		}
	}
	if f.more {
		p := f.after
		if p.name = "oldest"; f.newest {
			p.name = "newest"
		}
		out.NextToken = aws.String(pageToken("filter", p))
	}
	return out
}

// eventID names an event: 56 digits that sort as the events do.
func eventID(at, stream, number int64) string {
	return fmt.Sprintf("%016d%020d%020d", at, stream, number)
}
