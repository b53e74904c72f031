package logs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"drover/internal/store"
	"drover/internal/wire"
)

var _ = wire.Op(ops, "DeleteLogStream", (*Service).DeleteLogStream, wire.Required("LogGroupName", "LogStreamName"))

// DeleteLogStream deletes a stream. A small one is gone when it returns; Purge takes a
// large one apart, whose name is free at once all the same.
func (s *Service) DeleteLogStream(ctx context.Context, in *cloudwatchlogs.DeleteLogStreamInput) (*cloudwatchlogs.DeleteLogStreamOutput, error) {
	name, err := readStream(in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		id, _, err := find(tx, name.group, name.stream)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE log_streams SET name = $1, deleted = 1 WHERE id = $2`, tombstone(id), id); err != nil {
			return err
		}
		_, err = dropStream(tx, id)
		return err
	})
}
