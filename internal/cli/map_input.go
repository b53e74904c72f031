package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"drover/internal/link"
	"drover/internal/link/objects"

	"golang.org/x/sys/unix"
)

// readInputs lists the files below dir, or dir itself if it is a file. Links to files are
// followed, links to folders are not (they could lead in a circle) and are counted.
func readInputs(dir string) (items []link.Item, file bool, skipped int, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, false, 0, wrong("the inputs %s cannot be read: %v; correct --in", dir, cause(err))
	}
	if !info.IsDir() {
		if err := checkInput(dir, info); err != nil {
			return nil, true, 0, wrong("%w", err)
		}
		return []link.Item{{Path: filepath.Base(dir), Size: info.Size()}}, true, 0, nil
	}
	var bad []error
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			return nil
		}
		var info fs.FileInfo
		if err == nil {
			info, err = os.Stat(path)
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", path, cause(err)))
			return nil
		}
		if info.IsDir() {
			skipped++
			return nil
		}
		if err := checkInput(path, info); err != nil {
			bad = append(bad, err)
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		items = append(items, link.Item{Path: filepath.ToSlash(rel), Size: info.Size()})
		return nil
	})
	if err != nil {
		return nil, false, 0, wrong("the inputs %s cannot be read: %v; correct --in", dir, cause(err))
	}
	if len(bad) > 0 {
		return nil, false, 0, badInputs(bad)
	}
	sortItems(items)
	return items, false, skipped, nil
}

// checkInput refuses what cannot be uploaded.
func checkInput(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file that can be uploaded (%s)", path, info.Mode().Type())
	}
	if err := unix.Access(path, unix.R_OK); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// badInputs is one sentence about files that cannot be read, whatever their number.
func badInputs(bad []error) error {
	const named = 3
	more := ""
	if n := len(bad) - named; n > 0 {
		more = fmt.Sprintf(" and %s", counted(int64(n), "other"))
		bad = bad[:named]
	}
	var texts []string
	for _, e := range bad {
		texts = append(texts, e.Error())
	}
	return wrong("cannot be read: %s%s; make them readable or move them out of --in", strings.Join(texts, "; "), more)
}

// listInputs makes the work list of inputs that are in the object store already.
func (m *mapper) listInputs(ctx context.Context) ([]link.Item, error) {
	in := m.run.inputs()
	var items []link.Item
	for o, err := range m.objects.List(ctx, in.Bucket, in.Prefix, "") {
		if objects.IsNotFound(err) {
			return nil, wrong("there is no bucket %s; correct --in", in.Bucket)
		}
		if err != nil {
			return nil, fmt.Errorf("list the inputs %s: %w", in, err)
		}
		path := strings.TrimPrefix(o.Key, in.Prefix)
		if path == "" || strings.HasSuffix(path, "/") {
			continue // a folder's marker
		}
		if items = append(items, link.Item{Path: path, Size: o.Size}); len(items) > maxItems {
			break // enough to be refused
		}
	}
	sortItems(items)
	return items, nil
}

// source is the file of an item here.
func (m *mapper) source(it link.Item) string {
	in := storedPlace(m.run.In).Dir
	if m.run.File {
		return in
	}
	return filepath.Join(in, filepath.FromSlash(it.Path))
}

// errChanged says that a file was written to while it was uploaded.
var errChanged = errors.New("the file changed while it was read")
