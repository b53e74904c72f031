package job

import (
	"strconv"
	"strings"
)

// Retry is a retry strategy: how often, and when not.
type Retry struct {
	Attempts int32  `json:"attempts,omitempty"` // 1..10; 0 counts as 1
	Rules    []Rule `json:"rules,omitempty"`    // evaluateOnExit, at most 5, first match decides
}

// Rule is one entry of evaluateOnExit. It matches when all the conditions it gives match.
// A pattern is literal, with an optional final "*".
type Rule struct {
	StatusReason string `json:"statusReason,omitempty"`
	Reason       string `json:"reason,omitempty"`
	ExitCode     string `json:"exitCode,omitempty"`
	Exit         bool   `json:"exit,omitempty"` // true: EXIT (do not retry); false: RETRY
}

// Max is the number of attempts allowed, at least 1.
func (r Retry) Max() int32 { return max(r.Attempts, 1) }

// Again decides whether attempt number n (from 1), which failed with these words, is
// followed by another. No matching rule means retry (AWS Batch: automated job retries).
func (r Retry) Again(n int32, statusReason, reason string, exitCode *int32) bool {
	if n >= r.Max() {
		return false
	}
	for _, rule := range r.Rules {
		if rule.matches(statusReason, reason, exitCode) {
			return !rule.Exit
		}
	}
	return true
}

func (r Rule) matches(statusReason, reason string, exitCode *int32) bool {
	if r.StatusReason != "" && !glob(r.StatusReason, statusReason) {
		return false
	}
	if r.Reason != "" && !glob(r.Reason, reason) {
		return false
	}
	if r.ExitCode != "" {
		if exitCode == nil || !glob(r.ExitCode, strconv.Itoa(int(*exitCode))) {
			return false
		}
	}
	return r.StatusReason != "" || r.Reason != "" || r.ExitCode != ""
}

// glob matches a literal with an optional final star.
func glob(pattern, s string) bool {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, p)
	}
	return pattern == s
}
