package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"drover/internal/service/s3"
	"drover/internal/store"
)

// Checkup is what Doctor found in a data folder.
type Checkup struct {
	Databases []Database   `json:"databases"`
	Objects   int64        `json:"objects"` // versions that were read
	Bytes     int64        `json:"bytes"`
	Damaged   []s3.Damaged `json:"damaged"`
	Removed   int64        `json:"removed"` // contents that no object named
	Freed     int64        `json:"freed"`   // bytes of those
}

// Healthy reports whether all that is stored can be trusted.
func (c *Checkup) Healthy() bool {
	for _, d := range c.Databases {
		if d.Trouble != "" {
			return false
		}
	}
	return len(c.Damaged) == 0
}

// Database is the state of one database file.
type Database struct {
	Name    string `json:"name"`
	Trouble string `json:"trouble,omitempty"` // what SQLite says; "" when it is well
}

// maxDamaged bounds what a Checkup lists.
const maxDamaged = 10_000

// Doctor reads everything in a data folder whose server does not run, compares every
// checksum, and removes contents that no object names. It changes nothing else. Where the
// contents are it knows; encrypted ones need their key file.
func Doctor(ctx context.Context, data, account string, at Contents) (*Checkup, error) {
	if _, err := os.Stat(data); err != nil {
		return nil, fmt.Errorf("there is no data folder: %w", err)
	}
	unlock, err := lockFolder(data)
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := &Checkup{Databases: []Database{}, Damaged: []s3.Damaged{}}
	for _, name := range []string{"drover.db", "logs.db", filepath.Join("objects", "objects.db")} {
		trouble, err := checkDatabase(ctx, filepath.Join(data, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			trouble = err.Error()
		}
		out.Databases = append(out.Databases, Database{name, trouble})
	}
	objects := filepath.Join(data, "objects")
	if _, err := os.Stat(filepath.Join(objects, "objects.db")); errors.Is(err, fs.ErrNotExist) || !out.Healthy() {
		return out, nil // objects are not read by a database that cannot be trusted
	}
	if was, err := readPlacement(objects); err == nil && at.Address == "" {
		at.Address = was.Address
	}
	o, err := openObjects(ctx, at, s3.Options{Dir: objects, Region: DefaultRegion, Account: account, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	read, err := o.Verify(ctx, func(d s3.Damaged) {
		if len(out.Damaged) < maxDamaged {
			out.Damaged = append(out.Damaged, d)
		}
	})
	out.Objects, out.Bytes = read.Objects, read.Bytes
	if err != nil {
		return out, err
	}
	swept, err := o.Sweep(ctx, 0)
	out.Removed, out.Freed = swept.Removed, swept.Bytes
	return out, err
}

// checkDatabase asks SQLite to check every page and index of a file.
func checkDatabase(ctx context.Context, path string) (trouble string, err error) {
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	db, err := store.Open(ctx, path)
	if err != nil {
		return "", err
	}
	var broken error
	db.OnFatal(func(err error) { broken = err })
	err = db.View(ctx, func(tx *store.Tx) error {
		return tx.Row(`PRAGMA integrity_check(1)`).Scan(&trouble)
	})
	if trouble == "ok" {
		trouble = ""
	}
	return trouble, errors.Join(err, broken, db.Close())
}
