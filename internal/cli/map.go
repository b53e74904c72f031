package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"drover/internal/link"
	"drover/internal/link/objects"
	"drover/internal/service/native"
)

// mapCommand is `drover map`.
type mapCommand struct {
	In      string        `placeholder:"DIR|s3://..." help:"Inputs: a folder, a file, or s3://bucket/prefix. Each file becomes one job."`
	Out     string        `placeholder:"DIR|s3://..." help:"Where the results go, each under its input's name."`
	Reduce  string        `placeholder:"CMD" help:"Command that runs once all have succeeded: {in} is a folder with all results, {out} a folder for its own, which go to OUT/reduced. Without {in} it reads the results one after another, without {out} what it prints is its result."`
	Queue   string        `default:"default" help:"Job queue (default ${default})."`
	Image   string        `default:"host" help:"Container image, or host for a process of the worker's host (default ${default})."`
	VCPUs   float64       `name:"vcpus" default:"1" placeholder:"N" help:"vCPUs a job, in steps of 0.01 (default ${default})."`
	Memory  int64         `default:"512" placeholder:"MiB" help:"Memory a job (default ${default} MiB)."`
	Retries int           `default:"0" placeholder:"N" help:"Times a failed job is tried again, 0 to 9 (default ${default}). The loss of a host does not count."`
	Timeout time.Duration `placeholder:"D" help:"Time one attempt may take, such as 90s or 2h."`
	Keep    bool          `help:"Leave what was staged in the object store."`
	Resume  string        `placeholder:"JOB" help:"Go on with an earlier run: run what has not succeeded, then the reduce."`
	Command []string      `arg:"" optional:"" help:"Command and its words, after --. {in} stands for the input file, {out} for the file to write; without {in} the file is standard input, without {out} standard output is the result."`
}

// Help is shown by drover map --help.
func (*mapCommand) Help() string {
	return `Uploads the inputs, runs COMMAND once for each as a child of one array job, brings the results back and sums up. Nothing has to be set up: without AWS_ENDPOINT_URL it starts a server for the run, or uses the one that runs on the data folder.

  drover map --in texts --out counts -- wc -w
  drover map --in photos --out small --retries 2 -- convert {in} -resize 50% {out}
  drover map --in s3://corpus/2026 --out s3://corpus/tokens --reduce 'sort {in}/* > {out}/all' -- tokenize {in} {out}

Commands run in an empty folder of their own; programs given by a relative path are found from here. Ctrl-C ends the jobs, a second one leaves at once. Finished results are kept either way, and drover map --resume JOB does the rest.`
}

// mapper carries out one run.
type mapper struct {
	sh      *shell
	data    string
	json    bool
	conn    *connection
	objects *objects.Client
	show    *display

	run     mapRun
	items   []link.Item // of the whole run, in the order of the work list
	stage   int         // the submission that is under way
	pending []int32     // child i of the stage handles item pending[i]
	begun   time.Time

	interrupted atomic.Bool
	submitted   atomic.Bool
}

// Run carries out the command.
func (c *mapCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &mapper{sh: sh, data: g.Data, json: g.JSON, show: newDisplay(sh), begun: time.Now()}
	defer m.show.clear()
	var err error
	if c.Resume == "" {
		if err = c.plan(m, g.Endpoint == "" || loopback(g.Endpoint)); err != nil {
			return err
		}
	} else if c.In != "" || len(c.Command) > 0 || c.Reduce != "" {
		return wrong("--resume takes inputs, command and reduce from the earlier run; leave --in, --reduce and the command out")
	}
	leave, err := m.connect(ctx, g)
	if err != nil {
		return err
	}
	defer leave()
	stop := m.handleSignals(ctx, cancel)
	defer stop()
	if c.Resume != "" {
		err = m.resume(ctx, c)
	} else {
		err = m.first(ctx, c)
	}
	if m.interrupted.Load() && err != nil && !m.submitted.Load() {
		return &failure{exitInterrupted, errors.New("interrupted before anything was submitted")}
	}
	return err
}

// plan checks the command line and, where the inputs are files here, makes the work list.
// Programs are looked for where jobs run on this host.
func (c *mapCommand) plan(m *mapper, local bool) error {
	in, err := parsePlace("--in", c.In)
	if err != nil {
		return err
	}
	out, err := parsePlace("--out", c.Out)
	if err != nil {
		return err
	}
	if err := c.checkNumbers(); err != nil {
		return err
	}
	m.run = mapRun{
		Version: mapRunVersion, ID: newRunID(m.begun), Created: m.begun.UTC(), In: in.String(), Out: out.String(),
		Command: c.Command, Queue: c.Queue, Image: c.Image, VCPUs: strconv.FormatFloat(c.VCPUs, 'f', -1, 64),
		Memory: c.Memory, Retries: c.Retries, Timeout: int32((c.Timeout + time.Second - 1) / time.Second), Keep: c.Keep,
	}
	if c.Reduce != "" {
		if m.run.Reduce = splitReduce(c.Reduce); len(m.run.Reduce) == 0 {
			return wrong("--reduce is empty; give it a command or leave it out")
		}
	}
	if c.Image == "host" && local {
		if err := m.run.resolveCommands(); err != nil {
			return err
		}
	}
	if in.Dir != "" {
		var skipped int
		if m.items, m.run.File, skipped, err = readInputs(in.Dir); err != nil {
			return err
		}
		if skipped > 0 {
			m.show.note("%s to folders: not followed", counted(int64(skipped), "link"))
		}
		if err := checkItems(m.items, in, out, c.Reduce != ""); err != nil {
			return err
		}
	}
	if !m.run.File {
		if err := checkPlaces(in, out); err != nil {
			return err
		}
	}
	if out.Dir != "" {
		return checkWritable(out.Dir)
	}
	return nil
}

