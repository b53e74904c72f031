package s3

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"
)

// files is the library's posix backend with two promises added: a key names one file and
// never another key's, and (durable) a write is on disk before it is answered.
type files struct {
	*posix.Posix
	durable bool
	fsync   func(fd int) error
}

var _ backend.Backend = (*files)(nil)

// openBackend lays out opts.Dir and moves the process into its bucket folder.
func openBackend(opts Options) (*files, error) {
	buckets := filepath.Join(opts.Dir, "buckets")
	versions := filepath.Join(opts.Dir, "versions")
	for _, d := range []string{buckets, versions} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("s3: make %s: %w", d, err)
		}
	}
	posixOpts := posix.PosixOpts{
		VersioningDir:       versions,
		CopyObjectThreshold: 5 << 30, // zero would refuse every copy
		ForceNoObjLockFile:  true,    // one process owns the folder; its own locks suffice
		Concurrency:         256,
		IOBufferSize:        128 << 10,
	}
	posixOpts.SetNewDirPerm(0o700)
	posixOpts.SetNewFilePerm(0o600)
	var attributes meta.MetadataStorer = meta.XattrMeta{}
	if err := opts.attributes(buckets); err != nil {
		side := filepath.Join(opts.Dir, "meta")
		if err := os.MkdirAll(side, 0o700); err != nil {
			return nil, fmt.Errorf("s3: make %s: %w", side, err)
		}
		opts.Log.Info("no extended attributes here, object metadata goes to side files", "dir", side, "cause", err)
		if attributes, err = meta.NewSideCar(side); err != nil {
			return nil, fmt.Errorf("s3: open %s: %w", side, err)
		}
		posixOpts.SideCarDir = side
	}
	p, err := newPosixQuietly(buckets, attributes, posixOpts)
	if err != nil {
		return nil, fmt.Errorf("s3: open %s: %w", buckets, err)
	}
	return &files{Posix: p, durable: !opts.NoFsync, fsync: opts.fsync}, nil
}

// newPosixQuietly keeps the constructor's announcements off our standard output, which
// belongs to the command's own words. The library has no option for it.
func newPosixQuietly(dir string, m meta.MetadataStorer, o posix.PosixOpts) (*posix.Posix, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out := os.Stdout
	os.Stdout = null
	defer func() { os.Stdout = out }()
	return posix.New(dir, m, o)
}

