package store_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("DROVER_STORE_VICTIM"); dir != "" {
		victim(dir)
		return
	}
	storetest.Main(m)
}

func victim(string) {}

func TestTable(t *testing.T) {
	type colour struct{ Red, Green int }
	table := store.NewTable[colour]("colour")
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		err := db.Update(t.Context(), func(tx *store.Tx) error {
			rev, err := table.Put(tx, "a\x00b", colour{1, 2}, store.Absent)
			if rev != 1 {
				return fmt.Errorf("rev %d %w", rev, err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(t.Context(), func(tx *store.Tx) error {
			_, err := table.Put(tx, "a\x00b", colour{1, 2}, store.Absent)
			return err
		})
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("second Put(Absent): %v, want a conflict", err)
		}
		err = db.View(t.Context(), func(tx *store.Tx) error {
			v, rev, err := table.Get(tx, "a\x00b")
			if rev != 1 || v != (colour{1, 2}) {
				return errors.Join(fmt.Errorf("%v %d", v, rev), err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
