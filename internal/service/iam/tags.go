package iam

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"drover/internal/store"
	"drover/internal/wire"
)

var (
	_ = wire.Op(ops, "TagUser", (*Service).TagUser, wire.Required("UserName", "Tags"))
	_ = wire.Op(ops, "UntagUser", (*Service).UntagUser, wire.Required("UserName", "TagKeys"))
	_ = wire.Op(ops, "ListUserTags", (*Service).ListUserTags, wire.Required("UserName"))
	_ = wire.Op(ops, "TagRole", (*Service).TagRole, wire.Required("RoleName", "Tags"))
	_ = wire.Op(ops, "UntagRole", (*Service).UntagRole, wire.Required("RoleName", "TagKeys"))
	_ = wire.Op(ops, "ListRoleTags", (*Service).ListRoleTags, wire.Required("RoleName"))
	_ = wire.Op(ops, "TagPolicy", (*Service).TagPolicy, wire.Required("PolicyArn", "Tags"))
	_ = wire.Op(ops, "UntagPolicy", (*Service).UntagPolicy, wire.Required("PolicyArn", "TagKeys"))
	_ = wire.Op(ops, "ListPolicyTags", (*Service).ListPolicyTags, wire.Required("PolicyArn"))
	_ = wire.Op(ops, "TagInstanceProfile", (*Service).TagInstanceProfile, wire.Required("InstanceProfileName", "Tags"))
	_ = wire.Op(ops, "UntagInstanceProfile", (*Service).UntagInstanceProfile, wire.Required("InstanceProfileName", "TagKeys"))
	_ = wire.Op(ops, "ListInstanceProfileTags", (*Service).ListInstanceProfileTags, wire.Required("InstanceProfileName"))
)

// setTags puts tags over those of a record.
func setTags(of *[]tag, list []types.Tag) (err error) {
	*of, err = mergeTags(*of, list)
	return err
}

// dropTags removes the tags with the keys; those that are not there are no mistake.
func dropTags(of *[]tag, keys []string) error {
	list := slices.Clone(*of)
	for _, k := range keys {
		if i := tagAt(list, k); i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
	}
	*of = list
	return nil
}

func pageTags(list []tag, marker *string, size *int32) (out []types.Tag, more bool, next *string, err error) {
	w, err := readWindow(marker, size)
	if err != nil {
		return nil, false, nil, err
	}
	sorted := slices.SortedFunc(slices.Values(list), func(a, b tag) int { return cmp.Compare(a.Key, b.Key) })
	page, more, next := slice(sorted, w, func(t tag) string { return t.Key })
	return writeTags(page), more, next, nil
}

// TagUser sets tags of a user.
func (s *Service) TagUser(ctx context.Context, in *iam.TagUserInput) (*iam.TagUserOutput, error) {
	return &iam.TagUserOutput{}, change(ctx, s, users, *in.UserName, noUser(*in.UserName), func(_ *store.Tx, u *user) error {
		return setTags(&u.Tags, in.Tags)
	})
}

// UntagUser removes tags of a user.
func (s *Service) UntagUser(ctx context.Context, in *iam.UntagUserInput) (*iam.UntagUserOutput, error) {
	return &iam.UntagUserOutput{}, change(ctx, s, users, *in.UserName, noUser(*in.UserName), func(_ *store.Tx, u *user) error {
		return dropTags(&u.Tags, in.TagKeys)
	})
}

// ListUserTags lists the tags of a user.
func (s *Service) ListUserTags(ctx context.Context, in *iam.ListUserTagsInput) (*iam.ListUserTagsOutput, error) {
	u, err := view(ctx, s, users, *in.UserName, noUser(*in.UserName))
	if err != nil {
		return nil, err
	}
	out := &iam.ListUserTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker, err = pageTags(u.Tags, in.Marker, in.MaxItems)
	return out, err
}

// TagRole sets tags of a role.
func (s *Service) TagRole(ctx context.Context, in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
	return &iam.TagRoleOutput{}, s.changeRole(ctx, *in.RoleName, func(_ *store.Tx, r *role) error { return setTags(&r.Tags, in.Tags) })
}

// UntagRole removes tags of a role.
func (s *Service) UntagRole(ctx context.Context, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	return &iam.UntagRoleOutput{}, s.changeRole(ctx, *in.RoleName, func(_ *store.Tx, r *role) error { return dropTags(&r.Tags, in.TagKeys) })
}

// ListRoleTags lists the tags of a role.
func (s *Service) ListRoleTags(ctx context.Context, in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	r, err := view(ctx, s, roles, *in.RoleName, noRole(*in.RoleName))
	if err != nil {
		return nil, err
	}
	out := &iam.ListRoleTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker, err = pageTags(r.Tags, in.Marker, in.MaxItems)
	return out, err
}

// TagPolicy sets tags of a managed policy.
func (s *Service) TagPolicy(ctx context.Context, in *iam.TagPolicyInput) (*iam.TagPolicyOutput, error) {
	return &iam.TagPolicyOutput{}, s.changePolicy(ctx, *in.PolicyArn, func(_ *store.Tx, p *managed) error { return setTags(&p.Tags, in.Tags) })
}

// UntagPolicy removes tags of a managed policy.
func (s *Service) UntagPolicy(ctx context.Context, in *iam.UntagPolicyInput) (*iam.UntagPolicyOutput, error) {
	return &iam.UntagPolicyOutput{}, s.changePolicy(ctx, *in.PolicyArn, func(_ *store.Tx, p *managed) error { return dropTags(&p.Tags, in.TagKeys) })
}

// ListPolicyTags lists the tags of a managed policy.
func (s *Service) ListPolicyTags(ctx context.Context, in *iam.ListPolicyTagsInput) (*iam.ListPolicyTagsOutput, error) {
	p, _, err := s.viewPolicy(ctx, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	out := &iam.ListPolicyTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker, err = pageTags(p.Tags, in.Marker, in.MaxItems)
	return out, err
}

func (s *Service) changeProfile(ctx context.Context, name string, f func(*store.Tx, *profile) error) error {
	return change(ctx, s, profiles, name, noProfile(name), f)
}

// TagInstanceProfile sets tags of an instance profile.
func (s *Service) TagInstanceProfile(ctx context.Context, in *iam.TagInstanceProfileInput) (*iam.TagInstanceProfileOutput, error) {
	return &iam.TagInstanceProfileOutput{}, s.changeProfile(ctx, *in.InstanceProfileName, func(_ *store.Tx, p *profile) error { return setTags(&p.Tags, in.Tags) })
}

// UntagInstanceProfile removes tags of an instance profile.
func (s *Service) UntagInstanceProfile(ctx context.Context, in *iam.UntagInstanceProfileInput) (*iam.UntagInstanceProfileOutput, error) {
	return &iam.UntagInstanceProfileOutput{}, s.changeProfile(ctx, *in.InstanceProfileName, func(_ *store.Tx, p *profile) error { return dropTags(&p.Tags, in.TagKeys) })
}

// ListInstanceProfileTags lists the tags of an instance profile.
func (s *Service) ListInstanceProfileTags(ctx context.Context, in *iam.ListInstanceProfileTagsInput) (*iam.ListInstanceProfileTagsOutput, error) {
	p, err := view(ctx, s, profiles, *in.InstanceProfileName, noProfile(*in.InstanceProfileName))
	if err != nil {
		return nil, err
	}
	out := &iam.ListInstanceProfileTagsOutput{}
	out.Tags, out.IsTruncated, out.Marker, err = pageTags(p.Tags, in.Marker, in.MaxItems)
	return out, err
}
