package store

import (
	"encoding/json"
	"errors"

	"drover/internal/core/fault"
)

// Table keeps configuration-like records of one kind as JSON under a key. Keys are any
// bytes but not empty, and sort as bytes. rev counts the writes of a record from 1; a record that is
// deleted and made again starts anew.
type Table[T any] struct {
	kind string
}

// NewTable names a kind of records; the name is stored with each, so it must not change.
func NewTable[T any](name string) *Table[T] { return &Table[T]{kind: name} }

// Entry is one record of a Scan.
type Entry[T any] struct {
	Key   string
	Rev   int64
	Value T
}

// What Put may expect instead of a revision.
const (
	Absent int64 = 0  // the record must not exist
	Any    int64 = -1 // whatever is there is replaced
)

// Get gives the record and its revision, or fault.NotFound.
func (t *Table[T]) Get(tx *Tx, key string) (v T, rev int64, err error) {
	var text []byte
	err = tx.Row(`SELECT rev, json FROM records WHERE kind = $1 AND key = $2`, t.kind, []byte(key)).Scan(&rev, &text)
	if errors.Is(err, ErrNoRows) {
		return v, 0, fault.New(fault.NotFound, codeNotFound, "%s %q does not exist", t.kind, key)
	}
	if err != nil {
		return v, 0, err
	}
	v, err = t.decode(key, text)
	return v, rev, err
}

func (t *Table[T]) decode(key string, text []byte) (v T, err error) {
	if err = json.Unmarshal(text, &v); err != nil {
		err = fault.Wrap(err, fault.Internal, "InternalFailure", "the stored %s %q cannot be read", t.kind, key)
	}
	return v, err
}

// Put writes the record if it is as expected: Absent, Any, or at revision n. Otherwise
// fault.Conflict, and nothing is written.
func (t *Table[T]) Put(tx *Tx, key string, v T, expect int64) (rev int64, err error) {
	if key == "" {
		return 0, fault.New(fault.Internal, "InternalFailure", "store: a %s with an empty key", t.kind)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return 0, fault.Wrap(err, fault.Internal, "InternalFailure", "%s %q cannot be stored", t.kind, key)
	}
	switch expect {
	case Any:
		err = tx.Row(`INSERT INTO records (kind, key, rev, json) VALUES ($1, $2, 1, $3)
			ON CONFLICT (kind, key) DO UPDATE SET rev = records.rev + 1, json = excluded.json
			RETURNING rev`, t.kind, []byte(key), string(text)).Scan(&rev)
		return rev, err
	case Absent:
		n, err := tx.Exec(`INSERT INTO records (kind, key, rev, json) VALUES ($1, $2, 1, $3)
			ON CONFLICT (kind, key) DO NOTHING`, t.kind, []byte(key), string(text))
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, codeConflict, "%s %q exists already", t.kind, key)
		}
		if err != nil {
			return 0, err
		}
		return 1, nil
	}
	n, err := tx.Exec(`UPDATE records SET rev = rev + 1, json = $4 WHERE kind = $1 AND key = $2 AND rev = $3`,
		t.kind, []byte(key), expect, string(text))
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, codeConflict, "%s %q changed meanwhile (revision %d is gone); read it again", t.kind, key, expect)
	}
	if err != nil {
		return 0, err
	}
	return expect + 1, nil
}

// Delete removes the record, or answers fault.NotFound.
func (t *Table[T]) Delete(tx *Tx, key string) error {
	n, err := tx.Exec(`DELETE FROM records WHERE kind = $1 AND key = $2`, t.kind, []byte(key))
	if err == nil && n == 0 {
		err = fault.New(fault.NotFound, codeNotFound, "%s %q does not exist", t.kind, key)
	}
	return err
}

// Scan gives, in key order, at most limit records whose key starts with prefix and
// comes after the key after ("" for the first page).
func (t *Table[T]) Scan(tx *Tx, prefix, after string, limit int) ([]Entry[T], error) {
	if limit < 1 {
		return nil, fault.New(fault.Internal, "InternalFailure", "store: a scan of %s needs a limit above 0", t.kind)
	}
	from := []byte(prefix)
	if after != "" && after >= prefix {
		from = []byte(after + "\x00") // the key that follows it directly
	}
	var rows *Rows
	var err error
	if to := successor(prefix); to != nil {
		rows, err = tx.Query(`SELECT key, rev, json FROM records WHERE kind = $1 AND key >= $2 AND key < $3
			ORDER BY key LIMIT $4`, t.kind, from, to, limit)
	} else {
		rows, err = tx.Query(`SELECT key, rev, json FROM records WHERE kind = $1 AND key >= $2
			ORDER BY key LIMIT $3`, t.kind, from, limit)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Entry[T]
	for rows.Next() {
		var e Entry[T]
		var text []byte
		if err := rows.Scan(&e.Key, &e.Rev, &text); err != nil {
			return nil, err
		}
		if e.Value, err = t.decode(e.Key, text); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// successor is the first key that does not start with prefix and sorts after all that
// do, or nil when there is none.
func successor(prefix string) []byte {
	b := []byte(prefix)
	for len(b) > 0 {
		last := len(b) - 1
		if b[last] < 0xff {
			b[last]++
			return b
		}
		b = b[:last]
	}
	return nil
}
