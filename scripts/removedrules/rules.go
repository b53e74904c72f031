package main

// removal takes one rule out of the source: In is replaced where it stands, once, by Without.
type removal struct {
	ID, Rule    string // as docs/reference/batch-rules.md has them
	File        string
	In, Without string
	Package     string // of the test that must fail
	Test        string
}

func removals() []removal {
	return []removal{
		{"1.1-5", "stoppedAt on every terminal job, also one that never ran", "internal/service/batch/job_detail.go",
			"d.StoppedAt = millis(u.Stopped)", "if u.Started > 0 {\nd.StoppedAt = millis(u.Stopped)\n}",
			"internal/service/batch", "TestCancelAndTerminate"},
		{"1.1-11", "no retry after a timeout", "internal/core/job/step.go",
			"case x.Cause == CauseTimeout:\n\t\tu.Status = Failed", "case false:\n\t\tu.Status = Failed",
			"internal/core/job", "TestStepTable"},
		{"1.3-1", "at most 20 dependencies", "internal/service/batch/dependencies.go",
			"most > 0 && len(list) > most", "most > 0 && len(list) > most+1",
			"internal/service/batch", "TestLimitsOfAWS"},
		{"1.3-3", "N_TO_N needs arrays of the same size", "internal/manager/submit.go",
			"(size == 0 || s.Size != size)", "size == 0",
			"internal/manager", "TestSubmitRefusals"},
		{"1.5-3", "no rule of evaluateOnExit matches: retry", "internal/core/job/retry.go",
			"\t}\n\treturn true\n}\n\nfunc (r Rule) matches", "\t}\n\treturn len(r.Rules) == 0\n}\n\nfunc (r Rule) matches",
			"internal/core/job", "TestRetryRules"},
		{"1.5-4", "a final * of a pattern matches what follows", "internal/core/job/retry.go",
			"return strings.HasPrefix(s, p)", "return s == p",
			"internal/core/job", "TestRetryRules"},
		{"1.5-6", "a lost host is named as Amazon EC2's", "internal/core/job/attempt.go",
			`"Host EC2 (instance "`, `"Host (instance "`,
			"internal/core/job", "TestStepReasons"},
		{"1.7-5", "a queue is disabled before it is deleted", "internal/service/batch/delete_job_queue.go",
			"case q.Enabled:", "case q.Enabled && q.Name == \"\":",
			"internal/service/batch", "TestLifeOfEnvironmentAndQueue"},
		{"1.8-1", "the lower the weight, the more", "internal/core/sched/share.go",
			"+ float64(sh.running.MilliVCPU)) * sh.weight", "+ float64(sh.running.MilliVCPU))",
			"internal/manager", "TestFairShareFollowsWeights"},
		{"1.8-2", "a prefix gives its weight to what it matches", "internal/core/sched/share.go",
			"prefix && strings.HasPrefix(sh.name, p)", "prefix && sh.name == p",
			"internal/manager", "TestFairShareFollowsWeights"},
		{"1.8-5", "computeReservation is kept free", "internal/core/sched/share.go",
			"return most - int64(kept*float64(most))", "return most - int64(0*kept)",
			"internal/manager", "TestComputeReservation"},
		{"1.9-6", "no more units run than there are tokens", "internal/core/sched/runs.go",
			"own)+t.Quantity > k.total {", "own)+t.Quantity > k.total+1 {",
			"internal/manager", "TestTokensBoundWhatRuns"},
		{"1.11-2", "environment names must not begin with AWS_BATCH", "internal/core/job/check.go",
			`strings.HasPrefix(name, "AWS_BATCH")`, `strings.HasPrefix(name, "AWS_BATCH_JOB_NODE")`,
			"internal/service/batch", "TestBadRegistrations"},
	}
}
