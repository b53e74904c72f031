package cli

import (
	"context"
	"io/fs"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/job"
	"drover/internal/worker"
)

// gpu is one GPU of the host, as its driver tells.
type gpu struct {
	worker.Device
	name string
}

var gpuUUID = regexp.MustCompile(`^GPU-[0-9a-fA-F-]{8,64}$`)

// gpusOf are the host's GPUs in the order of their bus; none if neither the driver nor
// nvidia-smi tells of any. A driver that has not woken a GPU yet does not know its UUID;
// nvidia-smi wakes it.
func gpusOf(ctx context.Context, proc fs.FS) []gpu {
	list := gpusOfDriver(proc)
	if len(list) > 0 && !slices.ContainsFunc(list, func(g gpu) bool { return g.UUID == "" }) {
		return list
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader").Output()
	if told := gpusOfTool(string(out)); err == nil && len(told) > 0 {
		return told
	}
	return list
}

// gpusOfTool reads nvidia-smi's lines: 0, GPU-5a2c..., NVIDIA A10G. Other lines are words for
// people.
func gpusOfTool(text string) (list []gpu) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ",", 3)
		index, err := strconv.Atoi(fields[0])
		if err != nil || index < 0 || len(fields) < 3 {
			continue
		}
		list = append(list, newGPU(index, fields[1], fields[2]))
	}
	return list
}

func newGPU(index int, uuid, name string) gpu {
	g := gpu{Device: worker.Device{Index: index}, name: strings.TrimSpace(name)}
	if uuid = strings.TrimSpace(uuid); gpuUUID.MatchString(uuid) {
		g.UUID = uuid
	}
	return g
}

// gpusOfDriver are the GPUs that NVIDIA's driver has under /proc.
func gpusOfDriver(proc fs.FS) (list []gpu) {
	files, _ := fs.Glob(proc, "driver/nvidia/gpus/*/information") // the pattern is a good one
	for _, file := range files {
		text, err := fs.ReadFile(proc, file)
		if err != nil {
			continue
		}
		var name, uuid string
		for line := range strings.Lines(string(text)) {
			switch key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) {
			case "Model":
				name = value
			case "GPU UUID":
				uuid = value
			}
		}
		list = append(list, newGPU(len(list), uuid, name))
	}
	return list
}

// offered are the GPUs that the worker gives to jobs: all that there are, or as many as was
// asked for. Where none can be found, what was asked for is believed.
func (c *workerCommand) offered(found []gpu) ([]worker.Device, error) {
	n := len(found)
	if c.GPUs != nil {
		n = *c.GPUs
	}
	switch {
	case n < 0 || n > maxGPUs:
		return nil, wrong("--gpus must be 0 to %d", maxGPUs)
	case n > len(found) && len(found) > 0:
		return nil, wrong("--gpus %d: this host has %d", n, len(found))
	}
	out := make([]worker.Device, n)
	for i := range out {
		out[i].Index = i
		if len(found) > 0 {
			out[i] = found[i].Device
		}
	}
	return out, nil
}

// maxGPUs is more than any host has.
const maxGPUs = 256

// modelOfAll is the model of the host's GPUs as jobs ask for it, such as A100; "" if it has
// none, or if they are of several models.
func modelOfAll(list []gpu) string {
	names := make([]string, len(list))
	for i, g := range list {
		names[i] = g.name
	}
	return oneModel(names)
}

// oneModel is the model that all GPUs of those names are of; "" if they differ: a job could
// not say which of them it wants.
func oneModel(names []string) (model string) {
	for _, name := range names {
		switch m := modelOf(name); {
		case m == "" || m == model:
		case model != "":
			return ""
		default:
			model = m
		}
	}
	return model
}

// modelOf is the model in the name of a GPU, without maker, form, memory and what else cannot
// be asked for: A100 of "NVIDIA A100-SXM4-40GB", RTX-4090 of "NVIDIA GeForce RTX 4090".
func modelOf(name string) string {
	words := strings.Fields(name)
	for len(words) > 0 && slices.Contains([]string{"NVIDIA", "Tesla", "GeForce", "Quadro", "GRID"}, words[0]) {
		words = words[1:]
	}
	if len(words) > 0 && strings.ContainsAny(words[0], "0123456789") {
		words = words[:1]
		words[0], _, _ = strings.Cut(words[0], "-")
	}
	for i, w := range words {
		if w == "Generation" || w == "GPU" || strings.HasSuffix(w, "GB") || !job.ValidAttribute(w) {
			words = words[:i]
			break
		}
	}
	model := strings.Join(words, "-")
	if !strings.ContainsAny(model, "0123456789") && !strings.HasPrefix(model, "TITAN-") || !job.ValidAttribute(model) {
		return "" // "No devices were found", and other words that are no model
	}
	return model
}
