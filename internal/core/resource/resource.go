// Package resource is the arithmetic of what jobs ask for and hosts have: virtual CPUs,
// memory and GPUs as exact integers, so that sums never drift.
package resource

import (
	"fmt"
	"strconv"
	"strings"
)

// Vector is an amount of each resource. The zero Vector asks for nothing.
type Vector struct {
	MilliVCPU int64 `json:"milliVcpu"` // thousandths of a vCPU
	MemoryMiB int64 `json:"memoryMiB"`
	GPU       int64 `json:"gpu,omitempty"`
}

// Fits reports whether v can be taken out of free.
func (v Vector) Fits(free Vector) bool {
	return v.MilliVCPU <= free.MilliVCPU && v.MemoryMiB <= free.MemoryMiB && v.GPU <= free.GPU
}

// Add gives v + o.
func (v Vector) Add(o Vector) Vector {
	return Vector{v.MilliVCPU + o.MilliVCPU, v.MemoryMiB + o.MemoryMiB, v.GPU + o.GPU}
}

// Sub gives v - o.
func (v Vector) Sub(o Vector) Vector {
	return Vector{v.MilliVCPU - o.MilliVCPU, v.MemoryMiB - o.MemoryMiB, v.GPU - o.GPU}
}

// Negative reports whether any amount is below zero: never true of what is free.
func (v Vector) Negative() bool { return v.MilliVCPU < 0 || v.MemoryMiB < 0 || v.GPU < 0 }

// Missing names the first resource of which free has too little for v, with both
// amounts as people write them. It is empty if v fits.
func (v Vector) Missing(free Vector) string {
	switch {
	case v.MilliVCPU > free.MilliVCPU:
		return fmt.Sprintf("VCPU: asked %s, available %s", FormatVCPU(v.MilliVCPU), FormatVCPU(free.MilliVCPU))
	case v.MemoryMiB > free.MemoryMiB:
		return fmt.Sprintf("MEMORY: asked %d MiB, available %d MiB", v.MemoryMiB, free.MemoryMiB)
	case v.GPU > free.GPU:
		return fmt.Sprintf("GPU: asked %d, available %d", v.GPU, free.GPU)
	}
	return ""
}

// FormatVCPU writes thousandths of a vCPU the way AWS does: "1.0", "0.25".
func FormatVCPU(milli int64) string {
	s := strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// ParseVCPU reads a vCPU amount: a positive number in steps of 0.01, at most 1e6.
func ParseVCPU(s string) (milli int64, err error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 0) || f > 1e6 || strings.ContainsAny(s, "xX_") { // Go's own forms are none of AWS's
		return 0, fmt.Errorf("%q is not a number of vCPUs above 0", s)
	}
	m := int64(f*1000 + 0.5)
	if d := f*1000 - float64(m); m%10 != 0 || d > 1e-6 || d < -1e-6 {
		return 0, fmt.Errorf("%q vCPUs: give steps of 0.01", s)
	}
	return m, nil
}

// ParseCount reads a whole number of at least least: MiB of memory or a number of GPUs.
func ParseCount(s string, least int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > 1<<40 {
		return 0, fmt.Errorf("%q is not a whole number of at least %d", s, least)
	}
	return n, nil
}
