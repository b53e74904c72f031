package forecast_test

import (
	"fmt"
	"testing"

	"drover/internal/core/forecast"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

const µs = 1_000_000

// cluster is queue q on one host h of so many vCPUs.
func cluster(vcpus int64, policy string) *sched.State {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 1 << 40})
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}, Tags: map[string]string{sched.TagPolicy: policy}})
	s.SetHost("h", resource.Vector{MilliVCPU: vcpus * 1000, MemoryMiB: 1 << 30}, []string{sched.Process})
	s.OpenHost("h", true)
	return s
}

func need(vcpus int64, timeout int32) sched.Demand {
	return sched.Demand{Shape: sched.Shape{Need: resource.Vector{MilliVCPU: vcpus * 1000, MemoryMiB: 1}, Executor: sched.Process}, Timeout: timeout}
}

func plain(k job.Key) job.Ref { return job.Ref{Key: k, Index: job.Whole} }

func runs(seconds ...int64) map[job.Key]forecast.Run {
	m := map[job.Key]forecast.Run{}
	for i, s := range seconds {
		m[job.Key(i+1)] = forecast.Run{Micros: s * µs, Basis: forecast.History}
	}
	return m
}

// look runs a forecast to its end.
func look(in forecast.Input) *forecast.Outlook {
	o := forecast.New(in)
	for range 1000 {
		o.Run(10)
	}
	return o
}

// The starts are those that the scheduler makes when runs last as long as expected: a wide
// job waits for its hold, a short one goes around it.
func TestStartsAreTheSchedulers(t *testing.T) {
	s := cluster(4, sched.Easy)
	s.Take(plain(9), "q", need(3, 100), []string{"h"}, "e", 0)
	for k, d := range []sched.Demand{need(4, 50), need(1, 500), need(1, 60)} {
		s.Add("q", d, job.Key(k+1), false, job.Whole, job.Whole+1)
	}
	o := look(forecast.Input{State: s, Now: 10 * µs, Ends: []forecast.End{{Ref: plain(9), At: 80 * µs}}, Runs: runs(50, 30, 60)})
	// 9 ends after 80 s, sooner than its timeout. 3 is sure to end before 100 s: it goes first.
	for k, want := range map[job.Key]string{1: "80 130", 2: "130 160", 3: "10 70", 9: "0 80"} {
		e, ok := o.Unit(plain(k), k != 9)
		if got := fmt.Sprint(e.Start/µs, e.End/µs); !ok || got != want {
			t.Errorf("job %d: %s, want %s", k, got, want)
		}
	}
	if !o.Done || o.Starts != 3 {
		t.Errorf("%+v", o)
	}
	if _, ok := o.Unit(plain(77), true); ok {
		t.Error("something is said of a unit that never starts")
	}
}

// Of an array its next start and its last end; once the forecast is cut off the rest of it
// follows at the pace so far, and a job behind it by its place.
func TestArrayAndCutOff(t *testing.T) {
	begin := func() forecast.Input {
		s := cluster(2, sched.FIFO)
		s.Add("q", need(1, 0), 1, false, 0, 1000)
		s.Add("q", need(1, 0), 2, false, job.Whole, job.Whole+1)
		return forecast.Input{State: s, Now: µs, Runs: runs(10, 10)}
	}
	whole := look(begin())
	e, ok := whole.Job(1, 1000, 0)
	if !ok || e.Start != µs || e.End != (1+500*10)*µs || e.Guessed {
		t.Errorf("%+v", e)
	}
	if e, ok := whole.Unit(plain(2), true); !ok || e.Start != (1+500*10)*µs {
		t.Errorf("%+v", e)
	}
	part := forecast.New(begin())
	part.Run(300)
	if part.Done || part.Starts > 301 {
		t.Fatalf("%d steps became %d starts", 300, part.Starts)
	}
	e, ok = part.Job(1, 1000, 0)
	if off := float64(e.End)/float64((1+500*10)*µs) - 1; !ok || !e.Guessed || off < -0.05 || off > 0.05 {
		t.Errorf("%+v is off by %.3f", e, off)
	}
	e, ok = part.Unit(plain(2), true)
	if !ok || !e.Further || e.Start != part.Horizon {
		t.Errorf("%+v", e)
	}
	e = part.Place(e, "q", 1001)
	if off := float64(e.Start)/float64((1+500*10)*µs) - 1; !e.Guessed || e.Further || off < -0.05 || off > 0.05 {
		t.Errorf("%+v is off by %.3f", e, off)
	}
}

// What nothing is known of counts as an hour, and whoever comes behind is told.
func TestAssumed(t *testing.T) {
	s := cluster(1, sched.FIFO)
	for k := range job.Key(3) {
		s.Add("q", need(1, 0), k+1, false, job.Whole, job.Whole+1)
	}
	o := look(forecast.Input{State: s, Now: µs, Runs: map[job.Key]forecast.Run{3: {Micros: µs, Basis: forecast.Timeout}}})
	e, _ := o.Unit(plain(3), true)
	if e.Assumed != 2 || e.Start != 7201*µs || e.Basis != forecast.Timeout {
		t.Errorf("%+v", e)
	}
	if e, _ := o.Unit(plain(1), true); e.Basis != forecast.Unknown || e.Basis.String() == "" {
		t.Errorf("%+v", e)
	}
}

// A unit that only time could help, and does not, is not waited for without end.
func TestTimeAlone(t *testing.T) {
	s := cluster(4, sched.FIFO)
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 4000})
	s.SetPolicy("q", &sched.FairShare{ShareDecaySeconds: 60, ComputeReservation: 50})
	a, b := need(1, 0), need(4, 0)
	a.Share, b.Share = "a", "b"
	s.Add("q", a, 1, false, job.Whole, job.Whole+1)
	s.Add("q", b, 2, false, job.Whole, job.Whole+1)
	o := look(forecast.Input{State: s, Now: µs, Runs: runs(5, 5)})
	if e, ok := o.Unit(plain(1), true); !ok || e.Start != µs {
		t.Errorf("%+v", e)
	}
	if _, ok := o.Unit(plain(2), true); ok || o.Starts != 1 || !o.Done {
		t.Error("4 vCPUs never fit under the reservation")
	}
}

func TestSample(t *testing.T) {
	var s forecast.Sample
	if s.Expect(0, 60) != 0 {
		t.Error("nothing is known yet")
	}
	for i := range int64(100) {
		s.Note((i+1)*µs, 200)
	}
	for _, c := range []struct {
		elapsed int64
		limit   int32
		want    int64
	}{{0, 0, 84}, {68, 0, 84}, {90, 0, 95}, {99, 0, 100}, {100, 0, 200}, {0, 200, 84}, {0, 400, 169}, {0, 20, 8}, {150, 200, 200}} {
		if got := s.Expect(c.elapsed*µs, c.limit) / µs; got != c.want {
			t.Errorf("after %d of %d s: %d s, want %d", c.elapsed, c.limit, got, c.want)
		}
	}
}
