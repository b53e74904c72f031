package job

import (
	"maps"
	"slices"

	"drover/internal/core/resource"
)

// Override is what a submission says beside its definition. A member that is zero leaves
// the definition's value as it is.
type Override struct {
	Parameters     map[string]string
	Command        []string
	Environment    []Variable
	Need           resource.Vector // per resource; 0 = as defined
	Retry          *Retry
	TimeoutSeconds int32
	Priority       *int32
	PropagateTags  *bool
	Members        []MemberOverride
	Nodes          *NodesOverride // of a multi-node parallel job, in place of command, environment and need
}

// Resolve puts a definition and what a submission says together: parameters over the
// definition's defaults, then every override over the definition's value, then Ref:: in
// the command. It shares with the definition what it does not change; neither may be
// written to afterwards.
//
// Name, queue, size, dependencies, tags and what else only a submission knows are left for
// the caller to set.
func Resolve(d *Definition, o *Override) (Spec, error) {
	s := Spec{
		Version:        SpecVersion,
		Definition:     Revision(d.Name, d.Revision),
		Image:          d.Image,
		Command:        d.Command,
		Environment:    mergeVariables(d.Environment, o.Environment),
		Need:           mergeNeed(d.Need, o.Need),
		Retry:          d.Retry,
		TimeoutSeconds: d.TimeoutSeconds,
		Consumables:    d.Consumables,
		Parameters:     mergeParameters(d.Parameters, o.Parameters),
		PropagateTags:  d.PropagateTags,
		Priority:       d.Priority,
	}
	if len(o.Command) > 0 {
		s.Command = o.Command
	}
	if o.Retry != nil {
		s.Retry = *o.Retry
	}
	if o.TimeoutSeconds != 0 {
		s.TimeoutSeconds = o.TimeoutSeconds
	}
	if o.Priority != nil {
		s.Priority = *o.Priority
	}
	if o.PropagateTags != nil {
		s.PropagateTags = *o.PropagateTags
	}
	var err error
	if d.Pod != nil {
		if s.Pod, err = d.Pod.Resolve(o.Members, s.Parameters); err == nil {
			s.Need = s.Pod.Need()
		}
		return s, err
	}
	if d.Nodes != nil {
		s.Nodes, s.Consumables, err = d.Nodes.resolve(o.Nodes, s.Parameters)
		if err != nil {
			return s, err
		}
		w := &s.Nodes.Of(s.Nodes.Main).Work
		s.Image, s.Command, s.Environment, s.Need, s.Container = w.Image, w.Command, w.Environment, w.Need, w.Container
		return s, nil
	}
	s.Command, err = Substitute(s.Command, s.Parameters)
	return s, err
}

func mergeNeed(base, over resource.Vector) resource.Vector {
	if over.MilliVCPU != 0 {
		base.MilliVCPU = over.MilliVCPU
	}
	if over.MemoryMiB != 0 {
		base.MemoryMiB = over.MemoryMiB
	}
	if over.GPU != 0 {
		base.GPU = over.GPU
	}
	return base
}

func mergeParameters(base, over map[string]string) map[string]string {
	if len(over) == 0 {
		return base
	}
	if len(base) == 0 {
		return over
	}
	m := make(map[string]string, len(base)+len(over))
	maps.Copy(m, base)
	maps.Copy(m, over)
	return m
}

// mergeVariables lets a variable of over take the place of the one with its name in base;
// new names follow in their order.
func mergeVariables(base, over []Variable) []Variable {
	if len(over) == 0 {
		return base
	}
	if len(base) == 0 {
		return over
	}
	at := make(map[string]int, len(base)+len(over))
	merged := slices.Grow(slices.Clone(base), len(over))
	for i, v := range base {
		at[v.Name] = i
	}
	for _, v := range over {
		if i, ok := at[v.Name]; ok {
			merged[i] = v
			continue
		}
		at[v.Name] = len(merged)
		merged = append(merged, v)
	}
	return merged
}
