package wire_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"drover/internal/wire"
	"drover/internal/wire/wiretest"
)

// tableOf makes a table of all operations that an SDK client has.
func tableOf(t *testing.T, id wire.Identity, client any, options map[string][]wire.Option, except ...string) *wire.Table[struct{}] {
	t.Helper()
	table := wire.NewTable[struct{}](id)
	ct := reflect.TypeOf(client)
	n := 0
	for i := range ct.NumMethod() {
		m := ct.Method(i)
		mt := m.Type // receiver, context, *Input, options
		if mt.NumIn() != 4 || mt.NumOut() != 2 || mt.In(1) != reflect.TypeFor[context.Context]() ||
			!strings.HasSuffix(mt.In(2).String(), "Input") || slices.Contains(except, m.Name) {
			continue
		}
		wire.Register(table, m.Name, mt.In(2).Elem(), mt.Out(0).Elem(), options[m.Name]...)
		n++
	}
	t.Logf("%s: %d operations", id.Name, n)
	return table
}

func TestEveryBatchOperation(t *testing.T) {
	const tags = "/v1/tags/{ResourceArn}"
	table := tableOf(t, batchID, &batch.Client{}, map[string][]wire.Option{
		"ListTagsForResource": {wire.GET(tags)},
		"TagResource":         {wire.POST(tags)},
		"UntagResource":       {wire.DELETE(tags, "TagKeys")},
	})
	wiretest.Conformance(t, table, func(c aws.Config) any { return batch.NewFromConfig(c) })
}

func TestEveryLogsOperation(t *testing.T) {
	id := wire.Identity{Name: "logs", TargetPrefix: "Logs_20140328", Protocols: []wire.Protocol{wire.JSON11}, LowerFirst: true,
		Names: map[string]string{"DescribeDestinationsInput.DestinationNamePrefix": "DestinationNamePrefix"}}
	// Event streams: no answer that a table could carry.
	streams := []string{"StartLiveTail", "GetLogObject"}
	// Its one member of use is a union, which the SDK's client will not send empty.
	union := "PutIntegration"
	table := tableOf(t, id, &cloudwatchlogs.Client{}, nil, append(streams, union)...)
	wiretest.Conformance(t, table, func(c aws.Config) any { return cloudwatchlogs.NewFromConfig(c) })
}

func TestEveryStsOperation(t *testing.T) {
	id := wire.Identity{Name: "sts", Version: "2011-06-15", Namespace: "https://sts.amazonaws.com/doc/2011-06-15/", Protocols: []wire.Protocol{wire.Query},
		Names: map[string]string{"PolicyDescriptorType.Arn": "arn"}}
	// These two the SDK sends without a signature: the mux refuses them, as it should.
	unsigned := []string{"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}
	table := tableOf(t, id, &sts.Client{}, nil)
	wiretest.Conformance(t, table, func(c aws.Config) any { return sts.NewFromConfig(c) }, unsigned...)
}
