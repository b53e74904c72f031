// Command removedrules shows that the tests of the rules of AWS Batch hold them: it takes one
// rule after the other out of the source and runs the test that docs/reference/batch-rules.md
// names for it, which must then fail.
//
//	go run ./scripts/removedrules [ID...]
//
// The tree is not touched: go test gets the changed file as an overlay. A change that does not
// compile proves nothing and is an error. Run it in the root of the project; with a warm build
// cache it takes about two minutes.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "removedrules:", err)
		os.Exit(1)
	}
}

func run(only []string) error {
	dir, err := os.MkdirTemp("", "removedrules-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	held, all := 0, 0
	fmt.Println("| id | rule taken out | test | |\n|---|---|---|---|")
	for _, r := range removals() {
		if len(only) > 0 && !slices.Contains(only, r.ID) {
			continue
		}
		all++
		begun := time.Now()
		overlay, err := r.overlay(dir)
		if err != nil {
			return err
		}
		if out, ok := r.test(); !ok {
			return fmt.Errorf("%s fails already with rule %s in its place:\n%s", r.Test, r.ID, out)
		}
		out, passed := r.test("-overlay=" + overlay)
		verdict := fmt.Sprintf("fails (%.0f s)", time.Since(begun).Seconds())
		switch {
		case passed:
			verdict = "PASSES: it does not hold the rule"
		case !strings.Contains(out, "--- FAIL: "+r.Test):
			return fmt.Errorf("without rule %s the test did not run:\n%s", r.ID, out)
		default:
			held++
		}
		fmt.Printf("| %s | %s | `%s %s` | %s |\n", r.ID, r.Rule, r.Package, r.Test, verdict)
	}
	fmt.Printf("\n%d of %d rules are held\n", held, all)
	if held < all || all == 0 {
		return fmt.Errorf("%d of %d rules are not held", all-held, all)
	}
	return nil
}

// changed is the source without the rule.
func (r removal) changed() (string, error) {
	b, err := os.ReadFile(r.File)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), r.In); n != 1 {
		return "", fmt.Errorf("rule %s: %q stands %d times in %s, it must stand there once; mend scripts/removedrules/rules.go", r.ID, r.In, n, r.File)
	}
	return strings.Replace(string(b), r.In, r.Without, 1), nil
}

// overlay writes the changed source and the file that go test -overlay reads.
func (r removal) overlay(dir string) (string, error) {
	text, err := r.changed()
	if err != nil {
		return "", err
	}
	file, err := filepath.Abs(r.File)
	if err != nil {
		return "", err
	}
	with := filepath.Join(dir, r.ID+".go")
	if err := os.WriteFile(with, []byte(text), 0o600); err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {file: with}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, r.ID+".json")
	return name, os.WriteFile(name, b, 0o600)
}

// test runs the rule's test and reports whether it passed.
func (r removal) test(more ...string) (string, bool) {
	args := append([]string{"test", "-run", "^" + r.Test + "$"}, more...)
	out, err := exec.Command("go", append(args, "./"+r.Package)...).CombinedOutput()
	return string(out), err == nil
}
