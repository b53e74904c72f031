package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"drover/bench/rig"
	"drover/internal/service/native"
	"drover/internal/wire/sigv4"
)

// start: from exec to the first answer 200, and the manager's memory when idle.
func (b *bench) start() error {
	var ready, rss []float64
	for range b.runs {
		in, err := rig.Launch(b.Drover, b.Dir)
		if err != nil {
			return err
		}
		ready = append(ready, in.Ready.Seconds()*1000)
		if err := in.WithWorker(); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // idle is the thing measured
		rss = append(rss, in.RSS())
		if err := in.Stop(); err != nil {
			return err
		}
	}
	fmt.Printf("start to ready, empty folder: %.0f ms (must <= 300, goal 100); idle manager RSS: %.1f MiB (must <= 60, goal 40)\n", rig.Median(ready), rig.Median(rss))
	return nil
}

// submit: durable single submissions by 16 clients, against H.
func (b *bench) submit() error {
	var ratio, rates, floors []float64
	for range b.runs {
		rate, h, r, err := rig.AgainstH(b.Dir, 16, b.submitOnce)
		if err != nil {
			return err
		}
		rates, floors, ratio = append(rates, rate), append(floors, h), append(ratio, r)
	}
	fmt.Printf("single SubmitJob, durable, signed, 16 clients: %.0f/s = %.2f H (H = %.0f/s; must >= 0.35, goal 0.7)\n", rig.Median(rates), rig.Median(ratio), rig.Median(floors))
	return nil
}

func (b *bench) submitOnce() (float64, error) {
	in, err := rig.Launch(b.Drover, b.Dir)
	if err != nil {
		return 0, err
	}
	if err := in.Define("100000"); err != nil { // too large for any host: the jobs only wait
		return 0, err
	}
	hash := sha256.Sum256([]byte(rig.SubmitBody))
	payload := hex.EncodeToString(hash[:])
	creds := in.Client.Credentials
	rate, err := rig.Hammer(16, 2*time.Second, in.Endpoint+"/v1/submitjob", func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		sigv4.Sign(r, payload, creds, "batch", "drover-1", time.Now())
	})
	if err != nil {
		return 0, err
	}
	return rate, in.Stop()
}

// accept: how long the submission of an array takes.
func (b *bench) accept() error {
	for _, size := range []int{10_000, 1_000_000} {
		var took []float64
		in, err := rig.Launch(b.Drover, b.Dir)
		if err != nil {
			return err
		}
		if err := in.Define("100000"); err != nil {
			return err
		}
		if _, err := in.Submit(2, "true"); err != nil { // the connection is made, the definition known
			return err
		}
		for range b.runs {
			start := time.Now()
			if _, err := in.Submit(size, "true"); err != nil {
				return err
			}
			took = append(took, time.Since(start).Seconds()*1000)
		}
		rss := in.RSS()
		if err := in.Stop(); err != nil {
			return err
		}
		fmt.Printf("array of %d accepted: %.2f ms (must <= %s); server RSS with %d of them: %.0f MiB\n", size, rig.Median(took), map[int]string{10_000: "5, goal 1", 1_000_000: "2000, goal 50; RSS < 200 MB"}[size], b.runs, rss)
	}
	return nil
}

