package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"drover/internal/wire"
)

// What each operation is about, for policies. Paths are part of an ARN and not of a
// request, so the record is read; a name that is nobody's stands for itself.

func (s *Service) aboutUser(ctx context.Context, name *string) []string {
	n, err := userOrCaller(ctx, name)
	if err != nil {
		return nil
	}
	if u, err := view(ctx, s, users, n, noUser(n)); err == nil {
		return []string{s.userARN(&u)}
	}
	return []string{s.arn("user/" + n)}
}

func (s *Service) aboutRole(ctx context.Context, name *string) []string {
	n := aws.ToString(name)
	if r, err := view(ctx, s, roles, n, noRole(n)); err == nil {
		return []string{s.roleARN(&r)}
	}
	return []string{s.arn("role/" + n)}
}

func (s *Service) aboutProfile(ctx context.Context, name *string) []string {
	n := aws.ToString(name)
	if p, err := view(ctx, s, profiles, n, noProfile(n)); err == nil {
		return []string{s.profileARN(&p)}
	}
	return []string{s.arn("instance-profile/" + n)}
}

// created is the ARN of a thing that a request would make.
func (s *Service) created(kind string, path, name *string) []string {
	p := aws.ToString(path)
	if p == "" {
		p = "/"
	}
	return []string{s.arn(kind + p + aws.ToString(name))}
}

// policyNamed is the ARN that a request names.
func policyNamed(arn *string) []string { return []string{aws.ToString(arn)} }

