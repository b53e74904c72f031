package iam

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"drover/internal/store"
	"drover/internal/wire"
)

var (
	_ = wire.Op(ops, "CreateInstanceProfile", (*Service).CreateInstanceProfile, wire.Required("InstanceProfileName"))
	_ = wire.Op(ops, "GetInstanceProfile", (*Service).GetInstanceProfile, wire.Required("InstanceProfileName"))
	_ = wire.Op(ops, "ListInstanceProfiles", (*Service).ListInstanceProfiles)
	_ = wire.Op(ops, "ListInstanceProfilesForRole", (*Service).ListInstanceProfilesForRole, wire.Required("RoleName"))
	_ = wire.Op(ops, "DeleteInstanceProfile", (*Service).DeleteInstanceProfile, wire.Required("InstanceProfileName"))
	_ = wire.Op(ops, "AddRoleToInstanceProfile", (*Service).AddRoleToInstanceProfile, wire.Required("InstanceProfileName", "RoleName"))
	_ = wire.Op(ops, "RemoveRoleFromInstanceProfile", (*Service).RemoveRoleFromInstanceProfile, wire.Required("InstanceProfileName", "RoleName"))
)

// writeProfile describes a profile with the role that it holds.
func (s *Service) writeProfile(tx *store.Tx, p *profile) (*types.InstanceProfile, error) {
	out := &types.InstanceProfile{Arn: aws.String(s.profileARN(p)), CreateDate: date(p.Created), InstanceProfileId: &p.ID,
		InstanceProfileName: &p.Name, Path: &p.Path, Roles: []types.Role{}, Tags: writeTags(p.Tags)}
	if p.Role == "" {
		return out, nil
	}
	r, _, err := get(tx, roles, p.Role, noRole(p.Role))
	if err != nil {
		return nil, err
	}
	one := s.writeRole(&r)
	one.Tags, one.Description, one.MaxSessionDuration = nil, nil, nil
	out.Roles = append(out.Roles, *one)
	return out, nil
}

// CreateInstanceProfile adds an empty profile.
func (s *Service) CreateInstanceProfile(ctx context.Context, in *iam.CreateInstanceProfileInput) (*iam.CreateInstanceProfileOutput, error) {
	if err := checkName("instanceProfileName", *in.InstanceProfileName, 128); err != nil {
		return nil, err
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	tags, err := readTags(in.Tags)
	if err != nil {
		return nil, err
	}
	p := profile{Name: *in.InstanceProfileName, Path: path, ID: newID("AIPA"), Created: stamp(s.now()), Tags: tags}
	var out *types.InstanceProfile
	err = s.update(ctx, func(tx *store.Tx) (err error) {
		if out, err = s.writeProfile(tx, &p); err != nil {
			return err
		}
		return create(tx, profiles, "InstanceProfiles", p.Name, p, maxProfiles, exists("Instance Profile %s already exists.", p.Name))
	})
	return &iam.CreateInstanceProfileOutput{InstanceProfile: out}, err
}

// GetInstanceProfile describes a profile.
func (s *Service) GetInstanceProfile(ctx context.Context, in *iam.GetInstanceProfileInput) (*iam.GetInstanceProfileOutput, error) {
	var out *types.InstanceProfile
	err := s.db.View(ctx, func(tx *store.Tx) error {
		p, _, err := get(tx, profiles, *in.InstanceProfileName, noProfile(*in.InstanceProfileName))
		if err != nil {
			return err
		}
		out, err = s.writeProfile(tx, &p)
		return err
	})
	return &iam.GetInstanceProfileOutput{InstanceProfile: out}, err
}

// ListInstanceProfiles lists the profiles by name.
func (s *Service) ListInstanceProfiles(ctx context.Context, in *iam.ListInstanceProfilesInput) (*iam.ListInstanceProfilesOutput, error) {
	page, more, next, err := scanPath(ctx, s, profiles, in.Marker, in.MaxItems, in.PathPrefix, func(p *profile) string { return p.Path })
	if err != nil {
		return nil, err
	}
	out := &iam.ListInstanceProfilesOutput{IsTruncated: more, Marker: next}
	out.InstanceProfiles, err = s.writeProfiles(ctx, page)
	return out, err
}

func (s *Service) writeProfiles(ctx context.Context, list []profile) (out []types.InstanceProfile, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		out = nil
		for i := range list {
			one, err := s.writeProfile(tx, &list[i])
			if err != nil {
				return err
			}
			one.Tags = nil
			out = append(out, *one)
		}
		return nil
	})
	return out, err
}

