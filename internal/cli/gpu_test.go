package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// The driver's files are read, then nvidia-smi is asked; the GPUs of one host must be alike to
// have a model, and a host without a driver or nvidia-smi has none.
func TestGPUs(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	driver := func(uuid string, models ...string) fstest.MapFS {
		proc := fstest.MapFS{"meminfo": {Data: []byte("MemTotal: 1 kB")}}
		for i, m := range models {
			proc[fmt.Sprintf("driver/nvidia/gpus/0000:0%d:00.0/information", i)] = &fstest.MapFile{
				Data: fmt.Appendf(nil, "Model: \t\t %s\nIRQ:   \t\t 256\nGPU UUID: \t %s%d\nBus Type: \t PCIe\n", m, uuid, i)}
		}
		return proc
	}
	const known, asleep = "GPU-5a2c0d1e-0000-0000-0000-00000000000", "GPU-????????-????-????-????-???????????"
	check := func(proc fstest.MapFS, model string, ids ...string) {
		t.Helper()
		list := gpusOf(t.Context(), proc)
		var got []string
		for _, g := range list {
			got = append(got, g.ID())
		}
		if !slices.Equal(got, ids) || modelOfAll(list) != model {
			t.Errorf("%q of model %q, want %q of %q", got, modelOfAll(list), ids, model)
		}
	}
	check(driver(known), "")
	check(driver(known, "Tesla T4"), "T4", known+"0")
	check(driver(known, "NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-40GB"), "A100", known+"0", known+"1")
	check(driver(known, "NVIDIA A100-SXM4-40GB", "Tesla T4"), "", known+"0", known+"1")
	check(driver(known, "Tesla T4", "Unknown"), "T4", known+"0", known+"1")
	check(driver(asleep, "Tesla T4", "Tesla T4"), "T4", "0", "1")
	tool := func(script string) {
		if err := os.WriteFile(filepath.Join(bin, "nvidia-smi"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tool("echo No devices were found\n")
	check(driver(known), "")
	tool("echo '0, " + known + "7, Tesla T4'\necho '1, " + known + "8, Tesla T4'\n")
	check(driver(known), "T4", known+"7", known+"8")
	check(driver(asleep, "Tesla T4", "Tesla T4"), "T4", known+"7", known+"8")
	tool("echo 'it failed, 1, 2'; exit 9\n")
	check(driver(known), "")
}

func TestOfferedGPUs(t *testing.T) {
	two := []gpu{newGPU(0, "GPU-00000000-a", "Tesla T4"), newGPU(1, "GPU-00000000-b", "Tesla T4")}
	ask := func(n int) *int { return &n }
	for i, c := range []struct {
		asked *int
		found []gpu
		want  []string
	}{
		{nil, nil, []string{}},
		{nil, two, []string{"GPU-00000000-a", "GPU-00000000-b"}},
		{ask(0), two, []string{}},
		{ask(1), two, []string{"GPU-00000000-a"}},
		{ask(2), nil, []string{"0", "1"}},
		{ask(3), two, nil},
		{ask(-1), nil, nil},
		{ask(1e6), nil, nil},
	} {
		got, err := (&workerCommand{GPUs: c.asked}).offered(c.found)
		var ids []string
		for _, d := range got {
			ids = append(ids, d.ID())
		}
		if (err == nil) != (c.want != nil) || !slices.Equal(ids, c.want) {
			t.Errorf("%d: %q, %v; want %q", i, ids, err, c.want)
		}
	}
}

func TestGPUAttribute(t *testing.T) {
	c := workerCommand{Attributes: []string{"pool=night"}}
	if got, err := c.attributes("T4"); err != nil || len(got) != 3 || got[2] != "gpu=T4" {
		t.Errorf("%q, %v", got, err)
	}
	c.Attributes = []string{"gpu=mine"}
	if got, err := c.attributes("T4"); err != nil || len(got) != 2 || got[1] != "gpu=mine" {
		t.Errorf("%q, %v", got, err)
	}
}
