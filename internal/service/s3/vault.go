package s3

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/versity/versitygw/backend"

	"drover/internal/blob"
	"drover/internal/blob/disk"
	"drover/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// vault is the library's backend: names, versions, uploads and listings in SQL, contents
// in a blob store or, when they are small, in SQL too.
//
//	PutObject ──> body ──> small: memory ──────────────┐
//	                  └──> large: blob, fsynced ───────┴──> one transaction: condition, row,
//	                                                       replaced row's content to s3_trash,
//	                                                       event ──> files of the trash removed
//
// A content is written before the transaction that names it and removed after the one that
// forgets it. So a crash leaves files that nothing names, never names without files.
type vault struct {
	backend.BackendUnsupported
	db      *store.DB
	ownDB   bool
	blobs   blob.Store
	seal    Sealer // of inline contents; nil = they are plain
	account string
	region  string
	log     *slog.Logger
	now     func() time.Time

	sequence atomic.Int64 // of versions and events: microseconds, but always growing

	bucketsMu sync.Mutex // serialises changes of buckets with their cache
	buckets   atomic.Pointer[map[string]*bucket]

	wished chan struct{} // an object asks for a job
	told   bell          // events have happened
	house  house

	holdsMu sync.Mutex // guards holds
	holds   map[string]*hold
}

// openVault opens database and contents in opts.Dir.
func openVault(ctx context.Context, opts Options) (_ *vault, err error) {
	o := &vault{db: opts.DB, account: opts.Account, region: opts.Region, log: opts.Log, now: time.Now, holds: map[string]*hold{}, wished: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			o.Shutdown()
		}
	}()
	o.blobs, o.seal = opts.Blobs, opts.Seal
	if o.blobs == nil {
		s, err := disk.Open(filepath.Join(opts.Dir, "contents"), disk.Options{NoSync: opts.NoFsync})
		if err != nil {
			return nil, err
		}
		o.blobs = s
	}
	o.blobs = apart{o.blobs}
	if o.db == nil {
		if o.db, err = store.Open(ctx, filepath.Join(opts.Dir, "objects.db")); err != nil {
			return nil, fmt.Errorf("open the object database: %w", err)
		}
		o.ownDB = true
	}
	if err := o.db.Migrate(ctx, "s3", migrations); err != nil {
		return nil, err
	}
	return o, o.db.View(ctx, o.load)
}

// load reads buckets and the highest sequence number.
func (o *vault) load(tx *store.Tx) error {
	list, err := loadBuckets(tx)
	if err != nil {
		return err
	}
	o.buckets.Store(&list)
	var top int64
	for _, q := range []string{
		`SELECT coalesce(max(id), 0) FROM s3_inline`,
		`SELECT coalesce(max(seq), 0) FROM s3_events`,
		`SELECT coalesce(max(id), 0) FROM s3_buckets`,
	} {
		var n int64
		if err := tx.Row(q).Scan(&n); err != nil {
			return err
		}
		top = max(top, n)
	}
	o.sequence.Store(top)
	return nil
}

// Shutdown implements backend.Backend.
func (o *vault) Shutdown() {
	if o.db != nil && o.ownDB {
		if err := o.db.Close(); err != nil {
			o.log.Error("s3: close the object database", "err", err)
		}
	}
	if o.blobs != nil {
		if err := o.blobs.Close(); err != nil {
			o.log.Error("s3: close the contents", "err", err)
		}
	}
}

// String implements backend.Backend.
func (o *vault) String() string { return "drover" }

// NormalizeObjectKey implements backend.Backend: policies see the key as the client wrote it.
func (o *vault) NormalizeObjectKey(_, key string) string { return plainKey(key) }

// next gives the next sequence number.
func (o *vault) next() int64 {
	for {
		last := o.sequence.Load()
		n := max(last+1, o.now().UnixMicro())
		if o.sequence.CompareAndSwap(last, n) {
			return n
		}
	}
}

