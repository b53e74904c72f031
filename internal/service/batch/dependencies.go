package batch

import (
	"drover/internal/core/job"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// readDependencies checks dependsOn as far as it can be without the other jobs; the
// manager checks that they exist and that N_TO_N arrays have equal sizes.
func (s *Service) readDependencies(n names, list []types.JobDependency, array bool) ([]job.Dependency, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if most := s.limits.Dependencies; most > 0 && len(list) > most {
		return nil, invalid("Error executing request, Exception : Job cannot have more than %d dependencies", most)
	}
	out := make([]job.Dependency, len(list))
	for i, d := range list {
		kind, err := optionalWord("dependsOn type", d.Type, types.ArrayJobDependencyNToN, types.ArrayJobDependencySequential)
		if err != nil {
			return nil, err
		}
		if kind != "" && !array {
			return nil, invalid("a dependency of type %s is only for array jobs: give arrayProperties", kind)
		}
		ref := aws.ToString(d.JobId)
		if kind == types.ArrayJobDependencySequential {
			if ref != "" {
				return nil, invalid("a dependency of type SEQUENTIAL orders the job's own children and takes no jobId")
			}
			out[i].Kind = job.Sequential
			continue
		}
		if ref == "" {
			return nil, invalid("a dependency needs a jobId, unless its type is SEQUENTIAL")
		}
		id, index, err := n.job("dependsOn jobId", ref)
		if err != nil {
			return nil, err
		}
		if index != job.Whole {
			return nil, invalid("dependsOn jobId %s is an array child: depend on the array, or on its children one to one with type N_TO_N", ref)
		}
		out[i].ID = id
		if kind == types.ArrayJobDependencyNToN {
			out[i].Kind = job.NToN
		}
	}
	return out, nil
}

func writeDependencies(list []job.Dependency) []types.JobDependency {
	out := make([]types.JobDependency, len(list))
	for i, d := range list {
		switch d.Kind {
		case job.Sequential:
			out[i].Type = types.ArrayJobDependencySequential
			continue
		case job.NToN:
			out[i].Type = types.ArrayJobDependencyNToN
		}
		out[i].JobId = aws.String(d.ID.String())
	}
	return out
}
