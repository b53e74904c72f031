package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"drover/internal/core/fault"
	batchsvc "drover/internal/service/batch"
	"drover/internal/wire"
)

// count reads a number from the environment, for longer runs by hand.
func count(t *testing.T, name string, standard int) int {
	v := os.Getenv(name)
	if v == "" {
		return standard
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s=%s is not a number", name, v)
	}
	return n
}

// submitStubbornly submits until it is told a job id, through restarts of the server. The
// token makes the repetition safe.
func submitStubbornly(t *testing.T, s *server, token string, size int, command ...string) string {
	in := &batch.SubmitJobInput{JobName: aws.String("kill"), JobQueue: aws.String("default"), JobDefinition: aws.String("kill"),
		Tags: map[string]string{"drover:token": token}, ContainerOverrides: &types.ContainerOverrides{Command: command}}
	if size > 0 {
		in.ArrayProperties = &types.ArrayProperties{Size: aws.Int32(int32(size))}
	}
	for {
		out, err := wire.Call[batch.SubmitJobOutput](t.Context(), s.client, batchsvc.Identity, "SubmitJob", in)
		if err == nil {
			return *out.JobId
		}
		if f := (*fault.Error)(nil); errors.As(err, &f) && f.Kind == fault.Invalid {
			t.Errorf("SubmitJob: %v", err)
			return ""
		}
		if t.Context().Err() != nil {
			return ""
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestKillServer kills the server again and again under a run of 2,000 jobs. Each job
// writes one line to a ledger: afterwards every job has SUCCEEDED in its first attempt and
// stands in the ledger exactly once. DROVER_E2E_KILLS sets the number of kills.
func TestKillServer(t *testing.T) {
	kills := count(t, "DROVER_E2E_KILLS", 20)
	const plain, arrays, size = 400, 8, 200
	s := serve(t)
	s.define("kill", "0.25", 1)
	ledger := filepath.Join(t.TempDir(), "ledger")
	command := []string{"sh", "-c", `echo "$AWS_BATCH_JOB_ID $AWS_BATCH_JOB_ATTEMPT" >> "$0"`, ledger}

	var wg sync.WaitGroup
	var mu sync.Mutex
	want := map[string]bool{} // unit names
	var ids []string
	submitted := func(id string, size int) {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, id)
		if size == 0 {
			want[id] = true
		}
		for i := range size {
			want[fmt.Sprintf("%s:%d", id, i)] = true
		}
	}
	rounds := max(1, kills/20) // keep work coming for as long as the killing lasts
	for c := range 4 {
		wg.Go(func() {
			for r := range rounds {
				for i := c; i < plain; i += 4 {
					submitted(submitStubbornly(t, s, fmt.Sprintf("plain-%d-%d", r, i), 0, command...), 0)
				}
				for i := c; i < arrays; i += 4 {
					submitted(submitStubbornly(t, s, fmt.Sprintf("array-%d-%d", r, i), size, command...), size)
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, uint64(kills)))
	for range kills {
		time.Sleep(time.Duration(50+rng.IntN(350)) * time.Millisecond)
		s.kill()
		s.start()
	}
	wg.Wait()
	for _, id := range ids {
		if d := s.ended(id, 120*time.Second); d.Status != types.JobStatusSucceeded || len(d.Attempts) > 1 {
			t.Errorf("job %s is %s after %d attempts: %s", id, d.Status, len(d.Attempts), aws.ToString(d.StatusReason))
		}
	}
	checkLedger(t, ledger, want)
	t.Logf("%d kills, %d jobs in %d submissions: none lost, none twice", kills, len(want), len(ids))
}

// checkLedger holds what ran against what should have: each unit once, in attempt 1.
func checkLedger(t *testing.T, ledger string, want map[string]bool) {
	t.Helper()
	b, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for line := range strings.Lines(string(b)) {
		name, attempt, _ := strings.Cut(strings.TrimSpace(line), " ")
		ran[name]++
		if attempt != "1" || !want[name] {
			t.Errorf("the ledger has an unexpected line %q", line)
		}
	}
	lost, twice := 0, 0
	for name := range want {
		switch n := ran[name]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost+twice > 0 {
		t.Errorf("of %d jobs %d never ran and %d ran more than once", len(want), lost, twice)
	}
}
