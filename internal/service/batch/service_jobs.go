package batch

import (
	"context"

	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Service jobs are jobs of SageMaker Training, which is another service of AWS. There is
// nothing that drover could run them on, so the operations that make or change them are
// refused, and their lists are empty.
const noServiceJobs = "service jobs and service environments are for Amazon SageMaker Training, which drover does not have; submit a container job with SubmitJob"

var (
	_ = wire.Op(ops, "CreateServiceEnvironment", refuse[batch.CreateServiceEnvironmentInput, batch.CreateServiceEnvironmentOutput], wire.Refused(noServiceJobs))
	_ = wire.Op(ops, "UpdateServiceEnvironment", refuse[batch.UpdateServiceEnvironmentInput, batch.UpdateServiceEnvironmentOutput], wire.Refused(noServiceJobs))
	_ = wire.Op(ops, "DeleteServiceEnvironment", refuse[batch.DeleteServiceEnvironmentInput, batch.DeleteServiceEnvironmentOutput], wire.Refused(noServiceJobs))
	_ = wire.Op(ops, "SubmitServiceJob", refuse[batch.SubmitServiceJobInput, batch.SubmitServiceJobOutput], wire.Refused(noServiceJobs))
	_ = wire.Op(ops, "DescribeServiceJob", refuse[batch.DescribeServiceJobInput, batch.DescribeServiceJobOutput], wire.Refused(noServiceJobs))
	_ = wire.Op(ops, "TerminateServiceJob", refuse[batch.TerminateServiceJobInput, batch.TerminateServiceJobOutput], wire.Refused(noServiceJobs))
	_ = wire.Op(ops, "UpdateServiceJob", refuse[batch.UpdateServiceJobInput, batch.UpdateServiceJobOutput], wire.Refused(noServiceJobs))

	_ = wire.Op(ops, "DescribeServiceEnvironments", (*Service).DescribeServiceEnvironments)
	_ = wire.Op(ops, "ListServiceJobs", (*Service).ListServiceJobs)
)

// refuse stands where the handler of a refused operation would be.
func refuse[In, Out any](*Service, context.Context, *In) (*Out, error) {
	return nil, invalid("%s", noServiceJobs)
}

// DescribeServiceEnvironments answers that there are none.
func (s *Service) DescribeServiceEnvironments(context.Context, *batch.DescribeServiceEnvironmentsInput) (*batch.DescribeServiceEnvironmentsOutput, error) {
	return &batch.DescribeServiceEnvironmentsOutput{ServiceEnvironments: []types.ServiceEnvironmentDetail{}}, nil
}

// ListServiceJobs answers that there are none.
func (s *Service) ListServiceJobs(context.Context, *batch.ListServiceJobsInput) (*batch.ListServiceJobsOutput, error) {
	return &batch.ListServiceJobsOutput{JobSummaryList: []types.ServiceJobSummary{}}, nil
}
