package logs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"drover/internal/store"
	"drover/internal/wire"
)

var _ = wire.Op(ops, "DeleteLogGroup", (*Service).DeleteLogGroup, wire.Required("LogGroupName"))

// DeleteLogGroup deletes a group with all its streams: its name is free at once, Purge
// takes apart what it held.
func (s *Service) DeleteLogGroup(ctx context.Context, in *cloudwatchlogs.DeleteLogGroupInput) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	if err := checkGroup(name); err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		id, err := groupID(tx, name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE log_groups SET name = $1, deleted = 1 WHERE id = $2`, tombstone(id), id)
		return err
	})
}
