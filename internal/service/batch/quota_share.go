package batch

import (
	"context"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// quotaShareDetail is what a quota share keeps to be described.
type quotaShareDetail struct {
	Preemption *types.QuotaSharePreemptionConfiguration
	Sharing    *types.QuotaShareResourceSharingConfiguration
}

// readQuotaShare puts the members that a request has into a quota share.
func readQuotaShare(q *job.QuotaShare, limits []types.QuotaShareCapacityLimit, p *types.QuotaSharePreemptionConfiguration, r *types.QuotaShareResourceSharingConfiguration) error {
	var d quotaShareDetail
	if err := restore(q.Detail, &d); err != nil {
		return fault.Wrap(err, fault.Internal, "ServerException", "the record of quota share %s cannot be read", q.Key())
	}
	if p != nil {
		state, err := word("inSharePreemption", p.InSharePreemption, types.QuotaShareInSharePreemptionStateEnabled, types.QuotaShareInSharePreemptionStateDisabled)
		if err != nil {
			return err
		}
		q.Urgent = state == types.QuotaShareInSharePreemptionStateEnabled
		d.Preemption = &types.QuotaSharePreemptionConfiguration{InSharePreemption: state}
	}
	if r != nil {
		strategy, err := word("strategy", r.Strategy, types.QuotaShareResourceSharingStrategy("").Values()...)
		if err != nil {
			return err
		}
		q.Lends = strategy != types.QuotaShareResourceSharingStrategyReserve
		q.Borrows, q.Borrow = strategy == types.QuotaShareResourceSharingStrategyLendAndBorrow, aws.ToInt32(r.BorrowLimit)
		d.Sharing = &types.QuotaShareResourceSharingConfiguration{Strategy: strategy, BorrowLimit: r.BorrowLimit}
		if q.Borrows && r.BorrowLimit == nil {
			q.Borrow = job.Unlimited
			d.Sharing.BorrowLimit = aws.Int32(job.Unlimited)
		}
		if r.BorrowLimit != nil && !q.Borrows {
			return invalid("borrowLimit is only for strategy LEND_AND_BORROW")
		}
	}
	if limits != nil {
		q.Limits = nil
		for _, l := range limits {
			q.Limits = append(q.Limits, job.CapacityLimit{Unit: aws.ToString(l.CapacityUnit), Max: int64(aws.ToInt32(l.MaxCapacity))})
		}
	}
	q.Detail = compact(&d)
	return q.Check()
}

// readQuotaState reads a state; absent is the given default.
func readQuotaState(st types.QuotaShareState, unsaid bool) (bool, error) {
	w, err := optionalWord("state", st, types.QuotaShareStateEnabled, types.QuotaShareStateDisabled)
	if w == "" {
		return unsaid, err
	}
	return w == types.QuotaShareStateEnabled, nil
}

// describeQuotaShare writes a quota share; it is VALID at once.
func describeQuotaShare(n names, q *job.QuotaShare) (types.QuotaShareDetail, error) {
	var d quotaShareDetail
	if err := restore(q.Detail, &d); err != nil {
		return types.QuotaShareDetail{}, fault.Wrap(err, fault.Internal, "ServerException", "the record of quota share %s cannot be read", q.Key())
	}
	out := types.QuotaShareDetail{
		QuotaShareArn: aws.String(n.quotaShareARN(q.Queue, q.Name)), QuotaShareName: &q.Name, JobQueueArn: aws.String(n.queueARN(q.Queue)),
		State: types.QuotaShareStateDisabled, Status: types.QuotaShareStatusValid,
		PreemptionConfiguration: d.Preemption, ResourceSharingConfiguration: d.Sharing,
		CapacityLimits: make([]types.QuotaShareCapacityLimit, len(q.Limits)),
	}
	if q.Enabled {
		out.State = types.QuotaShareStateEnabled
	}
	for i := range q.Limits {
		out.CapacityLimits[i] = types.QuotaShareCapacityLimit{CapacityUnit: &q.Limits[i].Unit, MaxCapacity: aws.Int32(int32(q.Limits[i].Max))}
	}
	return out, nil
}

// findQuotaShare finds a quota share by its ARN.
func (s *Service) findQuotaShare(ctx context.Context, n names, ref string) (q job.QuotaShare, err error) {
	queue, name, err := n.quotaShare(ref)
	if err != nil {
		return q, err
	}
	all, err := s.m.QuotaShares(ctx, queue)
	if err != nil {
		return q, clientError(err)
	}
	i := slices.IndexFunc(all, func(o job.QuotaShare) bool { return o.Name == name })
	if i < 0 {
		return q, invalid("quota share %s does not exist", ref)
	}
	return all[i], nil
}
