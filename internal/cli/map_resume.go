package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"drover/internal/link"
	"drover/internal/link/objects"
	"drover/internal/service/native"
)

// Bounds of what is read back of a run.
const (
	maxRecord = 4 << 20
	maxList   = 64 << 20
)

// resume goes on with an earlier run: it brings home what had succeeded, waits for a stage
// that still runs, and otherwise submits what has not succeeded as a new stage.
func (m *mapper) resume(ctx context.Context, c *mapCommand) error {
	v, err := m.conn.view(ctx, c.Resume)
	if err != nil {
		return err
	}
	if err := m.loadRun(ctx, v); err != nil {
		return err
	}
	m.run.Keep = m.run.Keep || c.Keep
	if c.Out != "" {
		out, err := parsePlace("--out", c.Out)
		if err != nil {
			return err
		}
		if (out.Dir == "") != (storedPlace(m.run.Out).Dir == "") || out.Dir == "" && out.String() != m.run.Out {
			return wrong("the results of this run go to %s; with --resume --out may only name another folder for those of a folder", m.run.Out)
		}
		m.run.Out = out.String()
	}
	out := storedPlace(m.run.Out)
	if out.Dir != "" {
		if err := checkWritable(out.Dir); err != nil {
			return err
		}
	}
	if m.items, err = m.readList(ctx, 0, m.run.Items); err != nil {
		return err
	}
	succeeded, running, err := m.progressSoFar(ctx)
	if err != nil {
		return err
	}
	if running {
		m.show.note("job %s is still under way; following it", m.run.Stages[m.stage].Job)
		return m.rejoin(ctx, succeeded)
	}
	if err := m.fetchMissing(ctx, succeeded); err != nil {
		return err
	}
	m.pending = nil
	for i := range m.items {
		if !succeeded[i] {
			m.pending = append(m.pending, int32(i))
		}
	}
	if len(m.pending) > 0 {
		if err := m.stageAll(ctx, m.sourcesExist()); err != nil {
			return err
		}
		return m.submitAndFollow(ctx)
	}
	return m.resumeReduce(ctx)
}

// loadRun finds the run that a job belongs to.
func (m *mapper) loadRun(ctx context.Context, v *native.GetJobViewOutput) error {
	id, ok := runOf(v.Stage)
	if !ok {
		return wrong("job %s was not started by drover map; only such a run can be resumed", v.Job)
	}
	key := (&mapRun{ID: id}).recordKey()
	b, err := m.objects.GetAll(ctx, mapBucket, key, maxRecord)
	if objects.IsNotFound(err) {
		return wrong("the run of job %s is over and its staged inputs have been removed; start it anew without --resume", v.Job)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &m.run); err != nil {
		return refused("%s is damaged: %w", url3(key), err)
	}
	if m.run.Version != mapRunVersion || len(m.run.Stages) == 0 {
		return refused("%s was written by another release of drover; resume the run with that one", url3(key))
	}
	m.stage = len(m.run.Stages) - 1
	if m.run.Stages[m.stage].Job == "" {
		// The client died between submitting and writing it down. The job tells.
		m.run.Stages[m.stage].Job = v.Job
	}
	return nil
}

// readList reads the work list of a stage.
func (m *mapper) readList(ctx context.Context, stage int, n int64) ([]link.Item, error) {
	chunks := int((n + listChunk - 1) / listChunk)
	parts := make([][]link.Item, chunks)
	err := parallel(ctx, chunks, func(ctx context.Context, i int) error {
		b, err := m.objects.GetAll(ctx, mapBucket, m.run.listsKey(stage)+link.ListKey(int64(i)), maxList)
		if err != nil {
			return fmt.Errorf("read the work list: %w", err)
		}
		return json.Unmarshal(b, &parts[i])
	})
	if err != nil {
		return nil, err
	}
	all := make([]link.Item, 0, n)
	for _, p := range parts {
		all = append(all, p...)
	}
	if int64(len(all)) != n {
		return nil, refused("the work list of run %s has %d items in place of %d", m.run.ID, len(all), n)
	}
	return all, nil
}

// progressSoFar finds out which items have succeeded in any stage. It leaves m.pending as
// that of the last stage.
func (m *mapper) progressSoFar(ctx context.Context) (succeeded []bool, running bool, err error) {
	succeeded = make([]bool, len(m.items))
	number := make(map[string]int32, len(m.items))
	for i, it := range m.items {
		number[it.Path] = int32(i)
	}
	for n, stage := range m.run.Stages {
		m.pending = make([]int32, 0, stage.Items)
		list := m.items
		if n > 0 {
			if list, err = m.readList(ctx, n, stage.Items); err != nil {
				return nil, false, err
			}
		}
		for _, it := range list {
			m.pending = append(m.pending, number[it.Path])
		}
		if stage.Job == "" {
			continue
		}
		v, err := m.conn.view(ctx, stage.Job)
		if err != nil {
			return nil, false, err
		}
		running = v.Status != "SUCCEEDED" && v.Status != "FAILED"
		if err := m.markSucceeded(ctx, v, succeeded); err != nil {
			return nil, false, err
		}
	}
	return succeeded, running, nil
}