// ListInstanceProfilesForRole lists the profiles that hold a role.
func (s *Service) ListInstanceProfilesForRole(ctx context.Context, in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	r, w, err := viewList(ctx, s, roles, *in.RoleName, noRole(*in.RoleName), in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	names, more, next := slice(r.Profiles, w, itself)
	out := &iam.ListInstanceProfilesForRoleOutput{IsTruncated: more, Marker: next}
	var list []profile
	for _, name := range names {
		p, err := view(ctx, s, profiles, name, noProfile(name))
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	out.InstanceProfiles, err = s.writeProfiles(ctx, list)
	return out, err
}

// DeleteInstanceProfile removes a profile that holds no role any more.
func (s *Service) DeleteInstanceProfile(ctx context.Context, in *iam.DeleteInstanceProfileInput) (*iam.DeleteInstanceProfileOutput, error) {
	return &iam.DeleteInstanceProfileOutput{}, s.update(ctx, func(tx *store.Tx) error {
		p, _, err := get(tx, profiles, *in.InstanceProfileName, noProfile(*in.InstanceProfileName))
		if err != nil {
			return err
		}
		if p.Role != "" {
			return inUse("Cannot delete entity, must remove roles from instance profile first.")
		}
		if err := count(tx, "InstanceProfiles", -1, 0); err != nil {
			return err
		}
		return profiles.Delete(tx, key(p.Name))
	})
}

// changeBoth changes a profile and a role together.
func (s *Service) changeBoth(ctx context.Context, name, roleName string, f func(*profile, *role) error) error {
	return change(ctx, s, profiles, name, noProfile(name), func(tx *store.Tx, p *profile) error {
		r, rev, err := get(tx, roles, roleName, noRole(roleName))
		if err != nil {
			return err
		}
		if err := f(p, &r); err != nil {
			return err
		}
		_, err = roles.Put(tx, key(r.Name), r, rev)
		return err
	})
}

// AddRoleToInstanceProfile puts a role into an empty profile. Hosts that get the profile
// act as the role, so the caller must be allowed to pass it on.
func (s *Service) AddRoleToInstanceProfile(ctx context.Context, in *iam.AddRoleToInstanceProfileInput) (*iam.AddRoleToInstanceProfileOutput, error) {
	for _, arn := range s.aboutRole(ctx, in.RoleName) {
		if err := wire.Permit(ctx, "iam:PassRole", arn, wire.Conditions{"iam:PassedToService": {"ec2.amazonaws.com"}}); err != nil {
			return nil, err
		}
	}
	return &iam.AddRoleToInstanceProfileOutput{}, s.changeBoth(ctx, *in.InstanceProfileName, *in.RoleName, func(p *profile, r *role) error {
		if p.Role != "" {
			return tooMany("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
		}
		p.Role = r.Name
		if i, found := slices.BinarySearch(r.Profiles, p.Name); !found {
			r.Profiles = slices.Insert(r.Profiles, i, p.Name)
		}
		return nil
	})
}

// RemoveRoleFromInstanceProfile takes a role out of a profile.
func (s *Service) RemoveRoleFromInstanceProfile(ctx context.Context, in *iam.RemoveRoleFromInstanceProfileInput) (*iam.RemoveRoleFromInstanceProfileOutput, error) {
	return &iam.RemoveRoleFromInstanceProfileOutput{}, s.changeBoth(ctx, *in.InstanceProfileName, *in.RoleName, func(p *profile, r *role) error {
		if p.Role != r.Name {
			return noSuch("The role with name %s cannot be found in instance profile %s.", r.Name, p.Name)
		}
		p.Role = ""
		r.Profiles = slices.DeleteFunc(r.Profiles, func(name string) bool { return name == p.Name })
		return nil
	})
}
