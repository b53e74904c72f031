package logs

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/wire"
)

const classStandard = string(types.LogGroupClassStandard)

var _ = wire.Op(ops, "CreateLogGroup", (*Service).CreateLogGroup, wire.Required("LogGroupName"))

// CreateLogGroup makes a group that keeps its events for ever.
func (s *Service) CreateLogGroup(ctx context.Context, in *cloudwatchlogs.CreateLogGroupInput) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	name, class := aws.ToString(in.LogGroupName), string(in.LogGroupClass)
	switch in.LogGroupClass {
	case "":
		class = classStandard
	case types.LogGroupClassStandard, types.LogGroupClassInfrequentAccess:
	default:
		return nil, invalid("drover has no log group class %s; use STANDARD or INFREQUENT_ACCESS, which it treats alike", in.LogGroupClass)
	}
	switch {
	case in.KmsKeyId != nil:
		return nil, invalid("drover does not encrypt log groups with KMS keys; leave out kmsKeyId and encrypt the disk instead")
	case aws.ToBool(in.DeletionProtectionEnabled):
		return nil, invalid("drover does not protect log groups from deletion; leave out deletionProtectionEnabled")
	}
	if err := checkGroup(name); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		_, err := groupID(tx, name)
		if err == nil {
			return fault.New(fault.Conflict, codeExists, "The specified log group already exists")
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		_, err = insertGroup(tx, name, nowMillis(), 0, class, in.Tags)
		return err
	})
}

func insertGroup(tx *store.Tx, name string, now int64, days int, class string, tags map[string]string) (id int64, err error) {
	text, err := json.Marshal(tags)
	if err != nil {
		return 0, err
	}
	err = tx.Row(`INSERT INTO log_groups (name, created_ms, retention_days, bytes, class, tags, deleted)
		VALUES ($1, $2, $3, 0, $4, $5, 0) RETURNING id`, []byte(name), now, days, class, string(text)).Scan(&id)
	return id, err
}
