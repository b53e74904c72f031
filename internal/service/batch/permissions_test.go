package batch_test

import (
	"os"
	"strings"
	"testing"

	batchsvc "drover/internal/service/batch"
)

// TestEveryOperationSaysWhatItIsAbout: one on a single thing that is asked for on "*" would
// let a policy for one thing open all.
func TestEveryOperationSaysWhatItIsAbout(t *testing.T) {
	source, err := os.ReadFile("permissions.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range (&batchsvc.Service{}).Wire().Built() {
		name := string(op.Name)
		plural := strings.HasPrefix(name, "Describe") && strings.HasSuffix(name, "s") || strings.HasPrefix(name, "List")
		if !strings.Contains(string(source), `"`+name+`"`) && !plural {
			t.Errorf("%s does not say what it is about", name)
		}
	}
}
