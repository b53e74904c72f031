package batch_test

import (
	"strings"
	"testing"

	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

func (w *world) consumable(t *testing.T, name, kind string, total int64) {
	t.Helper()
	_, err := w.CreateConsumableResource(t.Context(), &batch.CreateConsumableResourceInput{ConsumableResourceName: &name, ResourceType: &kind, TotalQuantity: &total})
	must(t, 0, err)
}

// stock is total, in use and available.
func (w *world) stock(t *testing.T, name string) [3]int64 {
	t.Helper()
	out, err := w.DescribeConsumableResource(t.Context(), &batch.DescribeConsumableResourceInput{ConsumableResource: &name})
	must(t, out, err)
	return [3]int64{*out.TotalQuantity, *out.InUseQuantity, *out.AvailableQuantity}
}

func needs(name string, quantity int64) *types.ConsumableResourceProperties {
	return &types.ConsumableResourceProperties{ConsumableResourceList: []types.ConsumableResourceRequirement{{ConsumableResource: &name, Quantity: &quantity}}}
}

func TestLifeOfConsumableResource(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	out, err := w.CreateConsumableResource(ctx, &batch.CreateConsumableResourceInput{ConsumableResourceName: aws.String("r"), Tags: map[string]string{"a": "b"}})
	arn := must(t, out, err).ConsumableResourceArn
	if *arn != prefix+"consumable-resource/r" {
		t.Errorf("ARN %s", *arn)
	}
	d, err := w.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: arn})
	if must(t, d, err); *d.ResourceType != "REPLENISHABLE" || *d.TotalQuantity != 0 || *d.CreatedAt < 1e12 || d.Tags["a"] != "b" {
		t.Errorf("described: %+v", d)
	}
	update := func(op string, quantity int64, token *string) (int64, error) {
		out, err := w.UpdateConsumableResource(ctx, &batch.UpdateConsumableResourceInput{ConsumableResource: arn, Operation: &op, Quantity: &quantity, ClientToken: token})
		if err != nil {
			return 0, err
		}
		return *out.TotalQuantity, nil
	}
	for _, k := range []struct {
		op    string
		n     int64
		token *string
		want  int64
	}{{"SET", 10, nil, 10}, {"add", 5, aws.String("t"), 15}, {"ADD", 5, aws.String("t"), 15}, {"REMOVE", 1, nil, 14}, {"ADD", 5, aws.String("u"), 19}} {
		if got, err := update(k.op, k.n, k.token); err != nil || got != k.want {
			t.Errorf("%s %d: total %d, %v; want %d", k.op, k.n, got, err, k.want)
		}
	}
	_, err = update("ADD", 6, aws.String("t"))
	refused(t, err, "another update needs another token")
	_, err = update("REMOVE", 20, nil)
	refused(t, err, "its total is 19")
	_, err = update("SET", -1, nil)
	refused(t, err, "must not be negative")
	_, err = update("DOUBLE", 1, nil)
	refused(t, err, "must be one of SET, ADD, REMOVE")
	_, err = w.UpdateConsumableResource(ctx, &batch.UpdateConsumableResourceInput{ConsumableResource: arn, Operation: aws.String("SET")})
	refused(t, err, "needs a quantity")

	w.consumable(t, "spare-1", "non_replenishable", 7)
	w.consumable(t, "spare-2", "REPLENISHABLE", 8)
	for filter, want := range map[string]string{"": "r spare-1 spare-2", "SPARE*": "spare-1 spare-2", "R": "r", "x": ""} {
		in := &batch.ListConsumableResourcesInput{}
		if filter != "" {
			in.Filters = []types.KeyValuesPair{{Name: aws.String("CONSUMABLE_RESOURCE_NAME"), Values: []string{filter}}}
		}
		out, err := w.ListConsumableResources(ctx, in)
		var names []string
		for _, r := range must(t, out, err).ConsumableResources {
			names = append(names, *r.ConsumableResourceName)
		}
		if got := strings.Join(names, " "); got != want || out.ConsumableResources == nil {
			t.Errorf("filter %q lists %q, want %q", filter, got, want)
		}
	}
	_, err = w.CreateConsumableResource(ctx, &batch.CreateConsumableResourceInput{ConsumableResourceName: aws.String("r")})
	refused(t, err, "Object already exists")
	_, err = w.CreateConsumableResource(ctx, &batch.CreateConsumableResourceInput{ConsumableResourceName: aws.String("x"), TotalQuantity: aws.Int64(-1)})
	refused(t, err, "must not be negative")
	_, err = w.CreateConsumableResource(ctx, &batch.CreateConsumableResourceInput{ConsumableResourceName: aws.String("x"), ResourceType: aws.String("ODD")})
	refused(t, err, "must be one of REPLENISHABLE")
	for range 2 {
		_, err = w.DeleteConsumableResource(ctx, &batch.DeleteConsumableResourceInput{ConsumableResource: arn})
		must(t, 0, err)
	}
	_, err = w.DescribeConsumableResource(ctx, &batch.DescribeConsumableResourceInput{ConsumableResource: arn})
	refused(t, err, "does not exist")
}

