package logs

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"drover/internal/store"
	"drover/internal/wire"
)

func retentionDays() []int32 {
	return []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
}

var _ = wire.Op(ops, "PutRetentionPolicy", (*Service).PutRetentionPolicy, wire.Required("LogGroupName", "RetentionInDays"))

// PutRetentionPolicy says how many days a group keeps its events.
func (s *Service) PutRetentionPolicy(ctx context.Context, in *cloudwatchlogs.PutRetentionPolicyInput) (*cloudwatchlogs.PutRetentionPolicyOutput, error) {
	days := aws.ToInt32(in.RetentionInDays)
	if !slices.Contains(retentionDays(), days) {
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %v", days, retentionDays())
	}
	return nil, s.setRetention(ctx, aws.ToString(in.LogGroupName), days)
}

var _ = wire.Op(ops, "DeleteRetentionPolicy", (*Service).DeleteRetentionPolicy, wire.Required("LogGroupName"))

// DeleteRetentionPolicy lets a group keep its events for ever.
func (s *Service) DeleteRetentionPolicy(ctx context.Context, in *cloudwatchlogs.DeleteRetentionPolicyInput) (*cloudwatchlogs.DeleteRetentionPolicyOutput, error) {
	return nil, s.setRetention(ctx, aws.ToString(in.LogGroupName), 0)
}

func (s *Service) setRetention(ctx context.Context, group string, days int32) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE log_groups SET retention_days = $1 WHERE name = $2`, days, []byte(group))
		if err == nil && n == 0 {
			return noGroup()
		}
		return err
	})
}