// change is one transaction on one key, and what is to be done after it.
type change struct {
	o      *vault
	tx     *store.Tx
	bucket *bucket
	dead   []grave // contents that no row names any more
	wished bool    // an object asks for a job
	told   bool    // there is an event
	origin string  // whose doing it is
	expiry bool    // a lifecycle rule does it
}

// grave is the content of a version that is gone.
type grave struct {
	upload string // "" unless the content is an upload's parts
	blobs  []blob.ID
}

// alter runs fn in a transaction in which the bucket exists, and then removes the files of
// the contents that fn dropped.
func (o *vault) alter(ctx context.Context, b *bucket, fn func(c *change) error) error {
	var done *change
	from := originOf(ctx)
	err := o.db.Update(ctx, func(tx *store.Tx) error {
		c := &change{o: o, tx: tx, bucket: b, origin: from}
		var status string
		err := tx.Row(`SELECT versioning FROM s3_buckets WHERE id = $1`, b.id).Scan(&status)
		if errors.Is(err, store.ErrNoRows) {
			return errNoSuchBucket(b.name)
		}
		if err != nil {
			return err
		}
		if status != b.versioning { // changed since the request came in
			fresh := *b
			fresh.versioning = status
			c.bucket = &fresh
		}
		done = c
		return fn(c)
	})
	if err != nil {
		return err
	}
	o.bury(ctx, done.dead)
	if done.told {
		o.told.ring()
	}
	if done.wished {
		select {
		case o.wished <- struct{}{}:
		default: // it is awake
		}
	}
	return nil
}

// replace makes v what its key names and keeps or drops what was there, as the bucket's
// versioning says. It fills in rank, version id and time.
func (c *change) replace(cur, v *version, data []byte, event string) error {
	if err := c.supersede(cur, v.key); err != nil {
		return err
	}
	v.bucket, v.rank, v.modified = c.bucket.id, -c.o.next(), c.o.now().UnixMicro()
	v.vid = nullVersion
	if c.bucket.versioning == enabled {
		var random [12]byte
		rand.Read(random[:])
		v.vid = versionID(v.rank, random)
	}
	if err := v.insert(c.tx); err != nil {
		return err
	}
	if !v.marker {
		if err := c.wish(v); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		if c.o.seal != nil {
			var err error
			if data, err = c.o.seal.Seal(inlineName(-v.rank), data); err != nil {
				return err
			}
		}
		if _, err := c.tx.Exec(`INSERT INTO s3_inline (id, data) VALUES ($1, $2)`, -v.rank, data); err != nil {
			return err
		}
	}
	return c.event(event, v)
}

// inlineName is the name under which the content of a row is sealed.
func inlineName(id int64) string { return fmt.Sprint("s3_inline ", id) }

