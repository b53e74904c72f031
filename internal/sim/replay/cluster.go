package replay

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
	"drover/internal/manager"
)

// Cluster is a cluster file: the hosts, and how they are shared. Each field is explained in
// docs/simulate.md.
type Cluster struct {
	Pools        []Pool           `yaml:"pools"`
	Environments []Environment    `yaml:"environments"`
	Queues       []Queue          `yaml:"queues"`
	Tokens       map[string]Token `yaml:"tokens"`
}

// Pool is hosts of one kind.
type Pool struct {
	Name   string  `yaml:"name"`
	Count  int     `yaml:"count"`
	Type   string  `yaml:"type"`
	VCPUs  float64 `yaml:"vcpus"`
	Memory memory  `yaml:"memory"`
	GPUs   int64   `yaml:"gpus"`
	Start  seconds `yaml:"start"`
	Price  float64 `yaml:"price"`
}

// Environment is a compute environment.
type Environment struct {
	Name      string            `yaml:"name"`
	MaxVCPUs  float64           `yaml:"max-vcpus"`
	Placement string            `yaml:"placement"`
	Tags      map[string]string `yaml:"tags"`
}

// Queue is a job queue.
type Queue struct {
	Name         string            `yaml:"name"`
	Priority     int32             `yaml:"priority"`
	Environments []string          `yaml:"environments"`
	Policy       string            `yaml:"policy"`
	Weight       float64           `yaml:"weight"`
	Overtake     *seconds          `yaml:"max-overtake"`
	Expected     seconds           `yaml:"expected"`
	MaxRunning   int32             `yaml:"max-running"`
	FairShare    *FairShare        `yaml:"fair-share"`
	Tags         map[string]string `yaml:"tags"`
}

// FairShare is a scheduling policy.
type FairShare struct {
	Decay       seconds            `yaml:"decay"`
	Reservation int32              `yaml:"compute-reservation"`
	Weights     map[string]float64 `yaml:"weights"`
}

// Token is a consumable resource.
type Token struct {
	Total int64 `yaml:"total"`
	Spent bool  `yaml:"spent"`
}

// seconds is a time span: 90 (seconds) or 1m30s.
type seconds int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *seconds) UnmarshalYAML(n *yaml.Node) error {
	if v, err := strconv.ParseInt(n.Value, 10, 32); err == nil && v >= 0 {
		*s = seconds(v)
		return nil
	}
	d, err := time.ParseDuration(n.Value)
	if err != nil || d < 0 {
		return fmt.Errorf("line %d: %q is no time span; write seconds, or like 1m30s", n.Line, n.Value)
	}
	*s = seconds(d / time.Second)
	return nil
}

// memory is an amount in MiB: 2048 (MiB), or with the unit MiB, GiB or TiB.
type memory int64

// UnmarshalYAML implements yaml.Unmarshaler.
func (m *memory) UnmarshalYAML(n *yaml.Node) error {
	mib, err := ParseMemory(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*m = memory(mib)
	return nil
}

// ParseMemory reads an amount of memory: 2048 (MiB), or with the unit MiB, GiB or TiB.
func ParseMemory(text string) (mib int64, err error) {
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range []struct {
		name string
		mib  int64
	}{{"MiB", 1}, {"GiB", 1 << 10}, {"TiB", 1 << 20}} {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.mib
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f > 0) || f*float64(unit) > 1<<40 {
		return 0, fmt.Errorf("%q is no amount of memory; write MiB, or like 32 GiB", text)
	}
	return int64(math.Round(f * float64(unit))), nil
}

// maxHosts bounds a cluster.
const maxHosts = 100_000

// ReadCluster reads a cluster file. What it does not know is an error with its line.
func ReadCluster(r io.Reader) (*Cluster, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20+1))
	if err != nil {
		return nil, err
	}
	if len(text) > 1<<20 {
		return nil, fmt.Errorf("a cluster file has at most 1 MiB")
	}
	var c Cluster
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n  ", " "), "yaml: "))
	}
	return &c, c.check()
}

func (c *Cluster) check() error {
	if len(c.Pools) == 0 {
		return fmt.Errorf("pools: there are no hosts; give at least one pool")
	}
	total := 0
	for i := range c.Pools {
		p := &c.Pools[i]
		name := fmt.Sprintf("pools[%d]", i)
		p.Name = cmp.Or(p.Name, p.Type, fmt.Sprintf("pool%d", i+1))
		p.Count = cmp.Or(p.Count, 1)
		total += p.Count
		known, ok := resource.Instance(p.Type)
		switch {
		case p.Count < 1 || total > maxHosts:
			return fmt.Errorf("%s: count %d; there may be 1 to %d hosts in all", name, p.Count, maxHosts)
		case p.VCPUs < 0 || p.VCPUs > 1e6 || p.GPUs < 0 || p.Price < 0:
			return fmt.Errorf("%s: vcpus, gpus and price may not be below 0", name)
		case p.VCPUs == 0 && !ok && p.Type != "":
			return fmt.Errorf("%s: the instance type %s is not known; give vcpus and memory", name, p.Type)
		case p.VCPUs == 0 && !ok:
			return fmt.Errorf("%s: give vcpus and memory, or an instance type", name)
		case slices.ContainsFunc(c.Pools[:i], func(o Pool) bool { return o.Name == p.Name }):
			return fmt.Errorf("%s: there are two pools %s; give them names", name, p.Name)
		}
		if p.VCPUs == 0 {
			p.VCPUs = float64(known.MilliVCPU) / 1000
			p.GPUs = cmp.Or(p.GPUs, known.GPU)
			p.Memory = cmp.Or(p.Memory, memory(known.MemoryMiB))
		}
		p.Memory = cmp.Or(p.Memory, 1<<40)
	}
	if len(c.Environments) == 0 {
		c.Environments = []Environment{{Name: environment, Placement: "pack"}}
	}
	if len(c.Queues) == 0 {
		c.Queues = []Queue{{Name: queueName}}
	}
	return c.checkQueues()
}

