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

var _ = wire.Op(ops, "DescribeLogStreams", (*Service).DescribeLogStreams)

// DescribeLogStreams lists a group's streams by name or by the time of their last event.
func (s *Service) DescribeLogStreams(ctx context.Context, in *cloudwatchlogs.DescribeLogStreamsInput) (*cloudwatchlogs.DescribeLogStreamsOutput, error) {
	group, err := groupNamed(in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	most, err := limit(in.Limit, describeMost)
	if err != nil {
		return nil, err
	}
	list, err := newStreamList(in)
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.DescribeLogStreamsOutput{}
	var last []place
	err = s.db.View(ctx, func(tx *store.Tx) error {
		id, err := groupID(tx, group)
		if err != nil {
			return err
		}
		out.LogStreams, last, err = s.listStreams(tx, list, id, group, most+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out.LogStreams) > most {
		out.LogStreams = out.LogStreams[:most]
		out.NextToken = aws.String(pageToken(list.kind, last[most-1]))
	}
	return out, nil
}

// streamList is an order of streams and a place in it.
type streamList struct {
	kind, query string
	prefix      string
	after       place
}

const streamListColumns = `SELECT id, name, created_ms, first_ms, last_ms, ingested_ms, next_number FROM log_streams WHERE group_id = $1 AND deleted = 0 AND `

func newStreamList(in *cloudwatchlogs.DescribeLogStreamsInput) (streamList, error) {
	l := streamList{prefix: aws.ToString(in.LogStreamNamePrefix)}
	byTime, down := in.OrderBy == types.OrderByLastEventTime, aws.ToBool(in.Descending)
	switch {
	case in.OrderBy != "" && in.OrderBy != types.OrderByLogStreamName && !byTime:
		return l, invalid("1 validation error detected: Value '%.80s' at 'orderBy' failed to satisfy constraint: Member must satisfy enum value set: [LogStreamName, LastEventTime]", in.OrderBy)
	case byTime && in.LogStreamNamePrefix != nil:
		return l, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	case byTime && down:
		l.kind, l.after = "time-down", place{at: math.MaxInt64, id: math.MaxInt64}
		l.query = streamListColumns + `(last_ms, id) < ($2, $3) ORDER BY last_ms DESC, id DESC LIMIT $4`
	case byTime:
		l.kind, l.after = "time-up", place{at: math.MinInt64}
		l.query = streamListColumns + `(last_ms, id) > ($2, $3) ORDER BY last_ms, id LIMIT $4`
	case down:
		l.kind, l.after = "name-down", place{name: string(pastPrefix(l.prefix))}
		l.query = streamListColumns + `name < $2 AND name >= $3 ORDER BY name DESC LIMIT $4`
	default:
		l.kind = "name-up"
		l.query = streamListColumns + `name >= $2 AND name < $3 ORDER BY name LIMIT $4`
	}
	if in.NextToken == nil {
		return l, nil
	}
	var err error
	l.after, err = parsePageToken(l.kind, *in.NextToken)
	return l, err
}

func (l streamList) args(group int64, most int) []any {
	switch l.kind {
	case "name-up":
		return []any{group, nameBound(l.prefix, l.after.name), pastPrefix(l.prefix), most}
	case "name-down":
		return []any{group, []byte(l.after.name), []byte(l.prefix), most}
	}
	return []any{group, l.after.at, l.after.id, most}
}

// listStreams gives up to most streams and the place of each in the list.
func (s *Service) listStreams(tx *store.Tx, l streamList, group int64, groupName string, most int) ([]types.LogStream, []place, error) {
	rows, err := tx.Query(l.query, l.args(group, most)...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	streams, places := []types.LogStream{}, []place{}
	for rows.Next() {
		var id, created, last, next int64
		var name string
		var first, ingested *int64
		if err := rows.Scan(&id, &name, &created, &first, &last, &ingested, &next); err != nil {
			return nil, nil, err
		}
		st := types.LogStream{
			LogStreamName:       &name,
			Arn:                 aws.String(s.groupARN(groupName) + ":log-stream:" + name),
			CreationTime:        &created,
			FirstEventTimestamp: first,
			LastIngestionTime:   ingested,
			StoredBytes:         aws.Int64(0), // as AWS has answered since 2019
			UploadSequenceToken: aws.String(eventID(0, id, next)),
		}
		p := place{name: name}
		if l.kind == "time-up" || l.kind == "time-down" {
			p = place{at: last, id: id}
		}
		if first != nil {
			st.LastEventTimestamp = &last
		}
		streams, places = append(streams, st), append(places, p)
	}
	return streams, places, rows.Err()
}
