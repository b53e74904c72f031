package replay

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// Grammar says what Apply understands.
const Grammar = `changes, separated by commas:
  add N TYPE                    N hosts of an EC2 instance type, such as c5.4xlarge
  add N hosts of V vcpus M GiB  N hosts of any size (GPUs: ... 4 gpus)
      ... at PRICE              what one costs an hour
      ... after TIME            when they are there, such as 90s or 3m
  remove N TYPE                 idle ones first; what runs on them may end
  remove HOST
  max-vcpus ENVIRONMENT N
  policy QUEUE fifo|strict|easy|lxf
  priority QUEUE N`

// Apply changes a setup as a text says, in the words of Grammar.
func Apply(s *Setup, text string) error {
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			return fmt.Errorf("a change is empty\n%s", Grammar)
		}
		if err := apply(s, words); err != nil {
			return fmt.Errorf("%q: %w\n%s", strings.Join(words, " "), err, Grammar)
		}
	}
	return nil
}

func apply(s *Setup, words []string) error {
	rest := words[1:]
	switch words[0] {
	case "add":
		return add(s, rest)
	case "remove":
		return remove(s, rest)
	case "max-vcpus", "policy", "priority":
		if len(rest) != 2 {
			return fmt.Errorf("%s wants a name and a value", words[0])
		}
	default:
		return fmt.Errorf("no change is called %s", words[0])
	}
	if words[0] == "max-vcpus" {
		milli, err := resource.ParseVCPU(rest[1])
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Image.Environments, func(e job.Environment) bool { return e.Name == rest[0] })
		if i < 0 {
			return fmt.Errorf("there is no compute environment %s", rest[0])
		}
		s.Image.Environments = slices.Clone(s.Image.Environments)
		s.Image.Environments[i].MaxMilliVCPU = milli
		return nil
	}
	i := slices.IndexFunc(s.Image.Queues, func(q job.Queue) bool { return q.Name == rest[0] })
	if i < 0 {
		return fmt.Errorf("there is no job queue %s", rest[0])
	}
	s.Image.Queues = slices.Clone(s.Image.Queues)
	q := &s.Image.Queues[i]
	if words[0] == "policy" {
		if !IsPolicy(rest[1]) {
			return fmt.Errorf("%s is none of %s", rest[1], strings.Join(Policies(), ", "))
		}
		q.Tags = tagged(q.Tags)
		q.Tags[sched.TagPolicy] = rest[1]
		return nil
	}
	n, err := strconv.ParseInt(rest[1], 10, 32)
	if err != nil || n < 0 {
		return fmt.Errorf("%s is no priority", rest[1])
	}
	q.Priority = int32(n)
	return nil
}

// add reads N TYPE, or N hosts of V vcpus M GiB, and what may follow.
func add(s *Setup, words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("how many of what?")
	}
	n, err := strconv.Atoi(words[0])
	if err != nil || n < 1 || n+len(s.Hosts) > maxHosts {
		return fmt.Errorf("%s is no number of hosts (1 to %d in all)", words[0], maxHosts)
	}
	h := Host{Type: words[1]}
	rest := words[2:]
	if words[1] == "hosts" || words[1] == "host" {
		if h.Capacity, rest, err = size(rest); err != nil {
			return err
		}
	} else if v, ok := resource.Instance(words[1]); ok {
		h.Capacity = v
	} else {
		return fmt.Errorf("the instance type %s is not known (table of %s); write: add %d hosts of V vcpus M GiB", words[1], resource.InstanceTypes, n)
	}
	for len(rest) > 0 {
		if len(rest) < 2 {
			return fmt.Errorf("%s wants a value", rest[0])
		}
		switch rest[0] {
		case "at":
			h.Price, err = strconv.ParseFloat(strings.TrimPrefix(rest[1], "$"), 64)
			if err != nil || !(h.Price >= 0) || math.IsInf(h.Price, 0) {
				return fmt.Errorf("%s is no price for an hour", rest[1])
			}
		case "after":
			d, err := time.ParseDuration(rest[1])
			if err != nil || d < 0 {
				return fmt.Errorf("%s is no time span; write like 90s or 3m", rest[1])
			}
			h.Up = d.Microseconds()
		default:
			return fmt.Errorf("%s is not understood", rest[0])
		}
		rest = rest[2:]
	}
	h.Executors = []string{sched.Process, sched.Docker}
	for i := range n {
		h.Name = fmt.Sprintf("new-%d-%s", len(s.Hosts)+1, words[1])
		if i == 0 {
			s.Hosts = slices.Clone(s.Hosts)
		}
		s.Hosts = append(s.Hosts, h)
	}
	return nil
}