func (c *Cluster) checkQueues() error {
	for i, e := range c.Environments {
		if e.Name == "" || e.MaxVCPUs < 0 || !slices.Contains([]string{"", "spread", "pack"}, e.Placement) {
			return fmt.Errorf("environments[%d]: give a name, max-vcpus above 0 or none, and placement spread or pack", i)
		}
	}
	for i := range c.Queues {
		q := &c.Queues[i]
		name := fmt.Sprintf("queues[%d]", i)
		if len(q.Environments) == 0 {
			for _, e := range c.Environments {
				q.Environments = append(q.Environments, e.Name)
			}
		}
		for _, e := range q.Environments {
			if !slices.ContainsFunc(c.Environments, func(o Environment) bool { return o.Name == e }) {
				return fmt.Errorf("%s: there is no environment %s", name, e)
			}
		}
		switch {
		case q.Name == "":
			return fmt.Errorf("%s: give it a name", name)
		case slices.ContainsFunc(c.Queues[:i], func(o Queue) bool { return o.Name == q.Name }):
			return fmt.Errorf("%s: there are two queues %s", name, q.Name)
		case q.Policy != "" && !IsPolicy(q.Policy):
			return fmt.Errorf("%s: policy %q is none of %s", name, q.Policy, strings.Join(Policies(), ", "))
		case q.Weight < 0 || q.MaxRunning < 0:
			return fmt.Errorf("%s: weight and max-running may not be below 0", name)
		}
		if f := q.FairShare; f != nil {
			for share, w := range f.Weights {
				if !(w >= 0.0001) || w > 999.9999 {
					return fmt.Errorf("%s: the weight factor %v of share %s is not between 0.0001 and 999.9999", name, w, share)
				}
			}
		}
	}
	return nil
}

// Policies are the words for a queue's policy.
func Policies() []string { return []string{sched.Strict, sched.Easy, sched.FIFO, sched.LXF} }

// IsPolicy reports whether a word is one of Policies.
func IsPolicy(word string) bool { return slices.Contains(Policies(), word) }

// Hosts are the hosts of a cluster.
func (c *Cluster) Hosts() []Host {
	var out []Host
	for _, p := range c.Pools {
		for n := range p.Count {
			h := Host{Name: p.Name, Type: cmp.Or(p.Type, p.Name), Price: p.Price, Up: int64(p.Start) * second,
				Capacity: resource.Vector{MilliVCPU: int64(math.Round(p.VCPUs * 1000)), MemoryMiB: int64(p.Memory), GPU: p.GPUs}}
			if p.Count > 1 {
				h.Name = fmt.Sprintf("%s-%0*d", p.Name, len(strconv.Itoa(p.Count)), n+1)
			}
			out = append(out, h)
		}
	}
	return out
}

// Image is a cluster's configuration. A policy that is not "" holds for all queues.
func (c *Cluster) Image(policy string) manager.Image {
	var img manager.Image
	for _, e := range c.Environments {
		o := job.Environment{Name: e.Name, Managed: true, Enabled: true, HostJobs: true, MaxMilliVCPU: math.MaxInt64 / 4, Tags: tagged(e.Tags)}
		if e.MaxVCPUs > 0 {
			o.MaxMilliVCPU = int64(math.Round(e.MaxVCPUs * 1000))
		}
		o.Tags[sched.TagPlace] = cmp.Or(e.Placement, o.Tags[sched.TagPlace])
		img.Environments = append(img.Environments, o)
	}
	for _, q := range c.Queues {
		o := job.Queue{Name: q.Name, Priority: q.Priority, Enabled: true, Environments: q.Environments, MaxRunning: q.MaxRunning, Tags: tagged(q.Tags)}
		o.Tags[sched.TagPolicy] = cmp.Or(policy, q.Policy, o.Tags[sched.TagPolicy])
		if q.Weight > 0 {
			o.Tags[sched.TagWeight] = strconv.FormatFloat(q.Weight, 'g', -1, 64)
		}
		if q.Overtake != nil {
			o.Tags[sched.TagOvertake] = strconv.FormatInt(int64(*q.Overtake), 10)
		}
		if q.Expected > 0 {
			o.Tags[sched.TagExpected] = strconv.FormatInt(int64(q.Expected), 10)
		}
		if f := q.FairShare; f != nil {
			o.Policy = q.Name
			p := job.SchedulingPolicy{Name: q.Name, Fair: &job.FairShare{DecaySeconds: int32(f.Decay), Reservation: f.Reservation}}
			for share, w := range f.Weights {
				p.Fair.Weights = append(p.Fair.Weights, job.ShareWeight{Share: share, Weight: int64(math.Round(w * job.WeightOne))})
			}
			slices.SortFunc(p.Fair.Weights, func(a, b job.ShareWeight) int { // the longer name is the more exact one
				return cmp.Or(cmp.Compare(len(b.Share), len(a.Share)), strings.Compare(a.Share, b.Share))
			})
			img.Policies = append(img.Policies, p)
		}
		img.Queues = append(img.Queues, o)
	}
	for name, t := range c.Tokens {
		img.Consumables = append(img.Consumables, job.Consumable{Name: name, Total: t.Total, Replenishable: !t.Spent})
	}
	slices.SortFunc(img.Consumables, func(a, b job.Consumable) int { return strings.Compare(a.Name, b.Name) })
	return img
}

func tagged(tags map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range tags {
		out[k] = v
	}
	return out
}
