package sched_test

import (
	"fmt"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// outcome is what became of a stream of units of some images.
type outcome struct {
	placed, warm int
	milliVCPU    int64
	busiest      int64 // vCPUs on the host that had the most at any time
}

// stream offers units of images in turn to hosts of 16 vCPUs; the oldest ends where more
// than live run. tell says whether the scheduler hears of the images.
func stream(placement string, hosts, images, units, live int, tell bool) (o outcome) {
	s := sched.New()
	s.SetEnvironment(job.Environment{Name: "e", Enabled: true, HostJobs: true, MaxMilliVCPU: 1 << 40, Tags: map[string]string{sched.TagPlace: placement}})
	s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
	for h := range hosts {
		id := fmt.Sprintf("h%03d", h)
		s.SetHost(id, vector(16_000, 32_768), []string{sched.Docker})
		s.OpenHost(id, true)
	}
	was, use := map[string]bool{}, map[string]int64{}
	type running struct {
		sched.Placement
		need int64
	}
	var run []running
	x := uint64(7)
	for n := range units {
		x = x*6364136223846793005 + 1442695040888963407
		image := int(x>>33) % images
		d := sched.Demand{Shape: sched.Shape{Executor: sched.Docker, Need: vector(1000+int64(x>>40)%4*1000, 1024+int64(x>>50)%3*2048)}}
		if tell {
			d.Image = uint8(1 + image)
		}
		ref := job.Ref{Key: job.Key(n + 1), Index: job.Whole}
		s.Add("q", d, ref.Key, false, job.Whole, job.Whole+1)
		p := s.Decide(int64(n+1)*1_000_000, 1).Places
		if len(p) == 0 {
			s.Remove("q", d, ref.Key, job.Whole, job.Whole+1)
			continue
		}
		o.placed++
		o.milliVCPU += d.Need.MilliVCPU
		if key := fmt.Sprint(p[0].Host, image); was[key] {
			o.warm++
		} else {
			was[key] = true
		}
		use[p[0].Host] += d.Need.MilliVCPU
		o.busiest = max(o.busiest, use[p[0].Host])
		if run = append(run, running{p[0], d.Need.MilliVCPU}); len(run) > live {
			s.Release(run[0].Ref, int64(n+1)*1_000_000)
			use[run[0].Host] -= run[0].need
			run = run[1:]
		}
	}
	return o
}

// Of hosts that would do as well, units go where their image is: of the placements on 100
// hosts far fewer have to pull. Packing fills the hosts as before, and spreading spreads.
func TestWarm(t *testing.T) {
	for _, placement := range []string{"pack", "spread"} {
		for _, hosts := range []int{20, 100} {
			for _, images := range []int{2, 10} {
				cold, warm := stream(placement, hosts, images, 10*hosts, hosts, false), stream(placement, hosts, images, 10*hosts, hosts, true)
				t.Logf("%s on %d hosts, %d images: %d of %d warm, %d without; at most %d vCPUs of a host in use, %d without", placement, hosts, images, warm.warm, warm.placed, cold.warm, warm.busiest, cold.busiest)
				if warm.placed != cold.placed {
					t.Errorf("%s on %d hosts, %d images: %d are placed, %d without images", placement, hosts, images, warm.placed, cold.placed)
				}
				pulls, without := warm.placed-warm.warm, cold.placed-cold.warm
				if placement == "spread" && pulls*4 > without*3 || pulls > without {
					t.Errorf("%s on %d hosts, %d images: %d pulls, %d without", placement, hosts, images, pulls, without)
				}
			}
		}
		hosts := 100
		cold, warm := stream(placement, hosts, 20, 10*hosts, 100*hosts, false), stream(placement, hosts, 20, 10*hosts, 100*hosts, true)
		all := float64(hosts * 16_000)
		t.Logf("%s until full: %.2f %% of the vCPUs, %.2f %% without", placement, 100*float64(warm.milliVCPU)/all, 100*float64(cold.milliVCPU)/all)
		if float64(cold.milliVCPU-warm.milliVCPU) > all/200 {
			t.Errorf("%s: %d vCPUs are placed, %d without images", placement, warm.milliVCPU/1000, cold.milliVCPU/1000)
		}
	}
}

// A State that took over what runs knows the hosts of an image; a host that is gone is not
// remembered, also not by its place.
func TestWarmTaken(t *testing.T) {
	for _, hosts := range []int{5, 50} {
		s := sched.New()
		s.SetEnvironment(job.Environment{Name: "e", Enabled: true, MaxMilliVCPU: 1 << 40})
		s.SetQueue(job.Queue{Name: "q", Enabled: true, Environments: []string{"e"}})
		host := func(id string) {
			s.SetHost(id, vector(16_000, 32_768), []string{sched.Docker})
			s.OpenHost(id, true)
		}
		for h := range hosts {
			host(fmt.Sprintf("h%03d", h))
		}
		d := sched.Demand{Shape: sched.Shape{Executor: sched.Docker, Need: vector(1000, 1)}, Image: sched.ImageOf("alpine:3")}
		s.Take(job.Ref{Key: 1, Index: job.Whole}, "q", d, []string{"h003"}, "e", 1)
		goes := func(k job.Key, now int64) string {
			s.Add("q", d, k, false, job.Whole, job.Whole+1)
			p := s.Decide(now, 1).Places
			if len(p) != 1 {
				t.Fatalf("%d hosts: %+v", hosts, p)
			}
			return p[0].Host
		}
		if at := goes(2, 1_000_000); at != "h003" {
			t.Errorf("%d hosts: the unit goes to %s, its image is on h003", hosts, at)
		}
		s.Release(job.Ref{Key: 1, Index: job.Whole}, 2_000_000)
		s.Release(job.Ref{Key: 2, Index: job.Whole}, 2_000_000)
		s.RemoveHost("h003")
		host("new") // has its place
		other := d
		other.Image = 0
		was := s.Clone(0)
		if at := goes(3, 3_000_000); at == "new" {
			was.Add("q", other, 3, false, job.Whole, job.Whole+1)
			if p := was.Decide(3_000_000, 1).Places; p[0].Host != at {
				t.Errorf("%d hosts: a new host is taken for one that has the image", hosts)
			}
		}
	}
}

// One environment packs and another spreads on the same hosts: the units of each go as its
// tag says, whatever the other's do.
func TestPlacementOfEach(t *testing.T) {
	for _, hosts := range []int{8, 80} {
		s := sched.New()
		for name, tags := range map[string]map[string]string{"packs": {sched.TagPlace: "pack"}, "spreads": nil} {
			s.SetEnvironment(job.Environment{Name: name, Enabled: true, HostJobs: true, MaxMilliVCPU: 1 << 40, Tags: tags})
			s.SetQueue(job.Queue{Name: name, Enabled: true, Environments: []string{name}})
		}
		for h := range hosts {
			id := fmt.Sprintf("h%03d", h)
			s.SetHost(id, vector(16_000, 32_768), []string{sched.Process})
			s.OpenHost(id, true)
		}
		on := map[string]map[string]int{"packs": {}, "spreads": {}}
		for k := range job.Key(2 * hosts) {
			q := []string{"packs", "spreads"}[k%2]
			s.Add(q, demand(1), k+1, false, job.Whole, job.Whole+1)
			for _, p := range s.Decide(int64(k+1)*1_000_000, 1).Places {
				on[q][p.Host]++
			}
		}
		// Spread units avoid the full hosts, packed ones fill the fullest: of 16 vCPUs each.
		if n, least := len(on["packs"]), (hosts+15)/16; n > 2*least {
			t.Errorf("%d hosts: %d packed units are on %d hosts, %d would do", hosts, hosts, n, least)
		}
		if n := len(on["spreads"]); n < hosts*8/10 {
			t.Errorf("%d hosts: %d spread units are on %d hosts", hosts, hosts, n)
		}
	}
}
