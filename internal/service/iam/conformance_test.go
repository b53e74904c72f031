package iam

import (
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"drover/internal/wire"
	"drover/internal/wire/wiretest"
)

func TestConformance(t *testing.T) {
	wiretest.Conformance(t, ops, func(c aws.Config) any { return iam.NewFromConfig(c) })
}

// TestEveryOperationOfTheModelIsListed reads the SDK's client.
func TestEveryOperationOfTheModelIsListed(t *testing.T) {
	rows := wire.Coverage([]wire.Service{(&Service{}).Wire()})
	listed := map[string]bool{}
	for _, r := range rows {
		listed[r.Operation] = true
	}
	of := map[string]bool{}
	for _, name := range operationsOf(&iam.Client{}) {
		of[name] = true
		if !listed[name] {
			t.Errorf("%s is not listed", name)
		}
	}
	for name := range listed {
		if !of[name] {
			t.Errorf("%s is no operation of the model", name)
		}
	}
}

// TestEveryOperationSaysWhatItIsAbout: an operation on one thing that is asked for on "*"
// would let a policy for one thing open all.
func TestEveryOperationSaysWhatItIsAbout(t *testing.T) {
	source, err := os.ReadFile("permissions.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range (&Service{}).Wire().Built() {
		switch op.Name {
		case "ListUsers", "ListRoles", "ListPolicies", "ListInstanceProfiles":
			continue
		}
		if !strings.Contains(string(source), `"`+string(op.Name)+`"`) {
			t.Errorf("%s does not say what it is about", op.Name)
		}
	}
}
