package s3

import (
	"strings"

	"drover/internal/store"
)

// walk goes over the keys of a bucket in order and folds what shares a delimiter behind the
// prefix into one common prefix. A common prefix costs one step, however many keys it has:
// the walk goes on behind the last of them.
type walk struct {
	tx        *store.Tx
	bucket    int64
	prefix    string
	delimiter string
	from      []byte // first key that may follow
	to        []byte // first key behind the prefix, nil for none
	left      int
	// page reads rows from a key on; each calls back and stops the page when that is false.
	page func(w *walk, from []byte, limit int, row func(key []byte) bool) (more bool, err error)

	last string // the entry given last: a key or a common prefix
}

// newWalk begins behind the marker: a key or common prefix that was given already.
func newWalk(tx *store.Tx, b *bucket, prefix, delimiter, marker string, limit int) *walk {
	w := &walk{tx: tx, bucket: b.id, prefix: prefix, delimiter: delimiter, from: []byte(prefix), to: successor(prefix), left: limit}
	if marker != "" && marker >= prefix {
		w.from = []byte(marker + "\x00")
		if common, ok := w.common(marker); ok {
			w.from = successor(common) // nil: nothing follows
		}
	}
	return w
}

// common gives the common prefix into which a key is folded.
func (w *walk) common(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, w.prefix)
	if !ok || w.delimiter == "" {
		return "", false
	}
	i := strings.Index(rest, w.delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(w.prefix)+i+len(w.delimiter)], true
}

// maxPatience is how many rows of one common prefix are passed over before the walk jumps
// behind it: a jump costs about as much as reading these. Where prefixes are large the walk
// jumps at once, because it had to jump the last time.
const maxPatience = 8

// run calls key for each key and common for each common prefix, at most left of both, and
// tells whether more would follow. skip lets a row pass without counting.
func (w *walk) run(skip func() bool, key func(), common func(prefix string)) (truncated bool, err error) {
	if w.left <= 0 {
		return false, nil
	}
	patience := maxPatience
	for w.from != nil {
		folded, passed := "", 0
		jump := false
		more, err := w.page(w, w.from, w.left+1+maxPatience, func(k []byte) bool {
			if folded != "" && strings.HasPrefix(string(k), folded) {
				passed++
				jump = passed >= patience
				if jump {
					patience = 1
				}
				return !jump
			}
			if folded != "" && passed < maxPatience {
				patience = min(2*patience, maxPatience)
			}
			if skip() {
				w.from = append(append(w.from[:0:0], k...), 0)
				return true
			}
			if w.left == 0 {
				truncated = true
				return false
			}
			w.left--
			if c, ok := w.common(string(k)); ok {
				folded, passed, w.last = c, 0, c
				common(c)
				w.from = successor(c)
				return w.from != nil
			}
			folded, w.last = "", string(k)
			key()
			w.from = append(append(w.from[:0:0], k...), 0)
			return true
		})
		if err != nil || truncated {
			return truncated, err
		}
		if !more && !jump {
			return false, nil
		}
	}
	return false, nil
}