func TestJobsNameConsumableResources(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.consumable(t, "r", "REPLENISHABLE", 1)
	def := hostJob("d")
	def.ConsumableResourceProperties = needs(prefix+"consumable-resource/r", 1)
	w.register(t, def)
	submit := func(p *types.ConsumableResourceProperties) (*batch.SubmitJobOutput, error) {
		return w.SubmitJob(ctx, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"), ConsumableResourcePropertiesOverride: p})
	}
	out, err := submit(nil)
	diff(t, "from the definition", w.describe(t, *must(t, out, err).JobId).ConsumableResourceProperties, needs(prefix+"consumable-resource/r", 1))
	out, err = submit(needs("r", 3))
	diff(t, "from the override", w.describe(t, *must(t, out, err).JobId).ConsumableResourceProperties, needs(prefix+"consumable-resource/r", 3))
	for words, p := range map[string]*types.ConsumableResourceProperties{
		"none does not exist": needs("none", 1), "at least 1, got 0": needs("r", 0), "is not the ARN of a consumable": needs(prefix+"job-queue/r", 1),
		"names r twice": {ConsumableResourceList: append(needs("r", 1).ConsumableResourceList, needs("r", 1).ConsumableResourceList...)},
	} {
		_, err := submit(p)
		refused(t, err, words)
	}
}

func TestJobsByConsumableResource(t *testing.T) {
	w, ctx := newWorld(t, job.DroverLimits()), t.Context()
	w.consumable(t, "r", "REPLENISHABLE", 1)
	w.register(t, hostJob("d"))
	var ids []string
	for range 3 {
		ids = append(ids, w.submit(t, &batch.SubmitJobInput{JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d"), ConsumableResourcePropertiesOverride: needs("r", 1)}))
	}
	w.submit(t, &batch.SubmitJobInput{JobName: aws.String("other"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")})
	list := func(in batch.ListJobsByConsumableResourceInput) (arns []string) {
		in.ConsumableResource = aws.String("r")
		for {
			out, err := w.ListJobsByConsumableResource(ctx, &in)
			for _, j := range must(t, out, err).Jobs {
				arns = append(arns, strings.TrimPrefix(*j.JobArn, prefix+"job/"))
				if *j.Quantity != 1 || *j.JobName != "j" || *j.JobQueueArn != prefix+"job-queue/default" || *j.CreatedAt < 1e12 || len(j.ConsumableResourceProperties.ConsumableResourceList) != 1 {
					t.Errorf("listed: %+v", j)
				}
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				return arns
			}
		}
	}
	filter := func(name, value string) []types.KeyValuesPair {
		return []types.KeyValuesPair{{Name: &name, Values: []string{value}}}
	}
	diff(t, "all", list(batch.ListJobsByConsumableResourceInput{MaxResults: aws.Int32(2)}), ids)
	diff(t, "by status", list(batch.ListJobsByConsumableResourceInput{Filters: filter("JOB_STATUS", "runnable")}), ids)
	if got := list(batch.ListJobsByConsumableResourceInput{Filters: filter("JOB_NAME", "x*")}); len(got) != 0 {
		t.Errorf("by another name: %v", got)
	}
	_, err := w.ListJobsByConsumableResource(ctx, &batch.ListJobsByConsumableResourceInput{ConsumableResource: aws.String("none")})
	refused(t, err, "does not exist")
	_, err = w.ListJobsByConsumableResource(ctx, &batch.ListJobsByConsumableResourceInput{ConsumableResource: aws.String("r"), Filters: filter("JOB_QUEUE", "x")})
	refused(t, err, "must be one of JOB_STATUS, JOB_NAME")
}
