package batch_test

import (
	"context"
	"strconv"
	"testing"

	"drover/internal/core/job"
	"drover/internal/manager"
	service "drover/internal/service/batch"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// still is a manager that accepts jobs and does nothing with them, so that what is
// measured is the handler.
type still struct {
	manager.Service
	definition job.Definition
	view       manager.View
}

func (s *still) Submit(_ context.Context, specs []*job.Spec) ([]manager.Receipt, error) {
	s.view.Spec = specs[0]
	return []manager.Receipt{{}}, nil
}

func (s *still) RegisterDefinition(_ context.Context, d job.Definition) (job.Definition, error) {
	d.Revision = 1
	s.definition = d
	return d, nil
}

func (s *still) Definition(context.Context, string, int32) (job.Definition, error) {
	return s.definition, nil
}

func (s *still) Queues(context.Context) ([]job.Queue, error) {
	return []job.Queue{{Name: "default", Enabled: true}}, nil
}

func (s *still) Describe(_ context.Context, names []string) ([]manager.View, error) {
	views := make([]manager.View, len(names))
	for i := range views {
		views[i] = s.view
	}
	return views, nil
}

// asRoot is the context of a call by the account itself.
func asRoot(b *testing.B) context.Context {
	return wire.WithInfo(b.Context(), wire.Info{Principal: wire.Principal{Kind: wire.Root, Account: account}})
}

func benchService(b *testing.B) (*service.Service, *still) {
	m := &still{}
	s := service.New(service.Options{Manager: m, Account: account, Region: "drover-1", Limits: job.DroverLimits()})
	if _, err := s.RegisterJobDefinition(asRoot(b), hostJob("d")); err != nil {
		b.Fatal(err)
	}
	return s, m
}

func BenchmarkSubmitJob(b *testing.B) {
	for name, over := range map[string]*types.ContainerOverrides{
		"plain":       nil,
		"environment": {Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String("1")}}, Command: []string{"wc", "-w", "x"}},
		"resources": {ResourceRequirements: []types.ResourceRequirement{
			{Type: types.ResourceTypeVcpu, Value: aws.String("2")}, {Type: types.ResourceTypeMemory, Value: aws.String("512")}}},
	} {
		b.Run(name, func(b *testing.B) {
			s, _ := benchService(b)
			in := &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"), ContainerOverrides: over}
			ctx := asRoot(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.SubmitJob(ctx, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDescribeJobs(b *testing.B) {
	s, m := benchService(b)
	if _, err := s.SubmitJob(asRoot(b), &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")}); err != nil {
		b.Fatal(err)
	}
	code := int32(0)
	m.view.Index, m.view.Created = job.Whole, 1
	m.view.Unit = job.Unit{Status: job.Succeeded, Started: 1, Stopped: 2}
	m.view.Attempts = []manager.Attempt{{Number: 1, Host: host, Log: "d/default/0123", Started: 1, Stopped: 2, Exit: &job.Exit{Code: &code}}}
	in := &batch.DescribeJobsInput{}
	for i := range 100 {
		in.Jobs = append(in.Jobs, job.ID{15: byte(i)}.String())
	}
	b.Run(strconv.Itoa(len(in.Jobs)), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.DescribeJobs(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
