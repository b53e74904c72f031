package iam

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/wire"
)

var (
	_ = wire.Op(ops, "CreatePolicy", (*Service).CreatePolicy, wire.Required("PolicyName", "PolicyDocument"))
	_ = wire.Op(ops, "GetPolicy", (*Service).GetPolicy, wire.Required("PolicyArn"))
	_ = wire.Op(ops, "ListPolicies", (*Service).ListPolicies, wire.Enum("Scope", "All", "AWS", "Local"), wire.Enum("PolicyUsageFilter", "PermissionsPolicy", "PermissionsBoundary"))
	_ = wire.Op(ops, "DeletePolicy", (*Service).DeletePolicy, wire.Required("PolicyArn"))
	_ = wire.Op(ops, "CreatePolicyVersion", (*Service).CreatePolicyVersion, wire.Required("PolicyArn", "PolicyDocument"))
	_ = wire.Op(ops, "GetPolicyVersion", (*Service).GetPolicyVersion, wire.Required("PolicyArn", "VersionId"))
	_ = wire.Op(ops, "ListPolicyVersions", (*Service).ListPolicyVersions, wire.Required("PolicyArn"))
	_ = wire.Op(ops, "DeletePolicyVersion", (*Service).DeletePolicyVersion, wire.Required("PolicyArn", "VersionId"))
	_ = wire.Op(ops, "SetDefaultPolicyVersion", (*Service).SetDefaultPolicyVersion, wire.Required("PolicyArn", "VersionId"))
)

func noPolicy(arn string) error { return noSuch("Policy %s was not found.", arn) }

// policyOf finds a managed policy by its ARN: the account's, or one of those built in.
func (s *Service) policyOf(tx *store.Tx, arn string) (p managed, rev int64, err error) {
	if p, ok := builtIn(arn); ok {
		return p, 0, nil
	}
	if !strings.HasPrefix(arn, s.arn("policy/")) {
		return p, 0, noPolicy(arn)
	}
	p, rev, err = get(tx, policies, nameOf(arn), noPolicy(arn))
	if err == nil && s.policyARN(&p) != arn {
		err = noPolicy(arn)
	}
	return p, rev, err
}

// changePolicy changes one of the account's policies.
func (s *Service) changePolicy(ctx context.Context, arn string, f func(*store.Tx, *managed) error) error {
	return s.update(ctx, func(tx *store.Tx) error {
		p, rev, err := s.policyOf(tx, arn)
		if err != nil {
			return err
		}
		if p.builtIn {
			return fault.New(fault.Denied, "AccessDenied", "Cannot perform the operation on the AWS managed policy %s.", arn)
		}
		if err := f(tx, &p); err != nil {
			return err
		}
		_, err = policies.Put(tx, key(p.Name), p, rev)
		return err
	})
}

func (s *Service) writePolicy(p *managed, attached int) *types.Policy {
	return &types.Policy{Arn: aws.String(s.policyARN(p)), PolicyId: &p.ID, PolicyName: &p.Name, Path: &p.Path, Description: p.Description,
		CreateDate: date(p.Created), UpdateDate: date(p.Updated), DefaultVersionId: &p.Default, IsAttachable: true,
		AttachmentCount: aws.Int32(int32(attached)), PermissionsBoundaryUsageCount: aws.Int32(0), Tags: writeTags(p.Tags)}
}

func checkManaged(text string) error {
	if err := checkPolicy(text); err != nil {
		return err
	}
	if weight(text) > maxManagedText {
		return tooMany("Cannot exceed quota for PolicySize: %d", maxManagedText)
	}
	return nil
}

