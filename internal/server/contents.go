package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"drover/internal/blob"
	"drover/internal/blob/disk"
	"drover/internal/blob/s3"
	"drover/internal/blob/sealed"
	"drover/internal/link/external"
	s3svc "drover/internal/service/s3"
)

// Contents says where the contents of objects are kept.
type Contents struct {
	Address string // s3://… of a user's own S3; "" = files in the data folder
	KeyFile string // keys by which contents are encrypted; "" = they are not
}

// contentsFile remembers in the folder of objects where their contents are, so that a server
// which was started with other words does not take them for lost.
const contentsFile = "contents.json"

// placement is what contentsFile holds.
type placement struct {
	Place   string   `json:"place"`             // filesHere, or that of an external address
	Address string   `json:"address,omitempty"` // how it was reached last
	Owner   string   `json:"owner"`             // our name at that place
	Keys    []string `json:"keys,omitempty"`    // that contents were encrypted with; none = they are plain
}

const filesHere = "files"

// openContents opens what dir's placement says, if asked agrees with it; a new folder is
// placed as asked. The ring is nil where nothing is encrypted.
func openContents(ctx context.Context, dir string, asked Contents) (blob.Store, *sealed.Ring, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the folder of objects: %w", err)
	}
	was, err := readPlacement(dir)
	if err != nil {
		return nil, nil, err
	}
	at, now, err := place(dir, asked, was)
	if err != nil {
		return nil, nil, err
	}
	ring, err := unlock(dir, asked.KeyFile, was, now)
	if err != nil {
		return nil, nil, err
	}
	if err := writePlacement(dir, now); err != nil {
		return nil, nil, err
	}
	var store blob.Store
	if at == nil {
		store, err = disk.Open(filepath.Join(dir, "contents"), disk.Options{})
	} else {
		store, err = s3.Open(ctx, *at, now.Owner)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open the contents of objects: %w", err)
	}
	if ring != nil {
		store = sealed.New(store, ring)
	}
	return store, ring, nil
}

// openObjects opens the object store over its contents.
func openObjects(ctx context.Context, asked Contents, opts s3svc.Options) (*s3svc.Service, error) {
	store, ring, err := openContents(ctx, opts.Dir, asked)
	if err != nil {
		return nil, err
	}
	opts.Blobs = store
	if ring != nil {
		opts.Seal = ring
	}
	return s3svc.Open(ctx, opts)
}

// place compares where contents are with where they should be. was is nil in a new folder.
func place(dir string, asked Contents, was *placement) (*external.Address, *placement, error) {
	now := &placement{Place: filesHere, Owner: "drover " + rand.Text()}
	if was != nil {
		*now = *was
		now.Keys = slices.Clone(was.Keys)
	}
	if asked.Address == "" && now.Place == filesHere {
		return nil, now, nil
	}
	if asked.Address == "" {
		return nil, nil, fmt.Errorf("the contents of the objects in %s are in %s; start with --objects '%s'", dir, was.Place, was.Address)
	}
	at, err := external.Parse(asked.Address)
	if err != nil {
		return nil, nil, fmt.Errorf("--objects: %w", err)
	}
	now.Address = at.String()
	switch {
	case was == nil:
		now.Place = at.Place()
	case was.Place == filesHere:
		return nil, nil, fmt.Errorf("the contents of the objects in %s are files there, and cannot move to %s; start without --objects, or with a new data folder into which you copy the objects (aws s3 sync)", dir, at.Place())
	case was.Place != at.Place():
		return nil, nil, fmt.Errorf("the contents of the objects in %s are in %s, not in %s; start with --objects '%s', or with a new data folder", dir, was.Place, at.Place(), was.Address)
	}
	return &at, now, nil
}

// unlock reads the key file and makes sure that it can open all that was ever sealed here.
func unlock(dir, file string, was, now *placement) (*sealed.Ring, error) {
	if file == "" {
		if was != nil && len(was.Keys) > 0 {
			return nil, fmt.Errorf("the objects in %s are encrypted; give the file with their keys (%s) with --objects-key FILE", dir, strings.Join(was.Keys, ", "))
		}
		return nil, nil
	}
	ring, err := sealed.ReadKeys(file)
	if err != nil {
		return nil, err
	}
	if was != nil && len(was.Keys) == 0 {
		return nil, fmt.Errorf("the objects in %s are not encrypted, and encryption begins with a new data folder; start without --objects-key, or copy the objects into one (aws s3 sync)", dir)
	}
	if missing := ring.Lacks(now.Keys); len(missing) > 0 {
		return nil, fmt.Errorf("the key file %s does not have the key %s, by which objects in %s are encrypted; add it as a line of its own, or name the right file with --objects-key", file, strings.Join(missing, ", "), dir)
	}
	if !slices.Contains(now.Keys, ring.Current()) {
		now.Keys = append(now.Keys, ring.Current())
	}
	return ring, nil
}

// readPlacement gives nil for a folder that holds no objects yet. Folders from before there
// was a choice hold files.
func readPlacement(dir string) (*placement, error) {
	path := filepath.Join(dir, contentsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "objects.db")); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return &placement{Place: filesHere, Owner: "drover " + rand.Text()}, nil
	}
	if err != nil {
		return nil, err
	}
	p := &placement{}
	if err := json.Unmarshal(text, p); err != nil || p.Place == "" || p.Owner == "" {
		return nil, fmt.Errorf("%s, which says where the contents of objects are, is damaged; restore it from a backup", path)
	}
	return p, nil
}

func writePlacement(dir string, p *placement) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, contentsFile)
	if was, err := os.ReadFile(path); err == nil && string(was) == string(text) {
		return nil
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
