package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// TestEventsOnceThroughKills follows the events of a run under which the server is killed
// again and again: each transition of each unit is one event, the submission is none, and the
// follower, which finds the server again by itself, has seen each exactly once.
func TestEventsOnceThroughKills(t *testing.T) {
	t.Parallel()
	const plain, size, kills = 60, 60, 5
	s := serve(t)
	s.define("kill", "0.25", 1)
	f := follow(t, s)
	// The follower begins with what happens after it has connected: a job tells that it has.
	var begun []string
	s.await(30*time.Second, "the follower sees what happens", func() bool {
		begun = append(begun, submitStubbornly(t, s, fmt.Sprint("first-", len(begun)), 0, "true"))
		s.ended(begun[len(begun)-1], 30*time.Second)
		select {
		case <-f.ready:
			return true
		default:
			return false
		}
	})
	var ids []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		ids = append(ids, submitStubbornly(t, s, "array", size, "true"))
		for i := range plain {
			ids = append(ids, submitStubbornly(t, s, fmt.Sprint("plain-", i), 0, "true"))
		}
	}()
	for range kills {
		time.Sleep(150 * time.Millisecond)
		s.kill()
		s.start()
	}
	<-done
	want := map[string][]string{}
	life := []string{"RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"}
	for i, id := range ids {
		if d := s.ended(id, 120*time.Second); d.Status != types.JobStatusSucceeded {
			t.Fatalf("job %s is %s", id, d.Status)
		}
		want[id] = life
		if i == 0 {
			want[id] = []string{"PENDING", "SUCCEEDED"}
			for c := range size {
				want[fmt.Sprint(id, ":", c)] = life
			}
		}
	}
	last := submitStubbornly(t, s, "last", 0, "true")
	s.ended(last, 60*time.Second)
	s.await(60*time.Second, "the follower has seen the last job's end", func() bool {
		return slices.ContainsFunc(f.events(), func(e event) bool { return e.Detail.JobID == last && e.Detail.Status == "SUCCEEDED" })
	})
	f.end()

	cmd := exec.Command(binary, "events", "--json", "--data", s.data)
	cmd.Env = clean(os.Environ())
	all, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var kept []event
	for line := range strings.Lines(string(all)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		kept = append(kept, e)
	}
	skip := append(begun, last)
	check(t, "what is kept", kept, want, skip)
	check(t, "what the follower saw", f.events(), want, skip)
	for _, e := range kept {
		if e.Source != "aws.batch" || e.DetailType != "Batch Job State Change" || e.Version != "0" || e.Account != "000000000000" ||
			len(e.Resources) != 1 || !strings.HasSuffix(e.Resources[0], ":job/"+e.Detail.JobID) {
			t.Fatalf("an event is not as EventBridge has it: %+v", e)
		}
	}
}

// follower is a drover events -f that runs.
type follower struct {
	cmd         *exec.Cmd
	ready, read chan struct{} // closed at its first line, and when it has ended

	mu   sync.Mutex // guards seen
	seen []event
}

func follow(t *testing.T, s *server) *follower {
	t.Helper()
	f := &follower{cmd: exec.CommandContext(t.Context(), binary, "events", "-f", "--json", "--data", s.data), ready: make(chan struct{}), read: make(chan struct{})}
	f.cmd.Env, f.cmd.Stderr = clean(os.Environ()), os.Stderr
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.read)
		for lines, first := bufio.NewScanner(out), true; lines.Scan(); first = false {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("the follower prints %q: %v", lines.Text(), err)
				return
			}
			f.mu.Lock()
			f.seen = append(f.seen, e)
			f.mu.Unlock()
			if first {
				close(f.ready)
			}
		}
	}()
	return f
}

// events is what it has printed.
func (f *follower) events() []event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// end is Ctrl-C.
func (f *follower) end() {
	_ = f.cmd.Process.Signal(os.Interrupt)
	<-f.read
	_ = f.cmd.Wait() // it was interrupted
}

// event is what a rule would match.
type event struct {
	Version, ID, Source, Account string
	DetailType                   string `json:"detail-type"`
	Resources                    []string
	Detail                       struct{ JobID, Status string }
}

// check holds events against the statuses that each unit must have gone through, in order.
func check(t *testing.T, what string, events []event, want map[string][]string, skip []string) {
	t.Helper()
	got, ids := map[string][]string{}, map[string]bool{}
	for _, e := range events {
		if ids[e.ID] {
			t.Errorf("%s: event %s is there twice", what, e.ID)
		}
		ids[e.ID] = true
		if !slices.Contains(skip, e.Detail.JobID) {
			got[e.Detail.JobID] = append(got[e.Detail.JobID], e.Detail.Status)
		}
	}
	for _, unit := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(got[unit], want[unit]) {
			t.Errorf("%s of %s: %v, want %v", what, unit, got[unit], want[unit])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d units, want %d", what, len(got), len(want))
	}
}
