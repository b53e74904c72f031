package batch

import (
	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// The types of consumable resources, which the SDK has no words for.
const (
	replenishable    = "REPLENISHABLE"
	nonReplenishable = "NON_REPLENISHABLE"
)

func resourceType(r *job.Consumable) *string {
	if r.Replenishable {
		return aws.String(replenishable)
	}
	return aws.String(nonReplenishable)
}

// readConsumables checks what a definition or submission needs of consumable resources,
// and puts names in the place of ARNs.
func readConsumables(n names, c *types.ConsumableResourceProperties) ([]job.ConsumableNeed, error) {
	if c == nil || len(c.ConsumableResourceList) == 0 {
		return nil, nil
	}
	out := make([]job.ConsumableNeed, len(c.ConsumableResourceList))
	for i, r := range c.ConsumableResourceList {
		if aws.ToString(r.ConsumableResource) == "" {
			return nil, invalid("an entry of consumableResourceList needs consumableResource and quantity")
		}
		name, err := n.consumable(aws.ToString(r.ConsumableResource))
		if err != nil {
			return nil, err
		}
		out[i] = job.ConsumableNeed{Name: name, Quantity: aws.ToInt64(r.Quantity)}
	}
	return out, job.CheckConsumables(out)
}

// writeConsumables is the other way round; nil if nothing is needed.
func writeConsumables(n names, needs []job.ConsumableNeed) *types.ConsumableResourceProperties {
	if len(needs) == 0 {
		return nil
	}
	out := &types.ConsumableResourceProperties{}
	for i := range needs {
		out.ConsumableResourceList = append(out.ConsumableResourceList, types.ConsumableResourceRequirement{
			ConsumableResource: aws.String(n.consumableARN(needs[i].Name)), Quantity: &needs[i].Quantity,
		})
	}
	return out
}

func summarizeConsumable(n names, r *manager.Stock) types.ConsumableResourceSummary {
	return types.ConsumableResourceSummary{
		ConsumableResourceArn: aws.String(n.consumableARN(r.Name)), ConsumableResourceName: &r.Name,
		InUseQuantity: &r.InUse, TotalQuantity: &r.Total, ResourceType: resourceType(&r.Consumable),
	}
}

func noConsumable(ref string) error { return invalid("consumable resource %s does not exist", ref) }
