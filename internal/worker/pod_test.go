package worker_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/link"
)

// script makes a member of a pod that runs a script as a process.
func script(name, text string, args ...string) job.Member {
	return job.Member{
		Name: name, Image: job.HostImage, Command: append([]string{"/bin/sh", "-c", text, "sh"}, args...),
		Need: resource.Vector{MilliVCPU: 250, MemoryMiB: 64},
	}
}

func sidecar(m job.Member) job.Member {
	m.Optional = true
	return m
}

func after(m job.Member, when job.Condition, name string) job.Member {
	m.After = append(m.After, job.MemberAfter{Name: name, When: when})
	return m
}

func (r *rig) pod(members ...job.Member) job.Assignment {
	a := r.assignment("")
	p := &job.Pod{Version: job.PodVersion, Members: members}
	if err := p.Check(); err != nil {
		r.t.Fatal(err)
	}
	a.Command, a.Pod, a.Need = nil, p, p.Need()
	return a
}

func codes(x job.Exit) (list []int32) {
	for _, m := range x.Members {
		code := int32(-1)
		if m.Code != nil {
			code = *m.Code
		}
		list = append(list, code)
	}
	return list
}

func (r *rig) of(a job.Assignment, member string) string {
	return r.m.lines(job.MemberLog(a.Log, member))
}

func TestPodRuns(t *testing.T) {
	r := newRig(t)
	r.run()
	web := after(script("work", `echo "work $FROM $AWS_BATCH_JOB_ID"; cat "$1"; exit 3`, filepath.Join(t.TempDir(), "x")), job.WhenSuccess, "fetch")
	web.Environment = []job.Variable{{Name: "FROM", Value: "me"}}
	web.Command[3], web.Command[4] = "sh", filepath.Join(r.dir, "shared")
	fetch := sidecar(script("fetch", `echo fetched > "$1"; echo done`, filepath.Join(r.dir, "shared")))
	proxy := sidecar(script("proxy", `trap 'echo bye; exit 0' TERM; echo up; exec 2>/dev/null; while :; do sleep 0.02; done`))
	a := r.pod(fetch, after(web, job.WhenStart, "proxy"), proxy)
	r.m.start(a)
	x := r.m.exit(t, a.Lease)
	if x.Code == nil || *x.Code != 3 || x.Cause != job.CauseExit || len(x.Members) != 3 {
		t.Fatalf("%+v", x)
	}
	if c := codes(x); c[0] != 0 || c[1] != 3 || c[2] != 0 {
		t.Errorf("codes %v", c)
	}
	if x.ErrorLine != "fetched" {
		t.Errorf("error line %q", x.ErrorLine)
	}
	for member, want := range map[string]string{"fetch": "done", "work": "work me " + a.UnitName() + "\nfetched", "proxy": "up\nbye"} {
		if got := r.of(a, member); got != want {
			t.Errorf("%s said %q, want %q", member, got, want)
		}
	}
	r.idle()
}

func TestPodStops(t *testing.T) {
	r := newRig(t)
	r.run()
	loop := `trap 'echo asked; exit 9' TERM; echo ready; while :; do sleep 0.02; done`
	a := r.pod(script("one", loop), after(script("two", loop), job.WhenStart, "one"))
	r.m.start(a)
	r.m.is(t, "ready", func() bool {
		return len(r.m.logs[job.MemberLog(a.Log, "one")]) == 1 && len(r.m.logs[job.MemberLog(a.Log, "two")]) == 1
	})
	r.m.send(link.Message{Stop: &link.Stop{Lease: a.Lease, Reason: "a user asked"}})
	x := r.m.exit(t, a.Lease)
	if c := codes(x); x.Cause != job.CauseTerminated || c[0] != 9 || c[1] != 9 {
		t.Errorf("%+v", x)
	}
}

func TestPodTimeout(t *testing.T) {
	r := newRig(t)
	r.run()
	a := r.pod(sidecar(script("first", `sleep 600`)), after(script("work", `sleep 600`), job.WhenStart, "first"))
	a.TimeoutSeconds = 1
	r.m.start(a)
	if x := r.m.exit(t, a.Lease); x.Cause != job.CauseTimeout {
		t.Errorf("%+v", x)
	}
}

