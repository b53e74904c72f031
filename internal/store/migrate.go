package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"drover/internal/core/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

func schema() fs.FS { return migrations }

// migration is one numbered script of a package.
type migration struct {
	version int64
	name    string
	script  string
}

const versionsTable = `CREATE TABLE IF NOT EXISTS store_versions (
	package TEXT NOT NULL,
	version BIGINT NOT NULL,
	name TEXT NOT NULL,
	applied_at BIGINT NOT NULL,
	PRIMARY KEY (package, version))`

// Migrate brings the tables of one package to the newest version that files hold:
// numbered scripts ("0001_first.sql") in the one dialect, 1, 2, 3 without a gap. Each
// runs in a transaction of its own together with the row that records it, so it may be
// killed anywhere and goes on at the next start. A database that is newer than files is
// refused and not touched.
func (db *DB) Migrate(ctx context.Context, pkg string, files fs.FS) error {
	list, err := readMigrations(files)
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", pkg, err)
	}
	var at int64
	err = db.Update(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(versionsTable); err != nil {
			return err
		}
		at, err = checkVersions(tx, pkg, list)
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range list[at:] {
		if err := db.Update(ctx, func(tx *Tx) error { return apply(tx, pkg, m) }); err != nil {
			return fmt.Errorf("migration %s of %s: %w", m.name, pkg, err)
		}
	}
	return nil
}

// apply runs one migration, unless another process just did.
func apply(tx *Tx, pkg string, m migration) error {
	var n int64
	if err := tx.Row(`SELECT count(*) FROM store_versions WHERE package = $1 AND version = $2`, pkg, m.version).Scan(&n); err != nil || n > 0 {
		return err
	}
	if err := tx.script(m.script); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO store_versions (package, version, name, applied_at) VALUES ($1, $2, $3, $4)`,
		pkg, m.version, m.name, time.Now().UnixMicro())
	return err
}

// script runs several statements of the common dialect.
func (tx *Tx) script(s string) error {
	if err := tx.ready(nil); err != nil {
		return err
	}
	tx.wrote = true
	if err := tx.conn.Run(tx.ctx, tx.db.engine.Script(s)); err != nil {
		return tx.fail(err)
	}
	return nil
}

// checkVersions gives the version that the database is at.
func checkVersions(tx *Tx, pkg string, list []migration) (int64, error) {
	rows, err := tx.Query(`SELECT version, name FROM store_versions WHERE package = $1 ORDER BY version`, pkg)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var at int64
	var name string
	for rows.Next() {
		if err := rows.Scan(&at, &name); err != nil {
			return 0, err
		}
		if at <= int64(len(list)) && list[at-1].name != name {
			return 0, fault.New(fault.Invalid, "", "the database has %q as version %d of %s, this drover has %q: they are of different lines; use the drover that made the database", name, at, pkg, list[at-1].name)
		}
	}
	if newest := int64(len(list)); at > newest {
		return 0, fault.New(fault.Invalid, "", "the tables of %s are at version %d, this drover knows %d: run the newer drover that made them, or restore a backup from before the upgrade", pkg, at, newest)
	}
	return at, rows.Err()
}

// readMigrations finds the scripts anywhere below files, in the order of their numbers.
func readMigrations(files fs.FS) ([]migration, error) {
	var list []migration
	err := fs.WalkDir(files, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(p) != ".sql" {
			return err
		}
		number, _, _ := strings.Cut(path.Base(p), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: the name does not start with a number and _", p)
		}
		script, err := fs.ReadFile(files, p)
		list = append(list, migration{version, path.Base(p), string(script)})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b migration) int { return int(a.version - b.version) })
	for i, m := range list {
		if m.version != int64(i+1) {
			return nil, fmt.Errorf("%s: number %d is missing or given twice", m.name, i+1)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no .sql files")
	}
	return list, nil
}
