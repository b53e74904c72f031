package batch_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"drover/internal/core/job"
	service "drover/internal/service/batch"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

// operations lists what the SDK's client can call.
func operations() (names []string) {
	for m := range reflect.TypeFor[*batch.Client]().Methods() {
		if m.Type.NumIn() == 4 && m.Type.NumOut() == 2 && m.Type.In(1) == reflect.TypeFor[context.Context]() {
			names = append(names, m.Name)
		}
	}
	return names
}

func TestEveryOperationIsKnown(t *testing.T) {
	s := service.New(service.Options{Limits: job.DroverLimits()})
	var known, built []string
	for _, row := range wire.Coverage([]wire.Service{s.Wire()}) {
		known = append(known, row.Operation)
		if row.State == wire.Built {
			built = append(built, row.Operation)
		}
	}
	want := operations()
	slices.Sort(want)
	diff(t, "operations of the model", known, want)
	if len(want) != 45 || len(built) != 38 {
		t.Errorf("%d operations, %d built: %v", len(want), len(built), built)
	}
}

// drover's own client, with the exported identity, reaches the same table.
func TestOwnClient(t *testing.T) {
	w := newWorld(t, job.DroverLimits())
	w.register(t, hostJob("d"))
	out, err := wire.Call[batch.SubmitJobOutput](t.Context(), w.own, service.Identity, "SubmitJob", &batch.SubmitJobInput{
		JobName: aws.String("j"), JobQueue: aws.String("default"), JobDefinition: aws.String("d")})
	if *must(t, out, err).JobId == "" {
		t.Error("no job id")
	}
	tags, err := wire.Call[batch.ListTagsForResourceOutput](t.Context(), w.own, service.Identity, "GET /v1/tags/{ResourceArn}",
		&batch.ListTagsForResourceInput{ResourceArn: aws.String(prefix + "compute-environment/local")})
	diff(t, "tags", must(t, tags, err).Tags, map[string]string{"drover:host-jobs": "true"})
}
