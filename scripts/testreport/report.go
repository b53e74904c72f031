package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is a line of go test -json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output, "pkg" or "pkg [pkg.test]"
	Test       string
	Elapsed    float64
	Output     string
}

// report collects events.
type report struct {
	w                       io.Writer
	passed, failed, skipped int
	packages                map[string]*counts
	output                  map[string]*strings.Builder // by name of package and test
	parents                 map[string]bool             // tests that have subtests
	skips                   map[string][]string         // names by reason
	failures                []string
}

// counts is what is known of a package that is under way.
type counts struct{ passed, failed, skipped int }

func newReport(w io.Writer) *report {
	return &report{w: w, packages: map[string]*counts{}, output: map[string]*strings.Builder{}, parents: map[string]bool{}, skips: map[string][]string{}}
}

func (r *report) take(e event) {
	name := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.w, e.Output)
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			r.parents[e.Package+" "+e.Test[:i]] = true
		}
	case "output":
		b := r.output[name]
		if b == nil {
			b = &strings.Builder{}
			r.output[name] = b
		}
		b.WriteString(e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e, name)
		}
		delete(r.output, name)
	}
}

func (r *report) endTest(e event, name string) {
	c := r.of(e.Package)
	output := ""
	if b := r.output[name]; b != nil {
		output = b.String()
	}
	switch {
	case e.Action == "fail":
		fmt.Fprintf(r.w, "--- FAIL: %s %s\n%s", e.Package, e.Test, output)
		if !r.parents[name] {
			c.failed++
			r.failures = append(r.failures, name)
		} else if own := strings.Contains(trace.ReplaceAllString(output, ""), ".go:"); own {
			// A parent that fails by itself, not only through a subtest.
			c.failed++
			r.failures = append(r.failures, name)
		}
	case e.Action == "skip":
		c.skipped++
		why := reason(output)
		r.skips[why] = append(r.skips[why], name)
	case !r.parents[name]:
		c.passed++
	}
}

// trace is what go test itself writes about a test's course.
var trace = regexp.MustCompile(`(?m)^\s*(=== |--- ).*\n?`)

// where is the place that Skip puts before its text.
var where = regexp.MustCompile(`(?m)^\s*[\w.-]+\.go:\d+:\s*`)

// reason is the text that a test gave to Skip.
func reason(output string) string {
	text := where.ReplaceAllString(trace.ReplaceAllString(output, ""), "")
	text = strings.Join(strings.Fields(text), " ")
	text = strings.TrimPrefix(text, "SKIP: ")
	if text == "" {
		return "no reason given"
	}
	return text
}

func (r *report) endPackage(e event) {
	c := r.of(e.Package)
	delete(r.packages, e.Package)
	if e.Action == "fail" && c.failed == 0 {
		// It did not build, panicked outside of a test, or ran out of time.
		c.failed++
		r.failures = append(r.failures, e.Package)
		for name, b := range r.output {
			if strings.HasPrefix(name, e.Package+" ") {
				fmt.Fprint(r.w, b.String())
			}
		}
	}
	for name := range r.output {
		if strings.HasPrefix(name, e.Package+" ") {
			delete(r.output, name)
		}
	}
	r.passed += c.passed
	r.failed += c.failed
	r.skipped += c.skipped
	if *c == (counts{}) {
		return // no tests
	}
	word := "ok  "
	if e.Action == "fail" {
		word = "FAIL"
	}
	fmt.Fprintf(r.w, "%s %-40s %6.1fs  %s\n", word, e.Package, e.Elapsed, c)
}

func (c *counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.passed, c.failed, c.skipped)
}

func (r *report) of(pkg string) *counts {
	c := r.packages[pkg]
	if c == nil {
		c = &counts{}
		r.packages[pkg] = c
	}
	return c
}

// finish writes the summary; its last line is the count.
func (r *report) finish() {
	// A package without an end was cut off with go test itself.
	for pkg, c := range r.packages {
		r.passed, r.failed, r.skipped = r.passed+c.passed, r.failed+c.failed+1, r.skipped+c.skipped
		r.failures = append(r.failures, pkg+" (did not end)")
	}
	var reasons []string
	for why := range r.skips {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	if len(reasons) > 0 {
		fmt.Fprintln(r.w, "\nSkipped:")
	}
	for _, why := range reasons {
		fmt.Fprintf(r.w, "  %s\n", why)
		for _, name := range r.skips[why] {
			fmt.Fprintf(r.w, "      %s\n", name)
		}
	}
	if len(r.failures) > 0 {
		slices.Sort(r.failures)
		fmt.Fprintln(r.w, "\nFailed:")
		for _, name := range r.failures {
			fmt.Fprintf(r.w, "  %s\n", name)
		}
	}
	fmt.Fprintf(r.w, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
