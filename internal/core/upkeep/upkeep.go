// Package upkeep has the words in which the object store tells of its housekeeping and of
// what a check of its contents found. It promises to be data and nothing else, so that the
// store, the API and the command line may share it. Times are µs since 1970, 0 = never.
package upkeep

// House is what housekeeping has to do and has done.
type House struct {
	Lifecycle Pass     `json:"lifecycle"`
	Sweep     Pass     `json:"sweep"`
	Swept     Swept    `json:"swept"` // by the last sweep
	Buckets   []Bucket `json:"buckets"`
}

// Pass is one kind of housekeeping.
type Pass struct {
	Last  int64  `json:"last"`
	Took  int64  `json:"took"` // µs
	Next  int64  `json:"next"`
	Error string `json:"error,omitempty"`
}

// Bucket is one with lifecycle rules.
type Bucket struct {
	Bucket  string  `json:"bucket"`
	Rules   []Rule  `json:"rules"`
	Last    int64   `json:"last"`
	Expired Expired `json:"expired"` // by the last pass
}

// Rule is a lifecycle rule in words.
type Rule struct {
	ID      string `json:"id"`
	Enabled bool   `json:"enabled"`
	Which   string `json:"which"`
	Does    string `json:"does"`
}

// Expired counts what lifecycle rules removed.
type Expired struct {
	Objects  int64 `json:"objects"`
	Versions int64 `json:"versions"` // non-current ones
	Markers  int64 `json:"markers"`
	Uploads  int64 `json:"uploads"`
	Bytes    int64 `json:"bytes"` // of contents; a new delete marker frees none
}

// Add adds what another pass removed.
func (e *Expired) Add(more Expired) {
	e.Objects += more.Objects
	e.Versions += more.Versions
	e.Markers += more.Markers
	e.Uploads += more.Uploads
	e.Bytes += more.Bytes
}

// Swept says what a sweep found.
type Swept struct {
	Contents int64 `json:"contents"` // contents seen
	Removed  int64 `json:"removed"`  // that no row named, and files that a crash left half written
	Bytes    int64 `json:"bytes"`    // of those
}

// Damaged is an object whose content is damaged or missing.
type Damaged struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"versionId"`
	Offset    int64  `json:"offset"` // in the object, of the first byte that cannot be trusted
	Reason    string `json:"reason"`
}

// Verified says what a check read.
type Verified struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// Place is how far a check has come; the zero Place is the beginning.
type Place struct {
	Bucket string `json:"b,omitempty"`
	Key    []byte `json:"k,omitempty"`
	Rank   int64  `json:"r,omitempty"`
}
