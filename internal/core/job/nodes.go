package job

import (
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/resource"
)

// The bounds of multi-node parallel jobs (AWS Batch User Guide, service quotas and node
// groups).
const (
	MaxNodes      = 1000
	MaxNodeRanges = 5 // node groups of a definition, and overrides of a submission
)

// Work is what one node of a multi-node parallel job runs.
type Work struct {
	Image       string          `json:"image"`
	Command     []string        `json:"command,omitempty"`
	Environment []Variable      `json:"environment,omitempty"`
	Need        resource.Vector `json:"need"`
	Container   *Container      `json:"container,omitempty"`
	Pod         *Pod            `json:"pod,omitempty"` // several containers; Command and Environment are theirs
}

// Nodes make a job a multi-node parallel one: for its queue it is one unit, which gets room
// for all its nodes at once or for none.
type Nodes struct {
	Count  int32       `json:"count"`
	Main   int32       `json:"main"`
	Groups []NodeGroup `json:"groups"` // in order of their nodes; each node is in one
}

// NodeGroup is a run of nodes that are alike.
type NodeGroup struct {
	First int32 `json:"first"`
	Last  int32 `json:"last"`
	Range int32 `json:"range"` // number of the node range of the definition that it comes from
	Work
}

// Of gives the group of a node.
func (n *Nodes) Of(node int32) *NodeGroup {
	i, _ := slices.BinarySearchFunc(n.Groups, node, func(g NodeGroup, node int32) int { return int(g.Last - node) })
	return &n.Groups[i]
}

// PodOf is what several containers a unit of a job has: nil if it has one. A multi-node
// parallel job as a whole has those of its main node, whose end is its own.
func (s *Spec) PodOf(index int32) *Pod {
	if s.Nodes == nil {
		return s.Pod
	}
	if n, ok := NodeOf(index); ok {
		return s.Nodes.Of(n).Pod
	}
	return s.Nodes.Of(s.Nodes.Main).Pod
}

// Node is the Index by which a Ref names a node; array children have indexes from 0, the
// whole job has Whole.
func Node(n int32) int32 { return Whole - 1 - n }

// NodeOf gives the number of the node that an Index names; ok is false if it names none.
func NodeOf(index int32) (n int32, ok bool) { return Whole - 1 - index, index < Whole }

// Span is a range of nodes as written in targetNodes.
type Span struct {
	From int32 `json:"from"`
	To   int32 `json:"to"` // the last one; -1 = the job's last
}

// ParseSpan reads "a:b", ":b", "a:", ":" or a single "a".
func ParseSpan(text string) (Span, error) {
	from, to, ranged := strings.Cut(text, ":")
	bad := invalid("targetNodes %q must be a range of nodes such as 0:3, :3 or 4:", text)
	read := func(word string, none int32) (int32, error) {
		if word == "" && ranged {
			return none, nil
		}
		n, err := strconv.ParseUint(word, 10, 31)
		if err != nil {
			return 0, bad
		}
		return int32(n), nil
	}
	var s Span
	var err error
	if s.From, err = read(from, 0); err != nil {
		return s, err
	}
	if !ranged {
		s.To = s.From
		return s, nil
	}
	if s.To, err = read(to, -1); err != nil {
		return s, err
	}
	if s.To >= 0 && s.To < s.From {
		return s, invalid("targetNodes %q begins after its end", text)
	}
	return s, nil
}

// String writes the range as ParseSpan reads it.
func (s Span) String() string {
	if s.To < 0 {
		return strconv.Itoa(int(s.From)) + ":"
	}
	return strconv.Itoa(int(s.From)) + ":" + strconv.Itoa(int(s.To))
}

// last is the last node of the range in a job of count nodes.
func (s Span) last(count int32) int32 {
	if s.To < 0 || s.To >= count {
		return count - 1
	}
	return s.To
}

func (s Span) has(node, count int32) bool { return node >= s.From && node <= s.last(count) }

// NodeRange is a node group of a definition.
type NodeRange struct {
	Span
	Work
	Consumables []ConsumableNeed `json:"consumables,omitempty"` // of each of its nodes
	OldCPU      bool             `json:"oldCpu,omitempty"`      // the vCPUs were given in the older member vcpus
	OldMemory   bool             `json:"oldMemory,omitempty"`   // the memory in the older member memory
}

