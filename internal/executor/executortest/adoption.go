package executortest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor"
)

// only gives the single adopted handle.
func (b *bench) only(handles []executor.Handle) executor.Handle {
	b.t.Helper()
	if len(handles) != 1 {
		b.t.Fatalf("%d attempts were adopted, want 1", len(handles))
	}
	b.out.know(handles[0])
	return handles[0]
}

func testAdoptRunning(t *testing.T, b *bench) {
	flag := filepath.Join(t.TempDir(), "go")
	a := b.attempt(`echo before; while [ ! -e "$1" ]; do sleep 0.02; done; echo after; exit 5`, flag)
	a.Note = []byte("the worker's own \x00 words")
	old := b.start(a)
	eventually(t, "the first line", func() bool { return b.out.text(a.Lease) == "before\n" })
	boot, began := b.x.Boot(), old.Held().Started
	h := b.only(b.reconnect())
	if _, err := old.Wait(b.ctx()); err == nil {
		t.Error("the old client's handle still answers")
	}
	held := h.Held()
	if held.Lease != a.Lease || string(held.Note) != string(a.Note) || !held.Started.Equal(began) || b.x.Boot() != boot {
		t.Errorf("adopted %+v boot %s, want lease %v, note %q, start %v, boot %s", held, b.x.Boot(), a.Lease, a.Note, began, boot)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	checkExit(t, "adopted", b.wait(h).Exit, 5, job.CauseExit)
	if out := b.out.text(a.Lease); out != "before\nafter\n" && out != "after\n" {
		t.Errorf("the new client got %q", out)
	}
}

func testAdoptEnded(t *testing.T, b *bench) {
	a := b.attempt(`echo bye; exit 6`)
	h := b.start(a)
	first := b.wait(h)
	again := b.only(b.reconnect())
	second := b.wait(again)
	checkExit(t, "again", second.Exit, 6, job.CauseExit)
	if !second.At.Equal(first.At) {
		t.Errorf("its end moved from %v to %v", first.At, second.At)
	}
	if err := again.Forget(); err != nil {
		t.Fatal(err)
	}
	if left := b.reconnect(); len(left) != 0 {
		t.Errorf("%d attempts came back after they were forgotten", len(left))
	}
	a.Lease.Fence++ // a newer lease of the same unit is another attempt
	b.fence = a.Lease.Fence
	if end, _ := b.finish(a); end.Exit.Code == nil {
		t.Errorf("%+v", end.Exit)
	}
}

// testAdoptOutput: what was acknowledged does not come again, everything else does.
func testAdoptOutput(t *testing.T, b *bench) {
	b.mute = true
	b.reconnect()
	a := b.attempt(`echo one; echo two; echo three`)
	h := b.start(a)
	b.wait(h)
	h.Acknowledge(4, 17)
	eventually(t, "the acknowledgement arrived", func() bool {
		again := b.only(b.reconnect())
		b.wait(again)
		again.Acknowledge(4, 17) // the first may have been on its way when the connection ended
		held := again.Held()
		return held.Acked == 4 && held.Mark == 17
	})
	if out := b.out.text(a.Lease); out != "two\nthree\n" {
		t.Errorf("after an acknowledgement of 4 bytes came %q", out)
	}
}

// testAbsentWorker: a job is not held up while nobody fetches its output, and the output
// is whole afterwards.
func testAbsentWorker(t *testing.T, b *bench) {
	file := filepath.Join(t.TempDir(), "done")
	const lines = 300_000
	a := b.attempt(`while [ ! -e "$1.go" ]; do sleep 0.02; done; seq 1 300000; date > "$1"`, file)
	b.start(a)
	if err := b.x.Close(b.ctx(), false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job ends without a worker", func() bool { _, err := os.Stat(file); return err == nil })
	h := b.only(b.connect())
	end := b.wait(h)
	checkExit(t, "alone", end.Exit, 0, "")
	got := strings.Split(strings.TrimSuffix(b.out.text(a.Lease), "\n"), "\n")
	if len(got) != lines || got[0] != "1" || got[lines-1] != "300000" {
		t.Errorf("%d lines, first %q, last %q", len(got), got[0], got[len(got)-1])
	}
	if d := time.Since(end.At); d < 0 || d > patience {
		t.Errorf("its end is told as %v ago", d)
	}
}
