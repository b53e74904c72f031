package worker

import (
	"strconv"
	"strings"

	"drover/internal/core/job"
)

// part is what the environment of one container of an attempt is made of.
type part struct {
	variables []job.Variable
	secrets   []job.Reference
	metadata  string // its place below metadataPath
	devices   []Device
}

// whole is the part of an attempt that is one container.
func (a *attempt) whole() part {
	p := part{variables: a.asg.Variables, metadata: a.grant.path, devices: a.devices}
	if a.asg.Container != nil {
		p.secrets = a.asg.Container.Secrets
	}
	return p
}

// environment is all that an attempt's command finds in its environment: what AWS Batch
// gives, how to reach the API and the attempt's credentials, folders of its own, and the
// job's variables. Nothing of the worker's environment is in it except PATH.
//
// A container has its image's folders and PATH, and its own way to the API.
func (w *worker) environment(a *attempt, p part) ([]string, error) {
	w.mu.Lock()
	region, endpoint := w.welcome.Region, w.welcome.Endpoint
	w.mu.Unlock()
	if endpoint == "" {
		endpoint = w.link.Base()
	}
	asg := &a.asg
	env := make([]string, 0, 20+len(p.variables))
	if a.boxed() {
		endpoint = w.door.url()
		env = append(env,
			"AWS_CONTAINER_CREDENTIALS_FULL_URI="+endpoint+credentialsPath+a.grant.path,
			"AWS_CONTAINER_AUTHORIZATION_TOKEN="+a.folder.token,
			"ECS_CONTAINER_METADATA_URI_V4="+endpoint+metadataPath+p.metadata)
	} else {
		env = append(env,
			"PATH="+w.opts.Path,
			"HOME="+a.folder.work(),
			"TMPDIR="+a.folder.tmp(),
			"AWS_CONTAINER_CREDENTIALS_FULL_URI="+w.grants.url(a.grant),
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="+a.folder.tokenFile())
		if w.opts.CABundle != "" && strings.HasPrefix(endpoint, "https:") {
			env = append(env, "AWS_CA_BUNDLE="+w.opts.CABundle)
		}
	}
	env = append(env,
		"AWS_BATCH_JOB_ID="+asg.UnitName(),
		"AWS_BATCH_JOB_ATTEMPT="+strconv.Itoa(int(asg.Attempt)),
		"AWS_BATCH_JQ_NAME="+asg.Queue,
		"AWS_BATCH_CE_NAME="+asg.Environment,
		"AWS_EXECUTION_ENV=AWS_ECS_EC2",
		"AWS_ENDPOINT_URL="+endpoint,
		"AWS_REGION="+region,
		"AWS_DEFAULT_REGION="+region,
		"AWS_EC2_METADATA_DISABLED=true",
		"DROVER_ATTEMPT_FENCE="+strconv.FormatUint(uint64(asg.Fence), 10),
	)
	if s := asg.Seat; s != nil {
		env = append(env, seatVariables(s, a.address)...)
	} else if asg.Ref.Index != job.Whole {
		env = append(env,
			"AWS_BATCH_JOB_ARRAY_INDEX="+strconv.Itoa(int(asg.Child())),
			"AWS_BATCH_JOB_ARRAY_SIZE="+strconv.Itoa(int(asg.Size)))
	}
	env = addVariables(env, p.variables)
	if len(p.secrets) > 0 {
		secrets, err := w.secrets(a.ctx, p.secrets)
		if err != nil {
			return nil, err
		}
		env = addVariables(env, secrets)
	}
	return addVariables(env, visible(p.devices, a.boxed())), nil // last: others have the other GPUs
}

// addVariables adds the job's own variables. They win over what is there, except over the
// names by which a job learns who it is; a name that is none is left out.
func addVariables(env []string, own []job.Variable) []string {
	for _, v := range own {
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") ||
			strings.HasPrefix(v.Name, "AWS_BATCH") || v.Name == "DROVER_ATTEMPT_FENCE" {
			continue
		}
		entry := v.Name + "=" + v.Value
		replaced := false
		for i, e := range env {
			if len(e) > len(v.Name) && e[len(v.Name)] == '=' && e[:len(v.Name)] == v.Name {
				env[i], replaced = entry, true
				break
			}
		}
		if !replaced {
			env = append(env, entry)
		}
	}
	return env
}
