package batch

import (
	"math"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// policyDetail is what a scheduling policy keeps to be described.
type policyDetail struct {
	Fairshare *types.FairsharePolicy
	Quota     *types.QuotaSharePolicy
}

// readPolicy puts what a request says of sharing into a policy.
func readPolicy(p *job.SchedulingPolicy, fair *types.FairsharePolicy, quota *types.QuotaSharePolicy) error {
	switch {
	case fair != nil && quota != nil:
		return invalid("give one of fairsharePolicy and quotaSharePolicy, not both")
	case quota != nil:
		w, err := word("idleResourceAssignmentStrategy", quota.IdleResourceAssignmentStrategy, types.QuotaShareIdleResourceAssignmentStrategyFifo)
		if err != nil {
			return err
		}
		p.Fair, p.Quota = nil, true
		p.Detail = compact(&policyDetail{Quota: &types.QuotaSharePolicy{IdleResourceAssignmentStrategy: w}})
		return nil
	}
	p.Fair, p.Quota = &job.FairShare{}, false
	if fair != nil {
		p.Fair.DecaySeconds, p.Fair.Reservation = aws.ToInt32(fair.ShareDecaySeconds), aws.ToInt32(fair.ComputeReservation)
		for _, a := range fair.ShareDistribution {
			w := job.ShareWeight{Share: aws.ToString(a.ShareIdentifier), Weight: job.WeightOne}
			if a.WeightFactor != nil {
				w.Weight = weight(*a.WeightFactor)
			}
			p.Fair.Weights = append(p.Fair.Weights, w)
		}
	}
	p.Detail = compact(&policyDetail{Fairshare: fair})
	return p.Fair.Check()
}

// weight reads a weight factor as ten-thousandths. What no policy may have stays outside
// the bounds.
func weight(f float32) int64 {
	w := math.Round(float64(f) * job.WeightOne)
	if !(w >= job.MinWeight && w <= job.MaxWeight) {
		return 0
	}
	return int64(w)
}

// describePolicy echoes a scheduling policy.
func describePolicy(n names, p *job.SchedulingPolicy) (types.SchedulingPolicyDetail, error) {
	var d policyDetail
	if err := restore(p.Detail, &d); err != nil {
		return types.SchedulingPolicyDetail{}, fault.Wrap(err, fault.Internal, "ServerException", "the record of scheduling policy %s cannot be read", p.Name)
	}
	if d.Fairshare != nil {
		d.Fairshare.ShareDistribution = filled(d.Fairshare.ShareDistribution)
	}
	return types.SchedulingPolicyDetail{
		Arn: aws.String(n.policyARN(p.Name)), Name: &p.Name, FairsharePolicy: d.Fairshare, QuotaSharePolicy: d.Quota, Tags: listed(p.Tags),
	}, nil
}

// page cuts one page out of a sorted list. The token is the name of the last one before it.
func page[T any](all []T, name func(*T) string, maxResults *int32, token *string) (part []T, next *string, err error) {
	limit, err := pageSize(maxResults, maxPage)
	if err != nil {
		return nil, nil, err
	}
	if after := aws.ToString(token); after != "" {
		i := slices.IndexFunc(all, func(v T) bool { return name(&v) > after })
		if i < 0 {
			i = len(all)
		}
		all = all[i:]
	}
	if len(all) > limit {
		return all[:limit], aws.String(name(&all[limit-1])), nil
	}
	return all, nil, nil
}
