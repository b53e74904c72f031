package job_test

import (
	"strings"
	"testing"

	"drover/internal/core/job"
)

func TestNames(t *testing.T) {
	for name, want := range map[string][2]bool{
		"a": {true, true}, "A-b_9": {true, true}, "-a": {true, false}, "_a": {true, false}, "9": {true, true},
		"": {}, "a b": {}, "a.b": {}, "é": {}, "a:1": {}, strings.Repeat("a", 128): {true, true}, strings.Repeat("a", 129): {},
	} {
		if got := [2]bool{job.ValidName(name), job.ValidJobName(name)}; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestRevisions(t *testing.T) {
	for s, want := range map[string]int32{"d": 0, "d:1": 1, "d:2147483647": 2147483647} {
		name, revision, ok := job.ParseRevision(s)
		if !ok || name != "d" || revision != want || revision > 0 && job.Revision(name, revision) != s {
			t.Errorf("%q: %s %d %v", s, name, revision, ok)
		}
	}
	for _, s := range []string{"", ":1", "d:", "d:0", "d:-1", "d:01", "d:+1", "d:1:2", "d:2147483648", "d e"} {
		if name, revision, ok := job.ParseRevision(s); ok {
			t.Errorf("%q read as %s %d", s, name, revision)
		}
	}
}

func TestRetryCheck(t *testing.T) {
	rule := job.Rule{Reason: "x"}
	long := strings.Repeat("é", 512)
	for _, r := range []job.Retry{
		{Attempts: 1}, {Attempts: 10, Rules: []job.Rule{rule, rule, rule, rule, rule}},
		{Attempts: 2, Rules: []job.Rule{{StatusReason: "Host EC2*"}, {ExitCode: "1*"}, {ExitCode: "*"}, {Reason: long}, {Reason: "*"}}},
	} {
		if err := r.Check(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for words, r := range map[string]job.Retry{
		"between 1 and 10":   {},
		"got 11":             {Attempts: 11},
		"has 6 entries":      {Attempts: 2, Rules: []job.Rule{rule, rule, rule, rule, rule, rule}},
		"no condition":       {Attempts: 2, Rules: []job.Rule{{Exit: true}}},
		"513 characters":     {Attempts: 2, Rules: []job.Rule{{Reason: long + "x"}}},
		"onStatusReason \"*": {Attempts: 2, Rules: []job.Rule{{StatusReason: "*x*"}}},
		"must be digits":     {Attempts: 2, Rules: []job.Rule{{ExitCode: "-1"}}},
	} {
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want %q", r, err, words)
		}
	}
}

func TestVariablesAndTags(t *testing.T) {
	for name, good := range map[string]bool{"A": true, "aws_batch": true, "AWS_BATCHES": false, "AWS_BATCH_JOB_ID": false, "": false, "A=B": false, "A\x00": false} {
		if err := job.CheckVariable(name); (err == nil) != good {
			t.Errorf("variable %q: %v", name, err)
		}
	}
	for _, c := range []struct {
		key, value string
		good       bool
	}{
		{"k", "", true}, {strings.Repeat("é", 128), strings.Repeat("é", 256), true}, {"aws", "x", true},
		{"", "x", false}, {strings.Repeat("k", 129), "", false}, {"k", strings.Repeat("v", 257), false}, {"aws:x", "", false}, {"Aws:x", "", false}, {"k", "\x00", false},
	} {
		if err := job.CheckTag(c.key, c.value); (err == nil) != c.good {
			t.Errorf("tag %.10q=%.10q: %v", c.key, c.value, err)
		}
	}
}

func TestLimitsByName(t *testing.T) {
	for _, want := range []job.Limits{job.DroverLimits(), job.AWSLimits()} {
		if got, ok := job.LimitsNamed(want.Name); !ok || got != want {
			t.Errorf("%s: %+v %v", want.Name, got, ok)
		}
	}
	if _, ok := job.LimitsNamed("none"); ok {
		t.Error("limits \"none\" exist")
	}
	if a, d := job.AWSLimits(), job.DroverLimits(); a.ArrayMax != 10_000 || a.Dependencies != 20 || a.SubmitBytes != 30<<10 || a.DefinitionBytes != 24<<10 || d.ArrayMax != 1_000_000 || d.Dependencies != 10_000 || d.SubmitBytes != 1<<20 {
		t.Errorf("limits: %+v %+v", a, d)
	}
}
