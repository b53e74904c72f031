package manager

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/tape"
	"drover/internal/store"
)

// fullDisk is a journal that refuses batches while full is set.
type fullDisk struct {
	Journal
	full atomic.Bool
}

func (f *fullDisk) Commit(b *Batch, done func(error)) {
	if f.full.Load() {
		done(fault.New(fault.Unavailable, "ServiceUnavailableException", "disk full"))
		return
	}
	f.Journal.Commit(b, done)
}

// TestRefusedBatch fills the disk under a running manager: the submission is refused and
// nothing of it stays in memory; when there is room again the manager goes on by itself.
func TestRefusedBatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	db, err := store.Open(ctx, filepath.Join(t.TempDir(), "drover.db"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(ctx, db, DefaultOptions(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	disk := &fullDisk{Journal: m.journal}
	m.journal = disk
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := m.CreateEnvironment(ctx, job.Environment{Name: "local", Managed: true, Enabled: true, MaxMilliVCPU: 1000, HostJobs: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.CreateQueue(ctx, job.Queue{Name: "default", Priority: 1, Enabled: true, Environments: []string{"local"}}); err != nil {
		t.Fatal(err)
	}
	submit := func() error {
		_, err := m.Submit(ctx, []*job.Spec{{Name: "j", Queue: "default", Definition: "d:1", Image: job.HostImage, Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 4}}})
		return err
	}
	disk.full.Store(true)
	if err := submit(); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a submission on a full disk: %v", err)
	}
	disk.full.Store(false)
	if err := submit(); err != nil {
		t.Fatalf("a submission when there is room again: %v", err)
	}
	rows, err := m.History(ctx, 0, 0, 0, 1<<30)
	begins := 0
	for _, r := range rows {
		if tape.Begins(r.Data) {
			begins++
		}
	}
	if err != nil || begins != 2 || rows[0].Term != rows[len(rows)-1].Term {
		t.Errorf("each of the term's two Cores has a tape of its own: %d, %v, %v", begins, rows, err)
	}
	page, err := m.List(ctx, ListQuery{Queue: "default", Limit: 10})
	if err != nil || len(page.Jobs) != 1 {
		t.Errorf("after one refused and one accepted submission there are %d jobs, %v", len(page.Jobs), err)
	}
}

// A command that its sender gave up before the loop took it never runs; one that was taken is
// waited for, so that its sender sees what it did.
func TestGivenUpCommands(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "drover.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m, err := Open(t.Context(), db, DefaultOptions(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	gone, giveUp := context.WithCancel(t.Context())
	ran := false
	waits := make(chan error, 1)
	go func() { waits <- m.ask(gone, func(*Core) { ran = true }) }() // nobody runs the loop yet
	for len(m.commands) == 0 {
		runtime.Gosched()
	}
	giveUp()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Fatalf("it was given up, and answered %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	late, giveUp := context.WithCancel(t.Context())
	begun, goOn := make(chan struct{}), make(chan struct{})
	saw := 0
	go func() { waits <- m.do(late, func(*Core, Instant) error { close(begun); <-goOn; saw++; return nil }) }()
	<-begun
	giveUp()
	close(goOn)
	if err := <-waits; err != nil || saw != 1 {
		t.Errorf("a command that was under way: %v, %d", err, saw)
	}
	stop()
	if err := <-done; err != nil || ran {
		t.Errorf("the loop ended with %v; the command that was given up ran: %t", err, ran)
	}
}
