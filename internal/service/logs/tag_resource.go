package logs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/wire"
)

const maxTags = 50

var _ = wire.Op(ops, "TagResource", (*Service).TagResource, wire.Required("ResourceArn", "Tags"))

// TagResource adds tags to a group, or changes them.
func (s *Service) TagResource(ctx context.Context, in *cloudwatchlogs.TagResourceInput) (*cloudwatchlogs.TagResourceOutput, error) {
	if len(in.Tags) == 0 {
		return nil, invalid("tags is empty: give at least one tag")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	return nil, s.changeTags(ctx, in.ResourceArn, func(tags map[string]string) {
		for k, v := range in.Tags {
			tags[k] = v
		}
	})
}

var _ = wire.Op(ops, "UntagResource", (*Service).UntagResource, wire.Required("ResourceArn", "TagKeys"))

// UntagResource takes tags off a group; those it does not have are no error.
func (s *Service) UntagResource(ctx context.Context, in *cloudwatchlogs.UntagResourceInput) (*cloudwatchlogs.UntagResourceOutput, error) {
	return nil, s.changeTags(ctx, in.ResourceArn, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
}

var _ = wire.Op(ops, "ListTagsForResource", (*Service).ListTagsForResource, wire.Required("ResourceArn"))

// ListTagsForResource gives the tags of a group.
func (s *Service) ListTagsForResource(ctx context.Context, in *cloudwatchlogs.ListTagsForResourceInput) (*cloudwatchlogs.ListTagsForResourceOutput, error) {
	name, err := groupOfARN(aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	out := &cloudwatchlogs.ListTagsForResourceOutput{}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		out.Tags, err = tagsOf(tx, name)
		return err
	})
	return out, err
}

func (s *Service) changeTags(ctx context.Context, resource *string, change func(map[string]string)) error {
	name, err := groupOfARN(aws.ToString(resource))
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		tags, err := tagsOf(tx, name)
		if err != nil {
			return err
		}
		change(tags)
		if len(tags) > maxTags {
			return fault.New(fault.Invalid, "TooManyTagsException", "log group %s would have %d tags; it can have %d", name, len(tags), maxTags)
		}
		text, err := json.Marshal(tags)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE log_groups SET tags = $1 WHERE name = $2`, string(text), []byte(name))
		return err
	})
}

// tagsOf reads the tags of a group into a map that can be written to.
func tagsOf(tx *store.Tx, group string) (map[string]string, error) {
	var text []byte
	err := tx.Row(`SELECT tags FROM log_groups WHERE name = $1`, []byte(group)).Scan(&text)
	if errors.Is(err, store.ErrNoRows) {
		return nil, noGroup()
	}
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	if err := json.Unmarshal(text, &tags); err != nil {
		return nil, err
	}
	if tags == nil { // JSON null
		tags = map[string]string{}
	}
	return tags, nil
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return fault.New(fault.Invalid, "TooManyTagsException", "%d tags are too many; a log group can have %d", len(tags), maxTags)
	}
	for k, v := range tags {
		switch {
		case k == "" || utf8.RuneCountInString(k) > 128 || utf8.RuneCountInString(v) > 256:
			return invalid("tag %.128q: a key has 1 to 128 characters, a value up to 256", k)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return invalid("tag %.128q: keys that start with aws: are reserved", k)
		case strings.ContainsRune(k+v, 0):
			return invalid("tag %.128q holds a NUL character", k)
		}
	}
	return nil
}
