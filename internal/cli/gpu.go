package cli

import (
	"context"
	"io/fs"
	"os/exec"
	"slices"
	"strings"
	"time"

	"drover/internal/core/job"
)

// gpuModel is the model of the host's GPUs as jobs ask for it, such as A100; "" if it has
// none, if they are of several models, or if neither the driver nor nvidia-smi tells.
func gpuModel(ctx context.Context, proc fs.FS) string {
	names := namesOfDriver(proc)
	if len(names) == 0 {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if out, err := exec.CommandContext(ctx, "nvidia-smi", "--query-gpu=name", "--format=csv,noheader").Output(); err == nil {
			names = strings.Split(string(out), "\n")
		}
	}
	return oneModel(names)
}

// namesOfDriver are the names that NVIDIA's driver gives its GPUs under /proc.
func namesOfDriver(proc fs.FS) (names []string) {
	files, _ := fs.Glob(proc, "driver/nvidia/gpus/*/information") // the pattern is a good one
	for _, file := range files {
		text, err := fs.ReadFile(proc, file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(line, "Model:"); ok {
				names = append(names, name)
			}
		}
	}
	return names
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
