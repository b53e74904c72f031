// Command demo walks through the sentiment analysis of customer reviews, step by step: data
// in a bucket, compute environment, job queue, job definition, jobs, monitoring, results,
// clean-up. It talks to drover as any client of AWS does, with AWS's own SDK.
//
//	go run ./examples/reviews/demo [-drover bin/drover] [-data FOLDER] [-out FOLDER]
//
// It starts a server of its own on a temporary folder and leaves nothing behind but the
// report. If AWS_ENDPOINT_URL is set it uses the drover there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	d := &demo{}
	flag.StringVar(&d.drover, "drover", "bin/drover", "the drover program")
	flag.StringVar(&d.data, "data", "examples/reviews/data", "folder with reviews/ and labels.tsv")
	flag.StringVar(&d.out, "out", "bin/reviews-report", "folder for the report")
	flag.StringVar(&d.title, "title", "Customer reviews of eight products", "title of the report")
	flag.StringVar(&d.note, "note", "All reviews are made-up samples, written and labelled for this example.", "a sentence below the title")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// demo is one walk through the ten steps.
type demo struct {
	drover, data, out, title, note string

	work   string   // temporary folder
	server []string // environment that leads to the server
	cloud  *cloud
}

func (d *demo) run(ctx context.Context) (err error) {
	begun := time.Now()
	for _, p := range []*string{&d.drover, &d.data, &d.out} {
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	if _, err := os.Stat(d.drover); err != nil {
		return fmt.Errorf("%s is not there; build it with: make build", d.drover)
	}
	if d.work, err = os.MkdirTemp("", "drover-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.work)
	stop, err := d.startServer(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if d.cloud, err = newCloud(ctx, d.server); err != nil {
		return err
	}
	// Whatever happens, what was made in the service goes.
	defer func() {
		d.step(10, "Clean-up: the queue, the compute environment, the definition and the bucket go")
		err = errors.Join(err, d.cloud.removeAll(context.WithoutCancel(ctx)))
		if err == nil {
			fmt.Printf("\nThe report, made in %.1f s:\n%s\n", time.Since(begun).Seconds(), filepath.Join(d.out, "report.html"))
		}
	}()
	return d.steps(ctx)
}

// step announces a step of the document's walk-through.
func (d *demo) step(n int, text string) { fmt.Printf("%2d. %s\n", n, text) }

func (d *demo) steps(ctx context.Context) error {
	d.step(1, "Data preparation: the reviews go into the bucket "+bucket)
	n, err := d.cloud.upload(ctx, filepath.Join(d.data, "reviews"))
	if err != nil {
		return err
	}
	fmt.Printf("    %d files\n", n)
	d.step(2, "Batch set-up: the compute environment "+environment)
	if err := d.cloud.createEnvironment(ctx); err != nil {
		return err
	}
	d.step(3, "Job queue: "+queue)
	if err := d.cloud.createQueue(ctx); err != nil {
		return err
	}
	d.step(4, "Analysis code: two programs are built; they run as processes of the host (image: host)")
	for _, program := range []string{"worker", "reduce"} {
		if err := d.call(ctx, "go", "build", "-o", filepath.Join(d.work, program), "./examples/reviews/"+program); err != nil {
			return err
		}
	}
	d.step(5, "Job definition: drover map registers one the first time")
	d.step(6, "Submission: an array job with a child for each file, and a reduce that waits for it")
	d.step(7, "Scheduling: each child starts as soon as a worker has room for it")
	d.step(8, "Monitoring: drover map shows how far it is and sums up")
	reduce := []string{filepath.Join(d.work, "reduce"), "-labels", filepath.Join(d.data, "labels.tsv"),
		"-title", d.title, "-note", d.note, "{in}", "{out}"}
	err = d.call(ctx, d.drover, "map", "--in", "s3://"+bucket+"/in", "--out", "s3://"+bucket+"/out", "--queue", queue,
		"--vcpus", "0.5", "--memory", "128", "--retries", "1", "--reduce", quoted(reduce), "--",
		filepath.Join(d.work, "worker"), "{in}", "{out}")
	if err != nil {
		return err
	}
	d.step(9, "Results: they are in the bucket; the report is fetched")
	return d.cloud.download(ctx, "out/reduced/", d.out)
}

// quoted writes words for a shell.
func quoted(words []string) string {
	var all []string
	for _, w := range words {
		all = append(all, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
	}
	return strings.Join(all, " ")
}