// markSucceeded marks the items of a stage's children that have succeeded.
func (m *mapper) markSucceeded(ctx context.Context, v *native.GetJobViewOutput, succeeded []bool) error {
	if v.Size == 0 {
		if v.Status == "SUCCEEDED" {
			succeeded[m.pending[0]] = true
		}
		return nil
	}
	status, limit := "SUCCEEDED", int32(1000)
	in := &native.ListJobsInput{Array: &v.Job, Status: &status, Limit: &limit}
	for {
		page, err := native.Call[native.ListJobsOutput](ctx, m.conn.client, "ListJobs", in)
		if err != nil {
			return err
		}
		for _, j := range page.Jobs {
			if j.Index != nil && int(*j.Index) < len(m.pending) {
				succeeded[m.pending[*j.Index]] = true
			}
		}
		if page.Next == "" {
			return nil
		}
		in.Token = &page.Next
	}
}

// rejoin follows the stage that runs already.
func (m *mapper) rejoin(ctx context.Context, succeeded []bool) error {
	m.submitted.Store(true)
	if len(m.run.Reduce) > 0 && m.run.ReduceJob == "" {
		if err := m.addReduce(ctx); err != nil {
			return err
		}
	}
	if err := m.fetchMissing(ctx, succeeded); err != nil {
		return err
	}
	// From the beginning of the stream: what ends between the list and here is in both.
	return m.follow(ctx, 0)
}

// addReduce submits the reduce of a run that lost its client before it could.
func (m *mapper) addReduce(ctx context.Context) error {
	definition, err := m.definition(ctx)
	if err != nil {
		return err
	}
	if err := m.submitReduce(ctx, definition); err != nil {
		return err
	}
	return m.saveRun(ctx)
}

// resumeReduce finishes a run whose items have all succeeded.
func (m *mapper) resumeReduce(ctx context.Context) error {
	stage := m.run.Stages[m.stage]
	report, err := native.Call[native.GetReportOutput](ctx, m.conn.client, "GetReport", &native.GetReportInput{Job: &stage.Job})
	if err != nil {
		return err
	}
	s := &mapSummary{Job: stage.Job, Map: *report, Out: m.run.Out}
	if len(m.run.Reduce) > 0 {
		since, err := m.reduceAgain(ctx)
		if err != nil {
			return err
		}
		if err := m.followReduce(ctx, since, s); err != nil {
			return err
		}
	}
	return m.conclude(ctx, s)
}

// reduceAgain sees to it that a reduce is under way or has succeeded.
func (m *mapper) reduceAgain(ctx context.Context) (since int64, err error) {
	if m.run.ReduceJob != "" {
		v, err := m.conn.view(ctx, m.run.ReduceJob)
		if err != nil {
			return 0, err
		}
		if v.Status != "FAILED" {
			m.submitted.Store(true)
			return 0, nil
		}
	}
	if since, err = m.tail(ctx); err != nil {
		return 0, err
	}
	m.run.Reduces++
	m.submitted.Store(true)
	return since, m.addReduce(ctx)
}

// sourcesExist reports whether the inputs are still here, so that those to run again can
// be uploaded anew: a file may have been corrected since.
func (m *mapper) sourcesExist() bool {
	if storedPlace(m.run.In).Dir == "" {
		return false
	}
	for _, i := range m.pending {
		if info, err := os.Stat(m.source(m.items[i])); err != nil || !info.Mode().IsRegular() {
			m.show.note("%s is not there any more; using the inputs as they were uploaded", m.source(m.items[i]))
			return false
		}
	}
	return true
}

// fetchMissing brings results of earlier stages here that are not here yet.
func (m *mapper) fetchMissing(ctx context.Context, succeeded []bool) error {
	out := storedPlace(m.run.Out)
	if out.Dir == "" {
		return nil
	}
	f := &fetcher{m: m, wanted: true}
	results := m.run.results()
	begun := m.run.Created.Truncate(time.Second)
	err := parallel(ctx, len(succeeded), func(ctx context.Context, i int) error {
		path := m.items[i].Path
		if !succeeded[i] {
			return nil
		}
		if info, err := os.Stat(filepath.Join(out.Dir, filepath.FromSlash(path))); err == nil && !info.ModTime().Before(begun) {
			return nil
		}
		_, err := f.copy(ctx, results.Bucket, results.Prefix+path, path)
		return err
	})
	if err != nil {
		return fmt.Errorf("fetch the results of the earlier run: %w", err)
	}
	return nil
}