// xattrsWork tries one: some file systems name the interface and refuse the write, others
// hold too little for an object's metadata (S3 allows 2 KiB of it).
func xattrsWork(dir string) error {
	f, err := os.CreateTemp(dir, ".xattr-probe-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return unix.Fsetxattr(int(f.Fd()), "user.drover", make([]byte, 2<<10), 0)
}

// checkKey refuses keys that the files below would confuse with another key or cannot hold.
func checkKey(key string) error {
	path := strings.TrimSuffix(key, "/") // "a/" is the folder marker of "a"
	if len(key) > 1024 {
		return s3err.GetKeyTooLongErr(int64(len(key)), 1024)
	}
	first := true
	for seg := range strings.SplitSeq(path, "/") {
		switch {
		case seg == "" || seg == "." || seg == ".." || strings.ContainsRune(seg, 0),
			first && seg == posix.MetaTmpDir:
			return unheld("This store keeps objects as files and cannot hold this key: no path segment may be empty, \".\", \"..\", contain NUL, or start with \"" + posix.MetaTmpDir + "\". Use another key.")
		case len(seg) > 255:
			return unheld("This store keeps objects as files and cannot hold this key: a path segment is longer than 255 bytes. Use shorter segments.")
		}
		first = false
	}
	return nil
}

func unheld(message string) error {
	return s3err.APIError{Code: "InvalidRequest", Description: message, HTTPStatusCode: 400}
}

// absent is for reads: a key that cannot be held does not exist.
func absent(key *string) error {
	if key != nil && checkKey(*key) != nil {
		return s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	return nil
}

// PutObject stores an object.
func (f *files) PutObject(ctx context.Context, in s3response.PutObjectInput) (out s3response.PutObjectOutput, err error) {
	if err := checkKey(*in.Key); err != nil {
		return out, err
	}
	if !f.durable {
		return f.Posix.PutObject(ctx, in)
	}
	// The hook sees the file before it gets its name. A second descriptor lets us fsync this
	// very file afterwards, even if another PUT has replaced it by then: data, attributes and
	// link count are then one journal commit instead of two.
	written := -1
	out, err = f.Posix.PutObjectWithPostFunc(ctx, in, func(tmp *os.File) (err error) {
		written, err = unix.FcntlInt(tmp.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if written >= 0 {
		defer unix.Close(written)
	}
	if err != nil {
		return out, err
	}
	if written >= 0 {
		if err := f.fsync(written); err != nil {
			return out, fmt.Errorf("fsync object: %w", err)
		}
	}
	return out, f.settle(ctx, *in.Bucket, *in.Key)
}

// CopyObject copies within the store.
func (f *files) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (out s3response.CopyObjectOutput, err error) {
	if err := checkKey(*in.Key); err != nil {
		return out, err
	}
	_, key, _, err := backend.ParseCopySource(*in.CopySource)
	if err != nil {
		return out, err
	}
	if err := absent(&key); err != nil {
		return out, err
	}
	if out, err = f.Posix.CopyObject(ctx, in); err != nil || !f.durable {
		return out, err
	}
	return out, f.syncObject(ctx, *in.Bucket, *in.Key)
}

// CompleteMultipartUpload makes an object of its parts.
func (f *files) CompleteMultipartUpload(ctx context.Context, in *awss3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	out, version, err := f.Posix.CompleteMultipartUpload(ctx, in)
	if err != nil || !f.durable {
		return out, version, err
	}
	return out, version, f.syncObject(ctx, *in.Bucket, *in.Key)
}

// CreateBucket makes a bucket.
func (f *files) CreateBucket(ctx context.Context, in *awss3.CreateBucketInput, acl []byte) error {
	if err := f.Posix.CreateBucket(ctx, in, acl); err != nil || !f.durable {
		return err
	}
	return errors.Join(f.syncPath(*in.Bucket), f.syncPath("."))
}

// syncObject fsyncs an object that the library wrote out of our sight.
func (f *files) syncObject(ctx context.Context, bucket, key string) error {
	if err := f.syncPath(filepath.Join(bucket, key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // gone already = deleted by somebody else: nothing to keep
	}
	return f.settle(ctx, bucket, key)
}

// settle makes an object's name durable: every folder from it up to the bucket, because any
// of them may be new (fsync of an unchanged folder costs next to nothing). In a bucket with
// versions the library also moved the previous content to a file whose name it keeps to
// itself, so there the whole file system is flushed.
func (f *files) settle(ctx context.Context, bucket, key string) error {
	if v, err := f.GetBucketVersioning(ctx, bucket); err == nil && v.Status != nil && *v.Status != "" {
		return syncFileSystem(".")
	}
	path := filepath.Join(bucket, key)
	if strings.HasSuffix(key, "/") {
		path = filepath.Join(path, "x") // the marker is the folder itself
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if err := f.syncPath(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if dir == bucket || dir == "." {
			return nil
		}
	}
}

func (f *files) syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("fsync %s: %w", path, err)
	}
	defer file.Close()
	if err := f.fsync(int(file.Fd())); err != nil {
		return fmt.Errorf("fsync %s: %w", path, err)
	}
	return nil
}

func syncFileSystem(path string) error {
	fd, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncfs: %w", err)
	}
	defer fd.Close()
	if err := unix.Syncfs(int(fd.Fd())); err != nil {
		return fmt.Errorf("syncfs: %w", err)
	}
	return nil
}

// The rest only guards keys: the library would clean "a//b" or "a/../b" to another key's file.

// CreateMultipartUpload starts an upload; its key is checked once, here.
func (f *files) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	if err := checkKey(*in.Key); err != nil {
		return s3response.InitiateMultipartUploadResult{}, err
	}
	return f.Posix.CreateMultipartUpload(ctx, in)
}

// UploadPartCopy copies a part from an object.
func (f *files) UploadPartCopy(ctx context.Context, in *awss3.UploadPartCopyInput) (out s3response.CopyPartResult, err error) {
	_, key, _, err := backend.ParseCopySource(*in.CopySource)
	if err != nil {
		return out, err
	}
	if err := absent(&key); err != nil {
		return out, err
	}
	return f.Posix.UploadPartCopy(ctx, in)
}

// HeadObject describes an object.
func (f *files) HeadObject(ctx context.Context, in *awss3.HeadObjectInput) (*awss3.HeadObjectOutput, error) {
	if err := absent(in.Key); err != nil {
		return nil, err
	}
	return f.Posix.HeadObject(ctx, in)
}

// GetObject reads an object.
func (f *files) GetObject(ctx context.Context, in *awss3.GetObjectInput) (*awss3.GetObjectOutput, error) {
	if err := absent(in.Key); err != nil {
		return nil, err
	}
	return f.Posix.GetObject(ctx, in)
}

// GetObjectAttributes describes an object and its parts.
func (f *files) GetObjectAttributes(ctx context.Context, in *awss3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	if err := absent(in.Key); err != nil {
		return s3response.GetObjectAttributesResponse{}, err
	}
	return f.Posix.GetObjectAttributes(ctx, in)
}

// DeleteObject deletes an object; one that cannot exist is gone already.
func (f *files) DeleteObject(ctx context.Context, in *awss3.DeleteObjectInput) (*awss3.DeleteObjectOutput, error) {
	if absent(in.Key) != nil {
		return &awss3.DeleteObjectOutput{}, nil
	}
	return f.Posix.DeleteObject(ctx, in)
}

// DeleteObjects deletes many; those that cannot exist are reported deleted, as S3 does.
func (f *files) DeleteObjects(ctx context.Context, in *awss3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	var held []types.ObjectIdentifier
	var gone []types.DeletedObject
	for _, o := range in.Delete.Objects {
		if absent(o.Key) != nil {
			gone = append(gone, types.DeletedObject{Key: o.Key, VersionId: o.VersionId})
			continue
		}
		held = append(held, o)
	}
	if len(gone) == 0 {
		return f.Posix.DeleteObjects(ctx, in)
	}
	rest := *in
	rest.Delete = &types.Delete{Objects: held, Quiet: in.Delete.Quiet}
	out, err := f.Posix.DeleteObjects(ctx, &rest)
	out.Deleted = append(out.Deleted, gone...)
	return out, err
}

// GetObjectTagging reads an object's tags.
func (f *files) GetObjectTagging(ctx context.Context, bucket, key, version string) (map[string]string, error) {
	if err := absent(&key); err != nil {
		return nil, err
	}
	return f.Posix.GetObjectTagging(ctx, bucket, key, version)
}

// PutObjectTagging replaces an object's tags.
func (f *files) PutObjectTagging(ctx context.Context, bucket, key, version string, tags map[string]string) error {
	if err := absent(&key); err != nil {
		return err
	}
	return f.Posix.PutObjectTagging(ctx, bucket, key, version, tags)
}

// DeleteObjectTagging removes an object's tags.
func (f *files) DeleteObjectTagging(ctx context.Context, bucket, key, version string) error {
	if err := absent(&key); err != nil {
		return err
	}
	return f.Posix.DeleteObjectTagging(ctx, bucket, key, version)
}

// PutObjectRetention sets until when an object is kept.
func (f *files) PutObjectRetention(ctx context.Context, bucket, key, version string, retention []byte) error {
	if err := absent(&key); err != nil {
		return err
	}
	return f.Posix.PutObjectRetention(ctx, bucket, key, version, retention)
}

// GetObjectRetention tells until when an object is kept.
func (f *files) GetObjectRetention(ctx context.Context, bucket, key, version string) ([]byte, error) {
	if err := absent(&key); err != nil {
		return nil, err
	}
	return f.Posix.GetObjectRetention(ctx, bucket, key, version)
}

// PutObjectLegalHold sets or lifts an object's legal hold.
func (f *files) PutObjectLegalHold(ctx context.Context, bucket, key, version string, hold bool) error {
	if err := absent(&key); err != nil {
		return err
	}
	return f.Posix.PutObjectLegalHold(ctx, bucket, key, version, hold)
}

// GetObjectLegalHold tells whether an object is on legal hold.
func (f *files) GetObjectLegalHold(ctx context.Context, bucket, key, version string) (*bool, error) {
	if err := absent(&key); err != nil {
		return nil, err
	}
	return f.Posix.GetObjectLegalHold(ctx, bucket, key, version)
}
