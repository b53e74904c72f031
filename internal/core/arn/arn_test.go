package arn_test

import (
	"testing"

	"drover/internal/core/arn"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]arn.ARN{
		"arn:aws:batch:drover-1:000000000000:job-queue/high": {Service: "batch", Region: "drover-1", Account: "000000000000", Resource: "job-queue/high"},
		"arn:aws:s3:::bucket/key:with:colons":                {Service: "s3", Resource: "bucket/key:with:colons"},
		"arn:aws:batch:r:1:job-definition/d:3":               {Service: "batch", Region: "r", Account: "1", Resource: "job-definition/d:3"},
	} {
		got, ok := arn.Parse(s)
		if !ok || got != want || got.String() != s {
			t.Errorf("%s: %+v %t, written %s", s, got, ok, got)
		}
	}
	for _, s := range []string{"", "high", "arn:aws:batch:r:1", "arn:aws:batch:r:1:", "arn:aws::r:1:x", "arn:aws-cn:batch:r:1:x", "ARN:aws:batch:r:1:x", "xarn:aws:batch:r:1:x"} {
		if got, ok := arn.Parse(s); ok {
			t.Errorf("%q was read as %+v", s, got)
		}
	}
}

func TestKind(t *testing.T) {
	for resource, want := range map[string][2]string{
		"job-queue/high": {"job-queue", "high"}, "log-group:/aws/batch/job": {"log-group:", "aws/batch/job"}, "bucket": {"bucket", ""}, "role/a/b": {"role", "a/b"},
	} {
		if kind, name := (arn.ARN{Resource: resource}).Kind(); kind != want[0] || name != want[1] {
			t.Errorf("%s: %q %q", resource, kind, name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("arn:aws:batch:drover-1:000000000000:job-queue/high")
	f.Add("arn:aws:::::")
	f.Add("arn:aws:s3:::b")
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := arn.Parse(s); ok && a.String() != s {
			t.Errorf("%q is written back as %q", s, a)
		}
	})
}
