package wiretest

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"

	"drover/internal/wire"
)

//go:embed botocore.py
var botocore string

// Botocore is Conformance with boto3 as the client: it drives every operation that boto3's
// model of the service has, with all members set, and compares both directions. Refused
// operations must be refused. It gives the names of the operations driven, and is skipped
// where python3 has no boto3.
func Botocore[S any](t *testing.T, table *wire.Table[S], service string) (driven []string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("SKIP: python3 with boto3 is not installed")
	}
	var mu sync.Mutex // guards seen
	var seen struct {
		Op  string `json:"op"`
		In  any    `json:"in"`
		Out any    `json:"out"`
	}
	outputs := map[string]reflect.Type{}
	svc := wire.Record(table, func(op wire.Name, in any) (any, error) {
		out := reflect.New(outputs[string(op)]).Interface()
		Fill(out)
		mu.Lock()
		defer mu.Unlock()
		seen.Op, seen.In, seen.Out = string(op), in, out
		return out, nil
	})
	for _, op := range svc.Built() {
		outputs[string(op.Name)] = op.Out
	}
	var refused []string
	for _, row := range wire.Coverage([]wire.Service{svc}) {
		if row.State == wire.RefusedOp {
			refused = append(refused, row.Operation)
		}
	}
	web := http.NewServeMux()
	web.Handle("/", NewMux(svc))
	web.HandleFunc("/seen", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if err := json.NewEncoder(w).Encode(seen); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(web)
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), python, "-c", botocore, service, server.URL, strings.Join(refused, ","))
	cmd.Env = append(os.Environ(), "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent")
	out, err := cmd.CombinedOutput()
	_, result, ok := strings.Cut(string(out), "RESULT ")
	if err != nil || !ok {
		t.Fatalf("%v\n%s", err, out)
	}
	var r struct {
		Driven, Wrong, Alone []string
		Compared             int
	}
	if err := json.Unmarshal([]byte(result), &r); err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Wrong {
		t.Error(w)
	}
	if r.Compared < 2*len(r.Driven) {
		t.Errorf("only %d values were compared", r.Compared)
	}
	t.Logf("boto3 drove %d operations, %d values compared", len(r.Driven), r.Compared)
	if len(r.Alone) > 0 {
		t.Logf("members that only one of boto3 and the Go SDK knows: %s", strings.Join(r.Alone, ", "))
	}
	return r.Driven
}
