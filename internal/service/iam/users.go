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
	_ = wire.Op(ops, "CreateUser", (*Service).CreateUser, wire.Required("UserName"))
	_ = wire.Op(ops, "GetUser", (*Service).GetUser)
	_ = wire.Op(ops, "ListUsers", (*Service).ListUsers)
	_ = wire.Op(ops, "DeleteUser", (*Service).DeleteUser, wire.Required("UserName"))
	_ = wire.Op(ops, "ListGroupsForUser", (*Service).ListGroupsForUser, wire.Required("UserName"))
)

func (s *Service) writeUser(u *user) *types.User {
	return &types.User{Arn: aws.String(s.userARN(u)), CreateDate: date(u.Created), Path: &u.Path,
		UserId: &u.ID, UserName: &u.Name, Tags: writeTags(u.Tags)}
}

// CreateUser adds a user, who may do nothing until a policy says so.
func (s *Service) CreateUser(ctx context.Context, in *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
	if err := checkName("userName", *in.UserName, 64); err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != nil {
		return nil, notBuilt("PermissionsBoundary")
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	tags, err := readTags(in.Tags)
	if err != nil {
		return nil, err
	}
	u := user{Name: *in.UserName, Path: path, ID: newID("AIDA"), Created: stamp(s.now()), Tags: tags}
	err = s.update(ctx, func(tx *store.Tx) error {
		return create(tx, users, "Users", u.Name, u, maxUsers, exists("User with name %s already exists.", u.Name))
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreateUserOutput{User: s.writeUser(&u)}, nil
}

// GetUser describes a user; without a name, the caller.
func (s *Service) GetUser(ctx context.Context, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	p, _ := wire.PrincipalFrom(ctx)
	if in.UserName == nil && p.Kind == wire.Root {
		return &iam.GetUserOutput{User: &types.User{Arn: &p.ARN, UserId: &p.Account, Path: aws.String("/"),
			UserName: aws.String("root"), CreateDate: date(0)}}, nil
	}
	name, err := userOrCaller(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	u, err := view(ctx, s, users, name, noUser(name))
	if err != nil {
		return nil, err
	}
	return &iam.GetUserOutput{User: s.writeUser(&u)}, nil
}

// userOrCaller is the user that a request names, or who makes it.
func userOrCaller(ctx context.Context, name *string) (string, error) {
	if name != nil {
		return *name, nil
	}
	if p, ok := wire.PrincipalFrom(ctx); ok && p.User != "" {
		return p.User, nil
	}
	return "", invalid("Must specify userName when calling with non-User credentials")
}

// ListUsers lists the users by name.
func (s *Service) ListUsers(ctx context.Context, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	page, more, next, err := scanPath(ctx, s, users, in.Marker, in.MaxItems, in.PathPrefix, func(u *user) string { return u.Path })
	if err != nil {
		return nil, err
	}
	out := &iam.ListUsersOutput{IsTruncated: more, Marker: next}
	for i := range page {
		one := s.writeUser(&page[i])
		one.Tags = nil // as AWS has it: lists carry no tags
		out.Users = append(out.Users, *one)
	}
	return out, nil
}

// DeleteUser removes a user who has no keys and no policies any more.
func (s *Service) DeleteUser(ctx context.Context, in *iam.DeleteUserInput) (*iam.DeleteUserOutput, error) {
	return &iam.DeleteUserOutput{}, s.update(ctx, func(tx *store.Tx) error {
		u, _, err := get(tx, users, *in.UserName, noUser(*in.UserName))
		if err != nil {
			return err
		}
		if len(u.Keys) > 0 {
			return inUse("Cannot delete entity, must delete access keys first.")
		}
		if err := u.empty(); err != nil {
			return err
		}
		if err := count(tx, "Users", -1, 0); err != nil {
			return err
		}
		return users.Delete(tx, key(u.Name))
	})
}

// empty reports what policies are left.
func (g *grants) empty() error {
	switch {
	case len(g.Inline) > 0:
		return inUse("Cannot delete entity, must delete policies first.")
	case len(g.Attached) > 0:
		return inUse("Cannot delete entity, must detach all policies first.")
	}
	return nil
}

// ListGroupsForUser answers that the user is in no group: there are none.
func (s *Service) ListGroupsForUser(ctx context.Context, in *iam.ListGroupsForUserInput) (*iam.ListGroupsForUserOutput, error) {
	_, err := view(ctx, s, users, *in.UserName, noUser(*in.UserName))
	return &iam.ListGroupsForUserOutput{}, err
}
