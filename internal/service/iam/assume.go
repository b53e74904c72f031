package iam

import (
	"context"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/wire/authz"
	"drover/internal/wire/authz/policy"
	"drover/internal/wire/keys"
)

// jobService is the service that assumes the roles of jobs, as trust policies name it.
const jobService = "ecs-tasks.amazonaws.com"

// Role finds a role by its ARN, for those who hand out its sessions; a fault.NotFound if
// there is none.
func (s *Service) Role(ctx context.Context, arn string) (*policy.Role, error) {
	absent := noSuch("The role %s does not exist.", arn)
	if !strings.HasPrefix(arn, s.arn("role/")) {
		return nil, absent
	}
	r, err := view(ctx, s, roles, nameOf(arn), absent)
	if err != nil {
		return nil, err
	}
	if s.roleARN(&r) != arn {
		return nil, absent
	}
	t, err := policy.ParseTrust(r.Trust)
	if err != nil {
		return nil, fault.Wrap(err, fault.Denied, "AccessDenied", "the trust policy of %s cannot be judged; put it again", arn)
	}
	return &policy.Role{Name: r.Name, ARN: arn, ID: r.ID, MaxSession: time.Duration(r.MaxSession) * time.Second, Trust: t}, nil
}

// HasPolicy reports whether there is a managed policy with the ARN.
func (s *Service) HasPolicy(ctx context.Context, arn string) (bool, error) {
	err := s.db.View(ctx, func(tx *store.Tx) error {
		_, _, err := s.policyOf(tx, arn)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// CheckJobRole says why jobs could not run with the role: it does not exist, or it does
// not trust the service that runs jobs. nil: they can.
func (s *Service) CheckJobRole(ctx context.Context, arn string) error {
	s.cache.mu.RLock()
	err, known := s.cache.jobRoles[arn]
	age := s.cache.age
	s.cache.mu.RUnlock()
	if known {
		return err
	}
	r, err := s.Role(ctx, arn)
	if err == nil && !trustsJobs(r) {
		err = coded(400, "InvalidInput", "The trust policy of %s does not let %s assume it.", arn, jobService)
	}
	if err == nil || fault.Is(err, fault.Invalid) {
		keep(&s.cache, age, &s.cache.jobRoles, maxJobRoles, arn, err)
	}
	return err
}

func trustsJobs(r *policy.Role) bool {
	return r.Trust.Evaluate(policy.Caller{Service: jobService}, &authz.Request{Principal: &authz.Principal{}, Action: "sts:AssumeRole", Resource: "*"}) == policy.ByName
}

// JobClaims are what an attempt's session says that runs with the role. If the role is
// gone, or trusts the service that runs jobs no more, the session is one that may do
// nothing: never one that may do more.
func (s *Service) JobClaims(ctx context.Context, arn, session string) (keys.Claims, error) {
	c := keys.Claims{Account: s.account, Kind: authz.Session, Role: nameOf(arn), ID: "none", SessionName: session}
	c.ARN = "arn:aws:sts::" + s.account + ":assumed-role/" + c.Role + "/" + session
	if c.Role == "" {
		c.Role = "none"
	}
	r, err := s.Role(ctx, arn)
	switch {
	case fault.Is(err, fault.NotFound) || fault.Is(err, fault.Denied):
		return c, nil
	case err != nil:
		return c, err
	}
	if trustsJobs(r) {
		c.ID = r.ID
	}
	return c, nil
}
