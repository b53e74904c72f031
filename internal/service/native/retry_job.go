package native

import (
	"context"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/wire"
)

// RetryJobInput names an ended job.
type RetryJobInput struct{ Job *string }

// RetryJobOutput is the new job.
type RetryJobOutput struct {
	Job      string `json:"job"`
	Children int32  `json:"children"` // of an array: how many are tried again; 0 = a plain job
}

var _ = wire.Op(Ops, "RetryJob", (*Service).RetryJob, path("retryjob"), wire.Required("Job"))

// RetryJob submits what has failed of an ended job again, as a new job.
func (s *Service) RetryJob(ctx context.Context, in *RetryJobInput) (*RetryJobOutput, error) {
	id, index, err := unit(*in.Job)
	if err != nil {
		return nil, err
	}
	if index != job.Whole {
		return nil, fault.New(fault.Invalid, "ValidationException", "%s is the child of an array or a node: retry the job %s, of which an array tries only failed children again", *in.Job, id)
	}
	if err := s.mayPassRoles(ctx, *in.Job); err != nil {
		return nil, err
	}
	r, spec, err := s.jobs.Retry(ctx, id)
	if fault.Is(err, fault.NotFound) {
		err = missing(*in.Job)
	}
	if err != nil {
		return nil, err
	}
	return &RetryJobOutput{Job: r.ID.String(), Children: spec.Size}, nil
}

// mayActFor refuses to move data with the rights of somebody else.
func mayActFor(ctx context.Context, s *job.Submitter) error {
	p, ok := wire.PrincipalFrom(ctx)
	if s == nil || !ok || !p.Governed() || s.Same(&job.Submitter{User: p.User, Role: p.Role, ID: p.ID, Limits: p.Limits}) {
		return nil
	}
	return fault.New(fault.Denied, "AccessDenied", "the job's data is moved with the rights of %s, who submitted it: submit it again yourself", s.ARN)
}

// mayPassRoles asks what SubmitJob asks too: whoever has a job run again lends it its roles.
func (s *Service) mayPassRoles(ctx context.Context, name string) error {
	views, err := s.jobs.Describe(ctx, []string{name})
	if err != nil {
		return err
	}
	if len(views) == 0 {
		return missing(name)
	}
	if err := mayActFor(ctx, views[0].Spec.Submitter); err != nil {
		return err
	}
	spec := views[0].Spec
	if spec.Nodes == nil {
		return mayPass(ctx, spec.Container)
	}
	for i := range spec.Nodes.Groups {
		if err := mayPass(ctx, spec.Nodes.Groups[i].Container); err != nil {
			return err
		}
	}
	return nil
}

func mayPass(ctx context.Context, c *job.Container) error {
	if c == nil {
		return nil
	}
	for _, role := range []string{c.JobRole, c.ExecutionRole} {
		if role == "" {
			continue
		}
		if err := wire.Permit(ctx, "iam:PassRole", role, wire.Conditions{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}); err != nil {
			return err
		}
	}
	return nil
}
