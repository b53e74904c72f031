package resource

import (
	"slices"
	"strings"
)

// InstanceTypes is the version of the table behind Instance: the month in which its facts
// were looked up. They are AWS's published sizes; what a host really offers to jobs is a few
// percent less memory.
const InstanceTypes = "2026-11"

// family is EC2 instance types that differ by their size alone.
type family struct {
	names string // with spaces
	mib   int64  // for each vCPU
	sizes string // with spaces
}

// families are the usual ones without GPUs.
func families() []family {
	const (
		common = "large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge"
		newer  = common + " 32xlarge"
		newest = common + " 48xlarge"
		arm    = "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge"
	)
	return []family{
		{"c5 c5d", 2048, "large xlarge 2xlarge 4xlarge 9xlarge 12xlarge 18xlarge 24xlarge"},
		{"c5a c5ad", 2048, common},
		{"c5n", 2688, "large xlarge 2xlarge 4xlarge"},
		{"c6i c6id c6in", 2048, newer},
		{"c6a c7i c7a c8i", 2048, newest},
		{"c6g c6gd c6gn c7g c7gd", 2048, arm},
		{"c8g", 2048, arm + " 24xlarge 48xlarge"},
		{"m5 m5d m5a m5ad m5n", 4096, common},
		{"m6i m6id m6in", 4096, newer},
		{"m6a m7i m7a m8i", 4096, newest},
		{"m6g m6gd m7g m7gd", 4096, arm},
		{"m8g", 4096, arm + " 24xlarge 48xlarge"},
		{"r5 r5d r5a r5ad r5n", 8192, common},
		{"r6i r6id r6in", 8192, newer},
		{"r6a r7i r7a r8i", 8192, newest},
		{"r6g r6gd r7g r7gd", 8192, arm},
		{"r8g", 8192, arm + " 24xlarge 48xlarge"},
	}
}

// special are types that no rule gives: vCPUs, GiB, GPUs.
func special() map[string][3]int64 {
	return map[string][3]int64{
		"c5n.9xlarge": {36, 96, 0}, "c5n.18xlarge": {72, 192, 0},
		"t3.medium": {2, 4, 0}, "t3.large": {2, 8, 0}, "t3.xlarge": {4, 16, 0}, "t3.2xlarge": {8, 32, 0},
		"p3.2xlarge": {8, 61, 1}, "p3.8xlarge": {32, 244, 4}, "p3.16xlarge": {64, 488, 8},
		"p4d.24xlarge": {96, 1152, 8}, "p5.48xlarge": {192, 2048, 8},
		"g4dn.xlarge": {4, 16, 1}, "g4dn.2xlarge": {8, 32, 1}, "g4dn.4xlarge": {16, 64, 1}, "g4dn.8xlarge": {32, 128, 1}, "g4dn.12xlarge": {48, 192, 4}, "g4dn.16xlarge": {64, 256, 1},
		"g5.xlarge": {4, 16, 1}, "g5.2xlarge": {8, 32, 1}, "g5.4xlarge": {16, 64, 1}, "g5.8xlarge": {32, 128, 1}, "g5.12xlarge": {48, 192, 4}, "g5.16xlarge": {64, 256, 1}, "g5.24xlarge": {96, 384, 4}, "g5.48xlarge": {192, 768, 8},
		"g6.xlarge": {4, 16, 1}, "g6.2xlarge": {8, 32, 1}, "g6.4xlarge": {16, 64, 1}, "g6.8xlarge": {32, 128, 1}, "g6.12xlarge": {48, 192, 4}, "g6.16xlarge": {64, 256, 1}, "g6.24xlarge": {96, 384, 4}, "g6.48xlarge": {192, 768, 8},
	}
}

// Instance is what an EC2 instance type has; ok is false for one that is not in the table.
func Instance(name string) (v Vector, ok bool) {
	if s, ok := special()[name]; ok {
		return Vector{MilliVCPU: s[0] * 1000, MemoryMiB: s[1] * 1024, GPU: s[2]}, true
	}
	kind, size, _ := strings.Cut(name, ".")
	for _, f := range families() {
		if slices.Contains(strings.Fields(f.names), kind) && slices.Contains(strings.Fields(f.sizes), size) {
			n := vcpus(size)
			return Vector{MilliVCPU: n * 1000, MemoryMiB: n * f.mib}, true
		}
	}
	return Vector{}, false
}

// vcpus is how many vCPUs an instance of a size has, where its family follows the rule.
func vcpus(size string) int64 {
	switch size {
	case "medium":
		return 1
	case "large":
		return 2
	}
	n := int64(0)
	for _, c := range strings.TrimSuffix(size, "xlarge") {
		n = n*10 + int64(c-'0')
	}
	return 4 * max(n, 1)
}