// CreatePolicy adds a managed policy with its first version.
func (s *Service) CreatePolicy(ctx context.Context, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	if err := checkName("policyName", *in.PolicyName, 128); err != nil {
		return nil, err
	}
	path, err := checkPath(in.Path)
	if err != nil {
		return nil, err
	}
	if err := checkManaged(*in.PolicyDocument); err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	tags, err := readTags(in.Tags)
	if err != nil {
		return nil, err
	}
	now := stamp(s.now())
	p := managed{Name: *in.PolicyName, Path: path, ID: newID("ANPA"), Created: now, Updated: now, Description: in.Description, Tags: tags,
		Last: 1, Default: versionID(1), Versions: []version{{versionID(1), *in.PolicyDocument, now}}}
	err = s.update(ctx, func(tx *store.Tx) error {
		return create(tx, policies, "Policies", p.Name, p, maxPolicies, exists("A policy called %s already exists. Duplicate names are not allowed.", p.Name))
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreatePolicyOutput{Policy: s.writePolicy(&p, 0)}, nil
}

// viewPolicy reads a policy and how often it is attached.
func (s *Service) viewPolicy(ctx context.Context, arn string) (p managed, attached int, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if p, _, err = s.policyOf(tx, arn); err != nil {
			return err
		}
		attached, err = countOf(tx, arn)
		return err
	})
	return p, attached, err
}

// GetPolicy describes a managed policy.
func (s *Service) GetPolicy(ctx context.Context, in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	p, n, err := s.viewPolicy(ctx, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyOutput{Policy: s.writePolicy(&p, n)}, nil
}

// ListPolicies lists managed policies: the account's by name, and after them, where the
// scope asks for them, those built in.
func (s *Service) ListPolicies(ctx context.Context, in *iam.ListPoliciesInput) (*iam.ListPoliciesOutput, error) {
	w, err := readWindow(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	prefix, err := checkPrefix(in.PathPrefix)
	if err != nil {
		return nil, err
	}
	out := &iam.ListPoliciesOutput{}
	if in.PolicyUsageFilter == types.PolicyUsageTypePermissionsBoundary {
		return out, nil // nothing is used so
	}
	attached := map[string]int{}
	keep := func(tx *store.Tx, p *managed) (bool, error) {
		if !strings.HasPrefix(p.Path, prefix) {
			return false, nil
		}
		arn := s.policyARN(p)
		n, err := countOf(tx, arn)
		attached[arn] = n
		return !in.OnlyAttached || n > 0, err
	}
	var page []managed
	inAWS := strings.HasPrefix(w.after, awsPolicies)
	if in.Scope != types.PolicyScopeTypeAws && !inAWS {
		if page, out.IsTruncated, out.Marker, err = scan(ctx, s, policies, w, keep); err != nil {
			return nil, err
		}
		w.after = ""
	}
	if in.Scope != types.PolicyScopeTypeLocal && !out.IsTruncated {
		rest, err := s.keepBuiltIn(ctx, keep)
		if err != nil {
			return nil, err
		}
		if w.size -= len(page); w.size > 0 {
			var more []managed
			more, out.IsTruncated, out.Marker = slice(rest, w, func(p managed) string { return s.policyARN(&p) })
			page = append(page, more...)
		} else if len(rest) > 0 {
			out.IsTruncated, out.Marker = true, marker(awsPolicies)
		}
	}
	for i := range page {
		one := s.writePolicy(&page[i], attached[s.policyARN(&page[i])])
		one.Tags, one.Description = nil, nil
		out.Policies = append(out.Policies, *one)
	}
	return out, nil
}

func (s *Service) keepBuiltIn(ctx context.Context, keep func(*store.Tx, *managed) (bool, error)) (list []managed, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list = nil
		for _, arn := range builtInARNs() {
			p, _ := builtIn(arn)
			ok, err := keep(tx, &p)
			if err != nil {
				return err
			}
			if ok {
				list = append(list, p)
			}
		}
		return nil
	})
	return list, err
}

