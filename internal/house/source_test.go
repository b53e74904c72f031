package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

const (
	fileLines     = 800
	functionLines = 100
	exempt        = "house:table"
)

// checkSize says which files and functions are too long (R6). A function, or a file at
// its top, is exempt if its comment has the word house:table and a reason after it.
func checkSize(fset *token.FileSet, f file) (wrong []string) {
	if lines := bytes.Count(f.text, []byte("\n")); lines > fileLines && !excused(f.ast.Doc) {
		wrong = append(wrong, fmt.Sprintf("%s has %d lines, %d are allowed: split it by what its parts promise", f.path, lines, fileLines))
	}
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || excused(fn.Doc) {
			continue
		}
		from, to := fset.Position(fn.Pos()), fset.Position(fn.End())
		if n := to.Line - from.Line + 1; n > functionLines {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s has %d lines, %d are allowed", f.path, from.Line, fn.Name.Name, n, functionLines))
		}
	}
	return wrong
}

func excused(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	for _, c := range doc.List {
		if _, why, ok := strings.Cut(c.Text, exempt); ok && strings.TrimSpace(why) != "" {
			return true
		}
	}
	return false
}

// checkNames refuses names that say nothing (R7) and init functions (R9).
func checkNames(f file) (wrong []string) {
	empty := strings.Fields("util utils common helper helpers misc base types models")
	file, _, _ := strings.Cut(path.Base(f.path), ".")
	for _, name := range []string{f.ast.Name.Name, strings.TrimSuffix(file, "_test")} {
		if slices.Contains(empty, name) {
			wrong = append(wrong, fmt.Sprintf("%s: %q says nothing about what is inside", f.path, name))
		}
	}
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !f.test {
			wrong = append(wrong, f.path+": an init function runs before anybody asks for it: call it from a constructor")
		}
	}
	return wrong
}

// checkDoc says whether one of a package's comments says what the package promises (R5).
func checkDoc(name string, docs []string) (wrong []string) {
	found := 0
	for _, doc := range docs {
		if doc == "" {
			continue
		}
		found++
		if !strings.HasPrefix(doc, "Package "+name+" ") && !(name == "main" && strings.HasPrefix(doc, "Command ")) {
			wrong = append(wrong, fmt.Sprintf("the comment starts %.40q, not \"Package %s …\"", doc, name))
		}
	}
	switch {
	case found == 0:
		wrong = append(wrong, "no file has a comment \"Package "+name+" …\" that says what the package promises")
	case found > 1:
		wrong = append(wrong, "two files have a package comment: one is enough")
	}
	return wrong
}

func TestSize(t *testing.T) {
	m := load(t)
	for _, f := range m.files {
		for _, w := range checkSize(m.fset, f) {
			t.Error(w)
		}
	}
}

func TestNames(t *testing.T) {
	for _, f := range load(t).files {
		for _, w := range checkNames(f) {
			t.Error(w)
		}
	}
}

func TestPackageDocs(t *testing.T) {
	m := load(t)
	for _, p := range m.packages {
		if len(p.GoFiles) == 0 {
			continue
		}
		var docs []string
		for _, f := range m.files {
			if f.pkg.ImportPath == p.ImportPath && f.built {
				docs = append(docs, f.ast.Doc.Text())
			}
		}
		for _, w := range checkDoc(p.Name, docs) {
			t.Errorf("%s: %s", p.ImportPath, w)
		}
	}
}

// TestSourceRefuses plants violations of R5, R6, R7 and R9.
func TestSourceRefuses(t *testing.T) {
	long := "func f() {\n" + strings.Repeat("\tf()\n", functionLines-1) + "}\n"
	cases := []struct{ path, code, want string }{
		{"internal/x/x.go", "package x\n\nfunc f() {}\n", ""},
		{"internal/x/x.go", "package x\n" + long, "f has 101 lines"},
		{"internal/x/x.go", "package x\n\n// house:table every case in one view\n" + long, ""},
		{"internal/x/x.go", "package x\n\n// house:table\n" + long, "f has 101 lines"},
		{"internal/x/x.go", "package x\n" + strings.Repeat("\n", fileLines), "801 lines"},
		{"internal/util/x.go", "package util\n", "says nothing"},
		{"internal/x/helpers.go", "package x\n", "says nothing"},
		{"internal/x/types_test.go", "package x\n", "says nothing"},
		{"internal/x/x.go", "package x\n\nfunc init() {}\n", "init function"},
		{"internal/x/x.go", "package x\n\ntype t int\n\nfunc (t) init() {}\n", ""},
	}
	for _, c := range cases {
		fset := token.NewFileSet()
		f := file{path: c.path, text: []byte(c.code)}
		var err error
		if f.ast, err = parser.ParseFile(fset, c.path, c.code, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(append(checkSize(fset, f), checkNames(f)...), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %.60q: got %q, want %q", c.path, c.code, got, c.want)
		}
	}
	for _, c := range []struct {
		name string
		docs []string
		want string
	}{
		{"x", []string{"", "Package x does it.\n"}, ""},
		{"main", []string{"Command drover does it.\n"}, ""},
		{"x", []string{"", ""}, "no file has a comment"},
		{"x", []string{"This is x.\n"}, "the comment starts"},
		{"x", []string{"Package xy does it.\n"}, "the comment starts"},
		{"x", []string{"Package x does it.\n", "Package x does it.\n"}, "two files"},
	} {
		got := strings.Join(checkDoc(c.name, c.docs), "; ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.docs, got, c.want)
		}
	}
}
