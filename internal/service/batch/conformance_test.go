package batch

import (
	"testing"

	"drover/internal/wire/wiretest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
)

// Every member of every built operation arrives, in both directions.
func TestWireConformance(t *testing.T) {
	wiretest.Conformance(t, ops, func(c aws.Config) any { return batch.NewFromConfig(c) })
}
