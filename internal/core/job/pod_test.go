package job_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

func member(name string, after ...string) job.Member {
	m := job.Member{Name: name, Image: "i", Need: resource.Vector{MilliVCPU: 100, MemoryMiB: 64}}
	for _, a := range after {
		n, when, _ := strings.Cut(a, " ")
		m.After = append(m.After, job.MemberAfter{Name: n, When: job.Condition(when)})
	}
	return m
}

func optional(m job.Member) job.Member {
	m.Optional = true
	return m
}

func TestPodCheck(t *testing.T) {
	host := member("b")
	host.Image = job.HostImage
	for _, c := range []struct {
		name    string
		members []job.Member
		says    string
	}{
		{"one", []job.Member{member("a")}, ""},
		{"chain", []job.Member{optional(member("a")), member("b", "a SUCCESS"), member("c", "b START")}, ""},
		{"none", nil, "1 to 10 containers"},
		{"eleven", slices.Repeat([]job.Member{member("a")}, 11), "1 to 10 containers"},
		{"names", []job.Member{member("a"), member("a")}, "used twice"},
		{"essential", []job.Member{optional(member("a"))}, "at least one container of a job must be essential"},
		{"unknown", []job.Member{member("a", "x START")}, "does not have"},
		{"itself", []job.Member{member("a", "a START")}, "itself"},
		{"essential end", []job.Member{member("a"), member("b", "a COMPLETE")}, "cannot be set on an essential container"},
		{"cycle", []job.Member{member("a", "b START"), member("b", "a START")}, "leads back"},
		{"mixed", []job.Member{member("a"), host}, "all processes of the host"},
	} {
		p := &job.Pod{Members: c.members}
		err := p.Check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}

// play runs a pod on paper: script says what each member exits with when it runs to its end
// by itself, and -1 that it runs until it is stopped. It gives the order of starts and ends.
type play struct {
	t     *testing.T
	pod   *job.Pod
	at    []job.MemberState
	trace []string
	now   int64
}

func newPlay(t *testing.T, members ...job.Member) *play {
	p := &play{t: t, pod: &job.Pod{Members: members}, at: make([]job.MemberState, len(members)), now: 1}
	if err := p.pod.Check(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *play) say(what string, i int) { p.trace = append(p.trace, what+" "+p.pod.Members[i].Name) }

// step does what Next says until it says nothing new.
func (p *play) step(stop bool) job.PodStep {
	for {
		s := p.pod.Next(p.at, stop, p.now)
		for k, i := range s.Fail {
			p.at[i].Phase, p.at[i].Exit, p.at[i].Ended = job.MemberEnded, &s.Why[k], p.now
			p.say("fail", i)
		}
		for _, i := range s.Start {
			p.at[i].Phase = job.MemberBegins
			p.say("start", i)
		}
		for _, i := range s.Stop {
			p.at[i].Stopped = true
			p.say("stop", i)
		}
		if len(s.Fail)+len(s.Start)+len(s.Stop) == 0 {
			return s
		}
	}
}

func (p *play) runs(name string) {
	i := p.pod.Index(name)
	p.now++
	p.at[i].Phase, p.at[i].Started = job.MemberRuns, p.now
	p.step(false)
}

func (p *play) ends(name string, code int32, cause job.Cause) {
	i := p.pod.Index(name)
	p.now++
	p.at[i].Phase, p.at[i].Ended, p.at[i].Exit = job.MemberEnded, p.now, &job.Exit{Code: &code, Cause: cause}
	p.step(false)
}

func (p *play) want(trace ...string) {
	p.t.Helper()
	if !slices.Equal(p.trace, trace) {
		p.t.Fatalf("trace %q, want %q", p.trace, trace)
	}
}

func TestPodOrder(t *testing.T) {
	p := newPlay(t, optional(member("fetch")), member("work", "fetch SUCCESS", "proxy START"), optional(member("proxy")))
	p.step(false)
	p.want("start fetch", "start proxy")
	p.runs("fetch")
	p.runs("proxy")
	p.want("start fetch", "start proxy")
	p.ends("fetch", 0, "")
	p.runs("work")
	p.ends("work", 0, "")
	p.want("start fetch", "start proxy", "start work", "stop proxy")
	if p.step(false).Over {
		t.Fatal("over while the proxy runs")
	}
	p.ends("proxy", 143, job.CauseTerminated)
	if !p.step(false).Over {
		t.Fatal("not over")
	}
	x := p.pod.Result(p.at, "")
	if !x.OK() || len(x.Members) != 3 || *x.Members[2].Code != 143 {
		t.Fatalf("result %+v", x)
	}
}

func TestPodDependencyFails(t *testing.T) {
	p := newPlay(t, optional(member("fetch")), member("work", "fetch SUCCESS"))
	p.step(false)
	p.runs("fetch")
	p.ends("fetch", 3, job.CauseExit)
	p.want("start fetch", "fail work")
	if !p.step(false).Over {
		t.Fatal("not over")
	}
	x := p.pod.Result(p.at, "")
	if x.Code != nil || x.Cause != job.CauseStart || !strings.Contains(x.Reason, "container fetch did not exit successfully") {
		t.Fatalf("result %+v", x)
	}
	p = newPlay(t, optional(member("fetch")), member("work", "fetch COMPLETE"))
	p.step(false)
	p.runs("fetch")
	p.ends("fetch", 3, job.CauseExit)
	p.want("start fetch", "start work")
}

func TestPodStartTimeout(t *testing.T) {
	slow := optional(member("fetch"))
	slow.StartSeconds = 2
	p := newPlay(t, slow, member("work", "fetch COMPLETE"))
	p.step(false)
	p.runs("fetch")
	s := p.step(false)
	if want := p.at[0].Started + 2_000_000; s.Wake != want {
		t.Fatalf("wake at %d, want %d", s.Wake, want)
	}
	p.now = s.Wake
	p.step(false)
	p.want("start fetch", "fail work", "stop fetch")
}

// A member is stopped before those that it depends on.
func TestPodStopsInReverse(t *testing.T) {
	p := newPlay(t, optional(member("db")), optional(member("api", "db START")), member("work", "api START"))
	for _, n := range []string{"db", "api", "work"} {
		p.step(false)
		p.runs(n)
	}
	p.trace = nil
	p.ends("work", 1, job.CauseExit)
	p.want("stop api")
	p.ends("api", 143, job.CauseTerminated)
	p.want("stop api", "stop db")
	p.ends("db", 143, job.CauseTerminated)
	if x := p.pod.Result(p.at, ""); *x.Code != 1 || x.Cause != job.CauseExit {
		t.Fatalf("result %+v", x)
	}
}

func TestPodResult(t *testing.T) {
	code := func(n int32, cause job.Cause) *job.Exit { return &job.Exit{Code: &n, Cause: cause} }
	two := &job.Pod{Members: []job.Member{member("a"), member("b")}}
	for _, c := range []struct {
		name  string
		at    []job.MemberState
		stop  job.Cause
		code  int32 // -1 = none
		cause job.Cause
	}{
		{"the failure decides though it came later", []job.MemberState{{Phase: job.MemberEnded, Started: 1, Ended: 2, Exit: code(0, "")}, {Phase: job.MemberEnded, Started: 1, Ended: 3, Exit: code(7, job.CauseExit)}}, "", 7, job.CauseExit},
		{"who was stopped does not count", []job.MemberState{{Phase: job.MemberEnded, Started: 1, Ended: 2, Exit: code(0, "")}, {Phase: job.MemberEnded, Started: 1, Ended: 3, Stopped: true, Exit: code(143, job.CauseTerminated)}}, "", 0, ""},
		{"a user's wish", []job.MemberState{{Phase: job.MemberEnded, Started: 1, Ended: 3, Stopped: true, Exit: code(0, job.CauseTerminated)}, {}}, job.CauseTerminated, 0, job.CauseTerminated},
		{"a timeout", []job.MemberState{{Phase: job.MemberEnded, Started: 1, Ended: 2, Exit: code(143, job.CauseTimeout)}, {Phase: job.MemberEnded, Started: 1, Ended: 3, Exit: code(143, job.CauseTimeout)}}, "", 143, job.CauseTimeout},
		{"a lost host", []job.MemberState{{Phase: job.MemberEnded, Started: 1, Ended: 2, Exit: code(0, "")}, {Phase: job.MemberEnded, Started: 1, Ended: 3, Exit: &job.Exit{Cause: job.CauseHost}}}, "", -1, job.CauseHost},
	} {
		x := two.Result(c.at, c.stop)
		got := int32(-1)
		if x.Code != nil {
			got = *x.Code
		}
		if got != c.code || x.Cause != c.cause {
			t.Errorf("%s: code %d cause %q, want %d %q", c.name, got, x.Cause, c.code, c.cause)
		}
	}
}

// Whatever happens, a pod comes to its end: nothing starts after an essential member has
// ended, no member starts before its conditions hold, and at the end each has its exit or
// never began.
func TestPodsEnd(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := newPlay(t, randomPod(r)...)
		for moves := 0; ; moves++ {
			if moves > 1000 {
				t.Fatalf("seed %d: it never ends: %v", seed, p.trace)
			}
			stop := r.IntN(40) == 0
			s := p.step(stop)
			p.invariants(seed)
			if s.Over {
				break
			}
			var live []int
			for i := range p.at {
				if p.at[i].Phase == job.MemberBegins || p.at[i].Phase == job.MemberRuns {
					live = append(live, i)
				}
			}
			if len(live) == 0 {
				t.Fatalf("seed %d: nothing runs, nothing starts and it is not over: %v", seed, p.trace)
			}
			i := live[r.IntN(len(live))]
			p.now += 1 + r.Int64N(3_000_000)
			switch a := &p.at[i]; {
			case a.Phase == job.MemberBegins && r.IntN(6) > 0:
				a.Phase, a.Started = job.MemberRuns, p.now
			default:
				code := int32(r.IntN(2))
				a.Phase, a.Ended, a.Exit = job.MemberEnded, p.now, &job.Exit{Code: &code}
				if a.Started == 0 {
					a.Exit = &job.Exit{Cause: job.CauseStart}
				}
			}
		}
		x := p.pod.Result(p.at, "")
		if len(x.Members) != len(p.at) {
			t.Fatalf("seed %d: %d exits of %d members", seed, len(x.Members), len(p.at))
		}
	}
}

func (p *play) invariants(seed uint64) {
	for i := range p.at {
		a, m := &p.at[i], &p.pod.Members[i]
		if a.Phase != job.MemberBegins && a.Phase != job.MemberRuns {
			continue
		}
		for _, d := range m.After {
			if o := &p.at[p.pod.Index(d.Name)]; o.Started == 0 || d.When != job.WhenStart && o.Phase != job.MemberEnded {
				p.t.Fatalf("seed %d: %s runs before %s is %s: %v", seed, m.Name, d.Name, d.When, p.trace)
			}
		}
	}
}

func randomPod(r *rand.Rand) []job.Member {
	n := 1 + r.IntN(5)
	var members []job.Member
	for i := range n {
		m := member(string(rune('a' + i)))
		m.Optional = i > 0 && r.IntN(2) == 0
		if r.IntN(3) == 0 {
			m.StartSeconds = int32(r.IntN(4))
		}
		for k := range i {
			if r.IntN(3) > 0 {
				continue
			}
			when := job.WhenStart
			if members[k].Optional {
				when = []job.Condition{job.WhenStart, job.WhenComplete, job.WhenSuccess}[r.IntN(3)]
			}
			m.After = append(m.After, job.MemberAfter{Name: members[k].Name, When: when})
		}
		members = append(members, m)
	}
	return members
}

func TestPodResolve(t *testing.T) {
	p := &job.Pod{Members: []job.Member{member("a"), member("b")}}
	p.Members[0].Command = []string{"say", "Ref::word"}
	p.Members[0].Environment = []job.Variable{{Name: "X", Value: "1"}}
	got, err := p.Resolve([]job.MemberOverride{{Name: "a", Environment: []job.Variable{{Name: "X", Value: "2"}}, Need: resource.Vector{MemoryMiB: 128}}}, map[string]string{"word": "hello"})
	if err != nil {
		t.Fatal(err)
	}
	a := got.Members[0]
	if a.Command[1] != "hello" || a.Environment[0].Value != "2" || got.Need().MemoryMiB != 192 || p.Need().MemoryMiB != 128 || p.Members[0].Command[1] != "Ref::word" {
		t.Fatalf("resolved %+v of %+v", got, p)
	}
	if _, err := p.Resolve([]job.MemberOverride{{Name: "c"}}, nil); err == nil {
		t.Error("an unknown container was overridden")
	}
	if g := p.Grow(256); g.Need().MemoryMiB != 256 || p.Grow(100) != p {
		t.Errorf("grown to %v", g.Need())
	}
}

func TestMemberLog(t *testing.T) {
	if got := job.MemberLog("def/default/0123", "web"); got != "def/web/0123" {
		t.Error(got)
	}
}