var (
	_ = wire.About(ops, "CreateUser", func(s *Service, _ context.Context, in *iam.CreateUserInput) []string {
		return s.created("user", in.Path, in.UserName)
	})
	_ = wire.About(ops, "GetUser", func(s *Service, ctx context.Context, in *iam.GetUserInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "DeleteUser", func(s *Service, ctx context.Context, in *iam.DeleteUserInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "ListGroupsForUser", func(s *Service, ctx context.Context, in *iam.ListGroupsForUserInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "CreateAccessKey", func(s *Service, ctx context.Context, in *iam.CreateAccessKeyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "ListAccessKeys", func(s *Service, ctx context.Context, in *iam.ListAccessKeysInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "UpdateAccessKey", func(s *Service, ctx context.Context, in *iam.UpdateAccessKeyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "DeleteAccessKey", func(s *Service, ctx context.Context, in *iam.DeleteAccessKeyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "PutUserPolicy", func(s *Service, ctx context.Context, in *iam.PutUserPolicyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "GetUserPolicy", func(s *Service, ctx context.Context, in *iam.GetUserPolicyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "ListUserPolicies", func(s *Service, ctx context.Context, in *iam.ListUserPoliciesInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "DeleteUserPolicy", func(s *Service, ctx context.Context, in *iam.DeleteUserPolicyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "AttachUserPolicy", func(s *Service, ctx context.Context, in *iam.AttachUserPolicyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "DetachUserPolicy", func(s *Service, ctx context.Context, in *iam.DetachUserPolicyInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "ListAttachedUserPolicies", func(s *Service, ctx context.Context, in *iam.ListAttachedUserPoliciesInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "TagUser", func(s *Service, ctx context.Context, in *iam.TagUserInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "UntagUser", func(s *Service, ctx context.Context, in *iam.UntagUserInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})
	_ = wire.About(ops, "ListUserTags", func(s *Service, ctx context.Context, in *iam.ListUserTagsInput) []string {
		return s.aboutUser(ctx, in.UserName)
	})

	_ = wire.About(ops, "CreateRole", func(s *Service, _ context.Context, in *iam.CreateRoleInput) []string {
		return s.created("role", in.Path, in.RoleName)
	})
	_ = wire.About(ops, "GetRole", func(s *Service, ctx context.Context, in *iam.GetRoleInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "UpdateRole", func(s *Service, ctx context.Context, in *iam.UpdateRoleInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "UpdateRoleDescription", func(s *Service, ctx context.Context, in *iam.UpdateRoleDescriptionInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "UpdateAssumeRolePolicy", func(s *Service, ctx context.Context, in *iam.UpdateAssumeRolePolicyInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "DeleteRole", func(s *Service, ctx context.Context, in *iam.DeleteRoleInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "PutRolePolicy", func(s *Service, ctx context.Context, in *iam.PutRolePolicyInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "GetRolePolicy", func(s *Service, ctx context.Context, in *iam.GetRolePolicyInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "ListRolePolicies", func(s *Service, ctx context.Context, in *iam.ListRolePoliciesInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "DeleteRolePolicy", func(s *Service, ctx context.Context, in *iam.DeleteRolePolicyInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "AttachRolePolicy", func(s *Service, ctx context.Context, in *iam.AttachRolePolicyInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "DetachRolePolicy", func(s *Service, ctx context.Context, in *iam.DetachRolePolicyInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "ListAttachedRolePolicies", func(s *Service, ctx context.Context, in *iam.ListAttachedRolePoliciesInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "ListInstanceProfilesForRole", func(s *Service, ctx context.Context, in *iam.ListInstanceProfilesForRoleInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "TagRole", func(s *Service, ctx context.Context, in *iam.TagRoleInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "UntagRole", func(s *Service, ctx context.Context, in *iam.UntagRoleInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})
	_ = wire.About(ops, "ListRoleTags", func(s *Service, ctx context.Context, in *iam.ListRoleTagsInput) []string {
		return s.aboutRole(ctx, in.RoleName)
	})

	_ = wire.About(ops, "CreatePolicy", func(s *Service, _ context.Context, in *iam.CreatePolicyInput) []string {
		return s.created("policy", in.Path, in.PolicyName)
	})
	_ = wire.About(ops, "GetPolicy", func(_ *Service, _ context.Context, in *iam.GetPolicyInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "DeletePolicy", func(_ *Service, _ context.Context, in *iam.DeletePolicyInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "CreatePolicyVersion", func(_ *Service, _ context.Context, in *iam.CreatePolicyVersionInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "GetPolicyVersion", func(_ *Service, _ context.Context, in *iam.GetPolicyVersionInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "ListPolicyVersions", func(_ *Service, _ context.Context, in *iam.ListPolicyVersionsInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "DeletePolicyVersion", func(_ *Service, _ context.Context, in *iam.DeletePolicyVersionInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "SetDefaultPolicyVersion", func(_ *Service, _ context.Context, in *iam.SetDefaultPolicyVersionInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "TagPolicy", func(_ *Service, _ context.Context, in *iam.TagPolicyInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "UntagPolicy", func(_ *Service, _ context.Context, in *iam.UntagPolicyInput) []string {
		return policyNamed(in.PolicyArn)
	})
	_ = wire.About(ops, "ListPolicyTags", func(_ *Service, _ context.Context, in *iam.ListPolicyTagsInput) []string {
		return policyNamed(in.PolicyArn)
	})

	_ = wire.About(ops, "CreateInstanceProfile", func(s *Service, _ context.Context, in *iam.CreateInstanceProfileInput) []string {
		return s.created("instance-profile", in.Path, in.InstanceProfileName)
	})
	_ = wire.About(ops, "GetInstanceProfile", func(s *Service, ctx context.Context, in *iam.GetInstanceProfileInput) []string {
		return s.aboutProfile(ctx, in.InstanceProfileName)
	})
	_ = wire.About(ops, "DeleteInstanceProfile", func(s *Service, ctx context.Context, in *iam.DeleteInstanceProfileInput) []string {
		return s.aboutProfile(ctx, in.InstanceProfileName)
	})
	_ = wire.About(ops, "AddRoleToInstanceProfile", func(s *Service, ctx context.Context, in *iam.AddRoleToInstanceProfileInput) []string {
		return s.aboutProfile(ctx, in.InstanceProfileName)
	})
	_ = wire.About(ops, "RemoveRoleFromInstanceProfile", func(s *Service, ctx context.Context, in *iam.RemoveRoleFromInstanceProfileInput) []string {
		return s.aboutProfile(ctx, in.InstanceProfileName)
	})
	_ = wire.About(ops, "TagInstanceProfile", func(s *Service, ctx context.Context, in *iam.TagInstanceProfileInput) []string {
		return s.aboutProfile(ctx, in.InstanceProfileName)
	})
	_ = wire.About(ops, "UntagInstanceProfile", func(s *Service, ctx context.Context, in *iam.UntagInstanceProfileInput) []string {
		return s.aboutProfile(ctx, in.InstanceProfileName)
	})
	_ = wire.About(ops, "ListInstanceProfileTags", func(s *Service, ctx context.Context, in *iam.ListInstanceProfileTagsInput) []string {
		return s.aboutProfile(ctx, in.InstanceProfileName)
	})
)
