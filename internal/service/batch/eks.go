package batch

import (
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/core/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// The bounds of eksProperties (AWS Batch API Reference, EksPodProperties and what it holds).
const (
	maxPodContainers = 10
	maxLabel         = 63
	maxDNSName       = 253
	maxAnnotation    = 255
	minCPUStep       = 250 // thousandths of a vCPU: AWS wants multiples of 0.25
	defaultPodName   = "Default"
)

// The resources that a container of a pod may name.
const (
	eksCPU    = "cpu"
	eksMemory = "memory"
	eksGPU    = "nvidia.com/gpu"
)

// checkEks checks eksProperties by the rules of AWS Batch. What a pod is to be goes to a
// Kubernetes cluster; definitions are kept and described, and their jobs need a queue of
// type EKS.
func checkEks(in *batch.RegisterJobDefinitionInput) error {
	if m := present("platformCapabilities", len(in.PlatformCapabilities) > 0, "propagateTags", in.PropagateTags != nil); m != "" {
		return invalid(errorExecuting+"%s must not be specified for jobs that run on Amazon EKS resources.", m)
	}
	p := in.EksProperties.PodProperties
	switch {
	case p == nil:
		return invalid("eksProperties needs podProperties")
	case len(p.Containers) == 0 || len(p.Containers) > maxPodContainers:
		return invalid("podProperties needs 1 to %d containers, got %d", maxPodContainers, len(p.Containers))
	case len(p.InitContainers) > maxPodContainers:
		return invalid("podProperties has %d initContainers, at most %d are allowed", len(p.InitContainers), maxPodContainers)
	}
	if d := aws.ToString(p.DnsPolicy); d != "" && d != "Default" && d != "ClusterFirst" && d != "ClusterFirstWithHostNet" {
		return invalid("dnsPolicy %q must be one of Default, ClusterFirst, ClusterFirstWithHostNet", d)
	}
	if n := aws.ToString(p.ServiceAccountName); n != "" && !dnsName(n) {
		return invalid("serviceAccountName %q must be a DNS subdomain name", n)
	}
	for _, s := range p.ImagePullSecrets {
		if !dnsName(aws.ToString(s.Name)) {
			return invalid("an entry of imagePullSecrets needs the name of a secret, got %q", aws.ToString(s.Name))
		}
	}
	volumes, err := checkEksVolumes(p.Volumes)
	if err != nil {
		return err
	}
	if err := checkEksMetadata(p.Metadata); err != nil {
		return err
	}
	var names []string
	for _, c := range slices.Concat(p.InitContainers, p.Containers) {
		name := eksName(c.Name)
		if slices.Contains(names, name) {
			return invalid("container name %q is used twice: each container in a pod must have a unique name", name)
		}
		names = append(names, name)
		if err := checkEksContainer(&c, volumes); err != nil {
			return inContainer(name, err)
		}
	}
	return nil
}

func eksName(given *string) string {
	if n := aws.ToString(given); n != "" {
		return n
	}
	return defaultPodName
}

func checkEksContainer(c *types.EksContainer, volumes []string) error {
	switch image := aws.ToString(c.Image); {
	case image == "" || len(image) > maxImage:
		return invalid("it needs an image of at most %d characters", maxImage)
	case image == job.HostImage:
		return invalid("image %q is for jobs outside of Kubernetes", job.HostImage)
	}
	if w := aws.ToString(c.ImagePullPolicy); w != "" && w != "Always" && w != "IfNotPresent" && w != "Never" {
		return invalid("imagePullPolicy %q must be one of Always, IfNotPresent, Never", w)
	}
	if err := checkCommand(slices.Concat(c.Command, c.Args), nil); err != nil {
		return err
	}
	if err := checkEksVariables(c.Env); err != nil {
		return err
	}
	if err := checkEksResources(c.Resources); err != nil {
		return err
	}
	for _, m := range c.VolumeMounts {
		if name := aws.ToString(m.Name); !slices.Contains(volumes, name) {
			return invalid("volumeMount names the volume %q, which the pod does not have", name)
		}
		if !strings.HasPrefix(aws.ToString(m.MountPath), "/") || strings.Contains(*m.MountPath, ":") {
			return invalid("volumeMount %s needs an absolute mountPath without \":\"", *m.Name)
		}
	}
	if s := c.SecurityContext; s != nil && (aws.ToInt64(s.RunAsUser) < 0 || aws.ToInt64(s.RunAsGroup) < 0) {
		return invalid("runAsUser and runAsGroup must be at least 0")
	}
	return nil
}

func checkEksVariables(list []types.EksContainerEnvironmentVariable) error {
	for _, v := range list {
		if err := job.CheckVariable(aws.ToString(v.Name)); err != nil {
			return err
		}
		if err := job.CheckText("env", aws.ToString(v.Value)); err != nil {
			return err
		}
	}
	return nil
}

// checkEksResources keeps the rules for limits and requests: memory in whole MiB and equal
// where it is given twice, GPUs likewise, CPUs in steps of 0.25 and no more requested than
// the limit.
func checkEksResources(r *types.EksContainerResourceRequirements) error {
	if r == nil {
		return nil
	}
	limits, err := readEksAmounts("limits", r.Limits)
	if err != nil {
		return err
	}
	requests, err := readEksAmounts("requests", r.Requests)
	if err != nil {
		return err
	}
	switch {
	case limits.MemoryMiB != 0 && requests.MemoryMiB != 0 && limits.MemoryMiB != requests.MemoryMiB:
		return invalid("memory must be equal in limits and requests, got %q and %q", r.Limits[eksMemory], r.Requests[eksMemory])
	case limits.GPU != 0 && requests.GPU != 0 && limits.GPU != requests.GPU:
		return invalid("%s must be equal in limits and requests, got %q and %q", eksGPU, r.Limits[eksGPU], r.Requests[eksGPU])
	case limits.MilliVCPU != 0 && requests.MilliVCPU > limits.MilliVCPU:
		return invalid("cpu in limits must be at least as large as in requests, got %q and %q", r.Limits[eksCPU], r.Requests[eksCPU])
	}
	return nil
}

func readEksAmounts(member string, m map[string]string) (v resource.Vector, err error) {
	for _, key := range slices.Sorted(keysOf(m)) {
		text := m[key]
		switch key {
		case eksMemory:
			number, ok := strings.CutSuffix(text, "Mi")
			if v.MemoryMiB, err = resource.ParseCount(number, minMemoryMiB); err != nil || !ok {
				return v, invalid("memory %q in %s must be a whole number of at least %d with the suffix Mi", text, member, minMemoryMiB)
			}
		case eksCPU:
			if v.MilliVCPU, err = resource.ParseVCPU(text); err != nil || v.MilliVCPU%minCPUStep != 0 {
				return v, invalid("cpu %q in %s must be an even multiple of 0.25", text, member)
			}
		case eksGPU:
			if v.GPU, err = resource.ParseCount(text, 1); err != nil {
				return v, invalid("%s %q in %s must be a whole number above 0", eksGPU, text, member)
			}
		default:
			return v, invalid("%s names the resource %q; the supported ones are %s, %s and %s", member, key, eksMemory, eksCPU, eksGPU)
		}
	}
	return v, nil
}

func keysOf(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func checkEksVolumes(list []types.EksVolume) (names []string, err error) {
	for _, v := range list {
		name := aws.ToString(v.Name)
		kinds := 0
		for _, given := range []bool{v.HostPath != nil, v.EmptyDir != nil, v.Secret != nil, v.PersistentVolumeClaim != nil} {
			if given {
				kinds++
			}
		}
		switch {
		case !dnsName(name):
			return nil, invalid("volume name %q must be a DNS subdomain name", name)
		case slices.Contains(names, name):
			return nil, invalid("volume %s is defined twice", name)
		case kinds != 1:
			return nil, invalid("volume %s needs exactly one of hostPath, emptyDir, secret and persistentVolumeClaim", name)
		case v.HostPath != nil && !strings.HasPrefix(aws.ToString(v.HostPath.Path), "/"):
			return nil, invalid("hostPath of volume %s needs an absolute path", name)
		case v.Secret != nil && !dnsName(aws.ToString(v.Secret.SecretName)):
			return nil, invalid("secret of volume %s needs a secretName", name)
		case v.PersistentVolumeClaim != nil && !dnsName(aws.ToString(v.PersistentVolumeClaim.ClaimName)):
			return nil, invalid("persistentVolumeClaim of volume %s needs a claimName", name)
		case v.EmptyDir != nil && aws.ToString(v.EmptyDir.Medium) != "" && *v.EmptyDir.Medium != "Memory":
			return nil, invalid("medium %q of volume %s must be \"\" or Memory", *v.EmptyDir.Medium, name)
		case v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil && !quantity(*v.EmptyDir.SizeLimit):
			return nil, invalid("sizeLimit %q of volume %s is not a quantity such as 512Mi", *v.EmptyDir.SizeLimit, name)
		}
		names = append(names, name)
	}
	return names, nil
}

func quantity(s string) bool {
	number := strings.TrimRight(s, "KMGTPEimk")
	f, err := strconv.ParseFloat(number, 64)
	return err == nil && f > 0 && !strings.ContainsAny(number, "xX_eEnN")
}

func checkEksMetadata(m *types.EksMetadata) error {
	if m == nil {
		return nil
	}
	for _, k := range slices.Sorted(keysOf(m.Labels)) {
		if v := m.Labels[k]; k == "" || len(v) > maxLabel || !qualified(k) {
			return invalid("label %q: %q must be a name of Kubernetes with a value of at most %d characters", k, v, maxLabel)
		}
	}
	for _, k := range slices.Sorted(keysOf(m.Annotations)) {
		if v := m.Annotations[k]; len(v) > maxAnnotation || !qualified(k) {
			return invalid("annotation %q must be a name of Kubernetes with a value of at most %d characters", k, maxAnnotation)
		}
	}
	if m.Namespace == nil {
		return nil
	}
	n := *m.Namespace
	if n == "" || len(n) > maxLabel || n == "default" || strings.HasPrefix(n, "kube") || !dnsName(n) || strings.Contains(n, ".") {
		return invalid("namespace %q must be 1 to %d lower-case letters, digits and -, not default and not begin with kube", n, maxLabel)
	}
	return nil
}

// qualified reports whether s can name a label or annotation: an optional DNS prefix with a
// slash, then up to 63 letters, digits, "-", "_" and ".".
func qualified(s string) bool {
	prefix, name, ok := strings.Cut(s, "/")
	if !ok {
		prefix, name = "", s
	} else if !dnsName(prefix) {
		return false
	}
	if name == "" || len(name) > maxLabel || strings.HasPrefix(s, "k8s.io/") {
		return false
	}
	inner := strings.Trim(name, "-_.")
	return inner != "" && inner[0] == name[0] && inner[len(inner)-1] == name[len(name)-1] &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

// dnsName reports whether s is a DNS subdomain name: lower-case letters, digits, "-" and
// ".", each part beginning and ending with a letter or digit.
func dnsName(s string) bool {
	if s == "" || len(s) > maxDNSName {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// checkEksOverride checks eksPropertiesOverride against the pod that it changes.
func checkEksOverride(p *types.EksPodProperties, o *types.EksPropertiesOverride) error {
	if o == nil || o.PodProperties == nil {
		return nil
	}
	if err := checkEksMetadata(o.PodProperties.Metadata); err != nil {
		return err
	}
	for _, list := range []struct {
		over []types.EksContainerOverride
		of   []types.EksContainer
	}{{o.PodProperties.Containers, p.Containers}, {o.PodProperties.InitContainers, p.InitContainers}} {
		for _, c := range list.over {
			name := eksName(c.Name)
			known := slices.ContainsFunc(list.of, func(d types.EksContainer) bool { return eksName(d.Name) == name })
			if !known && !(c.Name == nil && len(list.of) == 1) {
				return invalid("eksPropertiesOverride names the container %q, which the job definition does not have", name)
			}
			if err := checkEksVariables(c.Env); err != nil {
				return inContainer(name, err)
			}
			if err := checkEksResources(c.Resources); err != nil {
				return inContainer(name, err)
			}
		}
	}
	return nil
}

// refuseEks is the end of every submission of an EKS definition: all queues here are of ECS.
func refuseEks(p *prepared, in *batch.SubmitJobInput) error {
	if in.ContainerOverrides != nil || in.NodeOverrides != nil {
		return invalid("Container overrides or node overrides should not be set for Batch on EKS jobs.")
	}
	if in.EcsPropertiesOverride != nil {
		return invalid("ecsPropertiesOverride should not be set for Batch on EKS jobs.")
	}
	if err := checkEksOverride(p.eks, in.EksPropertiesOverride); err != nil {
		return err
	}
	return fault.New(fault.Invalid, "ClientException", errorExecuting+"Job definition %s has the orchestration type EKS and job queue %s the orchestration type ECS: submit it to a job queue of Amazon EKS compute environments.",
		job.Revision(p.def.Name, p.def.Revision), *in.JobQueue)
}
