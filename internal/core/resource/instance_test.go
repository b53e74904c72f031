package resource_test

import (
	"testing"

	"drover/internal/core/resource"
)

func TestInstance(t *testing.T) {
	for name, want := range map[string]resource.Vector{
		"c5.4xlarge":   {MilliVCPU: 16000, MemoryMiB: 32 << 10},
		"c5.9xlarge":   {MilliVCPU: 36000, MemoryMiB: 72 << 10},
		"c5n.large":    {MilliVCPU: 2000, MemoryMiB: 5376},
		"m5.large":     {MilliVCPU: 2000, MemoryMiB: 8 << 10},
		"m6g.medium":   {MilliVCPU: 1000, MemoryMiB: 4 << 10},
		"r7i.48xlarge": {MilliVCPU: 192000, MemoryMiB: 1536 << 10},
		"p3.8xlarge":   {MilliVCPU: 32000, MemoryMiB: 244 << 10, GPU: 4},
	} {
		if got, ok := resource.Instance(name); !ok || got != want {
			t.Errorf("%s: %+v %v, want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "c5", "c5.", "c5.medium", "m5.48xlarge", "x.large", "c5.4xlarge "} {
		if got, ok := resource.Instance(name); ok {
			t.Errorf("%q is %+v", name, got)
		}
	}
}
