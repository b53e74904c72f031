// Package main runs go test with the arguments given and reports for a person: a line
// for each package, the output of what failed, every skip with its reason, and at the
// end "N passed, N failed, N skipped".
//
// It promises to exit 0 only if go test did and nothing failed, and that no skip passes
// unseen. A test that has subtests is counted by them. The checks named in ALSO_FAILED,
// which ran before it, count as failed too.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	failed, err := run(os.Args[1:], strings.Fields(os.Getenv("ALSO_FAILED")), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// run runs go test and writes the report, with the checks that failed before. It tells
// whether anything failed.
func run(args, before []string, w io.Writer) (failed bool, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return true, err
	}
	if err := cmd.Start(); err != nil {
		return true, fmt.Errorf("run go test: %w", err)
	}
	r := newReport(w)
	r.failed, r.failures = len(before), before
	readErr := r.read(out)
	waitErr := cmd.Wait()
	r.finish()
	if readErr != nil {
		return true, fmt.Errorf("read the output of go test: %w", readErr)
	}
	return waitErr != nil || r.failed > 0, nil
}

// read takes the events of go test -json; lines that are none are passed through.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.take(e)
			} else {
				fmt.Fprintf(r.w, "%s", line)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