// supersede takes cur away from its place.
func (c *change) supersede(cur *version, key []byte) error {
	if cur != nil {
		keep := c.bucket.versioning == enabled || c.bucket.versioning == suspended && cur.vid != nullVersion
		if keep {
			values, err := cur.values()
			if err != nil {
				return err
			}
			if _, err := c.tx.Exec(`INSERT INTO s3_versions (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, values...); err != nil {
				return err
			}
		} else if err := c.drop(cur); err != nil {
			return err
		}
		if _, err := c.tx.Exec(`DELETE FROM s3_objects WHERE bucket = $1 AND key = $2`, c.bucket.id, key); err != nil {
			return err
		}
	}
	if c.bucket.versioning != suspended {
		return nil
	}
	// Without versioning there is one null version, the new one.
	old, _, err := exactly(c.tx, c.bucket.id, key, nullVersion)
	if err != nil || old == nil {
		return err
	}
	if err := c.drop(old); err != nil {
		return err
	}
	_, err = c.tx.Exec(`DELETE FROM s3_versions WHERE bucket = $1 AND key = $2 AND rank = $3`, c.bucket.id, key, old.rank)
	return err
}

// drop forgets the content of v, not its row.
func (c *change) drop(v *version) error {
	if v.inline() {
		_, err := c.tx.Exec(`DELETE FROM s3_inline WHERE id = $1`, -v.rank)
		return err
	}
	if id, ok := v.blob(); ok {
		return c.trash(grave{blobs: []blob.ID{id}})
	}
	if upload, ok := v.upload(); ok {
		return c.dropParts(upload)
	}
	return nil
}

// dropParts forgets all parts of an upload or of the object made of it.
func (c *change) dropParts(upload string) error {
	parts, err := partsOf(c.tx, upload, 0, maxParts)
	if err != nil {
		return err
	}
	g := grave{upload: upload}
	for _, p := range parts {
		g.blobs = append(g.blobs, p.blob)
	}
	if _, err := c.tx.Exec(`DELETE FROM s3_parts WHERE upload = $1`, upload); err != nil {
		return err
	}
	return c.trash(g)
}

func (c *change) trash(g grave) error {
	for _, id := range g.blobs {
		if _, err := c.tx.Exec(`INSERT INTO s3_trash (blob) VALUES ($1) ON CONFLICT (blob) DO NOTHING`, string(id)); err != nil {
			return err
		}
	}
	c.dead = append(c.dead, g)
	return nil
}

// event leaves a line for those who follow what happens.
func (c *change) event(name string, v *version) error {
	vid := v.vid
	if c.bucket.versioning == "" {
		vid = ""
	}
	if c.expiry {
		name = strings.Replace(name, "ObjectRemoved:", "LifecycleExpiration:", 1)
	}
	c.told = true
	_, err := c.tx.Exec(`INSERT INTO s3_events (seq, at, name, bucket, key, vid, size, etag, origin) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		c.o.next(), c.o.now().UnixMicro(), name, c.bucket.name, v.key, vid, v.size, v.etag, c.origin)
	return err
}

// bury removes files of contents that are forgotten. What fails stays in the trash and is
// removed by the next Sweep.
func (o *vault) bury(ctx context.Context, dead []grave) {
	for _, g := range dead {
		if g.upload != "" && o.postpone(g) {
			continue
		}
		var gone []blob.ID
		for _, id := range g.blobs {
			if err := o.blobs.Delete(context.WithoutCancel(ctx), id); err != nil {
				o.log.Warn("s3: a content that nothing names is still there; the next sweep tries again", "content", id, "err", err)
				continue
			}
			gone = append(gone, id)
		}
		if len(gone) == 0 {
			continue
		}
		o.db.Enqueue(func(tx *store.Tx) error {
			for _, id := range gone {
				if _, err := tx.Exec(`DELETE FROM s3_trash WHERE blob = $1`, string(id)); err != nil {
					return err
				}
			}
			return nil
		}, func(error) {}) // else the next sweep finds that the file is gone
	}
}

// hold keeps the parts of an object while somebody reads them.
type hold struct {
	readers int
	parts   []part
	dead    []grave
}

// keep says which contents the readers of an upload's parts need.
func (o *vault) keep(upload string, parts []part) {
	o.holdsMu.Lock()
	defer o.holdsMu.Unlock()
	o.holds[upload].parts = parts
}

func (o *vault) hold(upload string) {
	o.holdsMu.Lock()
	defer o.holdsMu.Unlock()
	h := o.holds[upload]
	if h == nil {
		h = &hold{}
		o.holds[upload] = h
	}
	h.readers++
}

func (o *vault) release(upload string) {
	o.holdsMu.Lock()
	h := o.holds[upload]
	h.readers--
	if h.readers > 0 {
		o.holdsMu.Unlock()
		return
	}
	delete(o.holds, upload)
	o.holdsMu.Unlock()
	for i := range h.dead {
		h.dead[i].upload = ""
	}
	o.bury(context.Background(), h.dead)
}

// postpone leaves a grave to the last reader of its content, if there is one.
func (o *vault) postpone(g grave) bool {
	o.holdsMu.Lock()
	defer o.holdsMu.Unlock()
	h := o.holds[g.upload]
	if h != nil {
		h.dead = append(h.dead, g)
	}
	return h != nil
}
