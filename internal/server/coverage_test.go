package server_test

import (
	"flag"
	"os"
	"testing"

	"drover/internal/server"
)

var update = flag.Bool("update", false, "rewrite generated pages")

func TestCoveragePageIsCurrent(t *testing.T) {
	const page = "../../docs/reference/coverage.md"
	want := server.Coverage()
	if *update {
		if err := os.MkdirAll("../../docs/reference", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the tables say (%v); run: go test ./internal/server -run Coverage -update", page, err)
	}
}
