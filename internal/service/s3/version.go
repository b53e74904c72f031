package s3

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"

	"drover/internal/blob"
	"drover/internal/store"
)

// version is a row of s3_objects or s3_versions.
type version struct {
	bucket   int64
	key      []byte
	rank     int64
	vid      string
	marker   bool
	modified int64
	size     int64
	etag     string
	algo     string
	crc      int64
	place    string
	attrs    attributes
	tags     string
}

// attributes are what a version carries and no query asks for.
type attributes struct {
	ContentType        string            `json:"type,omitempty"`
	ContentEncoding    string            `json:"encoding,omitempty"`
	ContentDisposition string            `json:"disposition,omitempty"`
	ContentLanguage    string            `json:"language,omitempty"`
	CacheControl       string            `json:"cache,omitempty"`
	Expires            string            `json:"expires,omitempty"`
	Redirect           string            `json:"redirect,omitempty"`
	Metadata           map[string]string `json:"meta,omitempty"`
	Sum                string            `json:"sum,omitempty"` // base64; of composites with "-parts"
	Parts              int32             `json:"parts,omitempty"`
	Retention          string            `json:"retention,omitempty"` // the library's JSON
	Hold               *bool             `json:"hold,omitempty"`
}

const nullVersion = "null"

const columns = `bucket, key, rank, vid, marker, modified, size, etag, algo, crc, place, attrs, tags`

func scanVersion(row store.Scanner) (*version, error) {
	v := &version{}
	var attrs string
	if err := row.Scan(&v.bucket, &v.key, &v.rank, &v.vid, &v.marker, &v.modified, &v.size, &v.etag, &v.algo, &v.crc, &v.place, &attrs, &v.tags); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(attrs), &v.attrs); err != nil {
		return nil, fmt.Errorf("s3: read the attributes of %q: %w", v.key, err)
	}
	return v, nil
}

func (v *version) values() ([]any, error) {
	attrs, err := json.Marshal(v.attrs)
	if err != nil {
		return nil, err
	}
	marker := 0
	if v.marker {
		marker = 1
	}
	return []any{v.bucket, v.key, v.rank, v.vid, marker, v.modified, v.size, v.etag, v.algo, v.crc, v.place, string(attrs), v.tags}, nil
}

// insert makes v what its key names; nothing may be there.
func (v *version) insert(tx *store.Tx) error {
	values, err := v.values()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO s3_objects (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, values...)
	return err
}

// update writes the attributes and tags of v, wherever it is.
func (v *version) update(tx *store.Tx) error {
	attrs, err := json.Marshal(v.attrs)
	if err != nil {
		return err
	}
	for _, table := range []string{"s3_objects", "s3_versions"} {
		n, err := tx.Exec(`UPDATE `+table+` SET attrs = $4, tags = $5 WHERE bucket = $1 AND key = $2 AND rank = $3`, v.bucket, v.key, v.rank, string(attrs), v.tags)
		if err != nil || n > 0 {
			return err
		}
	}
	return fmt.Errorf("s3: version %s of %q is gone", v.vid, v.key)
}

// current gives what the key names, a delete marker too, or nil.
func current(tx *store.Tx, bucket int64, key []byte) (*version, error) {
	return optional(scanVersion(tx.Row(`SELECT `+columns+` FROM s3_objects WHERE bucket = $1 AND key = $2`, bucket, key)))
}

// newest gives the youngest of a key's older versions, or nil.
func newest(tx *store.Tx, bucket int64, key []byte) (*version, error) {
	return optional(scanVersion(tx.Row(`SELECT `+columns+` FROM s3_versions WHERE bucket = $1 AND key = $2 ORDER BY rank LIMIT 1`, bucket, key)))
}

// exactly gives one version by its id, wherever it is, or nil.
func exactly(tx *store.Tx, bucket int64, key []byte, vid string) (v *version, isCurrent bool, err error) {
	if v, err = current(tx, bucket, key); err != nil || v != nil && v.vid == vid {
		return v, true, err
	}
	if vid == nullVersion {
		v, err = optional(scanVersion(tx.Row(`SELECT `+columns+` FROM s3_versions WHERE bucket = $1 AND key = $2 AND vid = $3`, bucket, key, vid)))
		return v, false, err
	}
	rank, ok := rankOf(vid)
	if !ok {
		return nil, false, nil
	}
	v, err = optional(scanVersion(tx.Row(`SELECT `+columns+` FROM s3_versions WHERE bucket = $1 AND key = $2 AND rank = $3`, bucket, key, rank)))
	if v != nil && v.vid != vid {
		v = nil
	}
	return v, false, err
}

func optional(v *version, err error) (*version, error) {
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	return v, err
}

func (v *version) time() time.Time { return time.UnixMicro(v.modified).UTC() }

// second is the time as HTTP dates carry it; conditions compare no finer.
func (v *version) second() time.Time { return v.time().Truncate(time.Second) }

func (v *version) blob() (blob.ID, bool) {
	id, ok := strings.CutPrefix(v.place, "b:")
	return blob.ID(id), ok
}

func (v *version) upload() (string, bool) { return strings.CutPrefix(v.place, "u:") }

func (v *version) inline() bool { return v.place == "" && v.size > 0 }

func (v *version) tagMap() map[string]string {
	tags := map[string]string{}
	if v.tags != "" {
		_ = json.Unmarshal([]byte(v.tags), &tags) // we wrote it
	}
	return tags
}

func tagText(tags map[string]string) (string, error) {
	if len(tags) == 0 {
		return "", nil
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

// Version ids are the sequence number and 12 random bytes, 32 letters and digits.
var versionLetters = base32.HexEncoding.WithPadding(base32.NoPadding)

func versionID(rank int64, random [12]byte) string {
	return versionLetters.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(-rank)), random[:]...))
}

func rankOf(vid string) (int64, bool) {
	b, err := versionLetters.DecodeString(vid)
	if err != nil || len(b) != 20 {
		return 0, false
	}
	return -int64(binary.BigEndian.Uint64(b)), true
}

func checkVersionID(vid string) error {
	if _, ok := rankOf(vid); !ok && vid != "" && vid != nullVersion {
		return s3err.GetInvalidArgumentErr(s3err.InvalidArgVersionId, vid)
	}
	return nil
}

// kind splits the column algo.
func kind(algo string) (types.ChecksumAlgorithm, types.ChecksumType) {
	a, t, _ := strings.Cut(algo, "/")
	return types.ChecksumAlgorithm(a), types.ChecksumType(t)
}

func algoText(a types.ChecksumAlgorithm, t types.ChecksumType) string {
	if a == "" {
		return ""
	}
	return string(a) + "/" + string(t)
}
