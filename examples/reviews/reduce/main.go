// Command reduce puts the workers' results together: report.json for programs and
// report.html, one file without anything from elsewhere, for people.
//
//	reduce [-labels FILE] [-title TEXT] [-note TEXT] INDIR OUTDIR
//
// With labels it also states how often the answers agree with them.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"drover/examples/reviews/review"
)

func main() {
	labels := flag.String("labels", "", "labels file, to compare with")
	title := flag.String("title", "Customer reviews", "title of the report")
	note := flag.String("note", "", "a sentence below the title")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: reduce [-labels FILE] [-title TEXT] [-note TEXT] INDIR OUTDIR")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), flag.Arg(1), *labels, *title, *note); err != nil {
		fmt.Fprintln(os.Stderr, "reduce:", err)
		os.Exit(1)
	}
}

func run(in, out, labelsFile, title, note string) error {
	results, files, err := readResults(in)
	if err != nil {
		return err
	}
	var labels map[string]review.Label
	if labelsFile != "" {
		f, err := os.Open(labelsFile)
		if err != nil {
			return err
		}
		defer f.Close()
		if labels, err = review.ReadLabels(f, labelsFile); err != nil {
			return err
		}
	}
	rep := summarize(results, labels)
	rep.Title, rep.Note, rep.Files = title, note, files
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	html, err := render(rep)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(out, "report.json"), append(b, '\n'), 0o644),
		os.WriteFile(filepath.Join(out, "report.html"), html, 0o644))
}

// readResults reads every file below dir.
func readResults(dir string) (results []review.Result, files int, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		dec := json.NewDecoder(bufio.NewReader(f))
		for dec.More() {
			var r review.Result
			if err := dec.Decode(&r); err != nil {
				return fmt.Errorf("%s: not a result of worker: %w", path, err)
			}
			results = append(results, r)
		}
		return nil
	})
	if err == nil && len(results) == 0 {
		err = fmt.Errorf("%s: no results in it; run worker first", dir)
	}
	return results, files, err
}
