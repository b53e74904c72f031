package manager

import (
	"context"

	"drover/internal/core/job"
	"drover/internal/store"
)

// maxFailureGroups bounds how many kinds of failure a report names.
const maxFailureGroups = 20

// Report sums up one job: counts, waits, use and failures by kind.
func (m *Manager) Report(ctx context.Context, id job.ID) (Report, error) {
	var r Report
	err := m.db.View(ctx, func(tx *store.Tx) error {
		l, err := scanJob(tx.Row(`SELECT `+jobColumns+` FROM jobs WHERE id = $1`, id[:]))
		if isNoRows(err) {
			return client("Job %s does not exist", id)
		}
		if err != nil {
			return err
		}
		r = Report{ID: id, Name: l.Spec.Name, Status: l.Row.Status, Created: l.Created, Stopped: l.Row.Stopped, Counts: l.Row.Counts}
		if l.Spec.Size == 0 {
			r.Counts = job.Counts{}
			r.Counts[l.Row.Status] = 1
		}
		if err := reportUse(tx, l, &r); err != nil {
			return err
		}
		if err := reportWaits(tx, l, &r); err != nil {
			return err
		}
		return reportFailures(tx, l, &r)
	})
	return r, err
}

// ofBoth runs an aggregate over the latest and the earlier attempts of a job. Nodes (idx < -1)
// are left out: their job's attempt has the sum of what they used.
const ofBoth = `(SELECT attempt, placed, started, ready, cpu_ms, peak_kib, bytes_in, bytes_out FROM units WHERE job = $1 AND attempt > 0 AND idx >= -1
	UNION ALL SELECT a.attempt, a.placed, a.started, a.ready, a.cpu_ms, a.peak_kib, a.bytes_in, a.bytes_out FROM attempts a JOIN units u ON u.job = a.job AND u.idx = a.idx
	WHERE a.job = $1 AND a.attempt < u.attempt AND a.idx >= -1) AS tries`

func reportUse(tx *store.Tx, l Loaded, r *Report) error {
	return tx.Row(`SELECT COUNT(*), CAST(COALESCE(SUM(cpu_ms), 0) AS BIGINT), COALESCE(MAX(peak_kib), 0), CAST(COALESCE(SUM(bytes_in), 0) AS BIGINT), CAST(COALESCE(SUM(bytes_out), 0) AS BIGINT),
		COALESCE(MIN(CASE WHEN started > 0 THEN started END), 0) FROM `+ofBoth, int64(l.Row.Key)).
		Scan(&r.Attempts, &r.CPUMillis, &r.PeakMemKiB, &r.BytesIn, &r.BytesOut, &r.FirstStarted)
}

// reportWaits finds percentiles of the time between RUNNABLE and the first attempt's lease.
func reportWaits(tx *store.Tx, l Loaded, r *Report) error {
	ready := l.Row.Ready
	if ready == 0 {
		ready = l.Created
	}
	var n int64
	if err := tx.Row(`SELECT COUNT(*) FROM `+ofBoth+` WHERE attempt = 1`, int64(l.Row.Key)).Scan(&n); err != nil || n == 0 {
		return err
	}
	for _, p := range []struct {
		percent int64
		to      *int64
	}{{50, &r.QueueWaitP50}, {95, &r.QueueWaitP95}} {
		at := (n*p.percent + 99) / 100
		err := tx.Row(`SELECT CASE WHEN started > 0 THEN started ELSE placed END - CASE WHEN ready > 0 THEN ready ELSE $2 END AS wait FROM `+ofBoth+` WHERE attempt = 1 ORDER BY wait LIMIT 1 OFFSET $3`,
			int64(l.Row.Key), ready, max(at-1, 0)).Scan(p.to)
		if err != nil {
			return err
		}
		*p.to = max(*p.to, 0)
	}
	return nil
}

func reportFailures(tx *store.Tx, l Loaded, r *Report) error {
	rows, err := tx.Query(`SELECT COUNT(*), cause, exit_code, CASE WHEN exit_reason <> '' THEN exit_reason ELSE reason END AS words, MIN(idx) FROM units
		WHERE job = $1 AND status = 7 AND idx >= -1 GROUP BY cause, exit_code, words ORDER BY 1 DESC, 5 LIMIT $2`, int64(l.Row.Key), int64(maxFailureGroups))
	if err != nil {
		return err
	}
	defer rows.Close()
	var inRows int64
	for rows.Next() {
		var g FailureGroup
		var cause string
		var code *int64
		var idx int64
		if err := rows.Scan(&g.Count, &cause, &code, &g.Reason, &idx); err != nil {
			return err
		}
		if code != nil {
			c := int32(*code)
			g.ExitCode = &c
		}
		g.Cause, g.ExampleIndex, g.Example = job.Cause(cause), int32(idx), job.Name(l.Spec.ID, int32(idx))
		inRows += g.Count
		r.Failures = append(r.Failures, g)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for i := range r.Failures {
		g := &r.Failures[i]
		if err := tx.Row(`SELECT log, error_line FROM units WHERE job = $1 AND idx = $2`, int64(l.Row.Key), int64(g.ExampleIndex)).Scan(&g.Log, &g.ErrorLine); err != nil {
			return err
		}
	}
	if rest := int64(r.Counts[job.Failed]) - inRows; rest > 0 && l.Row.Base == job.Failed {
		r.Failures = append(r.Failures, FailureGroup{Cause: baseCause(l), Count: rest, Reason: l.Row.BaseReason, Example: l.Spec.ID.String(), ExampleIndex: job.Whole})
	}
	return nil
}

// baseCause is why children that never started have failed.
func baseCause(l Loaded) job.Cause {
	switch {
	case l.Row.Terminated:
		return job.CauseTerminated
	case l.Row.Cancelled:
		return job.CauseCancelled
	}
	return job.CauseDependency
}
