package replay

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Log is a log as it was read.
type Log struct {
	Jobs       []Job
	Processors int64 // of the machine; 0 = the log does not say
	Left       int   // jobs that were left out
}

// Bounds of what is read.
const (
	maxLine = 1 << 16
	maxJobs = 20_000_000
)

// Open reads a log, unpacking it if it is gzip.
func Open(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(b)
	}
	return b, nil
}

// ReadSWF reads a log in the Standard Workload Format: one job a line of 18 columns, of
// which it uses 1 id, 2 submit, 4 run, 5 processors, 8 requested processors, 9 requested
// time, 12 user. A run of 0 counts as 1; a missing request of time is the run, and one below the run
// is raised to it. Jobs without a run or processors are left out. The machine has so many
// processors, or MaxProcs of the header if that is 0.
func ReadSWF(r io.Reader, processors int64) (Log, error) {
	l := Log{Processors: processors}
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	nodes, users := int64(0), map[string]string{}
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if head, ok := strings.CutPrefix(line, ";"); ok {
			name, value, _ := strings.Cut(strings.TrimSpace(head), ":")
			v, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			switch {
			case err != nil || v <= 0:
			case strings.EqualFold(name, "MaxProcs") && l.Processors == 0:
				l.Processors = v
			case strings.EqualFold(name, "MaxNodes"):
				nodes = v
			}
			continue
		}
		if line == "" {
			continue
		}
		j, ok, err := parseSWF(line)
		if err != nil {
			return l, fmt.Errorf("line %d: %w", n, err)
		}
		if !ok {
			l.Left++
			continue
		}
		if len(l.Jobs) == maxJobs {
			return l, fmt.Errorf("more than %d jobs", maxJobs)
		}
		if u, ok := users[j.User]; ok {
			j.User = u // one string for all of a user's jobs
		} else {
			users[j.User] = j.User
		}
		l.Jobs = append(l.Jobs, j)
	}
	if err := s.Err(); err != nil {
		return l, err
	}
	if l.Processors == 0 {
		l.Processors = nodes // old logs count a processor a node, and say only this
	}
	slices.SortStableFunc(l.Jobs, func(a, b Job) int { return cmp.Compare(a.Submit, b.Submit) })
	return l, nil
}

// LeaveOut drops the jobs that fit on none of the hosts.
func (l *Log) LeaveOut(hosts []Host) {
	before := len(l.Jobs)
	l.Jobs = slices.DeleteFunc(l.Jobs, func(j Job) bool {
		return !slices.ContainsFunc(hosts, func(h Host) bool { return j.need().Fits(h.Capacity) })
	})
	l.Left += before - len(l.Jobs)
}

// parseSWF reads one line; ok is false for a job that cannot be replayed.
func parseSWF(line string) (j Job, ok bool, err error) {
	var v [12]int64
	columns := strings.Fields(line)
	if len(columns) < 5 {
		return j, false, fmt.Errorf("%d columns, a job has 18", len(columns))
	}
	for i := range v {
		v[i] = -1
		if i < len(columns) {
			f, err := strconv.ParseFloat(columns[i], 64)
			if err != nil || math.IsNaN(f) || math.Abs(f) > 1e15 {
				return j, false, fmt.Errorf("column %d: %q is not a number", i+1, columns[i])
			}
			v[i] = int64(f)
		}
	}
	j = Job{ID: v[0], Submit: v[1] * second, Run: v[3] * second, MilliVCPU: v[4], Estimate: min(v[8], math.MaxInt32) * second}
	if v[11] > 0 {
		j.User = "user-" + strconv.FormatInt(v[11], 10)
	}
	if j.MilliVCPU <= 0 {
		j.MilliVCPU = v[7]
	}
	if v[3] < 0 || v[3] > 1e9 || v[1] < 0 || v[1] > 1e11 || j.MilliVCPU <= 0 || j.MilliVCPU > 1e9 {
		return j, false, nil
	}
	j.MilliVCPU *= 1000
	j.Run = max(j.Run, second)
	j.Estimate = max(j.Estimate, j.Run)
	return j, true, nil
}
