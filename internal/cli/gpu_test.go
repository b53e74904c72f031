package cli

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestModelOf(t *testing.T) {
	for name, want := range map[string]string{
		"NVIDIA A100-SXM4-40GB":                "A100",
		"NVIDIA A100 80GB PCIe":                "A100",
		" \t NVIDIA H100 80GB HBM3\n":          "H100",
		"Tesla V100-SXM2-16GB":                 "V100",
		"Tesla T4":                             "T4",
		"NVIDIA A10G":                          "A10G",
		"NVIDIA L40S":                          "L40S",
		"GRID K520":                            "K520",
		"NVIDIA GeForce RTX 4090":              "RTX-4090",
		"NVIDIA GeForce GTX 1080 Ti":           "GTX-1080-Ti",
		"NVIDIA GeForce RTX 3080 Laptop GPU":   "RTX-3080-Laptop",
		"NVIDIA RTX 6000 Ada Generation":       "RTX-6000-Ada",
		"Quadro RTX 6000":                      "RTX-6000",
		"NVIDIA RTX A6000":                     "RTX-A6000",
		"NVIDIA TITAN V":                       "TITAN-V",
		"NVIDIA TITAN X (Pascal)":              "TITAN-X",
		"NVIDIA":                               "",
		"":                                     "",
		"No devices were found":                "",
		"Unknown":                              "",
		"NVIDIA-SMI has failed because it ...": "",
	} {
		if got := modelOf(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// The driver's files are read, the GPUs of one host must be alike, and a host without a
// driver or nvidia-smi has none.
func TestGPUModel(t *testing.T) {
	file := func(model string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("Model: \t\t " + model + "\nIRQ:   \t\t 256\nGPU UUID: \t GPU-1234\nBus Type: \t PCIe\n")}
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	for _, c := range []struct {
		models []string
		want   string
	}{
		{nil, ""},
		{[]string{"Tesla T4"}, "T4"},
		{[]string{"NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-40GB"}, "A100"},
		{[]string{"NVIDIA A100-SXM4-40GB", "Tesla T4"}, ""},
		{[]string{"Tesla T4", "Unknown"}, "T4"},
	} {
		proc := fstest.MapFS{"meminfo": {Data: []byte("MemTotal: 1 kB")}}
		for i, m := range c.models {
			proc["driver/nvidia/gpus/0000:00:0"+string(rune('0'+i))+".0/information"] = file(m)
		}
		if got := gpuModel(t.Context(), proc); got != c.want {
			t.Errorf("%q: %q, want %q", c.models, got, c.want)
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "nvidia-smi"), []byte("#!/bin/sh\necho Tesla T4\necho Tesla T4\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := workerCommand{Attributes: []string{"pool=night"}}
	if got, err := c.attributes(t.Context(), fstest.MapFS{}); err != nil || len(got) != 3 || got[2] != "gpu=T4" {
		t.Errorf("%q, %v", got, err)
	}
	c.Attributes = []string{"gpu=mine"}
	if got, err := c.attributes(t.Context(), fstest.MapFS{}); err != nil || len(got) != 2 || got[1] != "gpu=mine" {
		t.Errorf("%q, %v", got, err)
	}
}
