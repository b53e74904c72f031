package replay

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"drover/internal/core/job"
)

// ReadCSV reads a log whose first line names the columns: submit, run and vcpus, and any of
// id, estimate, memory_mib, gpus, share, user, queue, priority and tokens (licence=2;seat=1);
// others are passed over. Times are in seconds.
func ReadCSV(r io.Reader) (Log, error) {
	var l Log
	c := csv.NewReader(r)
	c.ReuseRecord = true
	head, err := c.Read()
	if err != nil {
		return l, fmt.Errorf("the first line must name the columns: %w", err)
	}
	at := map[string]int{}
	for i, name := range head {
		at[strings.ToLower(strings.TrimSpace(name))] = i
	}
	for _, name := range []string{"submit", "run", "vcpus"} {
		if _, ok := at[name]; !ok {
			return l, fmt.Errorf("there is no column %s", name)
		}
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return l, err
		}
		j, err := parseCSV(row, at)
		if err != nil {
			line, _ := c.FieldPos(0)
			return l, fmt.Errorf("line %d: %w", line, err)
		}
		if len(l.Jobs) == maxJobs {
			return l, fmt.Errorf("more than %d jobs", maxJobs)
		}
		l.Jobs = append(l.Jobs, j)
	}
	slices.SortStableFunc(l.Jobs, func(a, b Job) int { return cmp.Compare(a.Submit, b.Submit) })
	return l, nil
}

func parseCSV(row []string, at map[string]int) (j Job, err error) {
	get := func(name string, scale float64) int64 {
		i, ok := at[name]
		if !ok || err != nil || row[i] == "" {
			return 0
		}
		f, e := strconv.ParseFloat(strings.TrimSpace(row[i]), 64)
		if e != nil || !(f >= 0) || f*scale > 1e16 {
			err = fmt.Errorf("%s: %q is not a number", name, row[i])
			return 0
		}
		return int64(math.Round(f * scale))
	}
	j = Job{ID: get("id", 1), Submit: get("submit", second), Run: max(get("run", second), 1), Estimate: get("estimate", second), MilliVCPU: get("vcpus", 1000),
		MemoryMiB: get("memory_mib", 1), GPU: get("gpus", 1), Priority: int32(min(get("priority", 1), math.MaxInt32))}
	if row[at["run"]] == "0" {
		j.Run = second
	}
	if j.Estimate > 0 {
		j.Estimate = max(j.Estimate, j.Run)
	}
	word := func(name string) string {
		if i, ok := at[name]; ok {
			return strings.Clone(strings.TrimSpace(row[i]))
		}
		return ""
	}
	j.Share, j.User, j.Queue = word("share"), word("user"), word("queue")
	if err == nil && j.MilliVCPU == 0 {
		err = errors.New("vcpus must be above 0")
	}
	for _, t := range strings.FieldsFunc(word("tokens"), func(r rune) bool { return r == ';' }) {
		name, n, _ := strings.Cut(t, "=")
		q, e := strconv.ParseInt(n, 10, 32)
		if e != nil || q < 1 || name == "" {
			return j, fmt.Errorf("tokens: %q is not like licence=2", t)
		}
		j.Tokens = append(j.Tokens, job.ConsumableNeed{Name: name, Quantity: q})
	}
	return j, err
}
