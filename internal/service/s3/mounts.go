package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"

	"drover/internal/core/fault"
	"drover/internal/core/upkeep"
	"drover/internal/link/external"
	"drover/internal/wire/sigv4"
)

// mountsFile keeps the keys of mounts, readable by the server's user alone. That a bucket is
// a mount, and of what, stands in its row; its keys stand nowhere else.
const mountsFile = "mounts.json"

// mount is a bucket whose objects are those of another S3.
type mount struct {
	name  string // of the bucket here
	at    external.Address
	creds sigv4.Credentials
	web   *http.Client
}

// mountKeys is one entry of mountsFile.
type mountKeys struct {
	Address string `json:"address"`
	Access  string `json:"accessKey"`
	Secret  string `json:"secretKey"`
}

// mounts are the mounted buckets by name.
type mounts struct {
	path string

	mu   sync.RWMutex // guards list
	list map[string]*mount
}

func openMounts(dir string) (*mounts, error) {
	m := &mounts{path: filepath.Join(dir, mountsFile), list: map[string]*mount{}}
	text, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	var entries map[string]mountKeys
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("%s is damaged; restore it from a backup, or remove it and mount the buckets again", m.path)
	}
	for name, e := range entries {
		if m.list[name], err = newMount(name, e); err != nil {
			return nil, fmt.Errorf("the mounted bucket %s: %w", name, err)
		}
	}
	return m, nil
}

func newMount(name string, e mountKeys) (*mount, error) {
	at, err := external.Parse(e.Address)
	if err != nil {
		return nil, err
	}
	at.Use(e.Access, e.Secret, "")
	web, err := at.HTTP()
	return &mount{name: name, at: at, creds: sigv4.Credentials{AccessKey: e.Access, Secret: e.Secret}, web: web}, err
}

// of gives the mount of a bucket, or nil.
func (m *mounts) of(bucket string) *mount {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.list[bucket]
}

// change replaces the list, on disk first.
func (m *mounts) change(fn func(list map[string]*mount)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := maps.Clone(m.list)
	fn(list)
	entries := map[string]mountKeys{}
	for name, one := range list {
		entries[name] = mountKeys{one.at.String(), one.creds.AccessKey, one.creds.Secret}
	}
	text, err := json.MarshalIndent(entries, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(m.path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", m.path, err)
	}
	if err := os.Rename(f.Name(), m.path); err != nil {
		return err
	}
	m.list = list
	return nil
}

// Mount makes a bucket whose objects are those at an address, reached with these keys.
func (s *Service) Mount(ctx context.Context, name, address, access, secret string) error {
	one, err := newMount(name, mountKeys{address, access, secret})
	if err != nil {
		return fault.New(fault.Invalid, "ValidationException", "%v", err)
	}
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(name) {
		return fault.New(fault.Invalid, "ValidationException", "%q is not a bucket's name: 3 to 63 of a-z, 0-9, . and -", name)
	}
	if access == "" || secret == "" {
		return fault.New(fault.Invalid, "ValidationException", "a mount needs an access key and its secret")
	}
	client, err := one.at.Client(ctx)
	if err != nil {
		return fault.New(fault.Invalid, "ValidationException", "%v", err)
	}
	if _, err := client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &one.at.Bucket, MaxKeys: new(int32)}); err != nil {
		return one.at.Explain(err)
	}
	if _, err := s.vault.bucket(name); err == nil {
		return fault.New(fault.Conflict, "BucketAlreadyExists", "there is a bucket %s already; mount under another name, or delete it", name)
	}
	// The keys first: a crash leaves keys of no bucket, never a bucket that looks like one of ours.
	if err := s.mounts.change(func(list map[string]*mount) { list[name] = one }); err != nil {
		return err
	}
	acl, err := json.Marshal(auth.ACL{Owner: s.opts.Account})
	if err == nil {
		err = s.vault.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &name}, acl)
	}
	if err != nil {
		return errors.Join(asFault(err), s.mounts.change(func(list map[string]*mount) { delete(list, name) }))
	}
	return nil
}

// Unmount takes a mounted bucket away; its objects stay where they are.
func (s *Service) Unmount(ctx context.Context, name string) error {
	if s.mounts.of(name) == nil {
		return fault.New(fault.NotFound, "NoSuchBucket", "%s is no mounted bucket; drover bucket list shows them", name)
	}
	if _, err := s.vault.bucket(name); err == nil {
		if err := s.vault.DeleteBucket(ctx, name); err != nil {
			return asFault(err)
		}
	}
	return s.mounts.change(func(list map[string]*mount) { delete(list, name) })
}

// Buckets lists all buckets, and of the mounted ones of what.
func (s *Service) Buckets() []upkeep.StoredBucket {
	out := []upkeep.StoredBucket{}
	for _, b := range s.vault.sorted() {
		one := upkeep.StoredBucket{Name: b.name, Created: time.UnixMicro(b.created).UTC()}
		if m := s.mounts.of(b.name); m != nil {
			one.Mount = m.at.Place()
		}
		out = append(out, one)
	}
	return out
}
