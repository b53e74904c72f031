package main

import (
	"go/format"
	"os"
	"strings"
	"testing"
)

// The rules can still be taken out, there are ten of them at least, and the page of rules
// names the tests that must then fail.
func TestRemovalsFitTheSource(t *testing.T) {
	t.Chdir("../..")
	page, err := os.ReadFile("docs/reference/batch-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, r := range removals() {
		text, err := r.changed()
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := format.Source([]byte(text)); err != nil {
			t.Errorf("without rule %s the source does not parse: %v", r.ID, err)
		}
		_, row, _ := strings.Cut(string(page), "| "+r.ID+" |")
		row, _, _ = strings.Cut(row, "\n")
		if !strings.Contains(row, "`"+r.Package+" "+r.Test+"`") {
			t.Errorf("the page of rules does not name %s %s for rule %s", r.Package, r.Test, r.ID)
		}
		ids[r.ID] = true
	}
	if len(ids) < 10 {
		t.Errorf("%d rules are taken out, want 10", len(ids))
	}
}
