package batch

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

var _ = wire.Op(ops, "GetJobQueueSnapshot", (*Service).GetJobQueueSnapshot, wire.Required("JobQueue"))

// topShares is how many shares a snapshot names.
const topShares = 20

// GetJobQueueSnapshot answers the first RUNNABLE jobs of a queue in the order in which they
// will be started, and what its running jobs hold. Of an array the first child that waits
// is named.
func (s *Service) GetJobQueueSnapshot(ctx context.Context, in *batch.GetJobQueueSnapshotInput) (*batch.GetJobQueueSnapshotOutput, error) {
	n := s.in(ctx)
	queue, err := n.queue(*in.JobQueue)
	if err != nil {
		return nil, err
	}
	snap, err := s.m.Snapshot(ctx, queue)
	if err != nil {
		return nil, clientError(err)
	}
	at := millis(snap.At)
	out := &batch.GetJobQueueSnapshotOutput{
		FrontOfQueue:     &types.FrontOfQueueDetail{Jobs: make([]types.FrontOfQueueJobSummary, len(snap.Front)), LastUpdatedAt: at},
		QueueUtilization: utilization(&snap, at),
	}
	for i, f := range snap.Front {
		out.FrontOfQueue.Jobs[i] = types.FrontOfQueueJobSummary{JobArn: aws.String(n.jobARN(job.Name(f.ID, f.Index))), EarliestTimeAtPosition: millis(f.Since)}
	}
	if snap.Quota {
		shares := map[string][]types.FrontOfQuotaShareJobSummary{}
		for i, f := range snap.Front {
			if j := out.FrontOfQueue.Jobs[i]; shares[f.Share] == nil {
				shares[f.Share] = []types.FrontOfQuotaShareJobSummary{{JobArn: j.JobArn, EarliestTimeAtPosition: j.EarliestTimeAtPosition}}
			}
		}
		out.FrontOfQuotaShares = &types.FrontOfQuotaSharesDetail{LastUpdatedAt: at, QuotaShares: shares}
	}
	return out, nil
}

// capacityUnit is what capacity is counted in.
const capacityUnit = "VCPU"

func vcpus(milli int64) *float64 { return aws.Float64(float64(milli) / 1000) }

func utilization(snap *manager.Snapshot, at *int64) *types.QueueSnapshotUtilizationDetail {
	vcpu := aws.String(capacityUnit)
	d := &types.QueueSnapshotUtilizationDetail{
		LastUpdatedAt:      at,
		TotalCapacityUsage: []types.QueueSnapshotCapacityUsage{{CapacityUnit: vcpu, Quantity: vcpus(snap.MilliVCPU)}},
	}
	top := snap.Shares[:min(len(snap.Shares), topShares)]
	switch {
	case snap.Fair:
		f := &types.FairshareUtilizationDetail{ActiveShareCount: aws.Int64(int64(len(snap.Shares))), TopCapacityUtilization: []types.FairshareCapacityUtilization{}}
		for _, u := range top {
			f.TopCapacityUtilization = append(f.TopCapacityUtilization, types.FairshareCapacityUtilization{
				ShareIdentifier: &u.Share, CapacityUsage: []types.FairshareCapacityUsage{{CapacityUnit: vcpu, Quantity: vcpus(u.MilliVCPU)}},
			})
		}
		d.FairshareUtilization = f
	case snap.Quota:
		q := &types.QuotaShareUtilizationDetail{TopCapacityUtilization: []types.QuotaShareCapacityUtilization{}}
		for _, u := range top {
			q.TopCapacityUtilization = append(q.TopCapacityUtilization, types.QuotaShareCapacityUtilization{
				QuotaShareName: &u.Share, CapacityUsage: []types.QuotaShareCapacityUsage{{CapacityUnit: vcpu, Quantity: vcpus(u.MilliVCPU)}},
			})
		}
		d.QuotaShareUtilization = q
	}
	return d
}