func TestPodCannotStart(t *testing.T) {
	r := newRig(t)
	r.run()
	bad := script("bad", "")
	bad.Command = []string{"/no/such/program"}
	a := r.pod(script("work", `sleep 600`), bad)
	r.m.start(a)
	x := r.m.exit(t, a.Lease)
	if x.Cause != job.CauseStart || x.Code != nil || x.Members[1].Reason == "" || x.Members[1].Ran {
		t.Errorf("%+v", x)
	}
}

// A worker that goes leaves a pod with one member ended, one running and one to come; the
// next one takes it to its end.
func TestPodAcrossWorkerRestart(t *testing.T) {
	r := newRig(t)
	r.run()
	flag, next := filepath.Join(t.TempDir(), "go"), filepath.Join(t.TempDir(), "next")
	wait := `while [ ! -e "$1" ]; do sleep 0.02; done; `
	work := after(script("work", `echo working; `+wait+`echo worked`, next), job.WhenSuccess, "middle")
	a := r.pod(
		sidecar(script("first", `echo one`)),
		after(sidecar(script("middle", `echo begun; `+wait+`echo two`, flag)), job.WhenSuccess, "first"),
		work)
	r.m.start(a)
	r.m.is(t, "the second runs", func() bool { return len(r.m.logs[job.MemberLog(a.Log, "middle")]) == 1 })
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	r.m.is(t, "the third runs", func() bool { return len(r.m.logs[job.MemberLog(a.Log, "work")]) == 1 })
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(next, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	x := r.m.exit(t, a.Lease)
	if c := codes(x); !x.OK() || c[0] != 0 || c[1] != 0 || c[2] != 0 {
		t.Errorf("%+v", x)
	}
	for member, want := range map[string]string{"first": "one", "middle": "begun\ntwo", "work": "working\nworked"} {
		if got := r.of(a, member); got != want {
			t.Errorf("%s said %q, want %q", member, got, want)
		}
	}
	r.idle()
}

// Who was stopped because another had ended does not fail the job, also when the worker
// that stopped it is not the one that sees its end.
func TestPodStoppedByAnEarlierWorker(t *testing.T) {
	r := newRig(t)
	r.run()
	flag := filepath.Join(t.TempDir(), "go")
	ready := filepath.Join(t.TempDir(), "ready")
	a := r.pod(script("work", `while [ ! -e "$1" ]; do sleep 0.02; done; echo done`, ready),
		script("slow", `trap 'echo asked' TERM; echo up; : > "$2"; while [ ! -e "$1" ]; do sleep 0.02; done; exit 7`, flag, ready))
	a.Pod.Members[0].After = []job.MemberAfter{{Name: "slow", When: job.WhenStart}}
	r.m.start(a)
	r.m.is(t, "it was asked to end", func() bool {
		return strings.HasSuffix(strings.Join(r.m.logs[job.MemberLog(a.Log, "slow")], "\n"), "asked")
	})
	if err := r.halt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	if x := r.m.exit(t, a.Lease); !x.OK() || codes(x)[1] != 7 {
		t.Errorf("%+v", x)
	}
}

func TestPodLauncherKilled(t *testing.T) {
	r := newRig(t)
	r.run()
	a := r.pod(script("one", `echo up; sleep 600`), sidecar(after(script("two", `sleep 600`), job.WhenSuccess, "three")), sidecar(script("three", `echo up; sleep 600`)))
	r.m.start(a)
	r.m.is(t, "it runs", func() bool {
		return len(r.m.logs[job.MemberLog(a.Log, "one")]) == 1 && len(r.m.logs[job.MemberLog(a.Log, "three")]) == 1
	})
	if err := syscall.Kill(r.exec.LauncherPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	x := r.m.exit(t, a.Lease)
	if x.Cause != job.CauseHost || x.Code != nil || x.Members[1].Ran {
		t.Errorf("%+v", x)
	}
}