// DeletePolicy removes a policy that is attached nowhere and has one version left.
func (s *Service) DeletePolicy(ctx context.Context, in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	return &iam.DeletePolicyOutput{}, s.update(ctx, func(tx *store.Tx) error {
		p, _, err := s.policyOf(tx, *in.PolicyArn)
		if err != nil {
			return err
		}
		n, err := countOf(tx, *in.PolicyArn)
		switch {
		case err != nil:
			return err
		case p.builtIn:
			return fault.New(fault.Denied, "AccessDenied", "Cannot perform the operation on the AWS managed policy %s.", *in.PolicyArn)
		case n > 0:
			return inUse("Cannot delete a policy attached to entities.")
		case len(p.Versions) > 1:
			return inUse("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		if err := count(tx, "Policies", -1, 0); err != nil {
			return err
		}
		return policies.Delete(tx, key(p.Name))
	})
}

func writeVersion(p *managed, v *version, withText bool) *types.PolicyVersion {
	out := &types.PolicyVersion{VersionId: &v.ID, CreateDate: date(v.Created), IsDefaultVersion: v.ID == p.Default}
	if withText {
		out.Document = encoded(v.Text)
	}
	return out
}

func (p *managed) version(id string) (int, error) {
	i := slices.IndexFunc(p.Versions, func(v version) bool { return v.ID == id })
	if i < 0 {
		return 0, noSuch("Policy version %s does not exist.", id)
	}
	return i, nil
}

// CreatePolicyVersion adds a version.
func (s *Service) CreatePolicyVersion(ctx context.Context, in *iam.CreatePolicyVersionInput) (*iam.CreatePolicyVersionOutput, error) {
	if err := checkManaged(*in.PolicyDocument); err != nil {
		return nil, err
	}
	var out *types.PolicyVersion
	now := stamp(s.now())
	err := s.changePolicy(ctx, *in.PolicyArn, func(_ *store.Tx, p *managed) error {
		if len(p.Versions) >= maxVersions {
			return tooMany("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		p.Last++
		v := version{versionID(p.Last), *in.PolicyDocument, now}
		p.Versions = slices.Insert(p.Versions, 0, v)
		p.Updated = now
		if in.SetAsDefault {
			p.Default = v.ID
		}
		out = writeVersion(p, &v, false)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreatePolicyVersionOutput{PolicyVersion: out}, nil
}

// GetPolicyVersion gives a version with its document.
func (s *Service) GetPolicyVersion(ctx context.Context, in *iam.GetPolicyVersionInput) (*iam.GetPolicyVersionOutput, error) {
	p, _, err := s.viewPolicy(ctx, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	i, err := p.version(*in.VersionId)
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyVersionOutput{PolicyVersion: writeVersion(&p, &p.Versions[i], true)}, nil
}

// ListPolicyVersions lists the versions, newest first. There are so few that one page
// holds them unless the caller wants less.
func (s *Service) ListPolicyVersions(ctx context.Context, in *iam.ListPolicyVersionsInput) (*iam.ListPolicyVersionsOutput, error) {
	w, err := readWindow(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	p, _, err := s.viewPolicy(ctx, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	start := 0
	if w.after != "" {
		if start, err = p.version(w.after); err != nil {
			return nil, err
		}
		start++
	}
	out := &iam.ListPolicyVersionsOutput{}
	for i := start; i < len(p.Versions); i++ {
		if len(out.Versions) == w.size {
			out.IsTruncated, out.Marker = true, marker(p.Versions[i-1].ID)
			break
		}
		out.Versions = append(out.Versions, *writeVersion(&p, &p.Versions[i], false))
	}
	return out, nil
}

// DeletePolicyVersion removes a version that is not the default.
func (s *Service) DeletePolicyVersion(ctx context.Context, in *iam.DeletePolicyVersionInput) (*iam.DeletePolicyVersionOutput, error) {
	return &iam.DeletePolicyVersionOutput{}, s.changePolicy(ctx, *in.PolicyArn, func(_ *store.Tx, p *managed) error {
		i, err := p.version(*in.VersionId)
		if err != nil {
			return err
		}
		if p.Versions[i].ID == p.Default {
			return inUse("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.Delete(p.Versions, i, i+1)
		return nil
	})
}

// SetDefaultPolicyVersion makes a version the one that counts.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, in *iam.SetDefaultPolicyVersionInput) (*iam.SetDefaultPolicyVersionOutput, error) {
	return &iam.SetDefaultPolicyVersionOutput{}, s.changePolicy(ctx, *in.PolicyArn, func(_ *store.Tx, p *managed) error {
		if _, err := p.version(*in.VersionId); err != nil {
			return err
		}
		p.Default = *in.VersionId
		return nil
	})
}
