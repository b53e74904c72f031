package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"drover/internal/store"
	"drover/internal/wire"
)

var (
	_ = wire.Op(ops, "CreateRole", (*Service).CreateRole, wire.Required("RoleName", "AssumeRolePolicyDocument"))
	_ = wire.Op(ops, "GetRole", (*Service).GetRole, wire.Required("RoleName"))
	_ = wire.Op(ops, "ListRoles", (*Service).ListRoles)
	_ = wire.Op(ops, "UpdateRole", (*Service).UpdateRole, wire.Required("RoleName"))
	_ = wire.Op(ops, "UpdateRoleDescription", (*Service).UpdateRoleDescription, wire.Required("RoleName", "Description"))
	_ = wire.Op(ops, "UpdateAssumeRolePolicy", (*Service).UpdateAssumeRolePolicy, wire.Required("RoleName", "PolicyDocument"))
	_ = wire.Op(ops, "DeleteRole", (*Service).DeleteRole, wire.Required("RoleName"))
)

func (s *Service) writeRole(r *role) *types.Role {
	return &types.Role{Arn: aws.String(s.roleARN(r)), CreateDate: date(r.Created), Path: &r.Path, RoleId: &r.ID, RoleName: &r.Name,
		AssumeRolePolicyDocument: encoded(r.Trust), Description: r.Description, MaxSessionDuration: &r.MaxSession, Tags: writeTags(r.Tags)}
}

func checkSession(seconds *int32) (int32, error) {
	n := aws.ToInt32(seconds)
	switch {
	case seconds == nil:
		return defaultSession, nil
	case n < 3600 || n > 43200:
		return 0, invalid("1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between 3600 and 43200", n)
	}
	return n, nil
}

func checkDescription(text *string) error {
	if len([]rune(aws.ToString(text))) > 1000 {
		return invalid("1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less than or equal to 1000")
	}
	return nil
}

// CreateRole adds a role, whom its trust policy lets others assume.
func (s *Service) CreateRole(ctx context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	if err := checkName("roleName", *in.RoleName, 64); err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != nil {
		return nil, notBuilt("PermissionsBoundary")
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	if err := checkTrust(*in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	most, err := checkSession(in.MaxSessionDuration)
	if err != nil {
		return nil, err
	}
	tags, err := readTags(in.Tags)
	if err != nil {
		return nil, err
	}
	r := role{Name: *in.RoleName, Path: path, ID: newID("AROA"), Created: stamp(s.now()), Description: in.Description,
		Trust: *in.AssumeRolePolicyDocument, MaxSession: most, Tags: tags}
	err = s.update(ctx, func(tx *store.Tx) error {
		return create(tx, roles, "Roles", r.Name, r, maxRoles, exists("Role with name %s already exists.", r.Name))
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateRoleOutput{Role: s.writeRole(&r)}, nil
}

// GetRole describes a role.
func (s *Service) GetRole(ctx context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	r, err := view(ctx, s, roles, *in.RoleName, noRole(*in.RoleName))
	if err != nil {
		return nil, err
	}
	out := s.writeRole(&r)
	out.RoleLastUsed = &types.RoleLastUsed{}
	return &iam.GetRoleOutput{Role: out}, nil
}

// ListRoles lists the roles by name.
func (s *Service) ListRoles(ctx context.Context, in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	page, more, next, err := scanPath(ctx, s, roles, in.Marker, in.MaxItems, in.PathPrefix, func(r *role) string { return r.Path })
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolesOutput{IsTruncated: more, Marker: next}
	for i := range page {
		one := s.writeRole(&page[i])
		one.Tags = nil
		out.Roles = append(out.Roles, *one)
	}
	return out, nil
}

func (s *Service) changeRole(ctx context.Context, name string, f func(*store.Tx, *role) error) error {
	return change(ctx, s, roles, name, noRole(name), f)
}

// UpdateRole changes description and longest session.
func (s *Service) UpdateRole(ctx context.Context, in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	most, err := checkSession(in.MaxSessionDuration)
	if err != nil {
		return nil, err
	}
	return &iam.UpdateRoleOutput{}, s.changeRole(ctx, *in.RoleName, func(_ *store.Tx, r *role) error {
		if in.Description != nil {
			r.Description = in.Description
		}
		if in.MaxSessionDuration != nil {
			r.MaxSession = most
		}
		return nil
	})
}

// UpdateRoleDescription changes the description.
func (s *Service) UpdateRoleDescription(ctx context.Context, in *iam.UpdateRoleDescriptionInput) (*iam.UpdateRoleDescriptionOutput, error) {
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	var out role
	err := s.changeRole(ctx, *in.RoleName, func(_ *store.Tx, r *role) error {
		r.Description, out = in.Description, *r
		out.Description = in.Description
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &iam.UpdateRoleDescriptionOutput{Role: s.writeRole(&out)}, nil
}

// UpdateAssumeRolePolicy changes who may assume the role.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	if err := checkTrust(*in.PolicyDocument); err != nil {
		return nil, err
	}
	return &iam.UpdateAssumeRolePolicyOutput{}, s.changeRole(ctx, *in.RoleName, func(_ *store.Tx, r *role) error {
		r.Trust = *in.PolicyDocument
		return nil
	})
}

// DeleteRole removes a role that has no policies and is in no instance profile any more.
// Its sessions may do nothing from then on.
func (s *Service) DeleteRole(ctx context.Context, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	return &iam.DeleteRoleOutput{}, s.update(ctx, func(tx *store.Tx) error {
		r, _, err := get(tx, roles, *in.RoleName, noRole(*in.RoleName))
		if err != nil {
			return err
		}
		if len(r.Profiles) > 0 {
			return inUse("Cannot delete entity, must remove roles from instance profile first.")
		}
		if err := r.empty(); err != nil {
			return err
		}
		if err := count(tx, "Roles", -1, 0); err != nil {
			return err
		}
		return roles.Delete(tx, key(r.Name))
	})
}
