package batch

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"drover/internal/wire"

	"drover/internal/wire/wiretest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// Every member of every built operation arrives, in both directions.
func TestWireConformance(t *testing.T) {
	wiretest.Conformance(t, ops, func(c aws.Config) any { return batch.NewFromConfig(c) })
}

// The same with boto3, which finds members by their names' case and drops what is null. Its
// model may be older than ours, which has 45 operations; 38 are as old as 2025.
func TestWireConformanceOfBoto3(t *testing.T) {
	driven := wiretest.Botocore(t, ops, "batch")
	if len(driven) < 38 {
		t.Errorf("boto3 drove %d operations: %v", len(driven), driven)
	}
}

// What is refused is refused with ClientException and the reason, whatever is asked.
func TestWireConformanceOfRefusals(t *testing.T) {
	svc := wire.Record(ops, func(op wire.Name, _ any) (any, error) { return nil, errors.New("reached " + string(op)) })
	client := reflect.ValueOf(batch.NewFromConfig(wiretest.Config(wiretest.NewMux(svc))))
	refused := 0
	for _, row := range wire.Coverage([]wire.Service{svc}) {
		if row.State != wire.RefusedOp {
			continue
		}
		refused++
		call := client.MethodByName(row.Operation)
		in := reflect.New(call.Type().In(1).Elem())
		wiretest.Fill(in.Interface())
		err, _ := call.Call([]reflect.Value{reflect.ValueOf(t.Context()), in})[1].Interface().(error)
		if c := (*types.ClientException)(nil); !errors.As(err, &c) || !strings.Contains(c.ErrorMessage(), row.Reason) {
			t.Errorf("%s: %v", row.Operation, err)
		}
	}
	if refused != 7 {
		t.Errorf("%d operations are refused, want 7", refused)
	}
}
