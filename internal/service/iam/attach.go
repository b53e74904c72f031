package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"drover/internal/store"
	"drover/internal/wire"
)

var (
	_ = wire.Op(ops, "AttachUserPolicy", (*Service).AttachUserPolicy, wire.Required("UserName", "PolicyArn"))
	_ = wire.Op(ops, "DetachUserPolicy", (*Service).DetachUserPolicy, wire.Required("UserName", "PolicyArn"))
	_ = wire.Op(ops, "ListAttachedUserPolicies", (*Service).ListAttachedUserPolicies, wire.Required("UserName"))
	_ = wire.Op(ops, "AttachRolePolicy", (*Service).AttachRolePolicy, wire.Required("RoleName", "PolicyArn"))
	_ = wire.Op(ops, "DetachRolePolicy", (*Service).DetachRolePolicy, wire.Required("RoleName", "PolicyArn"))
	_ = wire.Op(ops, "ListAttachedRolePolicies", (*Service).ListAttachedRolePolicies, wire.Required("RoleName"))
)

// attach adds a managed policy; one that is there already stays so.
func (s *Service) attach(tx *store.Tx, g *grants, arn, kind string) error {
	if _, _, err := s.policyOf(tx, arn); err != nil {
		return missing(err, notAttachable(arn))
	}
	i, found := slices.BinarySearch(g.Attached, arn)
	if found {
		return nil
	}
	if len(g.Attached) >= maxAttached {
		return tooMany("Cannot exceed quota for PoliciesPer%s: %d", kind, maxAttached)
	}
	g.Attached = slices.Insert(slices.Clone(g.Attached), i, arn)
	return count(tx, arn, 1, maxUsers+maxRoles)
}

func notAttachable(arn string) error {
	if strings.HasPrefix(arn, awsPolicies) {
		return noSuch("Policy %s does not exist or is not attachable: of AWS's own policies drover has %s.", arn, strings.Join(builtInNames(), ", "))
	}
	return noSuch("Policy %s does not exist or is not attachable.", arn)
}

func (s *Service) detach(tx *store.Tx, g *grants, arn string) error {
	i, found := slices.BinarySearch(g.Attached, arn)
	if !found {
		return noSuch("Policy %s was not found.", arn)
	}
	g.Attached = slices.Delete(slices.Clone(g.Attached), i, i+1)
	return count(tx, arn, -1, 0)
}

func listAttached(g *grants, w window, prefix string) (out []types.AttachedPolicy, more bool, next *string) {
	var list []string
	for _, arn := range g.Attached {
		if strings.HasPrefix(pathOf(arn), prefix) {
			list = append(list, arn)
		}
	}
	page, more, next := slice(list, w, itself)
	for _, arn := range page {
		out = append(out, types.AttachedPolicy{PolicyArn: aws.String(arn), PolicyName: aws.String(nameOf(arn))})
	}
	return out, more, next
}

// nameOf is the name at the end of an ARN, and pathOf the path before it.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func pathOf(arn string) string {
	_, rest, _ := strings.Cut(arn, "/")
	return "/" + rest[:strings.LastIndexByte(rest, '/')+1]
}

// AttachUserPolicy gives a user a managed policy.
func (s *Service) AttachUserPolicy(ctx context.Context, in *iam.AttachUserPolicyInput) (*iam.AttachUserPolicyOutput, error) {
	return &iam.AttachUserPolicyOutput{}, change(ctx, s, users, *in.UserName, noUser(*in.UserName), func(tx *store.Tx, u *user) error {
		return s.attach(tx, &u.grants, *in.PolicyArn, "User")
	})
}

// DetachUserPolicy takes a managed policy from a user.
func (s *Service) DetachUserPolicy(ctx context.Context, in *iam.DetachUserPolicyInput) (*iam.DetachUserPolicyOutput, error) {
	return &iam.DetachUserPolicyOutput{}, change(ctx, s, users, *in.UserName, noUser(*in.UserName), func(tx *store.Tx, u *user) error {
		return s.detach(tx, &u.grants, *in.PolicyArn)
	})
}

// ListAttachedUserPolicies lists the managed policies of a user.
func (s *Service) ListAttachedUserPolicies(ctx context.Context, in *iam.ListAttachedUserPoliciesInput) (*iam.ListAttachedUserPoliciesOutput, error) {
	u, w, err := viewList(ctx, s, users, *in.UserName, noUser(*in.UserName), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAttachedUserPoliciesOutput{}
	out.AttachedPolicies, out.IsTruncated, out.Marker = listAttached(&u.grants, w, aws.ToString(in.PathPrefix))
	return out, nil
}

// AttachRolePolicy gives a role a managed policy.
func (s *Service) AttachRolePolicy(ctx context.Context, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	return &iam.AttachRolePolicyOutput{}, s.changeRole(ctx, *in.RoleName, func(tx *store.Tx, r *role) error {
		return s.attach(tx, &r.grants, *in.PolicyArn, "Role")
	})
}

// DetachRolePolicy takes a managed policy from a role.
func (s *Service) DetachRolePolicy(ctx context.Context, in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	return &iam.DetachRolePolicyOutput{}, s.changeRole(ctx, *in.RoleName, func(tx *store.Tx, r *role) error {
		return s.detach(tx, &r.grants, *in.PolicyArn)
	})
}

// ListAttachedRolePolicies lists the managed policies of a role.
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
	r, w, err := viewList(ctx, s, roles, *in.RoleName, noRole(*in.RoleName), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAttachedRolePoliciesOutput{}
	out.AttachedPolicies, out.IsTruncated, out.Marker = listAttached(&r.grants, w, aws.ToString(in.PathPrefix))
	return out, nil
}