// NodeTemplate is a definition's nodes. Ranges may nest: the inner one wins.
type NodeTemplate struct {
	Count  int32       `json:"count"`
	Main   int32       `json:"main"`
	Ranges []NodeRange `json:"ranges"`
}

// NodeOverride is what a submission says of some nodes.
type NodeOverride struct {
	Span
	Command     []string
	Environment []Variable
	Need        resource.Vector  // per resource; 0 = as defined
	OldNeed     resource.Vector  // from the older members; does not override resourceRequirements
	Consumables []ConsumableNeed // nil = as defined
	Members     []MemberOverride // of nodes with several containers
}

// NodesOverride is what a submission says of a definition's nodes.
type NodesOverride struct {
	Count int32 // 0 = as defined
	Nodes []NodeOverride
}

// Check says what is wrong with a definition's nodes; nil if nothing is.
func (t *NodeTemplate) Check() error {
	switch {
	case t.Count < 1 || t.Count > MaxNodes:
		return invalid("numNodes must be between 1 and %d, got %d", MaxNodes, t.Count)
	case t.Main < 0 || t.Main >= t.Count:
		return invalid("mainNode must be a node index below numNodes %d, got %d", t.Count, t.Main)
	case len(t.Ranges) == 0:
		return invalid("nodeProperties needs nodeRangeProperties")
	case len(t.Ranges) > MaxNodeRanges:
		return invalid("nodeRangeProperties has %d entries, at most %d are allowed", len(t.Ranges), MaxNodeRanges)
	}
	for i, r := range t.Ranges {
		if r.From >= t.Count || r.To >= t.Count {
			return invalid("targetNodes %s names nodes that do not exist: numNodes is %d, so the last one is %d", r.Span, t.Count, t.Count-1)
		}
		for _, o := range t.Ranges[:i] {
			a, b := [2]int32{r.From, r.last(t.Count)}, [2]int32{o.From, o.last(t.Count)}
			if a == b {
				return invalid("targetNodes %s and %s are the same nodes: name each range once", o.Span, r.Span)
			}
			apart := a[1] < b[0] || b[1] < a[0]
			inside := a[0] >= b[0] && a[1] <= b[1] || b[0] >= a[0] && b[1] <= a[1]
			if !apart && !inside {
				return invalid("targetNodes %s and %s overlap: one must lie within the other, or they must have no node in common", o.Span, r.Span)
			}
		}
	}
	for n := range t.Count {
		if t.innermost(n, t.Count) < 0 {
			return invalid("node %d is in none of the ranges: targetNodes must cover all nodes 0:%d", n, t.Count-1)
		}
	}
	return nil
}

// innermost is the smallest range that has the node; -1 if none has.
func (t *NodeTemplate) innermost(node, count int32) int {
	best := -1
	var least int32
	for i, r := range t.Ranges {
		if !r.has(node, count) {
			continue
		}
		if size := r.last(count) - r.From; best < 0 || size < least {
			best, least = i, size
		}
	}
	return best
}

