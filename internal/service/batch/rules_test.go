package batch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each rule on the page of rules names a test that exists, and has an id of its own.
func TestRulesNameTheirTests(t *testing.T) {
	const root, page = "../../..", "docs/reference/batch-rules.md"
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{} // folder → all its tests
	in := func(folder string) string {
		if s, ok := sources[folder]; ok {
			return s
		}
		var b strings.Builder
		files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("there are no tests in %s", folder)
		}
		for _, f := range files {
			s, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(s)
		}
		sources[folder] = b.String()
		return b.String()
	}
	row := regexp.MustCompile(`(?m)^\| (1\.\d+-\d+) \| .+ \| (.+) \|$`)
	named := regexp.MustCompile("`([a-z0-9/]+) (Test[A-Za-z0-9_]+)`")
	seen := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if seen[m[1]] {
			t.Errorf("rule %s is there twice", m[1])
		}
		seen[m[1]] = true
		tests := named.FindAllStringSubmatch(m[2], -1)
		if len(tests) == 0 {
			t.Errorf("rule %s names no test", m[1])
		}
		for _, n := range tests {
			if !strings.Contains(in(n[1]), "func "+n[2]+"(t *testing.T)") {
				t.Errorf("rule %s names %s of %s, which does not exist", m[1], n[2], n[1])
			}
		}
	}
	if len(seen) < 60 {
		t.Errorf("the page has %d rules; are its rows still read?", len(seen))
	}
}
