package iam

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"drover/internal/store"
	"drover/internal/wire"
)

var (
	_ = wire.Op(ops, "PutUserPolicy", (*Service).PutUserPolicy, wire.Required("UserName", "PolicyName", "PolicyDocument"))
	_ = wire.Op(ops, "GetUserPolicy", (*Service).GetUserPolicy, wire.Required("UserName", "PolicyName"))
	_ = wire.Op(ops, "ListUserPolicies", (*Service).ListUserPolicies, wire.Required("UserName"))
	_ = wire.Op(ops, "DeleteUserPolicy", (*Service).DeleteUserPolicy, wire.Required("UserName", "PolicyName"))
	_ = wire.Op(ops, "PutRolePolicy", (*Service).PutRolePolicy, wire.Required("RoleName", "PolicyName", "PolicyDocument"))
	_ = wire.Op(ops, "GetRolePolicy", (*Service).GetRolePolicy, wire.Required("RoleName", "PolicyName"))
	_ = wire.Op(ops, "ListRolePolicies", (*Service).ListRolePolicies, wire.Required("RoleName"))
	_ = wire.Op(ops, "DeleteRolePolicy", (*Service).DeleteRolePolicy, wire.Required("RoleName", "PolicyName"))
)

// put adds or replaces an inline policy, within the quota for all of them.
func (g *grants) put(name, text, whose string, most int) error {
	list := slices.Clone(g.Inline)
	if i, ok := g.find(name); ok {
		list[i].Text = text
	} else {
		list = slices.Insert(list, i, inline{name, text})
	}
	n := 0
	for _, p := range list {
		n += weight(p.Text)
	}
	if n > most {
		return tooMany("Maximum policy size of %d bytes exceeded for %s", most, whose)
	}
	g.Inline = list
	return nil
}

func (g *grants) find(name string) (int, bool) {
	return slices.BinarySearchFunc(g.Inline, name, func(p inline, name string) int { return cmp.Compare(p.Name, name) })
}

func (g *grants) text(name, kind string) (string, error) {
	i, ok := g.find(name)
	if !ok {
		return "", noInline(kind, name)
	}
	return g.Inline[i].Text, nil
}

func (g *grants) remove(name, kind string) error {
	i, ok := g.find(name)
	if !ok {
		return noInline(kind, name)
	}
	g.Inline = slices.Delete(slices.Clone(g.Inline), i, i+1)
	return nil
}

func (g *grants) names() []string {
	var names []string
	for _, p := range g.Inline {
		names = append(names, p.Name)
	}
	return names
}

func noInline(kind, name string) error {
	return noSuch("The %s policy with name %s cannot be found.", kind, name)
}

func itself(s string) string { return s }

func checkInline(name, text string) error {
	if err := checkName("policyName", name, 128); err != nil {
		return err
	}
	return checkPolicy(text)
}

// PutUserPolicy sets an inline policy of a user.
func (s *Service) PutUserPolicy(ctx context.Context, in *iam.PutUserPolicyInput) (*iam.PutUserPolicyOutput, error) {
	if err := checkInline(*in.PolicyName, *in.PolicyDocument); err != nil {
		return nil, err
	}
	return &iam.PutUserPolicyOutput{}, change(ctx, s, users, *in.UserName, noUser(*in.UserName), func(_ *store.Tx, u *user) error {
		return u.put(*in.PolicyName, *in.PolicyDocument, "user "+u.Name, maxUserInline)
	})
}

// GetUserPolicy gives an inline policy of a user.
func (s *Service) GetUserPolicy(ctx context.Context, in *iam.GetUserPolicyInput) (*iam.GetUserPolicyOutput, error) {
	u, err := view(ctx, s, users, *in.UserName, noUser(*in.UserName))
	if err != nil {
		return nil, err
	}
	text, err := u.text(*in.PolicyName, "user")
	if err != nil {
		return nil, err
	}
	return &iam.GetUserPolicyOutput{UserName: &u.Name, PolicyName: in.PolicyName, PolicyDocument: encoded(text)}, nil
}

// ListUserPolicies names the inline policies of a user.
func (s *Service) ListUserPolicies(ctx context.Context, in *iam.ListUserPoliciesInput) (*iam.ListUserPoliciesOutput, error) {
	u, w, err := viewList(ctx, s, users, *in.UserName, noUser(*in.UserName), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	page, more, next := slice(u.names(), w, itself)
	return &iam.ListUserPoliciesOutput{PolicyNames: page, IsTruncated: more, Marker: next}, nil
}

// DeleteUserPolicy removes an inline policy of a user.
func (s *Service) DeleteUserPolicy(ctx context.Context, in *iam.DeleteUserPolicyInput) (*iam.DeleteUserPolicyOutput, error) {
	return &iam.DeleteUserPolicyOutput{}, change(ctx, s, users, *in.UserName, noUser(*in.UserName), func(_ *store.Tx, u *user) error {
		return u.remove(*in.PolicyName, "user")
	})
}

// PutRolePolicy sets an inline policy of a role.
func (s *Service) PutRolePolicy(ctx context.Context, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	if err := checkInline(*in.PolicyName, *in.PolicyDocument); err != nil {
		return nil, err
	}
	return &iam.PutRolePolicyOutput{}, s.changeRole(ctx, *in.RoleName, func(_ *store.Tx, r *role) error {
		return r.put(*in.PolicyName, *in.PolicyDocument, "role "+r.Name, maxRoleInline)
	})
}

// GetRolePolicy gives an inline policy of a role.
func (s *Service) GetRolePolicy(ctx context.Context, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	r, err := view(ctx, s, roles, *in.RoleName, noRole(*in.RoleName))
	if err != nil {
		return nil, err
	}
	text, err := r.text(*in.PolicyName, "role")
	if err != nil {
		return nil, err
	}
	return &iam.GetRolePolicyOutput{RoleName: &r.Name, PolicyName: in.PolicyName, PolicyDocument: encoded(text)}, nil
}

// ListRolePolicies names the inline policies of a role.
func (s *Service) ListRolePolicies(ctx context.Context, in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	r, w, err := viewList(ctx, s, roles, *in.RoleName, noRole(*in.RoleName), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	page, more, next := slice(r.names(), w, itself)
	return &iam.ListRolePoliciesOutput{PolicyNames: page, IsTruncated: more, Marker: next}, nil
}

// DeleteRolePolicy removes an inline policy of a role.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	return &iam.DeleteRolePolicyOutput{}, s.changeRole(ctx, *in.RoleName, func(_ *store.Tx, r *role) error {
		return r.remove(*in.PolicyName, "role")
	})
}
