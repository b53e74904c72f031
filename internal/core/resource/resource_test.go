package resource_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"drover/internal/core/resource"
)

func TestParseVCPU(t *testing.T) {
	for s, want := range map[string]int64{
		"1": 1000, "1.0": 1000, "0.25": 250, "0.01": 10, "0.07": 70, "0.29": 290, "1.1": 1100, "2.30": 2300, "192": 192000, "1000000": 1_000_000_000, "16.01": 16010, "1e2": 100_000,
	} {
		if got, err := resource.ParseVCPU(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0", "-1", "0.001", "0.005", "1.001", "0.0100001", "abc", "1,5", " 1", "NaN", "Inf", "1e7", "1000000.01", "0x10", "0x1p4", "1_0"} {
		if got, err := resource.ParseVCPU(s); err == nil {
			t.Errorf("%q was read as %d", s, got)
		}
	}
}

func TestFormatVCPU(t *testing.T) {
	for milli, want := range map[int64]string{0: "0.0", 10: "0.01", 250: "0.25", 1000: "1.0", 1500: "1.5", 192000: "192.0", 1_000_000_000: "1000000.0", -500: "-0.5"} {
		if got := resource.FormatVCPU(milli); got != want {
			t.Errorf("%d: %s, want %s", milli, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		milli := 10 * rapid.Int64Range(1, 100_000_000).Draw(t, "hundredths")
		if got, err := resource.ParseVCPU(resource.FormatVCPU(milli)); err != nil || got != milli {
			t.Fatalf("%d is written %s and read %d, %v", milli, resource.FormatVCPU(milli), got, err)
		}
	})
}

func TestParseCount(t *testing.T) {
	if n, err := resource.ParseCount("4", 4); err != nil || n != 4 {
		t.Errorf("4 of at least 4: %d, %v", n, err)
	}
	for _, s := range []string{"", "3", "-5", "4.0", "4 ", "99999999999999"} {
		if n, err := resource.ParseCount(s, 4); err == nil {
			t.Errorf("%q of at least 4: %d", s, n)
		}
	}
}

func TestVector(t *testing.T) {
	amount := rapid.Custom(func(t *rapid.T) resource.Vector {
		n := rapid.Int64Range(0, 5)
		return resource.Vector{MilliVCPU: n.Draw(t, "vcpu"), MemoryMiB: n.Draw(t, "memory"), GPU: n.Draw(t, "gpu")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := amount.Draw(t, "a"), amount.Draw(t, "b")
		if a.Add(b).Sub(b) != a || a.Add(b) != b.Add(a) {
			t.Fatalf("%+v and %+v do not add up", a, b)
		}
		fits := a.Fits(b)
		if fits != !b.Sub(a).Negative() || fits != (a.Missing(b) == "") {
			t.Fatalf("%+v in %+v: fits %t, left %+v, missing %q", a, b, fits, b.Sub(a), a.Missing(b))
		}
	})
	for want, pair := range map[string][2]resource.Vector{
		"VCPU: asked 2.0, available 0.5":         {{MilliVCPU: 2000}, {MilliVCPU: 500}},
		"MEMORY: asked 512 MiB, available 0 MiB": {{MilliVCPU: 1, MemoryMiB: 512}, {MilliVCPU: 1}},
		"GPU: asked 1, available 0":              {{GPU: 1}, {}},
	} {
		if got := pair[0].Missing(pair[1]); !strings.HasPrefix(got, want) {
			t.Errorf("missing: %q, want %q", got, want)
		}
	}
}
