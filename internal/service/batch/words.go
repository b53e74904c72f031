package batch

import (
	"fmt"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// word finds the canonical form of an enum word that was written in any case.
func word[T ~string](member string, given T, allowed ...T) (T, error) {
	for _, w := range allowed {
		if strings.EqualFold(string(w), string(given)) {
			return w, nil
		}
	}
	names := make([]string, len(allowed))
	for i, w := range allowed {
		names[i] = string(w)
	}
	return "", invalid("%s %q must be one of %s", member, string(given), strings.Join(names, ", "))
}

// optionalWord is word for a member that may be absent.
func optionalWord[T ~string](member string, given T, allowed ...T) (T, error) {
	if given == "" {
		return "", nil
	}
	return word(member, given, allowed...)
}

// present names the first of the members that was given; empty if none was.
func present(members ...any) string {
	for i := 0; i+1 < len(members); i += 2 {
		if members[i+1].(bool) {
			return members[i].(string)
		}
	}
	return ""
}

// wanted is what a list of resourceRequirements, or the older vcpus and memory, ask for.
type wanted struct {
	need         resource.Vector // 0 where nothing is said
	requirements []types.ResourceRequirement
}

// readNeed checks resourceRequirements and puts their words in canonical form.
func readNeed(list []types.ResourceRequirement) (wanted, error) {
	w := wanted{}
	if len(list) == 0 {
		return w, nil
	}
	w.requirements = make([]types.ResourceRequirement, len(list))
	var seen [3]bool
	for i, r := range list {
		value := aws.ToString(r.Value)
		kind, err := word("resourceRequirements type", r.Type, types.ResourceTypeVcpu, types.ResourceTypeMemory, types.ResourceTypeGpu)
		if err != nil {
			return w, err
		}
		at := 0
		switch kind {
		case types.ResourceTypeVcpu:
			w.need.MilliVCPU, err = resource.ParseVCPU(value)
		case types.ResourceTypeMemory:
			at = 1
			w.need.MemoryMiB, err = resource.ParseCount(value, minMemoryMiB)
		case types.ResourceTypeGpu:
			at = 2
			w.need.GPU, err = resource.ParseCount(value, 1)
		}
		if err != nil {
			return w, invalid("resourceRequirements %s: %s", kind, err)
		}
		if seen[at] {
			return w, invalid("resourceRequirements names %s twice", kind)
		}
		seen[at] = true
		w.requirements[i] = types.ResourceRequirement{Type: kind, Value: r.Value}
	}
	return w, nil
}

// minMemoryMiB is the least memory of a container (AWS Batch API Reference).
const minMemoryMiB = 4

// legacyNeed reads the older vcpus and memory members.
func legacyNeed(vcpus, memory *int32) (resource.Vector, error) {
	var v resource.Vector
	if vcpus != nil {
		if *vcpus < 1 {
			return v, invalid("vcpus must be at least 1, got %d", *vcpus)
		}
		v.MilliVCPU = int64(*vcpus) * 1000
	}
	if memory != nil {
		if *memory < minMemoryMiB {
			return v, invalid("memory must be at least %d MiB, got %d", minMemoryMiB, *memory)
		}
		v.MemoryMiB = int64(*memory)
	}
	return v, nil
}

// readVariables checks an environment.
func readVariables(list []types.KeyValuePair) ([]job.Variable, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]job.Variable, len(list))
	for i, kv := range list {
		out[i] = job.Variable{Name: aws.ToString(kv.Name), Value: aws.ToString(kv.Value)}
		if err := job.CheckVariable(out[i].Name); err != nil {
			return nil, err
		}
		if err := job.CheckText("environment", out[i].Value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// checkCommand checks a command and the parameters that may go into it.
func checkCommand(command []string, parameters map[string]string) error {
	for _, w := range command {
		if err := job.CheckText("command", w); err != nil {
			return err
		}
	}
	for k, v := range parameters {
		if err := job.CheckText("parameters", k+v); err != nil {
			return err
		}
	}
	return nil
}

func writeVariables(list []job.Variable) []types.KeyValuePair {
	out := make([]types.KeyValuePair, len(list))
	for i := range list {
		out[i] = types.KeyValuePair{Name: &list[i].Name, Value: &list[i].Value}
	}
	return out
}

// readRetry checks a retryStrategy; nil stays nil.
func readRetry(r *types.RetryStrategy) (*job.Retry, error) {
	if r == nil {
		return nil, nil
	}
	if r.Attempts == nil {
		return nil, invalid("Error executing request, Exception : RetryAttempts must be provided with retry strategy")
	}
	out := job.Retry{Attempts: *r.Attempts}
	for _, e := range r.EvaluateOnExit {
		action, err := word("evaluateOnExit action", e.Action, types.RetryActionRetry, types.RetryActionExit)
		if err != nil {
			return nil, err
		}
		out.Rules = append(out.Rules, job.Rule{
			StatusReason: aws.ToString(e.OnStatusReason),
			Reason:       aws.ToString(e.OnReason),
			ExitCode:     aws.ToString(e.OnExitCode),
			Exit:         action == types.RetryActionExit,
		})
	}
	return &out, out.Check()
}

func writeRetry(r job.Retry) *types.RetryStrategy {
	out := &types.RetryStrategy{Attempts: aws.Int32(r.Max()), EvaluateOnExit: make([]types.EvaluateOnExit, len(r.Rules))}
	for i, rule := range r.Rules {
		e := types.EvaluateOnExit{
			OnStatusReason: optional(rule.StatusReason), OnReason: optional(rule.Reason), OnExitCode: optional(rule.ExitCode),
			Action: types.RetryActionRetry,
		}
		if rule.Exit {
			e.Action = types.RetryActionExit
		}
		out.EvaluateOnExit[i] = e
	}
	return out
}

// readTimeout checks a timeout; absent is 0.
func (s *Service) readTimeout(t *types.JobTimeout) (int32, error) {
	if t == nil || t.AttemptDurationSeconds == nil {
		return 0, nil
	}
	if n := *t.AttemptDurationSeconds; n >= s.limits.TimeoutMin {
		return n, nil
	}
	return 0, invalid("attemptDurationSeconds must be at least %d, got %d", s.limits.TimeoutMin, *t.AttemptDurationSeconds)
}

// checkPriority checks a scheduling priority, which may be absent.
func checkPriority(member string, p *int32) error {
	if p != nil && (*p < 0 || *p > job.MaxPriority) {
		return invalid("%s must be between 0 and %d, got %d", member, job.MaxPriority, *p)
	}
	return nil
}

// optional gives nil for the empty string, so that it is absent from an answer.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// millis writes a time in the API's milliseconds; the zero time is absent.
func millis(micros int64) *int64 {
	if micros == 0 {
		return nil
	}
	ms := micros / 1000
	return &ms
}

// kib writes a byte limit for a person.
func kib(n int) string { return fmt.Sprintf("%d KiB", n>>10) }
