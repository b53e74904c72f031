package s3

import (
	"context"
	"errors"
	"time"

	"drover/internal/blob"
	"drover/internal/core/upkeep"
	"drover/internal/store"
)

// Swept says what a sweep found.
type Swept = upkeep.Swept

// SweepGrace is how old a content should be that no row names while others write: they name
// theirs within moments, but a machine may be suspended in between.
const SweepGrace = time.Hour

// Sweep removes contents older than grace that nothing names: what a crash left between
// writing a content and naming it, or between forgetting and removing it.
func (s *Service) Sweep(ctx context.Context, grace time.Duration) (Swept, error) {
	return s.vault.sweep(ctx, s.vault.now().Add(-grace))
}

func (o *vault) sweep(ctx context.Context, before time.Time) (out Swept, err error) {
	if err := o.emptyTrash(ctx); err != nil {
		return out, err
	}
	if err := o.trimEvents(ctx); err != nil {
		return out, err
	}
	for e, err := range o.blobs.Scan(ctx, "") {
		if err != nil {
			return out, err
		}
		out.Contents++
		if !e.Modified.Before(before) {
			continue
		}
		if !e.Temporary {
			named, err := o.isNamed(ctx, e.ID)
			if err != nil {
				return out, err
			}
			if named {
				continue
			}
		}
		if err := o.blobs.Delete(ctx, e.ID); err != nil {
			return out, err
		}
		out.Removed++
		out.Bytes += e.Size
	}
	return out, nil
}

// eventDays is how long events are kept.
const eventDays = 24 * time.Hour

// trimEvents forgets old events, but never the last: sequence numbers go on from it.
func (o *vault) trimEvents(ctx context.Context) error {
	for {
		var n int64
		err := o.db.Update(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM s3_events WHERE seq IN (SELECT seq FROM s3_events WHERE at < $1 AND seq < (SELECT max(seq) FROM s3_events) ORDER BY seq LIMIT 2000)`,
				o.now().Add(-eventDays).UnixMicro())
			return err
		})
		if err != nil || n == 0 {
			return err
		}
	}
}

// isNamed reports whether a row names the content. What lies in the trash counts as named
// here: its last reader or the next sweep removes it.
func (o *vault) isNamed(ctx context.Context, id blob.ID) (named bool, err error) {
	err = o.db.View(ctx, func(tx *store.Tx) error {
		for _, q := range []struct{ query, arg string }{
			{`SELECT 1 FROM s3_objects WHERE place = $1 AND place <> '' LIMIT 1`, "b:" + string(id)},
			{`SELECT 1 FROM s3_versions WHERE place = $1 AND place <> '' LIMIT 1`, "b:" + string(id)},
			{`SELECT 1 FROM s3_parts WHERE blob = $1 LIMIT 1`, string(id)},
			{`SELECT 1 FROM s3_trash WHERE blob = $1 LIMIT 1`, string(id)},
		} {
			var one int64
			err := tx.Row(q.query, q.arg).Scan(&one)
			if err == nil {
				named = true
				return nil
			}
			if !errors.Is(err, store.ErrNoRows) {
				return err
			}
		}
		return nil
	})
	return named, err
}

// emptyTrash removes what a crash, or a failed removal, left in the trash. Contents that
// somebody reads are left to the last reader.
func (o *vault) emptyTrash(ctx context.Context) error {
	held := map[blob.ID]bool{}
	o.holdsMu.Lock()
	for _, h := range o.holds {
		for _, p := range h.parts {
			held[p.blob] = true
		}
	}
	o.holdsMu.Unlock()
	after := ""
	for {
		var list []blob.ID
		err := o.db.View(ctx, func(tx *store.Tx) error {
			rows, err := tx.Query(`SELECT blob FROM s3_trash WHERE blob > $1 ORDER BY blob LIMIT 500`, after)
			if err != nil {
				return err
			}
			defer rows.Close()
			list = list[:0]
			for rows.Next() {
				var id blob.ID
				if err := rows.Scan(&id); err != nil {
					return err
				}
				list = append(list, id)
			}
			return rows.Err()
		})
		if err != nil || len(list) == 0 {
			return err
		}
		after = string(list[len(list)-1])
		var g grave
		for _, id := range list {
			if !held[id] {
				g.blobs = append(g.blobs, id)
			}
		}
		o.bury(ctx, []grave{g})
	}
}
