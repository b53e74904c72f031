package worker

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	nameCost       = 512      // bytes that a known name counts for
	defaultCache   = 10 << 30 // of contents, or a tenth of the disk if that is less
	noteEvery      = time.Minute
	contentsFolder = "contents"
	namesFolder    = "names"
	newFolder      = "new"
)

// cache keeps contents of objects that attempts needed, so that the next attempt on this host
// does not transfer them again.
//
//	contents/<SHA-256>       what objects had in them, each once, whatever their names
//	names/<SHA-256 of name>  which ETag and which content an object had when it was fetched
//	new/                     being written; emptied at the start
//
// It decides nothing about rights: an object is always asked for with the attempt's own
// credentials, and the cache is used when the server says that its ETag is still the same. Two
// names share a content only if all their bytes agreed, so nobody can give another's object a
// content. Files are renamed into place and not synced: each is hashed again whenever it is
// read, and one that a crash or the disk has spoilt is removed and fetched anew.
//
// The least recently used contents go when there are more bytes than the limit. Removing one
// that is being copied is harmless: the copy holds it open.
type cache struct {
	dir   string
	limit int64

	mu    sync.Mutex // guards the rest
	names map[string]*cachedName
	sums  map[string]*list.Element // of *cachedContent
	order *list.List               // most recently used first
	size  int64
	busy  map[string]chan struct{} // names that are being fetched
}

type cachedContent struct {
	sum   string
	size  int64
	noted time.Time // when its file's time was last set
	names []string  // hashes of names with this content
}

type cachedName struct {
	Name string `json:"name"` // s3://bucket/key
	ETag string `json:"etag"`
	Sum  string `json:"sha256"`
}

// openCache opens the cache in dir; a limit of 0 is the default, below 0 there is none (nil).
func openCache(dir string, limit int64) (*cache, error) {
	if limit < 0 {
		return nil, os.RemoveAll(dir)
	}
	if err := os.RemoveAll(filepath.Join(dir, newFolder)); err != nil {
		return nil, err
	}
	for _, d := range []string{contentsFolder, namesFolder, newFolder} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("cannot make the cache of objects: %w", err)
		}
	}
	if limit == 0 {
		var disk syscall.Statfs_t
		limit = defaultCache
		if err := syscall.Statfs(dir, &disk); err == nil {
			limit = min(limit, int64(disk.Blocks)*disk.Bsize/10)
		}
	}
	c := &cache{dir: dir, limit: limit, names: map[string]*cachedName{}, sums: map[string]*list.Element{}, order: list.New(), busy: map[string]chan struct{}{}}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("cannot read the cache of objects: %w", err)
	}
	return c, nil
}

// load finds what an earlier worker kept.
func (c *cache) load() error {
	entries, err := os.ReadDir(c.path(contentsFolder, ""))
	if err != nil {
		return err
	}
	var found []*cachedContent
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || len(e.Name()) != 2*sha256.Size {
			continue
		}
		found = append(found, &cachedContent{sum: e.Name(), size: info.Size(), noted: info.ModTime()})
	}
	slices.SortFunc(found, func(a, b *cachedContent) int {
		return cmp.Or(b.noted.Compare(a.noted), cmp.Compare(a.sum, b.sum))
	})
	for _, k := range found {
		c.sums[k.sum] = c.order.PushBack(k)
		c.size += k.size
	}
	if entries, err = os.ReadDir(c.path(namesFolder, "")); err != nil {
		return err
	}
	for _, e := range entries {
		var n cachedName
		text, err := os.ReadFile(c.path(namesFolder, e.Name()))
		if err != nil || json.Unmarshal(text, &n) != nil || hashName(n.Name) != e.Name() || c.sums[n.Sum] == nil {
			_ = os.Remove(c.path(namesFolder, e.Name())) // half written, or its content is gone
			continue
		}
		c.bind(e.Name(), &n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shrink(0)
	return nil
}

func (c *cache) path(folder, name string) string { return filepath.Join(c.dir, folder, name) }

func hashName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// bind gives a content a name; c.mu is held, or nobody else has c.
func (c *cache) bind(hash string, n *cachedName) {
	k := c.sums[n.Sum].Value.(*cachedContent)
	c.names[hash] = n
	k.names = append(k.names, hash)
	c.size += nameCost
}

// shrink makes room for more bytes; c.mu is held.
func (c *cache) shrink(more int64) {
	for c.size+more > c.limit && c.order.Len() > 0 {
		c.dropLocked(c.order.Back().Value.(*cachedContent))
	}
}

func (c *cache) dropLocked(k *cachedContent) {
	c.order.Remove(c.sums[k.sum])
	delete(c.sums, k.sum)
	c.size -= k.size + nameCost*int64(len(k.names))
	_ = os.Remove(c.path(contentsFolder, k.sum)) // one that stays is found again by the next start
	for _, n := range k.names {
		delete(c.names, n)
		_ = os.Remove(c.path(namesFolder, n))
	}
}

// claim makes the caller the only one who fetches the object, once others have done so; done
// must be called.
func (c *cache) claim(name string, stop <-chan struct{}) (done func(), ok bool) {
	for {
		c.mu.Lock()
		wait := c.busy[name]
		if wait == nil {
			mine := make(chan struct{})
			c.busy[name] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.busy, name)
				c.mu.Unlock()
				close(mine)
			}, true
		}
		c.mu.Unlock()
		select {
		case <-wait:
		case <-stop:
			return nil, false
		}
	}
}

