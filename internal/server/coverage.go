package server

import (
	"fmt"
	"strings"

	"drover/internal/service/batch"
	"drover/internal/service/iam"
	"drover/internal/service/logs"
	"drover/internal/service/native"
	"drover/internal/service/s3"
	"drover/internal/service/sts"
	"drover/internal/wire"
)

// Coverage is the page docs/reference/coverage.md: every operation of every service, and
// whether it is built, refused on purpose, or not built yet. It is made from the tables
// that serve the requests, so it cannot promise what is not there. proofs names the tests
// of operations, by service and operation; a service without any has no column for them.
func Coverage(proofs map[string]map[string][]string) string {
	services := []wire.Service{
		(&batch.Service{}).Wire(), (&logs.Service{}).Wire(), (&iam.Service{}).Wire(), sts.New(sts.Options{}), wire.Bind(native.Ops, &native.Service{}),
	}
	rows := append(wire.Coverage(services), s3.Operations()...)
	var b strings.Builder
	b.WriteString("# Operations\n\nGenerated from the service tables by `go test ./internal/server -run Coverage -update`; do not edit.\n\n" +
		"An operation that is not built answers an error that names it. The tests of an operation drive its wire form with\nall members set, from the Go SDK and from boto3, and then what it does; not all of them are named.\n")
	for i, r := range rows {
		if i == 0 || rows[i-1].Service != r.Service {
			all, in := 0, map[wire.State]int{}
			for _, o := range rows {
				if o.Service == r.Service {
					all++
					in[o.State]++
				}
			}
			built, refused := in[wire.Built], in[wire.RefusedOp]
			fmt.Fprintf(&b, "\n## %s: %d of %d answered (%d built, %d refused)\n\n", r.Service, built+refused, all, built, refused)
			if proofs[r.Service] == nil {
				b.WriteString("| operation | state |\n|---|---|\n")
			} else {
				b.WriteString("| operation | state | tests |\n|---|---|---|\n")
			}
		}
		state := r.State.String()
		if r.Reason != "" {
			state += ": " + r.Reason
		}
		fmt.Fprintf(&b, "| %s | %s |", r.Operation, state)
		if of := proofs[r.Service]; of != nil {
			fmt.Fprintf(&b, " %s |", strings.Join(of[r.Operation], ", "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
