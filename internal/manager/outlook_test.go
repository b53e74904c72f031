package manager_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"drover/internal/core/forecast"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/manager"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

// A forecast of the manager says when the jobs of a busy host will start and end, and goes
// by how long attempts of the same definition ran, also after a restart.
func TestForesee(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		m := open(t, db)
		setUp(t, m)
		ctx := t.Context()
		session, _, err := m.Hello(ctx, manager.Hello{Host: "h", Boot: "b", Capacity: resource.Vector{MilliVCPU: 1000, MemoryMiB: 100}, Executors: []string{"process"}})
		if err != nil {
			t.Fatal(err)
		}
		first, timed := spec(0), spec(3)
		timed.TimeoutSeconds, timed.Definition = 100, "other:1"
		ids := []job.ID{submit(t, m, first), submit(t, m, spec(0)), submit(t, m, timed)}
		foresee := func(m *manager.Manager) []*manager.Forecast {
			t.Helper()
			views, err := m.Describe(ctx, []string{ids[0].String(), ids[1].String(), ids[2].String(), job.Name(ids[2], 1)})
			if err != nil || len(views) != 4 {
				t.Fatal(err, views)
			}
			if err := m.Foresee(ctx, views); err != nil {
				t.Fatal(err)
			}
			var out []*manager.Forecast
			for i := range views {
				out = append(out, views[i].Forecast)
			}
			return out
		}
		f := foresee(m)
		for i, want := range []string{"ends 1h", "starts 1h", "starts 2h ends 2h5m", "starts 2h1m40s"} {
			if got := f[i]; got == nil {
				t.Fatalf("%d: nothing is foreseen", i)
			}
			in := func(at int64) time.Duration { return time.Duration(at-f[i].At) * time.Microsecond }
			var start, end time.Duration
			n, _ := fmt.Sscanf(want, "starts %s ends %s", scanned(&start), scanned(&end))
			if n == 0 {
				fmt.Sscanf(want, "ends %s", scanned(&end))
			}
			if start > 0 && (in(f[i].Start)-start).Abs() > 20*time.Second || end > 0 && (in(f[i].End)-end).Abs() > 20*time.Second {
				t.Errorf("%d: starts in %v, ends in %v; want %s", i, in(f[i].Start), in(f[i].End), want)
			}
		}
		if f[2].Assumed != 1 || f[2].Basis != forecast.Timeout.String() {
			t.Errorf("%+v", f[2])
		}
		letters, err := m.Poll(ctx, "h", session, 0, time.Second)
		if err != nil || len(letters) != 1 {
			t.Fatal(letters, err)
		}
		zero := int32(0)
		if _, err := m.ReportAttempts(ctx, "h", session, []job.Report{{Lease: letters[0].Start.Lease, Started: true, Exit: &job.Exit{Code: &zero}}}); err != nil {
			t.Fatal(err)
		}
		// The forecast before may be shown for a while.
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			f := foresee(m)
			if f[0] == nil && f[1].Assumed == 0 && f[2].Start-f[2].At <= 30*1_000_000 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("after one of its definition ended: %+v, %+v, %+v", f[0], f[1], f[2])
			}
		}
		if letters, err = m.Poll(ctx, "h", session, letters[0].Seq, time.Second); err != nil || len(letters) != 1 {
			t.Fatal(letters, err)
		}
		again := open(t, db)
		held := []job.Lease{letters[0].Start.Lease}
		if _, _, err := again.Hello(ctx, manager.Hello{Host: "h", Boot: "b", Held: held, Capacity: resource.Vector{MilliVCPU: 1000, MemoryMiB: 100}, Executors: []string{"process"}}); err != nil {
			t.Fatal(err)
		}
		if f := foresee(again); f[2] == nil || f[2].Start-f[2].At > 30*1_000_000 {
			t.Errorf("after a restart: %+v", f[2])
		}
	})
}

type durationScanner struct{ to *time.Duration }

func scanned(d *time.Duration) *durationScanner { return &durationScanner{d} }

// Scan implements fmt.Scanner.
func (s *durationScanner) Scan(state fmt.ScanState, _ rune) error {
	word, err := state.Token(true, nil)
	if err == nil {
		*s.to, err = time.ParseDuration(string(word))
	}
	return err
}

// With very many jobs waiting the copy and the look ahead stay short. The bound is many times
// what it takes on a quiet machine; the figure itself is logged. DROVER_WAITING=1000000 go
// test -run TestOutlookOfMany -v ./internal/manager shows it for a million.
func TestOutlookOfMany(t *testing.T) {
	thousands := 100
	if n, err := strconv.Atoi(os.Getenv("DROVER_WAITING")); err == nil {
		thousands = n / 1000
	}
	now := manager.Instant{Wall: 1_000_000_000_000_000}
	c := manager.New(manager.Options{LeaseTTL: 1 << 60}, manager.Image{
		Environments: []job.Environment{{Name: "local", Managed: true, Enabled: true, MaxMilliVCPU: 1 << 40, HostJobs: true}},
		Queues:       []job.Queue{{Name: "default", Priority: 1, Enabled: true, Environments: []string{"local"}}},
	}, now)
	for h := range 20 {
		c.Hello(manager.Hello{Host: fmt.Sprint("h", h), Boot: "b", Capacity: resource.Vector{MilliVCPU: 16000, MemoryMiB: 1 << 20}, Executors: []string{"process"}}, "s", now)
	}
	specs := make([]*job.Spec, 1000)
	for i := range thousands {
		for j := range specs {
			s := spec(0)
			s.ID[0], s.ID[1], s.ID[2], s.ID[3], s.ID[4] = byte(i), byte(i>>8), byte(j), byte(j>>8), 1
			s.Need.MilliVCPU = int64(1+j%8) * 1000
			s.Need.MemoryMiB = int64(1 + j%25)
			s.Definition, s.TimeoutSeconds = fmt.Sprintf("d%d:1", j%50), int32(60+j%8*60)
			specs[j] = s
		}
		if _, err := c.Submit(specs, now); err != nil {
			t.Fatal(err)
		}
		b := c.Take()
		c.Committed(b.Seq)
	}
	c.Schedule(512, now)
	start := time.Now()
	in := c.Outlook(now)
	copied := time.Since(start)
	o := forecast.New(in)
	for begun := time.Now(); !o.Done && time.Since(begun) < 50*time.Millisecond; {
		o.Run(200)
	}
	all := time.Since(start)
	e, ok := o.Unit(job.Ref{Key: 1000, Index: job.Whole}, true)
	t.Logf("a copy for looking ahead takes %v, all %v; it saw %d starts, up to %v ahead; the 1000th job: %v", copied, all, o.Starts,
		time.Duration(o.Horizon-o.At)*time.Microsecond, time.Duration(e.Start-o.At)*time.Microsecond)
	if !ok || o.Done || o.Starts < 500 || all > 2*time.Second {
		t.Errorf("%+v %v, %d starts in %v", e, ok, o.Starts, all)
	}
}
