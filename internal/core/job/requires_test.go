package job_test

import (
	"testing"

	"drover/internal/core/job"
)

func TestParseRequires(t *testing.T) {
	for in, want := range map[string]string{
		"gpu=A100":                        "gpu=A100",
		" pool=night  gpu=V100|A100|V100": "gpu=A100|V100 pool=night",
		"gpu=A100 gpu=A100":               "gpu=A100",
		"instance-type=c5.large":          "instance-type=c5.large",
	} {
		if got, err := job.ParseRequires(in); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "gpu", "gpu=", "=A100", "gpu=A100|", "gpu=Tesla,T4", "a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1"} {
		if got, err := job.ParseRequires(in); err == nil {
			t.Errorf("%q was accepted as %q", in, got)
		}
	}
}
