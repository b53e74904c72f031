package store_test

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/storetest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type colour struct {
	Red  int
	Name string
}

func TestTable(t *testing.T) {
	table := store.NewTable[colour]("colour")
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		put := func(key string, v colour, expect int64) (rev int64, err error) {
			err = db.Update(t.Context(), func(tx *store.Tx) (err error) {
				rev, err = table.Put(tx, key, v, expect)
				return err
			})
			return rev, err
		}
		steps := []struct {
			what   string
			expect int64
			rev    int64
			kind   fault.Kind // checked when rev is 0
		}{
			{"update of nothing", 1, 0, fault.Conflict},
			{"make", store.Absent, 1, 0},
			{"make again", store.Absent, 0, fault.Conflict},
			{"update", 1, 2, 0},
			{"stale update", 1, 0, fault.Conflict},
			{"overwrite", store.Any, 3, 0},
			{"update again", 3, 4, 0},
		}
		const key = "k\x00\xff"
		for i, s := range steps {
			rev, err := put(key, colour{i, "é\x00"}, s.expect)
			if rev != s.rev || (s.rev == 0) != fault.Is(err, s.kind) || (s.rev != 0 && err != nil) {
				t.Errorf("%s: revision %d, %v", s.what, rev, err)
			}
		}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			v, rev, err := table.Get(tx, key)
			if err != nil || rev != 4 || v != (colour{6, "é\x00"}) {
				t.Errorf("Get: %v, revision %d, %v", v, rev, err)
			}
			_, _, err = table.Get(tx, "other")
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("Get of nothing: %v", err)
			}
			_, _, err = store.NewTable[colour]("paint").Get(tx, key)
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("Get of another kind: %v", err)
			}
			_, _, err = store.NewTable[[]int]("colour").Get(tx, key)
			if !fault.Is(err, fault.Internal) {
				t.Errorf("Get of an unreadable record: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		remove := func(tx *store.Tx) error { return table.Delete(tx, key) }
		if err := db.Update(t.Context(), remove); err != nil {
			t.Error(err)
		}
		if err := db.Update(t.Context(), remove); !fault.Is(err, fault.NotFound) {
			t.Errorf("second Delete: %v", err)
		}
		if _, err := put("", colour{}, store.Any); err == nil {
			t.Error("an empty key was stored")
		}
		if rev, err := put(key, colour{}, store.Any); rev != 1 || err != nil {
			t.Errorf("Put after Delete: revision %d, %v", rev, err)
		}
	})
}

// TestTableScan compares Scan with a sorted list, for keys that are hard to sort.
func TestTableScan(t *testing.T) {
	table := store.NewTable[int]("scan")
	keys := rapid.SliceOfNDistinct(rapid.StringOfN(rapid.SampledFrom([]rune("\x00\x01aAbzé/\U0010ffff")), 1, 6, -1), 0, 20, rapid.ID)
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		rapid.Check(t, func(r *rapid.T) {
			all := keys.Draw(r, "keys")
			all = append(all, "\xff", "\xff\xff")
			sort.Strings(all)
			prefix := rapid.SampledFrom([]string{"", "a", "\x00", "z", "\xff", "a\x00"}).Draw(r, "prefix")
			limit := rapid.IntRange(1, 5).Draw(r, "limit")
			var want, got []string
			for _, k := range all {
				if strings.HasPrefix(k, prefix) {
					want = append(want, k)
				}
			}
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(`DELETE FROM records`); err != nil {
					return err
				}
				for i, k := range all {
					if _, err := table.Put(tx, k, i, store.Absent); err != nil {
						return err
					}
				}
				got = nil
				after := ""
				for range len(all) + 1 {
					page, err := table.Scan(tx, prefix, after, limit)
					if err != nil {
						return err
					}
					for _, e := range page {
						got = append(got, e.Key)
						if all[e.Value] != e.Key || e.Rev != 1 {
							return fmt.Errorf("entry %v", e)
						}
					}
					if len(page) < limit {
						return nil
					}
					after = page[len(page)-1].Key
				}
				return errors.New("the pages do not end")
			})
			if err != nil {
				r.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				r.Fatal(d)
			}
		})
	})
}

func TestTableScanNeedsALimit(t *testing.T) {
	db := storetest.SQLite(t)
	err := db.View(t.Context(), func(tx *store.Tx) error {
		_, err := store.NewTable[int]("x").Scan(tx, "", "", 0)
		return err
	})
	if err == nil {
		t.Error("a scan without a limit succeeded")
	}
}
