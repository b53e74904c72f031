package worker

import (
	"net/http"
	"strconv"
	"strings"

	"drover/internal/core/job"
)

// metadataPath is where a container learns of itself, as from the Amazon ECS task metadata
// endpoint, version 4; the rest of the path is its own.
const metadataPath = "/v4/"

// logGroup is the log group of all jobs.
const logGroup = "/aws/batch/job"

// metadata is what a container may learn of itself.
type metadata struct {
	asg    *job.Assignment
	region string
}

// metadata puts an attempt's metadata together. It keeps a copy: the assignment goes on.
func (w *worker) metadata(asg *job.Assignment) metadata {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := *asg
	kept.Command, kept.Variables = nil, nil
	return metadata{asg: &kept, region: w.welcome.Region}
}

// containerMetadata and taskMetadata are ECS's answers, as far as a job here has them.
type containerMetadata struct {
	DockerID      string            `json:"DockerId"`
	Name          string            `json:"Name"`
	DockerName    string            `json:"DockerName"`
	Image         string            `json:"Image"`
	Labels        map[string]string `json:"Labels"`
	DesiredStatus string            `json:"DesiredStatus"`
	KnownStatus   string            `json:"KnownStatus"`
	Limits        limitsMetadata    `json:"Limits"`
	Type          string            `json:"Type"`
	LogDriver     string            `json:"LogDriver"`
	LogOptions    map[string]string `json:"LogOptions"`
}

type limitsMetadata struct {
	CPU    int64 `json:"CPU"`    // shares of 1024 a vCPU
	Memory int64 `json:"Memory"` // MiB
}

type taskMetadata struct {
	Cluster       string              `json:"Cluster"`
	TaskARN       string              `json:"TaskARN"`
	Family        string              `json:"Family"`
	Revision      string              `json:"Revision"`
	DesiredStatus string              `json:"DesiredStatus"`
	KnownStatus   string              `json:"KnownStatus"`
	Containers    []containerMetadata `json:"Containers"`
	LaunchType    string              `json:"LaunchType"`
	TaskTags      map[string]string   `json:"TaskTags,omitempty"`
}

// container is the metadata of one container: of a pod the one with this number.
func (m metadata) container(i int) containerMetadata {
	a := m.asg
	name, image, need, log := "default", a.Image, a.Need, a.Log
	if a.Pod != nil {
		p := &a.Pod.Members[i]
		name, image, need, log = p.Name, p.Image, p.Need, job.MemberLog(a.Log, p.Name)
	}
	return containerMetadata{
		DockerID: a.UnitName(), Name: name, DockerName: a.Name, Image: image,
		Labels:        map[string]string{"com.amazonaws.ecs.container-name": name},
		DesiredStatus: "RUNNING", KnownStatus: "RUNNING", Type: "NORMAL", LogDriver: "awslogs",
		Limits:     limitsMetadata{CPU: need.MilliVCPU * 1024 / 1000, Memory: need.MemoryMiB},
		LogOptions: map[string]string{"awslogs-group": logGroup, "awslogs-region": m.region, "awslogs-stream": log},
	}
}

func (m metadata) task() taskMetadata {
	family, revision, _ := strings.Cut(m.asg.Definition, ":")
	task := m.asg.Log[strings.LastIndexByte(m.asg.Log, '/')+1:]
	var list []containerMetadata
	for i := range m.count() {
		list = append(list, m.container(i))
	}
	return taskMetadata{
		Cluster: m.asg.Environment, TaskARN: task, Family: family, Revision: revision,
		DesiredStatus: "RUNNING", KnownStatus: "RUNNING", LaunchType: "EC2", TaskTags: m.asg.Tags, Containers: list,
	}
}

func (m metadata) count() int {
	if m.asg.Pod != nil {
		return len(m.asg.Pod.Members)
	}
	return 1
}

// memberPath is the place of one container's metadata; whole is that of its attempt.
func memberPath(whole string, i int) string { return whole + "." + strconv.Itoa(i) }

// serveMetadata answers to who knows the path of an attempt that runs.
func (g *grants) serveMetadata(rw http.ResponseWriter, r *http.Request) {
	path, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, metadataPath), "/")
	path, number, _ := strings.Cut(path, ".")
	i, _ := strconv.Atoi(number) // none: the attempt has one container
	g.mu.Lock()
	gr := g.byPath[path]
	var m metadata
	if gr != nil {
		m = gr.about
	}
	g.mu.Unlock()
	switch {
	case m.asg == nil || i < 0 || i >= m.count():
		refuse(rw, http.StatusNotFound, "no attempt has metadata here; it may have ended")
	case r.Method != http.MethodGet:
		refuse(rw, http.StatusMethodNotAllowed, "use GET")
	case what == "":
		answer(rw, http.StatusOK, m.container(i))
	case what == "task":
		answer(rw, http.StatusOK, m.task())
	default:
		refuse(rw, http.StatusNotFound, "there is the container's metadata, and the task's below /task; no statistics are kept")
	}
}
