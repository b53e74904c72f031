package logs

import (
	"context"
	"errors"
	"strconv"
	"time"

	"drover/internal/store"
)

// What one transaction of Purge deletes at most, so that nobody waits long behind it,
// and what one call does, so that its caller stays in charge.
const (
	purgeChunks  = 128
	purgeStreams = 500
	purgeSteps   = 200
)

// tombstone is the name of something deleted: no name that a client can give has a NUL.
func tombstone(id int64) []byte {
	return strconv.AppendInt([]byte{0}, id, 10)
}

// Purge deletes what has expired by now and what is left of deleted groups and streams,
// in small transactions. It returns how many rows went; 0 means that all is done.
func (s *Service) Purge(ctx context.Context, now time.Time) (n int, err error) {
	groups, err := s.expiring(ctx)
	if err != nil {
		return 0, err
	}
	steps := []func(*store.Tx) (int, error){dropDeletedStream}
	for _, g := range groups {
		switch {
		case g.deleted:
			steps = append(steps, g.dismantle)
		default:
			cut := now.UnixMilli() - g.days*dayMillis
			steps = append(steps,
				func(tx *store.Tx) (int, error) { return g.expireChunks(tx, cut) },
				func(tx *store.Tx) (int, error) { return g.expireStreams(tx, cut) })
		}
	}
	left := purgeSteps
	for _, step := range steps {
		for more := true; more && left > 0; left-- {
			var done int
			err := s.db.Update(ctx, func(tx *store.Tx) (err error) {
				done, err = step(tx)
				return err
			})
			if err != nil {
				return n, err
			}
			n += done
			more = done > 0
		}
	}
	return n, nil
}

// expiry is a group that Purge has to look at.
type expiry struct {
	id, days int64
	deleted  bool
}

func (s *Service) expiring(ctx context.Context) (groups []expiry, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT id, retention_days, deleted FROM log_groups WHERE deleted = 1 OR retention_days > 0 ORDER BY id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var g expiry
			if err := rows.Scan(&g.id, &g.days, &g.deleted); err != nil {
				return err
			}
			groups = append(groups, g)
		}
		return rows.Err()
	})
	return groups, err
}

// expireChunks deletes chunks whose newest event is older than the cut.
func (g expiry) expireChunks(tx *store.Tx, cut int64) (int, error) {
	return deleteChunks(tx, g.id, `DELETE FROM log_chunks WHERE (stream_id, number) IN (
		SELECT stream_id, number FROM log_chunks WHERE group_id = $1 AND first_ms < $2 AND last_ms < $3
		ORDER BY first_ms, stream_id, number LIMIT $4) RETURNING size`, g.id, cut, cut, purgeChunks)
}

// expireStreams deletes streams that hold nothing and were not written to since the cut.
func (g expiry) expireStreams(tx *store.Tx, cut int64) (int, error) {
	n, err := tx.Exec(`DELETE FROM log_streams WHERE id IN (
		SELECT s.id FROM log_streams s WHERE s.group_id = $1 AND s.last_ms < $2 AND (s.ingested_ms IS NULL OR s.ingested_ms < $2)
			AND NOT EXISTS (SELECT 1 FROM log_chunks c WHERE c.stream_id = s.id)
		ORDER BY s.last_ms, s.id LIMIT $3)`, g.id, cut, purgeStreams)
	return int(n), err
}

// dismantle deletes a part of a deleted group, in the end the group itself.
func (g expiry) dismantle(tx *store.Tx) (int, error) {
	n, err := deleteChunks(tx, g.id, `DELETE FROM log_chunks WHERE (stream_id, number) IN (
		SELECT stream_id, number FROM log_chunks WHERE group_id = $1
		ORDER BY first_ms, stream_id, number LIMIT $2) RETURNING size`, g.id, purgeChunks)
	if err != nil || n > 0 {
		return n, err
	}
	gone, err := tx.Exec(`DELETE FROM log_streams WHERE id IN (
		SELECT id FROM log_streams WHERE group_id = $1 ORDER BY last_ms, id LIMIT $2)`, g.id, purgeStreams)
	if err != nil || gone > 0 {
		return int(gone), err
	}
	gone, err = tx.Exec(`DELETE FROM log_groups WHERE id = $1 AND deleted = 1`, g.id)
	return int(gone), err
}

// dropDeletedStream deletes a part of some deleted stream.
func dropDeletedStream(tx *store.Tx) (int, error) {
	var id int64
	err := tx.Row(`SELECT id FROM log_streams WHERE deleted = 1 ORDER BY id LIMIT 1`).Scan(&id)
	if errors.Is(err, store.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return dropStream(tx, id)
}

// dropStream deletes a part of a deleted stream: chunks, and the stream with the last of them.
func dropStream(tx *store.Tx, id int64) (int, error) {
	var group int64
	if err := tx.Row(`SELECT group_id FROM log_streams WHERE id = $1`, id).Scan(&group); err != nil {
		return 0, err
	}
	n, err := deleteChunks(tx, group, `DELETE FROM log_chunks WHERE stream_id = $1 AND number IN (
		SELECT number FROM log_chunks WHERE stream_id = $1 ORDER BY number LIMIT $2) RETURNING size`, id, purgeChunks)
	if err != nil || n == purgeChunks {
		return n, err
	}
	gone, err := tx.Exec(`DELETE FROM log_streams WHERE id = $1`, id)
	return n + int(gone), err
}

// deleteChunks runs a DELETE that returns the size of each chunk and takes them off the
// group's total.
func deleteChunks(tx *store.Tx, group int64, query string, args ...any) (n int, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var total int64
	for ; rows.Next(); n++ {
		var size int64
		if err := rows.Scan(&size); err != nil {
			return n, err
		}
		total += size
	}
	if err := rows.Err(); err != nil || n == 0 {
		return n, err
	}
	_, err = tx.Exec(`UPDATE log_groups SET bytes = bytes - $1 WHERE id = $2`, total, group)
	return n, err
}
