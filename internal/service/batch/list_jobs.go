package batch

import (
	"context"
	"strconv"
	"strings"

	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "ListJobs", (*Service).ListJobs)

// The most jobs on a page: fewer when a filter has to look for them.
const (
	maxListed   = 1000
	maxFiltered = 100
)

// ListJobs answers the jobs of a queue, the children of an array or the nodes of a multi-node
// parallel job: the RUNNING ones unless the request says otherwise. A filter replaces the status and lists the newest
// first.
func (s *Service) ListJobs(ctx context.Context, in *batch.ListJobsInput) (*batch.ListJobsOutput, error) {
	n := s.in(ctx)
	q, err := s.listQuery(ctx, n, in)
	if err != nil {
		return nil, err
	}
	page, err := s.m.List(ctx, q)
	if err != nil {
		return nil, clientError(err)
	}
	out := &batch.ListJobsOutput{JobSummaryList: make([]types.JobSummary, len(page.Jobs)), NextToken: optional(page.Next)}
	for i := range page.Jobs {
		out.JobSummaryList[i] = summarize(n, &page.Jobs[i])
	}
	return out, nil
}

func (s *Service) listQuery(ctx context.Context, n names, in *batch.ListJobsInput) (q manager.ListQuery, err error) {
	queue, array, gang := aws.ToString(in.JobQueue), aws.ToString(in.ArrayJobId), aws.ToString(in.MultiNodeJobId)
	given := 0
	for _, of := range [...]string{queue, array, gang} {
		if of != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return q, invalid("give exactly one of jobQueue, arrayJobId and multiNodeJobId")
	case queue == "" && len(in.Filters) > 0:
		return q, invalid("filters cannot be used with arrayJobId and multiNodeJobId")
	}
	switch {
	case queue != "":
		if q.Queue, err = n.queue(queue); err != nil {
			return q, err
		}
		if _, ok, err := s.catalog.queue(ctx, q.Queue); err != nil {
			return q, clientError(err)
		} else if !ok {
			return q, noQueue(queue)
		}
	case gang != "":
		var index int32
		if q.Gang, index, err = n.job("multiNodeJobId", gang); err != nil {
			return q, err
		}
		if index != job.Whole {
			return q, invalid("multiNodeJobId %q is not a whole job", gang)
		}
	default:
		var index int32
		if q.Array, index, err = n.job("arrayJobId", array); err != nil {
			return q, err
		}
		if index != job.Whole {
			return q, invalid("arrayJobId %q is an array child", array)
		}
	}
	status, err := optionalWord("jobStatus", in.JobStatus, types.JobStatus("").Values()...)
	if err != nil {
		return q, err
	}
	if status == "" {
		status = types.JobStatusRunning
	}
	q.Status, _ = job.ParseStatus(string(status))
	most := maxListed
	if len(in.Filters) > 0 {
		most = maxFiltered
		if err := readFilter(n, in.Filters, &q); err != nil {
			return q, err
		}
	}
	q.Token = aws.ToString(in.NextToken)
	q.Limit, err = pageSize(in.MaxResults, most)
	return q, err
}

// readFilter puts the one filter that a request may have into the query.
func readFilter(n names, filters []types.KeyValuesPair, q *manager.ListQuery) error {
	if len(filters) != 1 || len(filters[0].Values) != 1 {
		return invalid("give one filter with one value")
	}
	name, value := aws.ToString(filters[0].Name), filters[0].Values[0]
	name, err := word("filter name", name, "JOB_NAME", "JOB_DEFINITION", "BEFORE_CREATED_AT", "AFTER_CREATED_AT", "SHARE_IDENTIFIER")
	if err != nil {
		return err
	}
	q.NewestFirst = true
	if name == "SHARE_IDENTIFIER" {
		q.Share = value
		return nil // the only filter beside which the status counts
	}
	q.Status = 0
	switch name {
	case "JOB_NAME":
		q.Name = value
	case "JOB_DEFINITION":
		q.Definition, err = n.resource("job-definition", "filter JOB_DEFINITION", value)
		if err == nil && strings.TrimSuffix(q.Definition, "*") == "" && q.Definition != "*" {
			err = invalid("filter JOB_DEFINITION needs a value")
		}
	default:
		var ms int64
		if ms, err = strconv.ParseInt(value, 10, 64); err != nil || ms < 0 || ms > 1<<50 {
			return invalid("filter %s needs milliseconds since 1970, got %q", name, value)
		}
		if name == "BEFORE_CREATED_AT" {
			q.CreatedBefore = ms * 1000
		} else {
			q.CreatedAfter = ms * 1000
		}
	}
	return err
}

func summarize(n names, j *manager.Summary) types.JobSummary {
	u := &j.Unit
	id := job.Name(j.ID, j.Index)
	out := types.JobSummary{
		JobId: &id, JobArn: aws.String(n.jobARN(id)), JobName: &j.Name,
		JobDefinition: aws.String(n.definitionARN(j.Definition)),
		Status:        types.JobStatus(u.Status.String()),
		StatusReason:  optional(u.StatusReason),
		CreatedAt:     millis(j.Created),
		StartedAt:     millis(u.Started),
		CapacityUsage: []types.JobCapacityUsageSummary{},

		ShareIdentifier: optional(j.Share),
	}
	if u.Status.Terminal() {
		out.StoppedAt = millis(u.Stopped)
	}
	if j.MilliVCPU > 0 {
		out.CapacityUsage = []types.JobCapacityUsageSummary{{CapacityUnit: aws.String(capacityUnit), Quantity: vcpus(j.MilliVCPU)}}
	}
	if u.Exit != nil {
		out.Container = &types.ContainerSummary{ExitCode: u.Exit.Code, Reason: optional(u.Exit.Reason)}
	}
	switch node, ok := job.NodeOf(j.Index); {
	case ok:
		out.NodeProperties = &types.NodePropertiesSummary{NodeIndex: &node, IsMainNode: &j.Main, NumNodes: &j.Nodes}
	case j.Nodes > 0:
		out.NodeProperties = &types.NodePropertiesSummary{NumNodes: &j.Nodes}
	case j.Index != job.Whole:
		out.ArrayProperties = &types.ArrayPropertiesSummary{Index: &j.Index}
	case j.Size > 0:
		out.ArrayProperties = &types.ArrayPropertiesSummary{Size: &j.Size, StatusSummary: summary(j.Counts), StatusSummaryLastUpdatedAt: millis(j.Changed)}
	}
	return out
}
