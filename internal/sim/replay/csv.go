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
)

// ReadCSV reads a log whose first line names the columns: submit, run and vcpus, and any of
// id, estimate, memory_mib, gpus and share; others are passed over. Times are in seconds.
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
		if e != nil || !(f >= 0) || f*scale > 1e12 {
			err = fmt.Errorf("%s: %q is not a number", name, row[i])
			return 0
		}
		return int64(math.Round(f * scale))
	}
	j = Job{ID: get("id", 1), Submit: get("submit", 1), Run: max(get("run", 1), 1), Estimate: get("estimate", 1), MilliVCPU: get("vcpus", 1000), MemoryMiB: get("memory_mib", 1), GPU: get("gpus", 1)}
	if j.Estimate > 0 {
		j.Estimate = max(j.Estimate, j.Run)
	}
	if i, ok := at["share"]; ok {
		j.Share = row[i]
	}
	if err == nil && j.MilliVCPU == 0 {
		err = errors.New("vcpus must be above 0")
	}
	return j, err
}
