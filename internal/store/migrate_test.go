package store_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

func TestMigrate(t *testing.T) {
	const first = "-- a comment\nCREATE TABLE a (id {{serial}}, k BYTEA NOT NULL);\nCREATE UNIQUE INDEX a_k ON a (k) WHERE id > 0;"
	const second = "CREATE TABLE b (k BYTEA PRIMARY KEY) {{without_rowid}}; -- the end"
	const broken = "CREATE TABLE b (k BYTEA PRIMARY KEY); INSERT INTO nowhere VALUES (1);"
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		migrate := func(f fstest.MapFS) error { return db.Migrate(t.Context(), "pkg", f) }
		count := func(query string) (n int, err error) {
			err = db.View(t.Context(), func(tx *store.Tx) error { return tx.Row(query).Scan(&n) })
			return n, err
		}
		if err := migrate(files("sql/0001_a.sql", first)); err != nil {
			t.Fatal(err)
		}
		if err := migrate(files("0001_a.sql", first, "0002_b.sql", broken)); err == nil || !strings.Contains(err.Error(), "0002_b.sql") {
			t.Fatalf("a broken migration answered %v", err)
		}
		if _, err := count(`SELECT count(*) FROM b`); err == nil {
			t.Error("half a migration was kept")
		}
		both := files("0001_a.sql", first, "0002_b.sql", second)
		for range 2 { // the second time there is nothing to do
			if err := migrate(both); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := count(`SELECT count(*) FROM store_versions WHERE package = 'pkg'`); err != nil || n != 2 {
			t.Errorf("%d versions are recorded (%v), want 2", n, err)
		}
		if n, err := count(`SELECT count(*) FROM b`); err != nil || n != 0 {
			t.Errorf("table b: %d, %v", n, err)
		}

		err := migrate(files("0001_a.sql", first))
		const want = "the tables of pkg are at version 2, this drover knows 1: run the newer drover that made them, or restore a backup from before the upgrade"
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("a newer database: %v", err)
		}
		if err := migrate(files("0001_other.sql", first, "0002_b.sql", second)); !fault.Is(err, fault.Invalid) {
			t.Errorf("a database of another line: %v", err)
		}
	})
}

func TestMigrationFiles(t *testing.T) {
	db := storetest.SQLite(t)
	for title, f := range map[string]fstest.MapFS{
		"none":      files("readme.txt", ""),
		"a gap":     files("0001_a.sql", "SELECT 1", "0003_c.sql", "SELECT 1"),
		"twice":     files("0001_a.sql", "SELECT 1", "1_b.sql", "SELECT 1"),
		"no number": files("first.sql", "SELECT 1"),
	} {
		if err := db.Migrate(t.Context(), "files", f); err == nil {
			t.Errorf("%s: accepted", title)
		}
	}
}

// TestBytesSortAsBytes holds BYTEA keys to their promise on both engines.
func TestBytesSortAsBytes(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		if err := db.Migrate(t.Context(), "keys", script(`CREATE TABLE keys (k BYTEA PRIMARY KEY) {{without_rowid}}`)); err != nil {
			t.Fatal(err)
		}
		want := []string{"", "\x00", "1", "10", "2", "A", "B", "a", "é", "\xff"}
		var got []string
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			for i := range want {
				if _, err := tx.Exec(`INSERT INTO keys (k) VALUES ($1)`, []byte(want[len(want)-1-i])); err != nil {
					return err
				}
			}
			rows, err := tx.Query(`SELECT k FROM keys ORDER BY k`)
			if err != nil {
				return err
			}
			defer rows.Close()
			got = nil
			for rows.Next() {
				var k string
				if err := rows.Scan(&k); err != nil {
					return err
				}
				got = append(got, k)
			}
			return rows.Err()
		})
		if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("order %q, want %q (%v)", got, want, err)
		}
	})
}