// find opens the content that the object had, with the ETag that it had then.
func (c *cache) find(name string) (f *os.File, etag, sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.names[hashName(name)]
	if n == nil {
		return nil, "", ""
	}
	e := c.sums[n.Sum]
	k := e.Value.(*cachedContent)
	f, err := os.Open(c.path(contentsFolder, n.Sum))
	if err != nil {
		c.dropLocked(k)
		return nil, "", ""
	}
	c.order.MoveToFront(e)
	if now := time.Now(); now.Sub(k.noted) > noteEvery {
		k.noted = now
		_ = os.Chtimes(f.Name(), now, now) // else it is taken for older than it is
	}
	return f, n.ETag, n.Sum
}

// spoilt removes a content that is not what it was.
func (c *cache) spoilt(sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.sums[sum]; e != nil {
		c.dropLocked(e.Value.(*cachedContent))
	}
}

// draft is a content on its way into the cache.
type draft struct {
	c   *cache
	f   *os.File
	sum hash.Hash
	n   int64
	err error // the cache failed; the attempt does not
}

// draft begins a content of about size bytes; nil if it has no place.
func (c *cache) draft(size int64) *draft {
	if c == nil || size > c.limit/2 {
		return nil
	}
	f, err := os.CreateTemp(c.path(newFolder, ""), "")
	if err != nil {
		return nil
	}
	return &draft{c: c, f: f, sum: sha256.New()}
}

// Write takes what was fetched. It never fails: a cache that cannot keep it, keeps nothing.
func (d *draft) Write(p []byte) (int, error) {
	if d.err == nil {
		d.sum.Write(p)
		d.n += int64(len(p))
		if _, d.err = d.f.Write(p); d.err == nil && d.n > d.c.limit/2 {
			d.err = errors.New("too large")
		}
	}
	return len(p), nil
}

// drop gives the draft up.
func (d *draft) drop() {
	_ = d.f.Close()
	_ = os.Remove(d.f.Name()) // else the next start removes it
}

// keep makes the draft the content of the object.
func (d *draft) keep(name, etag string) {
	if err := d.f.Close(); d.err != nil || err != nil || etag == "" {
		_ = os.Remove(d.f.Name())
		return
	}
	sum := hex.EncodeToString(d.sum.Sum(nil))
	n := &cachedName{Name: name, ETag: etag, Sum: sum}
	h := hashName(name)
	c := d.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.names[h]; old != nil {
		c.unbind(h, old)
	}
	if c.sums[sum] != nil {
		_ = os.Remove(d.f.Name()) // another name has it
	} else {
		c.shrink(d.n + nameCost)
		if err := os.Rename(d.f.Name(), c.path(contentsFolder, sum)); err != nil {
			_ = os.Remove(d.f.Name())
			return
		}
		c.sums[sum] = c.order.PushFront(&cachedContent{sum: sum, size: d.n, noted: time.Now()})
		c.size += d.n
	}
	text, err := json.Marshal(n)
	if err == nil {
		err = writeFile(c.path(namesFolder, h), string(text))
	}
	if err != nil {
		_ = os.Remove(c.path(namesFolder, h))
	}
	c.bind(h, n)
	c.shrink(0)
}

// unbind takes a name from its content, which goes when it was the last; c.mu is held.
func (c *cache) unbind(h string, n *cachedName) {
	k := c.sums[n.Sum].Value.(*cachedContent)
	if len(k.names) == 1 {
		c.dropLocked(k)
		return
	}
	k.names = slices.DeleteFunc(k.names, func(s string) bool { return s == h })
	delete(c.names, h)
	c.size -= nameCost
}

// errSpoilt says that a cached content is not what it was.
var errSpoilt = errors.New("the cached content is spoilt")

// copyOut copies a cached content and compares its hash.
func copyOut(to io.Writer, from *os.File, sum string) (int64, error) {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, h), from)
	if err == nil && hex.EncodeToString(h.Sum(nil)) != sum {
		err = errSpoilt
	}
	return n, err
}

// contents counts what is kept, for tests and the log.
func (c *cache) contents() (n int, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len(), c.size
}