// resolve puts the overrides on the template.
func (t *NodeTemplate) resolve(o *NodesOverride, parameters map[string]string) (*Nodes, []ConsumableNeed, error) {
	n := &Nodes{Count: t.Count, Main: t.Main}
	var list []NodeOverride
	if o != nil {
		list = o.Nodes
		if o.Count != 0 && o.Count != t.Count {
			if err := t.checkCount(o.Count); err != nil {
				return nil, nil, err
			}
			n.Count = o.Count
		}
	}
	if len(list) > MaxNodeRanges {
		return nil, nil, invalid("nodePropertyOverrides has %d entries, at most %d are allowed", len(list), MaxNodeRanges)
	}
	for _, v := range list {
		if v.From >= n.Count || v.To >= n.Count {
			return nil, nil, invalid("targetNodes %s of nodePropertyOverrides names nodes that do not exist: the job has %d nodes, the last is %d", v.Span, n.Count, n.Count-1)
		}
	}
	var tokens []ConsumableNeed
	for _, at := range t.segments(list, n.Count) {
		r := &t.Ranges[t.innermost(at[0], n.Count)]
		g := NodeGroup{First: at[0], Last: at[1], Range: int32(t.innermost(at[0], n.Count)), Work: r.Work}
		needs := r.Consumables
		var members []MemberOverride
		for i := range list {
			if v := &list[i]; v.has(at[0], n.Count) {
				if r.Pod != nil && v.works() {
					return nil, nil, invalid("containerOverrides cannot be set for nodes %s, which have several containers (ecsProperties): leave them out of targetNodes %s", r.Span, v.Span)
				}
				if r.Pod == nil && len(v.Members) > 0 {
					return nil, nil, invalid("ecsPropertiesOverride cannot be set for nodes %s, whose definition has a container: leave them out of targetNodes %s", r.Span, v.Span)
				}
				members = append(members, v.Members...)
				v.put(r, &g.Work)
				if v.Consumables != nil {
					needs = v.Consumables
				}
			}
		}
		var err error
		if g.Command, err = Substitute(g.Command, parameters); err != nil {
			return nil, nil, err
		}
		if g.Pod != nil {
			if g.Pod, err = g.Pod.Resolve(members, parameters); err != nil {
				return nil, nil, err
			}
			g.Need = g.Pod.Need()
		}
		n.Groups = append(n.Groups, g)
		tokens = addNeeds(tokens, needs, int64(at[1]-at[0]+1))
	}
	return n, tokens, nil
}

// works reports whether it says anything of what the nodes run.
func (v *NodeOverride) works() bool {
	return len(v.Command)+len(v.Environment) > 0 || v.Need != (resource.Vector{}) || v.OldNeed != (resource.Vector{})
}

// put overrides the work of a node of range r.
func (v *NodeOverride) put(r *NodeRange, w *Work) {
	if len(v.Command) > 0 {
		w.Command = v.Command
	}
	w.Environment = mergeVariables(w.Environment, v.Environment)
	old := v.OldNeed
	if !r.OldCPU {
		old.MilliVCPU = 0
	}
	if !r.OldMemory {
		old.MemoryMiB = 0
	}
	w.Need = mergeNeed(mergeNeed(w.Need, old), v.Need)
}

// checkCount keeps AWS's conditions for another number of nodes (NodeOverrides).
func (t *NodeTemplate) checkCount(count int32) error {
	switch {
	case count < 1 || count > MaxNodes:
		return invalid("numNodes of nodeOverrides must be between 1 and %d, got %d", MaxNodes, count)
	case !slices.ContainsFunc(t.Ranges, func(r NodeRange) bool { return r.To < 0 }):
		return invalid("numNodes can only be overridden if the job definition has a node range without an upper boundary, such as 0: or 4:")
	case t.Main >= count:
		return invalid("numNodes of nodeOverrides is %d, and the main node of the job definition is node %d", count, t.Main)
	}
	for _, r := range t.Ranges {
		if r.From >= count {
			return invalid("numNodes of nodeOverrides is %d, and the node range %s of the job definition begins after that", count, r.Span)
		}
	}
	return nil
}

// segments cuts the nodes into runs in which all are alike.
func (t *NodeTemplate) segments(list []NodeOverride, count int32) (out [][2]int32) {
	cuts := []int32{0, count}
	for _, r := range t.Ranges {
		cuts = append(cuts, r.From, r.last(count)+1)
	}
	for _, v := range list {
		cuts = append(cuts, v.From, v.last(count)+1)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i := range len(cuts) - 1 {
		out = append(out, [2]int32{cuts[i], cuts[i+1] - 1})
	}
	return out
}

// addNeeds adds n times what is needed to a list.
func addNeeds(list, needs []ConsumableNeed, n int64) []ConsumableNeed {
	for _, v := range needs {
		v.Quantity *= n
		if i := slices.IndexFunc(list, func(o ConsumableNeed) bool { return o.Name == v.Name }); i >= 0 {
			list[i].Quantity += v.Quantity
			continue
		}
		list = append(list, v)
	}
	return list
}

// Seat is a node's place among those of its job, as the node is told.
type Seat struct {
	Node        int32  `json:"node"`
	Main        int32  `json:"main"`
	Count       int32  `json:"count"`
	MainAddress string `json:"mainAddress,omitempty"` // of the main node; "" for itself
	Together    bool   `json:"together,omitempty"`    // all nodes are on this host
}
