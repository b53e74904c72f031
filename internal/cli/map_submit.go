package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"drover/internal/link"
	"drover/internal/service/batch"
	"drover/internal/service/native"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	api "github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// tokenTag makes a submission that is sent twice one job.
const tokenTag = "drover:token"

// submit hands the stage to the server, with the reduce behind it.
func (m *mapper) submit(ctx context.Context) error {
	stage := &m.run.Stages[m.stage]
	definition, err := m.definition(ctx)
	if err != nil {
		return err
	}
	in := m.submission(definition, m.run.jobName(), m.run.Command, url3(m.run.planKey(m.stage)), m.run.token(m.stage))
	if stage.Items > 1 {
		in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(stage.Items))}
	}
	out, err := wire.Call[api.SubmitJobOutput](ctx, m.conn.client, batch.Identity, "SubmitJob", in)
	if err != nil {
		return fmt.Errorf("submit the job: %w", err)
	}
	stage.Job = *out.JobId
	m.submitted.Store(true)
	if m.interrupted.Load() {
		m.terminate(ctx) // Ctrl-C came while the answer was on its way
	}
	if err := m.submitReduce(ctx, definition); err != nil {
		m.terminate(context.WithoutCancel(ctx))
		return err
	}
	return m.saveRun(ctx)
}

// submitReduce submits the reduce behind the stage.
func (m *mapper) submitReduce(ctx context.Context, definition string) error {
	m.run.ReduceJob = ""
	if len(m.run.Reduce) == 0 {
		return nil
	}
	in := m.submission(definition, m.run.jobName()+"-reduce", m.run.Reduce, url3(m.run.reducePlanKey()), m.run.reduceToken(m.stage))
	if job := m.run.Stages[m.stage].Job; job != "" {
		in.DependsOn = []types.JobDependency{{JobId: aws.String(job)}}
	}
	out, err := wire.Call[api.SubmitJobOutput](ctx, m.conn.client, batch.Identity, "SubmitJob", in)
	if err != nil {
		return fmt.Errorf("submit the reduce: %w", err)
	}
	m.run.ReduceJob = *out.JobId
	return nil
}

// submission is what both kinds of job have in common.
func (m *mapper) submission(definition, name string, command []string, stage, token string) *api.SubmitJobInput {
	r := &m.run
	in := &api.SubmitJobInput{
		JobName: aws.String(name), JobQueue: aws.String(r.Queue), JobDefinition: aws.String(definition),
		ContainerOverrides: &types.ContainerOverrides{
			Command: command,
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String(r.VCPUs)},
				{Type: types.ResourceTypeMemory, Value: aws.String(strconv.FormatInt(r.Memory, 10))},
			},
		},
		RetryStrategy: retryStrategy(r.Retries),
		Tags:          map[string]string{link.StageTag: stage, tokenTag: token},
	}
	if r.Timeout > 0 {
		in.Timeout = &types.JobTimeout{AttemptDurationSeconds: aws.Int32(r.Timeout)}
	}
	return in
}

// retryStrategy tries a command again as often as was asked. A command that was not to be
// tried again still is when its host was lost: that says nothing about the command.
func retryStrategy(retries int) *types.RetryStrategy {
	if retries > 0 {
		return &types.RetryStrategy{Attempts: aws.Int32(int32(retries) + 1)}
	}
	return &types.RetryStrategy{Attempts: aws.Int32(3), EvaluateOnExit: []types.EvaluateOnExit{
		{Action: types.RetryActionRetry, OnStatusReason: aws.String("Host EC2*")},
		{Action: types.RetryActionExit, OnReason: aws.String("*")},
	}}
}

// definition finds the job definition for the image, or registers it.
func (m *mapper) definition(ctx context.Context) (string, error) {
	name := definitionName(m.run.Image)
	known, err := wire.Call[api.DescribeJobDefinitionsOutput](ctx, m.conn.client, batch.Identity, "DescribeJobDefinitions",
		&api.DescribeJobDefinitionsInput{JobDefinitionName: aws.String(name), Status: aws.String("ACTIVE"), MaxResults: aws.Int32(1)})
	if err != nil {
		return "", fmt.Errorf("look for the job definition %s: %w", name, err)
	}
	for _, d := range known.JobDefinitions {
		if d.ContainerProperties != nil && aws.ToString(d.ContainerProperties.Image) == m.run.Image {
			return fmt.Sprintf("%s:%d", name, aws.ToInt32(d.Revision)), nil
		}
	}
	out, err := wire.Call[api.RegisterJobDefinitionOutput](ctx, m.conn.client, batch.Identity, "RegisterJobDefinition", &api.RegisterJobDefinitionInput{
		JobDefinitionName: aws.String(name), Type: types.JobDefinitionTypeContainer,
		ContainerProperties: &types.ContainerProperties{
			Image: aws.String(m.run.Image), Command: []string{"true"}, // each submission brings its own
			ResourceRequirements: []types.ResourceRequirement{
				{Type: types.ResourceTypeVcpu, Value: aws.String("1")},
				{Type: types.ResourceTypeMemory, Value: aws.String("512")},
			},
		},
	})
	if err != nil {
		return "", fmt.Errorf("register the job definition %s: %w", name, err)
	}
	return fmt.Sprintf("%s:%d", name, aws.ToInt32(out.Revision)), nil
}

// terminate asks the server to end what is submitted.
func (m *mapper) terminate(ctx context.Context) {
	for _, id := range []string{m.run.ReduceJob, m.run.Stages[m.stage].Job} {
		if id == "" {
			continue
		}
		if err := m.conn.terminate(ctx, id, "Ended by Ctrl-C on drover map"); err != nil {
			m.show.note("job %s could not be ended: %s; end it with drover terminate %s", id, sentence(err), id)
		}
	}
}

func (c *connection) terminate(ctx context.Context, id, reason string) error {
	_, err := wire.Call[api.TerminateJobOutput](ctx, c.client, batch.Identity, "TerminateJob",
		&api.TerminateJobInput{JobId: aws.String(id), Reason: aws.String(reason)})
	return err
}

// tail is the present end of the stream of transitions.
func (m *mapper) tail(ctx context.Context) (int64, error) {
	out, err := native.Call[native.ListTransitionsOutput](ctx, m.conn.client, "ListTransitions", &native.ListTransitionsInput{})
	if err != nil {
		return 0, fmt.Errorf("ask the server where it stands: %w", err)
	}
	return out.Next, nil
}

// view describes a job.
func (c *connection) view(ctx context.Context, id string) (*native.GetJobViewOutput, error) {
	return native.Call[native.GetJobViewOutput](ctx, c.client, "GetJobView", &native.GetJobViewInput{Job: &id})
}

// errLost says that the server went away during a run.
var errLost = errors.New("the server does not answer any more")
