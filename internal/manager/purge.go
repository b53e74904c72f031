package manager

import (
	"context"
	"time"

	"drover/internal/core/job"
	"drover/internal/store"
)

// Terms of keeping.
const (
	purgeChunk     = 500
	outboxKept     = 24 * time.Hour
	usageKept      = job.MaxDecaySeconds * time.Second
	definitionKept = 180 * 24 * time.Hour // AWS keeps INACTIVE revisions so long
)

// Purge deletes one chunk of what has been kept long enough: ended jobs after retain, rows
// of the outbox after a day, usage of shares after a week, deregistered definitions after 180
// days. It returns how many rows went; call it again while that is not 0. The newest row of
// the outbox always stays, so that its numbers only rise. Of definitions each call looks
// through one chunk more, and from the end through the first again.
func (m *Manager) Purge(ctx context.Context, now time.Time, retain time.Duration) (int64, error) {
	var gone int64
	from, _ := m.purged.Load().(string)
	next := ""
	err := m.db.Update(ctx, func(tx *store.Tx) error {
		gone = 0
		n, err := tx.Exec(`DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE at < $1 AND seq < (SELECT MAX(seq) FROM outbox) ORDER BY seq LIMIT $2)`,
			now.Add(-outboxKept).UnixMicro(), int64(10*purgeChunk))
		if err != nil {
			return err
		}
		gone += n
		n, err = tx.Exec(`DELETE FROM usage WHERE at = (SELECT MIN(at) FROM usage) AND at < $1`, now.Add(-usageKept).UnixMicro())
		if err != nil {
			return err
		}
		gone += n
		if n, err = purgeTape(tx, now); err != nil {
			return err
		}
		gone += n
		if n, err = purgeJob(tx, now.Add(-retain).UnixMicro()); err != nil {
			return err
		}
		gone += n
		n, next, err = purgeDefinitions(tx, from, now.Add(-definitionKept).UnixMicro())
		gone += n
		return err
	})
	if err == nil {
		m.purged.Store(next)
	}
	return gone, err
}

// purgeDefinitions deletes what was deregistered before, among the definitions of one chunk;
// next is where the next chunk begins. Revision numbers are not given again.
func purgeDefinitions(tx *store.Tx, from string, before int64) (gone int64, next string, err error) {
	page, err := definitionTable.Scan(tx, "", from, purgeChunk)
	if err != nil {
		return 0, from, err
	}
	for _, e := range page {
		if d := &e.Value; !d.Active && d.Deregistered > 0 && d.Deregistered < before {
			if err := definitionTable.Delete(tx, e.Key); err != nil {
				return gone, from, err
			}
			gone++
		}
	}
	if len(page) == purgeChunk {
		next = page[len(page)-1].Key
	}
	return gone, next, nil
}

// purgeJob deletes a chunk of the units of the job that ended first, or the job itself
// when it has none left. Its outbox rows must have gone before, for they name it.
func purgeJob(tx *store.Tx, before int64) (int64, error) {
	var key int64
	err := tx.Row(`SELECT key FROM jobs WHERE status >= 6 AND stopped < $1 ORDER BY stopped LIMIT 1`, before).Scan(&key)
	if isNoRows(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, table := range []string{"attempts", "units"} {
		n, err := tx.Exec(`DELETE FROM `+table+` WHERE job = $1 AND idx IN (SELECT idx FROM `+table+` WHERE job = $1 ORDER BY idx LIMIT $2)`, key, int64(purgeChunk))
		if err != nil || n > 0 {
			return n, err
		}
	}
	if _, err := tx.Exec(`DELETE FROM consumers WHERE job = $1`, key); err != nil {
		return 0, err
	}
	return tx.Exec(`DELETE FROM jobs WHERE key = $1`, key)
}
