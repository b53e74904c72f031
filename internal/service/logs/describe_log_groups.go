package logs

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"drover/internal/store"
	"drover/internal/wire"
)

const describeMost = 50 // groups or streams on a page

// pastPrefix follows every name with a prefix: names are UTF-8, which has no byte 0xff.
func pastPrefix(prefix string) []byte { return append([]byte(prefix), 0xff) }

// nameBound is where a list by name starts: at the prefix, or right after a name.
func nameBound(prefix, after string) []byte {
	if after == "" {
		return []byte(prefix)
	}
	return append([]byte(after), 0)
}

var _ = wire.Op(ops, "DescribeLogGroups", (*Service).DescribeLogGroups)

// DescribeLogGroups lists groups by name.
func (s *Service) DescribeLogGroups(ctx context.Context, in *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	most, err := limit(in.Limit, describeMost)
	if err != nil {
		return nil, err
	}
	if in.LogGroupNamePattern != nil && in.LogGroupNamePrefix != nil {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	var named []string
	for _, id := range in.LogGroupIdentifiers {
		name, err := groupNamed(nil, &id)
		if err != nil {
			return nil, err
		}
		named = append(named, name)
	}
	var after place
	if in.NextToken != nil {
		if after, err = parsePageToken("groups", *in.NextToken); err != nil {
			return nil, err
		}
	}
	fits := func(g types.LogGroup) bool {
		return strings.Contains(*g.LogGroupName, aws.ToString(in.LogGroupNamePattern)) &&
			(in.LogGroupClass == "" || in.LogGroupClass == g.LogGroupClass) &&
			(named == nil || slices.Contains(named, *g.LogGroupName))
	}
	out := &cloudwatchlogs.DescribeLogGroupsOutput{}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		out.LogGroups, err = s.listGroups(tx, aws.ToString(in.LogGroupNamePrefix), after.name, most+1, fits)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out.LogGroups) > most {
		out.LogGroups = out.LogGroups[:most]
		out.NextToken = aws.String(pageToken("groups", place{name: *out.LogGroups[most-1].LogGroupName}))
	}
	return out, nil
}

// listGroups gives up to most groups that fit, with names after the one given.
func (s *Service) listGroups(tx *store.Tx, prefix, after string, most int, fits func(types.LogGroup) bool) ([]types.LogGroup, error) {
	rows, err := tx.Query(`SELECT name, created_ms, retention_days, bytes, class FROM log_groups
		WHERE name >= $1 AND name < $2 AND deleted = 0 ORDER BY name`,
		nameBound(prefix, after), pastPrefix(prefix))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := []types.LogGroup{}
	for len(list) < most && rows.Next() {
		var name, class string
		var created, days, bytes int64
		if err := rows.Scan(&name, &created, &days, &bytes, &class); err != nil {
			return nil, err
		}
		g := types.LogGroup{
			LogGroupName:      &name,
			Arn:               aws.String(s.groupARN(name) + ":*"),
			LogGroupArn:       aws.String(s.groupARN(name)),
			LogGroupClass:     types.LogGroupClass(class),
			CreationTime:      &created,
			StoredBytes:       &bytes,
			MetricFilterCount: aws.Int32(0),
		}
		if days > 0 {
			g.RetentionInDays = aws.Int32(int32(days))
		}
		if fits(g) {
			list = append(list, g)
		}
	}
	return list, rows.Close()
}
