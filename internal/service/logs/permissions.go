package logs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"drover/internal/wire"
)

// What each operation is about, for policies. As AWS has it, a group is asked for with an
// empty stream behind it, so that patterns that end in ":*" cover it.

func (s *Service) about(group, stream *string) []string {
	return []string{s.groupARN(aws.ToString(group)) + ":log-stream:" + aws.ToString(stream)}
}

// aboutEither is about for requests that name the group in one of two ways. One that names
// none stays on "*", and its handler refuses it.
func (s *Service) aboutEither(name, identifier, stream *string) []string {
	group, err := groupNamed(name, identifier)
	if err != nil {
		return nil
	}
	return s.about(&group, stream)
}

func (s *Service) aboutARN(text *string) []string {
	group, err := groupOfARN(aws.ToString(text))
	if err != nil {
		return nil
	}
	return []string{s.groupARN(group)}
}

var (
	_ = wire.About(ops, "CreateLogGroup", func(s *Service, _ context.Context, in *cloudwatchlogs.CreateLogGroupInput) []string {
		return s.about(in.LogGroupName, nil)
	})
	_ = wire.About(ops, "DeleteLogGroup", func(s *Service, _ context.Context, in *cloudwatchlogs.DeleteLogGroupInput) []string {
		return s.about(in.LogGroupName, nil)
	})
	_ = wire.About(ops, "PutRetentionPolicy", func(s *Service, _ context.Context, in *cloudwatchlogs.PutRetentionPolicyInput) []string {
		return s.about(in.LogGroupName, nil)
	})
	_ = wire.About(ops, "DeleteRetentionPolicy", func(s *Service, _ context.Context, in *cloudwatchlogs.DeleteRetentionPolicyInput) []string {
		return s.about(in.LogGroupName, nil)
	})
	_ = wire.About(ops, "CreateLogStream", func(s *Service, _ context.Context, in *cloudwatchlogs.CreateLogStreamInput) []string {
		return s.about(in.LogGroupName, in.LogStreamName)
	})
	_ = wire.About(ops, "DeleteLogStream", func(s *Service, _ context.Context, in *cloudwatchlogs.DeleteLogStreamInput) []string {
		return s.about(in.LogGroupName, in.LogStreamName)
	})
	_ = wire.About(ops, "PutLogEvents", func(s *Service, _ context.Context, in *cloudwatchlogs.PutLogEventsInput) []string {
		return s.about(in.LogGroupName, in.LogStreamName)
	})
	_ = wire.About(ops, "GetLogEvents", func(s *Service, _ context.Context, in *cloudwatchlogs.GetLogEventsInput) []string {
		return s.aboutEither(in.LogGroupName, in.LogGroupIdentifier, in.LogStreamName)
	})
	_ = wire.About(ops, "FilterLogEvents", func(s *Service, _ context.Context, in *cloudwatchlogs.FilterLogEventsInput) []string {
		return s.aboutEither(in.LogGroupName, in.LogGroupIdentifier, nil)
	})
	_ = wire.About(ops, "DescribeLogStreams", func(s *Service, _ context.Context, in *cloudwatchlogs.DescribeLogStreamsInput) []string {
		return s.aboutEither(in.LogGroupName, in.LogGroupIdentifier, nil)
	})
	_ = wire.About(ops, "DescribeLogGroups", func(s *Service, _ context.Context, _ *cloudwatchlogs.DescribeLogGroupsInput) []string {
		return s.about(nil, nil)
	})
	_ = wire.About(ops, "TagResource", func(s *Service, _ context.Context, in *cloudwatchlogs.TagResourceInput) []string {
		return s.aboutARN(in.ResourceArn)
	})
	_ = wire.About(ops, "UntagResource", func(s *Service, _ context.Context, in *cloudwatchlogs.UntagResourceInput) []string {
		return s.aboutARN(in.ResourceArn)
	})
	_ = wire.About(ops, "ListTagsForResource", func(s *Service, _ context.Context, in *cloudwatchlogs.ListTagsForResourceInput) []string {
		return s.aboutARN(in.ResourceArn)
	})
)
