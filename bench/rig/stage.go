package rig

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Stage is what a benchmark needs before it measures: a drover that was built and a folder
// for whatever it writes. A benchmark embeds it beside what its own flags set.
type Stage struct {
	Drover string // the binary
	Dir    string // Close removes it
}

// Open reads the flags, to which it adds -drover, and prints what is measured on.
func (s *Stage) Open() error {
	binary := flag.String("drover", "", "drover binary; built from this tree if empty")
	flag.Parse()
	dir, err := os.MkdirTemp("", "drover-bench-")
	if err != nil {
		return err
	}
	s.Dir = dir
	if s.Drover, err = Build(dir, *binary); err != nil {
		return errors.Join(err, s.Close())
	}
	fmt.Println(Machine())
	return nil
}

// Close removes the folder.
func (s *Stage) Close() error { return os.RemoveAll(s.Dir) }

// Row measures one figure, or some that belong together, and prints them.
type Row struct {
	Name string
	Run  func() error
}

// Play opens the stage, runs the rows that -rows names, in their own order and until one
// fails, and closes the stage. A heading, if there is one, is printed above them.
func (s *Stage) Play(heading string, rows ...Row) (err error) {
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	wanted := names
	flag.Func("rows", "what to measure (default "+strings.Join(names, ",")+")", func(text string) error {
		wanted = strings.Split(text, ",")
		return known(wanted, names)
	})
	if err := s.Open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if heading != "" {
		fmt.Println(heading)
	}
	for _, r := range rows {
		if !slices.Contains(wanted, r.Name) {
			continue
		}
		if err := r.Run(); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return nil
}

// known says which wanted name is none of those there are.
func known(wanted, names []string) error {
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return fmt.Errorf("no row %q; there are %s", w, strings.Join(names, ", "))
		}
	}
	return nil
}
