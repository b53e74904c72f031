package manager

import (
	"context"
	"time"

	"drover/internal/store"
)

// The history of the scheduler is a tape for each Core (core/tape), a row for each batch,
// written with it. A term of a manager has another Core after the store refused a batch. It is kept for a week, and all of it within tapeMost bytes:
// the oldest terms go first.
const (
	tapeKept = 7 * 24 * time.Hour
	tapeMost = 128 << 20
)

// TapeRow is a piece of the tape of a term.
type TapeRow struct {
	Term int64
	Seq  int64
	At   int64 // µs
	Data []byte
}

// runShift makes room for the numbers of batches, which begin anew with each Core of a term.
const runShift = 40

func writeTape(tx *store.Tx, term, run int64, b *Batch) error {
	if len(b.Tape) == 0 {
		return nil
	}
	_, err := tx.Exec(`INSERT INTO tape (term, seq, at, size, data) VALUES ($1, $2, $3, $4, $5)`, term, run<<runShift|b.Seq, b.TapeAt, int64(len(b.Tape)), b.Tape)
	return err
}

// History reads pieces of tapes that follow a piece, of terms in which something was recorded
// since a time: at least one, and about most bytes of them.
func (m *Manager) History(ctx context.Context, since, term, seq, most int64) ([]TapeRow, error) {
	var out []TapeRow
	err := m.db.View(ctx, func(tx *store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT term, seq, at, data FROM tape WHERE (term > $1 OR term = $1 AND seq > $2) AND term IN (SELECT term FROM tape GROUP BY term HAVING MAX(at) >= $3) ORDER BY term, seq LIMIT 10000`, term, seq, since)
		if err != nil {
			return err
		}
		defer rows.Close()
		size := int64(0)
		for size < most && rows.Next() {
			var r TapeRow
			if err := rows.Scan(&r.Term, &r.Seq, &r.At, &r.Data); err != nil {
				return err
			}
			size += int64(len(r.Data))
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}

// purgeTape deletes a chunk of the oldest term's tape if it is too old, or if there is too
// much; never of the last term's, which its own bound keeps small.
func purgeTape(tx *store.Tx, now time.Time) (int64, error) {
	var term, last, at, size int64
	err := tx.Row(`SELECT COALESCE(MIN(term), 0), COALESCE(MAX(term), 0), COALESCE(SUM(size), 0) FROM tape`).Scan(&term, &last, &size)
	if err != nil || term == last {
		return 0, err
	}
	if err := tx.Row(`SELECT COALESCE(MAX(at), 0) FROM tape WHERE term = $1`, term).Scan(&at); err != nil {
		return 0, err
	}
	if size <= tapeMost && at >= now.Add(-tapeKept).UnixMicro() {
		return 0, nil
	}
	return tx.Exec(`DELETE FROM tape WHERE term = $1 AND seq IN (SELECT seq FROM tape WHERE term = $1 ORDER BY seq DESC LIMIT $2)`, term, int64(10*purgeChunk))
}
