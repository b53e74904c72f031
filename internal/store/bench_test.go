package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"drover/internal/store"
	"drover/internal/store/storetest"
)

// wide is a table like the job's: 20 columns, an integer key and one secondary index.
func wide(tb testing.TB, db *store.DB) {
	tb.Helper()
	var cols strings.Builder
	for i := range 8 {
		fmt.Fprintf(&cols, ", n%d BIGINT NOT NULL", i)
	}
	for i := range 8 {
		fmt.Fprintf(&cols, ", s%d TEXT NOT NULL", i)
	}
	script := "CREATE TABLE wide (id BIGINT PRIMARY KEY, state BIGINT NOT NULL, name TEXT NOT NULL, blob BYTEA" + cols.String() +
		");\nCREATE INDEX wide_state ON wide (state, id);"
	err := db.Migrate(tb.Context(), "bench", fstest.MapFS{"0001_wide.sql": {Data: []byte(script)}})
	if err != nil {
		tb.Fatal(err)
	}
}

func upsertWide() string {
	names := []string{"id", "state", "name", "blob"}
	for i := range 8 {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	for i := range 8 {
		names = append(names, fmt.Sprintf("s%d", i))
	}
	marks, sets := make([]string, len(names)), make([]string, 0, len(names))
	for i, n := range names {
		marks[i] = fmt.Sprintf("$%d", i+1)
		if i > 0 {
			sets = append(sets, n+" = excluded."+n)
		}
	}
	return "INSERT INTO wide (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") +
		") ON CONFLICT (id) DO UPDATE SET " + strings.Join(sets, ", ")
}

func wideRow(id int64) []any {
	args := []any{id, id % 7, "some job name of a usual length", []byte("0123456789abcdef")}
	for i := range int64(8) {
		args = append(args, 1700000000000000+id*8+i)
	}
	for i := range 8 {
		args = append(args, fmt.Sprintf("text of column %d for row %d", i, id))
	}
	return args
}

// BenchmarkUpsert writes 20-column rows, 100 a commit; rows/s is the figure of merit.
func BenchmarkUpsert(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, per := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%s/rows=%d", name, per), func(b *testing.B) {
				db := open(b)
				wide(b, db)
				query := upsertWide()
				rows := make([][]any, 20000)
				for i := range rows {
					rows[i] = wideRow(int64(i))
				}
				b.ReportAllocs()
				b.ResetTimer()
				n := 0
				for b.Loop() {
					err := db.Update(b.Context(), func(tx *store.Tx) error {
						for i := range per {
							if _, err := tx.Exec(query, rows[(n+i)%len(rows)]...); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
					n += per
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkEnqueue queues one row a closure, as the manager does under load.
func BenchmarkEnqueue(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := open(b)
			wide(b, db)
			query := upsertWide()
			rows := make([][]any, 20000)
			for i := range rows {
				rows[i] = wideRow(int64(i))
			}
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			n := 0
			for b.Loop() {
				wg.Add(1)
				row := rows[n%len(rows)]
				db.Enqueue(func(tx *store.Tx) error {
					_, err := tx.Exec(query, row...)
					return err
				}, func(err error) {
					if err != nil {
						b.Error(err)
					}
					wg.Done()
				})
				n++
			}
			wg.Wait()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkUpdate gives the latency of single durable updates by 1 and 16 clients.
func BenchmarkUpdate(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		for _, clients := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
				db := open(b)
				wide(b, db)
				query := upsertWide()
				took := make([][]time.Duration, clients)
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for c := range clients {
					wg.Go(func() {
						row := wideRow(int64(c))
						for next.Add(1) <= int64(b.N) {
							start := time.Now()
							err := db.Update(b.Context(), func(tx *store.Tx) error {
								_, err := tx.Exec(query, row...)
								return err
							})
							if err != nil {
								b.Error(err)
								return
							}
							took[c] = append(took[c], time.Since(start))
						}
					})
				}
				wg.Wait()
				all := slices.Concat(took...)
				slices.Sort(all)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
				b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}

// BenchmarkView is a snapshot with one read of a row by its key.
func BenchmarkView(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := open(b)
			wide(b, db)
			err := db.Update(b.Context(), func(tx *store.Tx) error {
				for i := range int64(10000) {
					if _, err := tx.Exec(upsertWide(), wideRow(i)...); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			n := int64(0)
			for b.Loop() {
				n++
				err := db.View(b.Context(), func(tx *store.Tx) error {
					var state int64
					var name string
					return tx.Row(`SELECT state, name FROM wide WHERE id = $1`, n%10000).Scan(&state, &name)
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen makes and closes an empty database: part of the server's start.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		db, err := store.Open(b.Context(), b.TempDir()+"/x.db")
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
