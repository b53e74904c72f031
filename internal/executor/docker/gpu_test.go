package docker

import (
	"slices"
	"testing"

	"drover/internal/core/resource"
	"drover/internal/executor"
)

// A container asks for the GPUs that are its own, never for a number of them.
func TestGPURequest(t *testing.T) {
	x := &Executor{}
	a := executor.Attempt{Need: resource.Vector{MilliVCPU: 1000, MemoryMiB: 64, GPU: 2}, Devices: []string{"GPU-b", "3"}}
	r := x.resources(a, said{})
	if len(r.DeviceRequests) != 1 || r.DeviceRequests[0].Count != 0 || !slices.Equal(r.DeviceRequests[0].DeviceIDs, a.Devices) ||
		len(r.DeviceRequests[0].Capabilities) != 1 || !slices.Equal(r.DeviceRequests[0].Capabilities[0], []string{"gpu"}) {
		t.Errorf("%+v", r.DeviceRequests)
	}
	a.Need.GPU, a.Devices = 0, nil
	if r = x.resources(a, said{}); r.DeviceRequests != nil {
		t.Errorf("without GPUs: %+v", r.DeviceRequests)
	}
}