func (c *mapCommand) checkNumbers() error {
	switch {
	case len(c.Command) == 0:
		return wrong("there is no command; put it behind --, as in: drover map --in DIR --out DIR -- wc -w")
	case c.VCPUs < 0.01:
		return wrong("--vcpus %v is too little; a job needs at least 0.01", c.VCPUs)
	case c.Memory < 4:
		return wrong("--memory %d is too little; a job needs at least 4 MiB", c.Memory)
	case c.Retries < 0 || c.Retries > 9:
		return wrong("--retries %d is out of range; it may be 0 to 9", c.Retries)
	case c.Timeout < 0:
		return wrong("--timeout must be a time to come, such as 90s or 2h")
	}
	return nil
}

// newRunID names a run: when it began, and something random.
func newRunID(now time.Time) string {
	var b [4]byte
	rand.Read(b[:])
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(b[:])
}

// connect finds or starts the server, and keeps it while the run goes on.
func (m *mapper) connect(ctx context.Context, g *globals) (leave func(), err error) {
	if g.Endpoint != "" {
		m.conn, err = g.connect(ctx, m.sh)
	} else {
		m.conn, err = g.embedded(ctx, m.sh)
	}
	if err != nil {
		return nil, err
	}
	m.objects = &objects.Client{Endpoint: m.conn.endpoint, Region: m.conn.region, Credentials: objects.Static(m.conn.creds), HTTP: m.conn.client.HTTP}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.conn.attach(ctx)
	}()
	return func() { cancel(); <-done }, nil
}

// attach tells the server that it is needed, until ctx ends.
func (c *connection) attach(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := native.Call[native.AttachOutput](ctx, c.client, "Attach", &native.AttachInput{}); err != nil {
			pause(ctx, time.Second)
		}
	}
}

// pause waits; it reports whether the whole time passed.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// handleSignals makes the first Ctrl-C end the jobs, and the second one the program.
func (m *mapper) handleSignals(ctx context.Context, cancel context.CancelFunc) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range signals {
			if m.interrupted.Swap(true) {
				m.show.clear()
				os.Exit(exitInterrupted)
			}
			if !m.submitted.Load() {
				cancel()
				continue
			}
			m.show.note("ending the jobs; press Ctrl-C again to leave at once")
			go m.terminate(ctx)
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}

// first is a run from its beginning.
func (m *mapper) first(ctx context.Context, c *mapCommand) error {
	if m.items == nil {
		var err error
		if m.items, err = m.listInputs(ctx); err != nil {
			return err
		}
		if err := checkItems(m.items, m.run.inputs(), storedPlace(m.run.Out), c.Reduce != ""); err != nil {
			return err
		}
	}
	m.run.Items = int64(len(m.items))
	m.pending = make([]int32, len(m.items))
	for i := range m.pending {
		m.pending[i] = int32(i)
	}
	err := m.stageAll(ctx, storedPlace(m.run.In).Dir != "")
	if err == nil {
		return m.submitAndFollow(ctx)
	}
	if !m.submitted.Load() {
		m.discard(context.WithoutCancel(ctx))
	}
	return err
}

// submitAndFollow submits what is staged, sees it through and sums up.
func (m *mapper) submitAndFollow(ctx context.Context) error {
	since, err := m.tail(ctx)
	if err != nil {
		return err
	}
	if err := m.submit(ctx); err != nil {
		return err
	}
	return m.follow(ctx, since)
}

// resolveCommands finds the programs by this shell's PATH and folder: those of the jobs are
// others.
func (r *mapRun) resolveCommands() error {
	for _, command := range [][]string{r.Command, r.Reduce} {
		if len(command) == 0 || strings.Contains(command[0], "{in}") || strings.Contains(command[0], "{out}") {
			continue
		}
		found, err := exec.LookPath(command[0])
		if err != nil && !errors.Is(err, exec.ErrDot) {
			return wrong("the command %q cannot be run: %v; install it, or give the path of a program", command[0], cause(err))
		}
		if command[0], err = filepath.Abs(found); err != nil {
			return wrong("the command %q: %w", found, err)
		}
	}
	return nil
}

// cause is what lies at the bottom of an error of package os.
func cause(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		err = e.Err
	}
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("no such program in $PATH")
	}
	return err
}

// checkWritable makes the results' folder and tries it.
func checkWritable(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return wrong("the results' folder %s cannot be made: %v; choose another --out", dir, cause(err))
	}
	f, err := os.CreateTemp(dir, ".drover-*")
	if err != nil {
		return wrong("nothing can be written to %s: %v; change its permissions or choose another --out", dir, cause(err))
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return wrong("a file in %s cannot be removed: %v; choose another --out", dir, cause(err))
	}
	return nil
}

// again is the command that goes on with the run.
func (m *mapper) again() string {
	s := "drover map --resume " + m.run.Stages[m.stage].Job
	if m.sh.env("DROVER_DATA") != m.data && m.sh.env("AWS_ENDPOINT_URL") == "" {
		if home, err := os.UserHomeDir(); err != nil || filepath.Join(home, ".drover") != m.data {
			s = fmt.Sprintf("drover map --data %s --resume %s", m.data, m.run.Stages[m.stage].Job)
		}
	}
	return s
}
