package server_test

import (
	"cmp"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"drover/internal/server"
	batchsvc "drover/internal/service/batch"
	"drover/internal/wire"

	"github.com/aws/aws-sdk-go-v2/service/batch"
)

var update = flag.Bool("update", false, "rewrite generated pages")

func TestCoveragePageIsCurrent(t *testing.T) {
	const page = "../../docs/reference/coverage.md"
	proofs := batchProofs(t)
	shown := map[string][]string{}
	for op, tests := range proofs {
		shown[op] = tests[:min(len(tests), mostProofs)]
		if len(tests) <= len(harness) {
			t.Errorf("no test calls %s for what it does; the conformance harness alone proves only its wire form", op)
		}
	}
	want := server.Coverage(map[string]map[string][]string{"batch": shown})
	if *update {
		if err := os.MkdirAll("../../docs/reference", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A new test need not be on the page; one that is there must still call the operation.
	const again = "run: go test ./internal/server -run Coverage -update"
	got, err := os.ReadFile(page)
	if err != nil || testColumn.ReplaceAllString(string(got), "$1 $2") != testColumn.ReplaceAllString(want, "$1 $2") {
		t.Errorf("%s is not what the tables say (%v); %s", page, err, again)
	}
	rows := testColumn.FindAllStringSubmatch(string(got), -1)
	for _, row := range rows {
		for _, test := range strings.Split(row[3], ", ") {
			if !slices.Contains(proofs[row[1]], test) {
				t.Errorf("%s says that %s calls %s, which it does not; %s", page, test, row[1], again)
			}
		}
	}
	if len(rows) != len(proofs) {
		t.Errorf("%s names tests of %d operations of %d; %s", page, len(rows), len(proofs), again)
	}
}

// testColumn is a row with tests: operation, state, tests.
var testColumn = regexp.MustCompile("(?m)^\\| (\\w+) \\| ([^|]*) \\| (`[^|]*`) \\|$")

// harness drives every operation, with the Go SDK and with boto3, all members set.
var harness, harnessOfRefusals = []string{"`TestWireConformance`", "`TestWireConformanceOfBoto3`"}, []string{"`TestWireConformanceOfRefusals`", "`TestWireConformanceOfBoto3`"}

// mostProofs is how many tests a row names.
const mostProofs = 5

// batchProofs finds the tests that call each operation of AWS Batch: in the service's own
// tests and end to end, directly or through helpers, the closest first.
func batchProofs(t *testing.T) map[string][]string {
	t.Helper()
	ops := map[string]bool{}
	for m := range reflect.TypeFor[*batch.Client]().Methods() {
		if m.Type.NumIn() == 4 && m.Type.NumOut() == 2 {
			ops[m.Name] = true
		}
	}
	found := map[string][]caller{}
	for _, folder := range []string{"internal/service/batch", "e2e"} {
		for _, c := range callers(t, folder, ops) {
			found[c.op] = append(found[c.op], c)
		}
	}
	proofs := map[string][]string{}
	for _, row := range wire.Coverage([]wire.Service{(&batchsvc.Service{}).Wire()}) {
		op := row.Operation
		list := found[op]
		slices.SortFunc(list, func(a, b caller) int {
			return cmp.Or(cmp.Compare(a.steps, b.steps), cmp.Compare(a.breadth, b.breadth), cmp.Compare(a.test, b.test))
		})
		proofs[op] = slices.Clone(harness)
		if row.State == wire.RefusedOp {
			proofs[op] = slices.Clone(harnessOfRefusals)
		}
		for _, c := range list {
			proofs[op] = append(proofs[op], "`"+c.folder+" "+c.test+"`")
		}
	}
	return proofs
}

// caller is a test that reaches an operation in so many steps, and how many it reaches in all.
type caller struct {
	op, folder, test string
	steps, breadth   int
}

// callers reads a folder's tests. A function mentions what it calls as a method or names in
// a string; what it mentions by the name of another function of the folder it reaches too.
func callers(t *testing.T, folder string, ops map[string]bool) (all []caller) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}
	mentions := map[string]map[string]bool{} // function → words
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			words := mentions[f.Name.Name]
			if words == nil {
				words = map[string]bool{}
				mentions[f.Name.Name] = words
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.Ident); ok {
						words[id.Name] = true
					}
				case *ast.SelectorExpr:
					words[n.Sel.Name] = true
				case *ast.BasicLit:
					if s, err := strconv.Unquote(n.Value); err == nil && ops[s] {
						words[s] = true
					}
				}
				return true
			})
		}
	}
	for test := range mentions {
		if !strings.HasPrefix(test, "Test") {
			continue
		}
		reached := reach(mentions, test)
		breadth := 0
		for word := range reached {
			if ops[word] {
				breadth++
			}
		}
		for word, steps := range reached {
			if ops[word] {
				all = append(all, caller{word, folder, test, steps, breadth})
			}
		}
	}
	return all
}

// reach gives every word that a function mentions, itself or through others, with the fewest
// steps to it.
func reach(mentions map[string]map[string]bool, from string) map[string]int {
	steps := map[string]int{from: 0}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, word := range slices.Sorted(maps.Keys(mentions[queue[0]])) {
			if _, seen := steps[word]; !seen {
				steps[word] = steps[queue[0]] + 1
				queue = append(queue, word)
			}
		}
	}
	return steps
}
