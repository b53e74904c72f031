package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drover/internal/service/native"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with testdata/NAME.golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (run with -update if the change is meant):\n%s", path, d)
	}
}

const someJob = "7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11"

func at(text string) int64 {
	t, err := time.ParseInLocation("2006-01-02 15:04:05.000", text, time.Local)
	if err != nil {
		panic(err)
	}
	return t.UnixMicro()
}

func TestSummary(t *testing.T) {
	code, index := int32(2), int32(17)
	all := &mapSummary{
		Job: someJob, Out: "/data/out", Seconds: 4.12, PerSecond: 485.4, Fetched: 2000, FetchedBytes: 3 << 20,
		Map: native.GetReportOutput{
			Status: "SUCCEEDED", Counts: native.Counts{Succeeded: 2000}, Attempts: 2003, QueueWaitP50: 1_200_000, QueueWaitP95: 3_400_000, CpuMillis: 2300,
		},
		Reduce: &native.GetReportOutput{Status: "SUCCEEDED"}, Reduced: []string{"/data/out/reduced/report.html", "/data/out/reduced/report.json"},
	}
	some := &mapSummary{
		Job: someJob, Out: "s3://b/out/", Seconds: 65, PerSecond: 0.05, Earlier: 1000, Resume: "drover map --resume " + someJob,
		Map: native.GetReportOutput{
			Status: "FAILED", Counts: native.Counts{Succeeded: 1, Failed: 3}, Attempts: 4, QueueWaitP50: 900, QueueWaitP95: 12_000,
		},
		Reduce: &native.GetReportOutput{Status: "FAILED"},
		Failures: []failureExample{
			{Failure: native.Failure{Cause: "exit", Count: 2, ExitCode: &code, Example: someJob + ":17", Index: &index}, Input: "a/b.txt", Lines: []string{"reading a/b.txt", "tool: broken input"}},
			{Failure: native.Failure{Cause: "memory", Count: 1, Reason: "OutOfMemoryError: Container killed due to memory usage", Example: someJob + ":18"}},
		},
	}
	none := &mapSummary{
		Job: someJob, Out: "/data/out", Seconds: 0.5, PerSecond: 2, Resume: "drover map --resume " + someJob,
		Map: native.GetReportOutput{Status: "FAILED", Counts: native.Counts{Failed: 1}, Attempts: 1},
	}
	var b bytes.Buffer
	for _, s := range []*mapSummary{all, some, none} {
		s.print(&b)
		b.WriteString("----\n")
	}
	golden(t, "summary", b.Bytes())
	if !all.ok() || some.ok() || none.ok() {
		t.Errorf("ok: %v, %v, %v", all.ok(), some.ok(), none.ok())
	}
}

func TestPrintJob(t *testing.T) {
	code := int32(1)
	now := time.UnixMicro(at("2026-03-01 12:00:30.000"))
	var b bytes.Buffer
	for _, v := range []*native.GetJobViewOutput{
		{
			Job: someJob, Name: "map-in", Queue: "default", Definition: "drover-map:1", Image: "host", Command: []string{"sh", "-c", "wc -w {in}"},
			Status: "PENDING", Size: 2000, Counts: &native.Counts{Succeeded: 1500, Failed: 1, Running: 2, Runnable: 497}, Created: at("2026-03-01 12:00:00.000"),
			MilliVcpu: 250, MemoryMiB: 64, MaxAttempts: 1, Tags: map[string]string{"b": "2", "a": "1"},
		},
		{
			Job: someJob + ":3", Name: "map-in", Queue: "default", Definition: "drover-map:1", Image: "host", Command: []string{"tool", "it's"},
			Status: "RUNNING", Reason: "", Created: at("2026-03-01 12:00:00.000"), Ready: at("2026-03-01 12:00:00.250"), Started: at("2026-03-01 12:00:10.000"),
			MilliVcpu: 1000, MemoryMiB: 512, MaxAttempts: 3, Timeout: 90,
			Attempts: []native.Attempt{
				{Number: 1, Host: "i-1", Log: "drover-map/default/x", Started: at("2026-03-01 12:00:01.000"), Stopped: at("2026-03-01 12:00:02.500"), ExitCode: &code, Cause: "exit",
					Reason: "Essential container in task exited", ErrorLine: "tool: no", CpuMillis: 1200, PeakMemKiB: 2048, BytesIn: 10, BytesOut: 0},
				{Number: 2, Host: "i-1", Started: at("2026-03-01 12:00:10.000")},
			},
		},
		{
			Job: someJob, Name: "waits", Queue: "gpu", Definition: "d:2", Image: "busybox", Status: "RUNNABLE", Created: at("2026-03-01 12:00:00.000"), MilliVcpu: 1000, MemoryMiB: 4, MaxAttempts: 1,
			DependsOn: []string{someJob},
			Wait:      &native.Wait{Code: "NO_ENGINE", Reason: "no host has a container engine for image busybox", Remedy: "use image host, or add a host with docker", Position: 3},
		},
	} {
		if err := printJob(&b, v, now); err != nil {
			t.Fatal(err)
		}
		b.WriteString("----\n")
	}
	golden(t, "job", b.Bytes())
}

