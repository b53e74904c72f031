package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Name, Dir, Export      string
	Standard, DepOnly                  bool
	GoFiles, TestGoFiles, XTestGoFiles []string
	IgnoredGoFiles                     []string
	Imports, TestImports, XTestImports []string
	Deps                               []string
	Module                             *struct{ Path, Version string }
}

// source is all of the module, read once for all tests.
type source struct {
	packages []pkg          // of the module, by path
	all      map[string]pkg // with everything they rest on
	files    []file
	fset     *token.FileSet
	imports  types.Importer
}

// file is a parsed Go file of the module.
type file struct {
	pkg   pkg
	path  string // below the module's folder
	text  []byte
	ast   *ast.File
	test  bool
	built bool // part of the package on this platform
}

var loadOnce = sync.OnceValues(readModule)

func load(t *testing.T) *source {
	t.Helper()
	m, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const listed = "ImportPath,Name,Dir,Export,Standard,DepOnly,GoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles,Imports,TestImports,XTestImports,Deps,Module"

// readModule asks go list about the whole module, with export data, so that types need
// not be checked from source. That a package does not compile is left to go build.
func readModule() (*source, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	if err := touch(root); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "list", "-e", "-export", "-deps", "-json="+listed, "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	m := &source{all: map[string]pkg{}, fset: token.NewFileSet()}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		m.all[p.ImportPath] = p
		if _, ours := short(p.ImportPath); ours {
			m.packages = append(m.packages, p)
		}
	}
	if len(m.packages) == 0 {
		return nil, errors.New("go list found no package of the module")
	}
	m.imports = importer.ForCompiler(m.fset, "gc", func(path string) (io.ReadCloser, error) {
		if e := m.all[path].Export; e != "" {
			return os.Open(e)
		}
		return nil, fmt.Errorf("no export data of %s: does it compile?", path)
	})
	return m, m.parse(root)
}

// touch looks into every folder, so that go test notices a new file and does not answer
// from its cache: what go list reads is hidden from it.
func touch(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
}

func (m *source) parse(root string) error {
	for _, p := range m.packages {
		for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
			f := file{pkg: p, test: strings.HasSuffix(name, "_test.go"), built: slices.Contains(p.GoFiles, name)}
			full := filepath.Join(p.Dir, name)
			var err error
			if f.path, err = filepath.Rel(root, full); err != nil {
				return err
			}
			if f.text, err = os.ReadFile(full); err != nil {
				return err
			}
			if f.ast, err = parser.ParseFile(m.fset, f.path, f.text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
				return err
			}
			m.files = append(m.files, f)
		}
	}
	return nil
}

// check checks the types of files as one package.
func (m *source) check(path string, files []*ast.File) (*types.Info, error) {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: m.imports}
	_, err := conf.Check(path, m.fset, files, info)
	return info, err
}
