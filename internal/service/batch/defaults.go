package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// The names of what is there at first start.
const (
	DefaultQueue       = "default"
	DefaultEnvironment = "local"
)

// EnsureDefaults makes the compute environment "local" and the queue "default" on a server
// that has none of either yet (or that stopped between the two). maxVCPUs is the
// environment's maxvCpus; the host's own size bounds it anyway. "local" allows host jobs.
func EnsureDefaults(ctx context.Context, m manager.Service, maxVCPUs int32) error {
	environments, err := m.Environments(ctx)
	if err != nil {
		return err
	}
	queues, err := m.Queues(ctx)
	if err != nil {
		return err
	}
	if len(queues) > 0 {
		return nil
	}
	if len(environments) == 0 {
		if err := m.CreateEnvironment(ctx, localEnvironment(maxVCPUs)); err != nil {
			return err
		}
	} else if environments[0].Name != DefaultEnvironment || len(environments) > 1 {
		return nil
	}
	d := queueDetail{Order: []int32{1}}
	return m.CreateQueue(ctx, job.Queue{
		Name: DefaultQueue, Priority: 1, Enabled: true, Environments: []string{DefaultEnvironment}, Detail: compact(&d),
	})
}

func localEnvironment(maxVCPUs int32) job.Environment {
	d := environmentDetail{Type: types.CETypeManaged, ComputeResources: &types.ComputeResource{
		Type: types.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: &maxVCPUs,
		InstanceTypes: []string{"optimal"}, InstanceRole: aws.String("ecsInstanceRole"), Subnets: []string{},
	}}
	return job.Environment{
		Name: DefaultEnvironment, Managed: true, Enabled: true, MaxMilliVCPU: int64(maxVCPUs) * 1000,
		HostJobs: true, Tags: map[string]string{hostJobsTag: "true"}, Detail: compact(&d),
	}
}