// latency: submission to RUNNING on an idle, warm worker, by the server's own records.
func (b *bench) latency() error {
	in, err := rig.Launch(b.Drover, b.Dir)
	if err != nil {
		return err
	}
	if err := in.Define("1"); err != nil {
		return err
	}
	var ms []float64
	for i := range 40*b.runs + 5 {
		id, err := in.Submit(0, "true")
		if err != nil {
			return err
		}
		if err := in.Await(id); err != nil {
			return err
		}
		v, err := native.Call[native.GetJobViewOutput](context.Background(), in.Client, "GetJobView", &native.GetJobViewInput{Job: &id})
		if err != nil {
			return err
		}
		if i >= 5 { // the first few warm it up
			ms = append(ms, float64(v.Started-v.Created)/1000)
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Printf("submit to RUNNING, idle warm worker: p50 %.2f ms, p99 %.2f ms (must <= 10 / 50, goal 3 / 15)\n", rig.Percentile(ms, 50), rig.Percentile(ms, 99))
	return in.Stop()
}

// refill: the time a slot stays empty between one child's end and the next one's start,
// with children that fill the whole host.
func (b *bench) refill() error {
	in, err := rig.Launch(b.Drover, b.Dir)
	if err != nil {
		return err
	}
	if err := in.WithWorker(); err != nil {
		return err
	}
	hosts, err := native.Call[native.ListHostsOutput](context.Background(), in.Client, "ListHosts", &native.ListHostsInput{})
	if err != nil || len(hosts.Hosts) == 0 {
		return fmt.Errorf("hosts: %v, %w", hosts, err)
	}
	if err := in.Define(strconv.FormatFloat(float64(hosts.Hosts[0].MilliVcpu)/1000, 'f', -1, 64)); err != nil {
		return err
	}
	n := 40 * b.runs
	id, err := in.Submit(n, "sleep", "0.005")
	if err != nil {
		return err
	}
	if err := in.Await(id); err != nil {
		return err
	}
	var gaps []float64
	last := int64(0)
	for i := range n {
		child := fmt.Sprintf("%s:%d", id, i)
		v, err := native.Call[native.GetJobViewOutput](context.Background(), in.Client, "GetJobView", &native.GetJobViewInput{Job: &child})
		if err != nil {
			return err
		}
		if last > 0 {
			gaps = append(gaps, float64(v.Started-last)/1000)
		}
		last = v.Stopped
	}
	fmt.Printf("slot refilled after a child ends: median %.2f ms, p99 %.2f ms (must <= 2, goal 0.5)\n", rig.Median(gaps), rig.Percentile(gaps, 99))
	return in.Stop()
}

// taskRate: an array of `true`, end to end, against S and against GNU parallel.
func (b *bench) taskRate() error {
	var rates, ratios, over, floors []float64
	measured := true
	for range b.runs {
		s1, cpu1, err := rig.Spawn(3000)
		if err != nil {
			return err
		}
		rate, cpu, ok, err := b.tasksOnce("true")
		if err != nil {
			return err
		}
		s2, cpu2, err := rig.Spawn(3000)
		if err != nil {
			return err
		}
		s := (s1 + s2) / 2
		measured = measured && ok
		rates, floors, ratios, over = append(rates, rate), append(floors, s), append(ratios, rate/s), append(over, cpu-(cpu1+cpu2)/2)
	}
	fmt.Printf("array of %d true: %.0f/s = %.2f S (S = %.0f/s; must >= 0.3, goal 0.6)\n", b.tasks, rig.Median(rates), rig.Median(ratios), rig.Median(floors))
	if measured {
		fmt.Printf("CPU per task above a bare spawn: %.2f ms (must <= 1.2, goal 0.4)\n", rig.Median(over))
	} else {
		fmt.Println("CPU per task: not measured, no cpuacct control group here")
	}
	return b.parallel(rig.Median(rates))
}

func (b *bench) tasksOnce(command ...string) (rate, cpuMillis float64, measured bool, err error) {
	in, err := rig.Launch(b.Drover, b.Dir)
	if err != nil {
		return 0, 0, false, err
	}
	if err := in.Define("0.25"); err != nil {
		return 0, 0, false, err
	}
	if err := in.WithWorker(); err != nil {
		return 0, 0, false, err
	}
	before, _ := in.Group.CPU()
	start := time.Now()
	id, err := in.Submit(b.tasks, command...)
	if err != nil {
		return 0, 0, false, err
	}
	if err := in.Await(id); err != nil {
		return 0, 0, false, err
	}
	took := time.Since(start)
	after, ok := in.Group.CPU()
	return float64(b.tasks) / took.Seconds(), (after - before).Seconds() * 1000 / float64(b.tasks), ok, in.Stop()
}

// parallel: the same tasks by GNU parallel, where it is installed.
func (b *bench) parallel(drover float64) error {
	path, err := exec.LookPath("parallel")
	if err != nil {
		fmt.Println("GNU parallel: SKIP, not installed (Debian package parallel)")
		return nil
	}
	var best float64
	for _, jobs := range []string{"2", "8"} {
		var rates []float64
		for range min(b.runs, 3) {
			const n = 1000
			cmd := exec.Command(path, "--will-cite", "-j"+jobs, "-N0", "true")
			var in bytes.Buffer
			for i := range n {
				fmt.Fprintln(&in, i)
			}
			cmd.Stdin = &in
			start := time.Now()
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("parallel: %w", err)
			}
			rates = append(rates, n/time.Since(start).Seconds())
		}
		best = max(best, rig.Median(rates))
	}
	fmt.Printf("GNU parallel, its better of -j2 and -j8: %.0f/s; drover is %.1fx (must >= 2.5x, goal 5x)\n", best, drover/best)
	return nil
}

// makeFiles writes small text files and gives their folder.
func (b *bench) makeFiles() (string, error) {
	dir := filepath.Join(b.Dir, "files")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for i := range b.files {
		text := strings.Repeat("one two three four\n", i%40+1)
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// xargs counts the words of every file with two processes at a time.
func (b *bench) xargs(dir string) (float64, error) {
	out, err := os.MkdirTemp(b.Dir, "xargs-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(out)
	var list bytes.Buffer
	for i := range b.files {
		fmt.Fprintln(&list, i)
	}
	cmd := exec.Command("xargs", "-P2", "-I{}", "sh", "-c", "wc -w < "+dir+"/{} > "+out+"/{}")
	cmd.Stdin = &list
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("xargs: %w", err)
	}
	return float64(b.files) / time.Since(start).Seconds(), nil
}

// fileRate: the same by an array job whose children read and write host files.
func (b *bench) fileRate() error {
	dir, err := b.makeFiles()
	if err != nil {
		return err
	}
	var rates, ratios []float64
	tasks := b.tasks
	defer func() { b.tasks = tasks }()
	b.tasks = b.files
	for range b.runs {
		x1, err := b.xargs(dir)
		if err != nil {
			return err
		}
		out, err := os.MkdirTemp(b.Dir, "array-")
		if err != nil {
			return err
		}
		rate, _, _, err := b.tasksOnce("sh", "-c", "wc -w < "+dir+"/$AWS_BATCH_JOB_ARRAY_INDEX > "+out+"/$AWS_BATCH_JOB_ARRAY_INDEX")
		if err != nil {
			return err
		}
		if got, err := os.ReadDir(out); err != nil || len(got) != b.files {
			return fmt.Errorf("%d results of %d, %w", len(got), b.files, err)
		}
		os.RemoveAll(out)
		x2, err := b.xargs(dir)
		if err != nil {
			return err
		}
		rates, ratios = append(rates, rate), append(ratios, rate/((x1+x2)/2))
	}
	fmt.Printf("array of wc -w over %d host files: %.0f/s = %.2f of xargs -P2 (must >= 0.5, goal 0.8)\n", b.files, rig.Median(rates), rig.Median(ratios))
	return nil
}

// mapRate: the same by drover map, staging included, from an empty state.
func (b *bench) mapRate() error {
	dir, err := b.makeFiles()
	if err != nil {
		return err
	}
	var rates, ratios []float64
	for range b.runs {
		x1, err := b.xargs(dir)
		if err != nil {
			return err
		}
		rate, err := b.mapOnce(dir)
		if err != nil {
			return err
		}
		x2, err := b.xargs(dir)
		if err != nil {
			return err
		}
		rates, ratios = append(rates, rate), append(ratios, rate/((x1+x2)/2))
	}
	fmt.Printf("drover map of wc -w over %d files, staging included: %.0f/s = %.2f of xargs -P2 (must >= 0.2, goal 0.4)\n", b.files, rig.Median(rates), rig.Median(ratios))
	return nil
}

func (b *bench) mapOnce(dir string) (float64, error) {
	in, err := rig.Launch(b.Drover, b.Dir)
	if err != nil {
		return 0, err
	}
	if err := in.WithWorker(); err != nil {
		return 0, err
	}
	out, err := os.MkdirTemp(b.Dir, "map-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(out)
	cmd := exec.Command(b.Drover, "--data", in.Data, "map", "--in", dir, "--out", out, "--vcpus", "0.25", "--memory", "64", "--", "wc", "-w")
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("drover map: %w\n%s", err, text.Bytes())
	}
	took := time.Since(start)
	if got, err := os.ReadDir(out); err != nil || len(got) != b.files {
		return 0, fmt.Errorf("%d results of %d, %w", len(got), b.files, err)
	}
	return float64(b.files) / took.Seconds(), in.Stop()
}
