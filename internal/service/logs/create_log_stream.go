package logs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/wire"
)

var _ = wire.Op(ops, "CreateLogStream", (*Service).CreateLogStream, wire.Required("LogGroupName", "LogStreamName"))

// CreateLogStream makes an empty stream.
func (s *Service) CreateLogStream(ctx context.Context, in *cloudwatchlogs.CreateLogStreamInput) (*cloudwatchlogs.CreateLogStreamOutput, error) {
	name, err := readStream(in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		id, err := groupID(tx, name.group)
		if err != nil {
			return err
		}
		if _, _, err := streamIn(tx, id, name.stream); err == nil {
			return fault.New(fault.Conflict, codeExists, "The specified log stream already exists")
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
		now := nowMillis()
		_, err = tx.Exec(intoStreams+`($1, $2, $3, 0, NULL, $3, NULL, 0)`, id, []byte(name.stream), now)
		return err
	})
}
