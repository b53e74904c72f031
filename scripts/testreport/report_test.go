package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun reports a real go test of a module with every kind of outcome.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module m\n\ngo 1.26\n",
		"good/good_test.go": `package good
import "testing"
func TestOK(t *testing.T) {}
func TestSubs(t *testing.T) {
	t.Run("one", func(t *testing.T) {})
	t.Run("two", func(t *testing.T) { t.Skip("SKIP: no moon tonight") })
}`,
		"bad/bad_test.go": `package bad
import "testing"
func TestSub(t *testing.T) { t.Run("in", func(t *testing.T) { t.Error("inner trouble") }) }
func TestOwn(t *testing.T) { t.Run("in", func(t *testing.T) {}); t.Error("outer trouble") }
func TestSkip(t *testing.T) { t.Skip() }`,
		"panics/panics_test.go": `package panics
import ("os"; "testing")
func TestMain(m *testing.M) { os.Exit(3) }`,
		"broken/broken_test.go": `package broken
func TestX(`,
		"empty/empty.go": `package empty`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	cases := []struct {
		arg    string
		before []string
		failed bool
		want   []string
		last   string
	}{
		{"./good", nil, false, []string{"ok   m/good", "  no moon tonight\n      m/good TestSubs/two"}, "2 passed, 0 failed, 1 skipped"},
		{"./bad", nil, true, []string{"FAIL m/bad", "inner trouble", "outer trouble", "no reason given", "  m/bad TestSub/in\n", "  m/bad TestOwn\n"}, "1 passed, 2 failed, 1 skipped"},
		{"./panics", nil, true, []string{"FAIL m/panics"}, "0 passed, 1 failed, 0 skipped"},
		{"./broken", nil, true, []string{"expected ')'", "FAIL m/broken"}, "0 passed, 1 failed, 0 skipped"},
		{"./good", []string{"gofmt"}, true, []string{"Failed:\n  gofmt\n"}, "2 passed, 1 failed, 1 skipped"},
		{"./empty", nil, false, nil, "0 passed, 0 failed, 0 skipped"},
		{"./gone", nil, true, nil, ""},
	}
	for _, c := range cases {
		var out strings.Builder
		failed, err := run([]string{c.arg}, c.before, &out)
		if err != nil || failed != c.failed {
			t.Errorf("%s: failed is %t, want %t; %v", c.arg, failed, c.failed, err)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: the report lacks %q:\n%s", c.arg, want, out.String())
			}
		}
		if !strings.HasSuffix(out.String(), "\n"+c.last+"\n") && c.last != "" {
			t.Errorf("%s: the report does not end with %q:\n%s", c.arg, c.last, out.String())
		}
	}
}