func TestUnwaiting(t *testing.T) {
	now := time.UnixMicro(at("2026-03-01 12:00:30.000"))
	v := &native.GetJobViewOutput{Job: "j", Status: "STARTING", Attempts: []native.Attempt{{Host: "i-1", Placed: at("2026-03-01 12:00:20.000")}}}
	if got := unwaiting(v, now); !strings.Contains(got, "host i-1 has been making it ready for 10.0 s: it fetches the image") {
		t.Error(got)
	}
	v.Status = "RUNNING"
	if got := unwaiting(v, now); got != "job j is RUNNING and waits for nothing" {
		t.Error(got)
	}
}

func TestPrintForecast(t *testing.T) {
	now := time.UnixMicro(at("2026-03-01 12:00:30.000"))
	var b bytes.Buffer
	for _, v := range []*native.GetJobViewOutput{
		{},
		{Forecast: &native.Forecast{End: at("2026-03-01 12:10:30.000")}},
		{Forecast: &native.Forecast{Start: at("2026-03-01 12:10:30.000"), End: at("2026-03-01 12:11:00.000"), Basis: "the timeout", Assumed: 1200}},
		{Forecast: &native.Forecast{Start: at("2026-03-01 14:00:30.000"), End: at("2026-03-01 14:00:30.000"), Further: true}},
		{Forecast: &native.Forecast{Start: at("2026-03-03 14:00:30.000"), Guessed: true}},
		{Size: 9, Forecast: &native.Forecast{Start: at("2026-03-01 12:00:30.000"), End: at("2026-03-01 13:00:30.000"), Guessed: true}},
	} {
		printForecast(&b, v, now)
		b.WriteString("----\n")
	}
	golden(t, "forecast", b.Bytes())
}

func TestPrintJobs(t *testing.T) {
	now := time.UnixMicro(at("2026-03-01 12:00:30.000"))
	var b bytes.Buffer
	err := printJobs(&b, []native.JobSummary{
		{Job: someJob, Name: "map-in", Queue: "default", Status: "PENDING", Size: 2000, Counts: &native.Counts{Succeeded: 1500, Failed: 1, Running: 499}, Created: at("2026-03-01 12:00:00.000")},
		{Job: someJob, Name: "one", Queue: "default", Status: "RUNNING", Created: at("2026-03-01 11:00:00.000"), Started: at("2026-03-01 12:00:00.000")},
		{Job: someJob, Name: "next", Queue: "default", Status: "RUNNABLE", Created: at("2026-03-01 11:00:00.000"), Forecast: &native.Forecast{Start: at("2026-03-01 12:10:30.000"), End: at("2026-03-01 12:11:00.000")}},
		{Job: someJob, Name: "far", Queue: "default", Status: "RUNNABLE", Created: at("2026-03-01 11:00:00.000"), Forecast: &native.Forecast{Start: at("2026-03-01 14:00:30.000"), Further: true}},
		{Job: someJob, Name: "map", Queue: "default", Status: "PENDING", Size: 10, Counts: &native.Counts{Running: 10}, Created: at("2026-03-01 11:00:00.000"), Forecast: &native.Forecast{End: at("2026-03-01 12:00:50.000")}},
		{Job: someJob, Name: "old", Queue: "default", Status: "SUCCEEDED", Created: at("2026-01-01 11:00:00.000"), Started: at("2026-01-01 12:00:00.000"), Stopped: at("2026-01-01 12:00:00.020")},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := printJobs(&b, nil, now); err != nil {
		t.Fatal(err)
	}
	golden(t, "jobs", b.Bytes())
}

func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"a-b/c.d": "a-b/c.d", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'"} {
		if got := quoted(in); got != want {
			t.Errorf("quoted(%q) = %s, want %s", in, got, want)
		}
	}
}
