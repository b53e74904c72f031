package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// pureStd is what core may use of the standard library: nothing that reaches out of the
// process, waits, or answers twice the same question differently.
func pureStd() []string {
	return []string{"bytes", "cmp", "container/heap", "encoding", "encoding/base64", "encoding/binary", "encoding/hex", "encoding/json",
		"errors", "fmt", "hash/crc32", "hash/fnv", "iter", "maps", "math", "math/bits", "path", "regexp", "slices", "strconv", "strings",
		"time", "unicode", "unicode/utf8"}
}

// impure are functions of packages on that list which core may not use all the same.
func impure() map[string]string {
	return map[string]string{
		"time":   "Now Since Until After AfterFunc Tick NewTimer NewTicker Sleep LoadLocation",
		"fmt":    "Print Printf Println Scan Scanf Scanln",
		"regexp": "MustCompilePOSIX",
	}
}

// checkPure says what in the files of a core package is not pure.
func checkPure(m *source, path string, files []*ast.File) ([]string, error) {
	info, err := m.check(path, files)
	if err != nil {
		return nil, err
	}
	c := &purity{m: m, info: info}
	for _, f := range files {
		ast.PreorderStack(f, nil, func(n ast.Node, stack []ast.Node) bool {
			c.visit(n, stack)
			return true
		})
	}
	return c.wrong, nil
}

type purity struct {
	m     *source
	info  *types.Info
	wrong []string
}

func (c *purity) say(n ast.Node, format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf("%s: %s", c.m.fset.Position(n.Pos()), fmt.Sprintf(format, args...)))
}

func (c *purity) visit(n ast.Node, stack []ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.say(n, "a goroutine: core decides in the caller's own")
	case *ast.SelectStmt, *ast.SendStmt:
		c.say(n, "a channel: core does not wait")
	case *ast.RangeStmt:
		if t := c.info.TypeOf(n.X); t != nil {
			if _, isMap := t.Underlying().(*types.Map); isMap {
				c.say(n, "a range over a map has no order: keep a sorted slice, or range over slices.Sorted(maps.Keys(m))")
			}
		}
	case *ast.AssignStmt:
		for _, left := range n.Lhs {
			c.assigned(left)
		}
	case *ast.IncDecStmt:
		c.assigned(n.X)
	case *ast.Ident:
		c.used(n, stack)
	}
}

// assigned refuses changes of package variables, their fields and elements.
func (c *purity) assigned(e ast.Expr) {
	for {
		switch x := e.(type) {
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SelectorExpr:
			if v, ok := c.info.Uses[x.Sel].(*types.Var); ok && !v.IsField() {
				c.say(e, "a change of the package variable %s", v.Name())
				return
			}
			e = x.X
		case *ast.Ident:
			if v, ok := c.info.Uses[x].(*types.Var); ok && v.Parent() == v.Pkg().Scope() {
				c.say(e, "a change of the package variable %s", v.Name())
			}
			return
		default:
			return
		}
	}
}

func (c *purity) used(id *ast.Ident, stack []ast.Node) {
	obj := c.info.Uses[id]
	if b, ok := obj.(*types.Builtin); ok && (b.Name() == "print" || b.Name() == "println") {
		c.say(id, "%s writes to standard error", b.Name())
	}
	f, ok := obj.(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
		return
	}
	if slices.Contains(strings.Fields(impure()[f.Pkg().Path()]), f.Name()) {
		c.say(id, "%s.%s is not pure: let the caller pass the value in", f.Pkg().Name(), f.Name())
	}
	if f.Pkg().Path() == "maps" && slices.Contains([]string{"All", "Keys", "Values"}, f.Name()) && !c.sorted(stack) {
		c.say(id, "maps.%s has no order: wrap it in slices.Sorted", f.Name())
	}
}

// sorted reports whether the innermost call around maps.Keys(m) is slices.Sorted or one
// of its kind.
func (c *purity) sorted(stack []ast.Node) bool {
	calls := 0
	for _, n := range slices.Backward(stack) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			continue
		}
		if calls++; calls < 2 {
			continue // maps.Keys itself
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		f, ok := c.info.Uses[sel.Sel].(*types.Func)
		return ok && f.Pkg() != nil && f.Pkg().Path() == "slices" && strings.HasPrefix(f.Name(), "Sorted")
	}
	return false
}

// TestPure is R2, and R9 for core.
func TestPure(t *testing.T) {
	m := load(t)
	seen := 0
	for _, p := range m.packages {
		if name, _ := short(p.ImportPath); !strings.HasPrefix(name, "core/") {
			continue
		}
		var files []*ast.File
		for _, f := range m.files {
			if f.pkg.ImportPath == p.ImportPath && f.built {
				files = append(files, f.ast)
			}
		}
		wrong, err := checkPure(m, p.ImportPath, files)
		if err != nil {
			t.Error(err)
		}
		for _, w := range wrong {
			t.Error(w)
		}
		seen++
	}
	if seen == 0 {
		t.Error("no core package was found")
	}
}

// TestPureRefuses plants violations.
func TestPureRefuses(t *testing.T) {
	m := load(t)
	cases := []struct{ code, want string }{
		{`func f(now time.Time) time.Time { return now.Add(time.Second) }`, ""},
		{`func f() time.Time { return time.Now() }`, "time.Now is not pure"},
		{`var clock = time.Now`, "time.Now is not pure"},
		{`func f(t time.Time) any { return time.Since(t) }`, "time.Since is not pure"},
		{`func f() { time.Sleep(1) }`, "time.Sleep is not pure"},
		{`func f() { go f() }`, "a goroutine"},
		{`func f(c chan int) { c <- 1 }`, "a channel"},
		{`func f(c chan int) { select { case <-c: default: } }`, "a channel"},
		{`type m map[int]int
		  func f(x m) { for k := range x { _ = k } }`, "a range over a map"},
		{`func f(x []int) { for k := range x { _ = k } }`, ""},
		{`func f(x map[int]int) []int { return slices.Sorted(maps.Keys(x)) }`, ""},
		{`func f(x map[int]int) []int { return slices.Collect(maps.Keys(x)) }`, "maps.Keys has no order"},
		{`func f(x map[int]int) any { return maps.All(x) }`, "maps.All has no order"},
		{`var n int
		  func f() { n = 1 }`, "package variable n"},
		{`var n int
		  func f() { n++ }`, "package variable n"},
		{`var n struct{ a []int }
		  func f() { n.a[0] = 1 }`, "package variable n"},
		{`var n = map[int]int{}
		  func f() int { n := 2; n++; return n }`, ""},
		{`func f() { fmt.Println(fmt.Sprint(1)) }`, "fmt.Println is not pure"},
		{`func f() { println(1) }`, "println writes"},
	}
	for i, c := range cases {
		const head = "package p\nimport (\"fmt\"; \"maps\"; \"slices\"; \"time\")\nvar ( _ = fmt.Sprint; _ = maps.Clone[map[int]int]; _ = slices.Sort[[]int]; _ time.Time )\n"
		f, err := parser.ParseFile(m.fset, fmt.Sprintf("case%d.go", i), head+c.code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		wrong, err := checkPure(m, "p", []*ast.File{f})
		if err != nil {
			t.Fatalf("%s: %v", c.code, err)
		}
		got := strings.Join(wrong, "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s\ngot %q, want %q", c.code, got, c.want)
		}
	}
}
