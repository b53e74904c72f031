package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"drover/internal/store"
	"drover/internal/store/storetest"

	"github.com/google/go-cmp/cmp"
)

type (
	name  string
	state uint8
	flag  bool
)

const everyType = `CREATE TABLE kinds (id BIGINT PRIMARY KEY, i BIGINT, f DOUBLE PRECISION, b BOOLEAN, t TEXT, y BYTEA)`

func TestValues(t *testing.T) {
	type row struct {
		I *int64
		F *float64
		B *bool
		T *string
		Y []byte
	}
	p := func(v any) *string { s := v.(string); return &s }
	i := func(n int64) *int64 { return &n }
	f := func(x float64) *float64 { return &x }
	yes, no := true, false
	cases := map[string]struct {
		args [5]any
		want row
	}{
		"nothing":       {[5]any{nil, nil, nil, nil, nil}, row{}},
		"nil pointers":  {[5]any{(*int64)(nil), (*float64)(nil), (*bool)(nil), (*string)(nil), []byte(nil)}, row{}},
		"zero":          {[5]any{0, 0.0, false, "", []byte{}}, row{i(0), f(0), &no, p(""), []byte{}}},
		"extremes":      {[5]any{int64(math.MinInt64), math.MaxFloat64, true, "héllo €", []byte{0, 255, 0}}, row{i(math.MinInt64), f(math.MaxFloat64), &yes, p("héllo €"), []byte{0, 255, 0}}},
		"named":         {[5]any{state(7), float32(0.5), flag(true), name("n"), json.RawMessage(`{}`)}, row{i(7), f(0.5), &yes, p("n"), []byte(`{}`)}},
		"pointers":      {[5]any{i(5), f(2.5), &yes, p("p"), []byte("\x00")}, row{i(5), f(2.5), &yes, p("p"), []byte("\x00")}},
		"looks numeric": {[5]any{1, 1.0, true, "0012", []byte("34")}, row{i(1), f(1), &yes, p("0012"), []byte("34")}},
		"long":          {[5]any{1, -1.5, true, strings.Repeat("x", 300_000), make([]byte, 200_000)}, row{i(1), f(-1.5), &yes, p(strings.Repeat("x", 300_000)), make([]byte, 200_000)}},
	}
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		if err := db.Migrate(t.Context(), "kinds", script(everyType)); err != nil {
			t.Fatal(err)
		}
		for title, c := range cases {
			var got row
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Exec(`DELETE FROM kinds`); err != nil {
					return err
				}
				_, err := tx.Exec(`INSERT INTO kinds (id, i, f, b, t, y) VALUES (1, $1, $2, $3, $4, $5)`, c.args[:]...)
				if err != nil {
					return err
				}
				return tx.Row(`SELECT i, f, b, t, y FROM kinds`).Scan(&got.I, &got.F, &got.B, &got.T, &got.Y)
			})
			if err != nil {
				t.Errorf("%s: %v", title, err)
			} else if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s: %s", title, d)
			}
		}
	})
}

func TestArgumentsRefused(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		if err := db.Migrate(t.Context(), "kinds", script(everyType)); err != nil {
			t.Fatal(err)
		}
		for title, args := range map[string][]any{
			"a time":          {time.Now()},
			"a struct":        {struct{}{}},
			"above 63 bits":   {uint64(math.MaxUint64)},
			"too few":         {},
			"too many":        {1, 2},
			"a list":          {[]int64{1}},
			"a pointer to it": {&time.Time{}},
		} {
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`INSERT INTO kinds (id, i) VALUES (1, $1)`, args...)
				return err
			})
			if err == nil {
				t.Errorf("%s was stored", title)
			}
		}
		for title, text := range map[string]string{"NUL": "a\x00b", "invalid UTF-8": "a\xffb"} {
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec(`INSERT INTO kinds (id, t) VALUES (1, $1)`, text)
				return err
			})
			if err == nil {
				t.Errorf("%s was stored as TEXT", title)
			}
		}
	})
}

func TestScan(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		scan := func(query string, dest ...any) error {
			return db.View(t.Context(), func(tx *store.Tx) error { return tx.Row(query).Scan(dest...) })
		}
		var n name
		var s state
		var fl flag
		var raw json.RawMessage
		var text string
		var num int
		var f32 float32
		err := scan(`SELECT CAST('n' AS TEXT), CAST(7 AS BIGINT), CAST(1 AS BIGINT), CAST('{}' AS TEXT), CAST(12 AS BIGINT), CAST(3 AS BIGINT), CAST(0.5 AS DOUBLE PRECISION)`,
			&n, &s, &fl, &raw, &text, &num, &f32)
		if err != nil || n != "n" || s != 7 || !bool(fl) || string(raw) != "{}" || text != "12" || num != 3 || f32 != 0.5 {
			t.Errorf("named types: %q %d %t %s %q %d %v %v", n, s, fl, raw, text, num, f32, err)
		}
		var sum any
		if err := scan(`SELECT sum(v) FROM (SELECT CAST(2 AS BIGINT) AS v UNION ALL SELECT CAST(3 AS BIGINT)) AS x`, &sum); err != nil || sum != int64(5) {
			t.Errorf("sum is %v (%T), %v", sum, sum, err)
		}
		if err := scan(`SELECT 1 WHERE 1 = 0`, &num); !errors.Is(err, store.ErrNoRows) {
			t.Errorf("no row: %v", err)
		}
		for title, err := range map[string]error{
			"too large":            scan(`SELECT CAST(256 AS BIGINT)`, &s),
			"negative":             scan(`SELECT CAST(-1 AS BIGINT)`, &s),
			"NULL in an int":       scan(`SELECT CAST(NULL AS BIGINT)`, &num),
			"text in an int":       scan(`SELECT CAST('x' AS TEXT)`, &num),
			"too few destinations": scan(`SELECT 1, 2`, &num),
			"not a pointer":        scan(`SELECT 1`, num),
			"not supported":        scan(`SELECT CAST(1 AS BIGINT)`, new(time.Time)),
		} {
			if err == nil {
				t.Errorf("%s: no error", title)
			}
		}
	})
}

func TestPlaceholders(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		var got string
		err := db.View(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`SELECT CAST($2 AS TEXT) || CAST($1 AS TEXT) || CAST($2 AS TEXT)`, "a", "b").Scan(&got)
		})
		if err != nil || got != "bab" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestManyStatements(t *testing.T) {
	db := storetest.SQLite(t)
	err := db.Update(t.Context(), func(tx *store.Tx) error {
		for i := range 2000 { // more than a connection keeps
			var n int
			if err := tx.Row(fmt.Sprintf(`SELECT %d`, i)).Scan(&n); err != nil || n != i {
				return fmt.Errorf("%d: %d %w", i, n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