// size reads: of V vcpus M GiB G gpus.
func size(words []string) (v resource.Vector, rest []string, err error) {
	if len(words) == 0 || words[0] != "of" {
		return v, nil, fmt.Errorf("say how large they are: of V vcpus M GiB")
	}
	words = words[1:]
	for len(words) >= 2 {
		switch unit := strings.ToLower(words[1]); unit {
		case "vcpu", "vcpus":
			v.MilliVCPU, err = resource.ParseVCPU(words[0])
		case "mib", "gib", "tib":
			v.MemoryMiB, err = ParseMemory(words[0] + words[1])
		case "gpu", "gpus":
			v.GPU, err = strconv.ParseInt(words[0], 10, 16)
		default:
			unit = ""
			if v.MilliVCPU == 0 || v.MemoryMiB == 0 {
				return v, nil, fmt.Errorf("%s is not understood; write like: of 8 vcpus 32 GiB", words[1])
			}
			return v, words, nil
		}
		if err != nil {
			return v, nil, err
		}
		words = words[2:]
	}
	if v.MilliVCPU <= 0 || v.MemoryMiB <= 0 || v.GPU < 0 {
		return v, nil, fmt.Errorf("say how large they are: of V vcpus M GiB")
	}
	return v, words, nil
}

// remove closes hosts for new jobs: a named one, or N of a type, those that run least first.
func remove(s *Setup, words []string) error {
	s.Hosts = slices.Clone(s.Hosts)
	if len(words) == 1 {
		i := slices.IndexFunc(s.Hosts, func(h Host) bool { return h.Name == words[0] })
		if i < 0 {
			return fmt.Errorf("there is no host %s", words[0])
		}
		s.Hosts[i].Closed = true
		return nil
	}
	n, err := 0, error(nil)
	if len(words) == 2 {
		n, err = strconv.Atoi(words[0])
	}
	if len(words) != 2 || err != nil || n < 1 {
		return fmt.Errorf("how many of which type, or which host?")
	}
	runs := map[string]int64{}
	for _, k := range s.Known {
		runs[k.Host] += k.Job.MilliVCPU
	}
	var fit []int
	for i := range s.Hosts {
		if h := &s.Hosts[i]; !h.Closed && (h.Type == words[1] || like(h.Capacity, words[1])) {
			fit = append(fit, i)
		}
	}
	if len(fit) < n {
		return fmt.Errorf("there are %d hosts of type %s", len(fit), words[1])
	}
	slices.SortStableFunc(fit, func(a, b int) int { return cmp.Compare(runs[s.Hosts[a].Name], runs[s.Hosts[b].Name]) })
	for _, i := range fit[:n] {
		s.Hosts[i].Closed = true
	}
	return nil
}

// like reports whether a host is as large as an instance type: a worker leaves some memory
// to its host.
func like(c resource.Vector, name string) bool {
	v, ok := resource.Instance(name)
	return ok && v.MilliVCPU == c.MilliVCPU && v.GPU == c.GPU && c.MemoryMiB <= v.MemoryMiB && c.MemoryMiB*100 >= v.MemoryMiB*80
}
