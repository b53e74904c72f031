package job_test

import (
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/job"
)

func TestRetryRules(t *testing.T) {
	const why = "Essential container in task exited"
	lost := job.HostLost("i-1")
	for _, c := range []struct {
		name   string
		rules  []job.Rule
		why    string
		reason string
		code   *int32
		want   bool
	}{
		{"no rules", nil, why, "", code(1), true},
		{"code matches exit", []job.Rule{{ExitCode: "1", Exit: true}}, why, "", code(1), false},
		{"code is not a prefix", []job.Rule{{ExitCode: "1", Exit: true}}, why, "", code(10), true},
		{"code with a star", []job.Rule{{ExitCode: "1*", Exit: true}}, why, "", code(10), false},
		{"no code, and a rule about codes", []job.Rule{{ExitCode: "*", Exit: true}}, lost, "", nil, true},
		{"code 0 with a failed result", []job.Rule{{ExitCode: "0", Exit: true}}, why, "", code(0), false},
		{"the first match decides: retry", []job.Rule{{ExitCode: "1"}, {ExitCode: "*", Exit: true}}, why, "", code(1), true},
		{"the first match decides: exit", []job.Rule{{ExitCode: "*", Exit: true}, {ExitCode: "1"}}, why, "", code(1), false},
		{"a later rule", []job.Rule{{ExitCode: "2"}, {ExitCode: "1", Exit: true}}, why, "", code(1), false},
		{"lost hosts only: host", []job.Rule{{StatusReason: "Host EC2*"}, {Reason: "*", Exit: true}}, lost, "", nil, true},
		{"lost hosts only: other", []job.Rule{{StatusReason: "Host EC2*"}, {Reason: "*", Exit: true}}, why, "", code(1), false},
		{"reason", []job.Rule{{Reason: "OutOfMemory*", Exit: true}}, why, job.ReasonMemory, code(137), false},
		{"all conditions must match: one does not", []job.Rule{{Reason: "OutOfMemory*", ExitCode: "1", Exit: true}}, why, job.ReasonMemory, code(137), true},
		{"all conditions must match: they do", []job.Rule{{StatusReason: why, Reason: "OutOfMemory*", ExitCode: "137", Exit: true}}, why, job.ReasonMemory, code(137), false},
		{"a literal is the whole text", []job.Rule{{StatusReason: "Essential", Exit: true}}, why, "", code(1), true},
		{"case counts", []job.Rule{{StatusReason: "essential*", Exit: true}}, why, "", code(1), true},
		{"a rule without conditions matches nothing", []job.Rule{{Exit: true}}, why, "", code(1), true},
		{"a star matches an empty reason", []job.Rule{{Reason: "*", Exit: true}}, why, "", code(1), false},
	} {
		r := job.Retry{Attempts: 3, Rules: c.rules}
		if got := r.Again(1, c.why, c.reason, c.code); got != c.want {
			t.Errorf("%s: again %t, want %t", c.name, got, c.want)
		}
		if r.Again(3, c.why, c.reason, c.code) {
			t.Errorf("%s: a fourth attempt of three", c.name)
		}
	}
	if (job.Retry{}).Again(1, why, "", code(1)) || (job.Retry{}).Max() != 1 {
		t.Error("without a strategy there is one attempt")
	}
}

// No rule that matches means another attempt; and rules can only take attempts away.
func TestRetryProperties(t *testing.T) {
	text := rapid.StringMatching(`[a-c]{0,3}`)
	pattern := rapid.StringMatching(`([a-c]{1,2}\*?)?`)
	rapid.Check(t, func(t *rapid.T) {
		r := job.Retry{Attempts: rapid.Int32Range(1, 10).Draw(t, "attempts")}
		for range rapid.IntRange(0, 5).Draw(t, "rules") {
			r.Rules = append(r.Rules, job.Rule{
				StatusReason: pattern.Draw(t, "onStatusReason"), Reason: pattern.Draw(t, "onReason"),
				ExitCode: rapid.SampledFrom([]string{"", "1", "1*", "*", "12"}).Draw(t, "onExitCode"), Exit: rapid.Bool().Draw(t, "exit"),
			})
		}
		n := rapid.Int32Range(1, 10).Draw(t, "attempt")
		why, reason, exit := text.Draw(t, "statusReason"), text.Draw(t, "reason"), code(rapid.Int32Range(0, 20).Draw(t, "code"))
		got := r.Again(n, why, reason, exit)
		if n >= r.Attempts && got {
			t.Fatalf("attempt %d of %d is followed by another", n, r.Attempts)
		}
		// The rules after the one that decides do not matter, and neither do those that match nothing.
		for i := range r.Rules {
			one := job.Retry{Attempts: 10, Rules: r.Rules[i : i+1]}
			flipped := job.Retry{Attempts: 10, Rules: []job.Rule{r.Rules[i]}}
			flipped.Rules[0].Exit = !r.Rules[i].Exit
			if one.Again(1, why, reason, exit) == flipped.Again(1, why, reason, exit) {
				continue // this rule does not match: turning it round changes nothing
			}
			if want := !r.Rules[i].Exit && n < r.Attempts; got != want {
				t.Fatalf("rule %d matches first and says exit %t; attempt %d of %d: again %t", i, r.Rules[i].Exit, n, r.Attempts, got)
			}
			return
		}
		if want := n < r.Attempts; got != want {
			t.Fatalf("no rule matches; attempt %d of %d: again %t", n, r.Attempts, got)
		}
	})
}
