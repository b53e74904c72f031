// Package job is what a batch job is and every step it can take: definitions, specs,
// units (a plain job or one child of an array), attempts, retries and arrays.
//
// It promises that a unit's status moves only along this graph, that a terminal status
// never changes, and that only the holder of the current fence can move an attempt:
//
//	                ┌──────────────┐
//	                │              ↓
//	SUBMITTED ──────┤          RUNNABLE ─→ STARTING ─→ RUNNING ─→ SUCCEEDED
//	                │           ↑  ↑          │          │
//	                └→ PENDING ─┘  └── retry ─┴──────────┘
//
// and from every status but the two terminal ones to FAILED.
//
// The rules are those of the AWS Batch User Guide (job states, job retries, array jobs,
// job timeouts) and of the service model of API version 2016-08-10. Everything here is
// pure: the time comes in as an argument, in microseconds since 1970.
package job

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// ID is a job's public identity, written as a UUID.
type ID [16]byte

// String writes the UUID in lower case.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// MarshalText writes the UUID.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads a UUID.
func (id *ID) UnmarshalText(b []byte) error {
	v, ok := ParseID(string(b))
	if !ok {
		return fmt.Errorf("%q is not a job id", b)
	}
	*id = v
	return nil
}

// ParseID reads a UUID in its 36-character form.
func ParseID(s string) (ID, bool) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s[0:8]+s[9:13]+s[14:18]+s[19:23]+s[24:36]))
	return id, err == nil
}

// Key is a job's place in the store and in memory: small, dense, in order of submission.
type Key int64

// Whole is the Index of a Ref that means the job itself and no child.
const Whole int32 = -1

// Ref names one unit: a plain job (Index Whole) or one child of an array.
type Ref struct {
	Key   Key   `json:"key"`
	Index int32 `json:"index"`
}

// Compare orders refs by key, then index.
func (r Ref) Compare(o Ref) int {
	switch {
	case r.Key != o.Key:
		if r.Key < o.Key {
			return -1
		}
		return 1
	case r.Index < o.Index:
		return -1
	case r.Index > o.Index:
		return 1
	}
	return 0
}

// Name writes a unit's public id: the UUID, with ":index" for an array child and "#node" for
// a node of a multi-node parallel job.
func Name(id ID, index int32) string {
	if index == Whole {
		return id.String()
	}
	if n, ok := NodeOf(index); ok {
		return id.String() + "#" + strconv.Itoa(int(n))
	}
	return id.String() + ":" + strconv.Itoa(int(index))
}

// ParseName reads what Name writes.
func ParseName(s string) (ID, int32, bool) {
	u, i, child := strings.Cut(s, ":")
	node := false
	if !child {
		u, i, node = strings.Cut(s, "#")
	}
	id, ok := ParseID(u)
	if !ok || !child && !node {
		return id, Whole, ok
	}
	n, err := strconv.ParseInt(i, 10, 32)
	if err != nil || n < 0 || i != strconv.Itoa(int(n)) {
		return id, Whole, false
	}
	if node {
		return id, Node(int32(n)), n < MaxNodes
	}
	return id, int32(n), true
}
