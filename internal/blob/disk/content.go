package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"drover/internal/blob"
)

// The footer ends every file: magic, size of the content, size of a block, and a CRC-32C
// of the id, the blocks' checksums and the footer up to here. Numbers are big-endian.
const (
	magic      = "drvblob\x01"
	footerSize = len(magic) + 8 + 4 + 4
	sumSize    = crc32.Size
)

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // the library keeps it

func blocksOf(size int64) int64 { return (size + blob.BlockSize - 1) / blob.BlockSize }

// seal gives what follows the content in its file.
func seal(id blob.ID, sums []byte, size int64) []byte {
	t := append(sums, magic...)
	t = binary.BigEndian.AppendUint64(t, uint64(size))
	t = binary.BigEndian.AppendUint32(t, blob.BlockSize)
	return binary.BigEndian.AppendUint32(t, sealSum(id, t))
}

func sealSum(id blob.ID, t []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(id), castagnoli()), castagnoli(), t)
}

// blocks recycles buffers of one block; what is in use is bounded by Puts and readers.
var blocks = sync.Pool{New: func() any { return new([blob.BlockSize]byte) }}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, r io.Reader, size int64) (blob.Info, error) {
	dir, err := s.enter()
	if err != nil {
		return blob.Info{}, err
	}
	defer s.leave(dir)
	name := newName()
	id := blob.ID(dir.name + name)
	path := filepath.Join(dir.path, name)
	n, err := s.write(ctx, id, path+unfinished, r, size)
	if err == nil {
		if err = s.opt.hook("rename", path); err == nil {
			err = os.Rename(path+unfinished, path)
		}
	}
	if err != nil {
		_ = os.Remove(path + unfinished) // else Scan shows it
		return blob.Info{}, err
	}
	if err := s.sync(dir); err != nil {
		return blob.Info{}, err
	}
	return blob.Info{ID: id, Size: n}, nil
}

// write makes one whole file and syncs it.
func (s *Store) write(ctx context.Context, id blob.ID, path string, r io.Reader, size int64) (n int64, err error) {
	if err := s.opt.hook("create", path); err != nil {
		return 0, full(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("blob: create: %w", full(err))
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("blob: close %s: %w", path, full(e))
		}
	}()
	reserve(f, size)
	sums, n, err := s.copyBlocks(ctx, f, path, r, size)
	if err != nil {
		return 0, err
	}
	if err := s.append(f, path, seal(id, sums, n)); err != nil {
		return 0, err
	}
	if s.opt.NoSync {
		return n, nil
	}
	err = s.opt.hook("sync", path)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		if err = full(err); errors.Is(err, blob.ErrFull) {
			return 0, fmt.Errorf("blob: fsync %s: %w", path, err) // delayed allocation; nothing was promised
		}
		return 0, s.fatal(fmt.Errorf("blob: fsync %s: %w", path, err))
	}
	return n, nil
}

// copyBlocks writes the content and gives the checksums of its blocks.
func (s *Store) copyBlocks(ctx context.Context, f *os.File, path string, r io.Reader, size int64) (sums []byte, n int64, err error) {
	if size > 0 {
		sums = make([]byte, 0, min(blocksOf(size), 1<<20)*sumSize+int64(footerSize))
	}
	block := blocks.Get().(*[blob.BlockSize]byte)
	defer blocks.Put(block)
	for {
		got, err := io.ReadFull(r, block[:])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, 0, err
		}
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if got > 0 {
			sums = binary.BigEndian.AppendUint32(sums, crc32.Checksum(block[:got], castagnoli()))
			n += int64(got)
			if err := s.append(f, path, block[:got]); err != nil {
				return nil, 0, err
			}
		}
		if err != nil { // the end; a short last block is no error
			return sums, n, nil
		}
	}
}

func (s *Store) append(f *os.File, path string, p []byte) error {
	err := s.opt.hook("write", path)
	if err == nil {
		_, err = f.Write(p)
	}
	if err != nil {
		return fmt.Errorf("blob: write: %w", full(err))
	}
	return nil
}

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, id blob.ID, offset, length int64) (blob.Reader, error) {
	path := s.path(id)
	if path == "" || strings.HasSuffix(path, unfinished) {
		return nil, blob.ErrNotFound
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("blob: open: %w", err)
	}
	c := &content{s: s, id: id, f: f}
	end, err := c.open(offset, length)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return blob.NewReader(ctx, c, c.size, offset, end)
}

// content is the blob.Source of one file.
type content struct {
	s     *Store
	id    blob.ID
	f     *os.File
	size  int64
	sums  []byte
	block *[blob.BlockSize]byte
}

func (c *content) damage(offset int64, format string, args ...any) error {
	return &blob.Damage{ID: c.id, Offset: offset, Where: c.f.Name(), Reason: fmt.Sprintf(format, args...)}
}

// open reads the footer and the checksums, checks the range and gives its end.
func (c *content) open(offset, length int64) (int64, error) {
	st, err := c.f.Stat()
	if err != nil {
		return 0, fmt.Errorf("blob: %w", err)
	}
	var foot [footerSize]byte
	at := st.Size() - int64(footerSize)
	if at < 0 {
		return 0, c.damage(0, "the file has %d bytes, fewer than a footer", st.Size())
	}
	if err := c.readAt(foot[:], at); err != nil {
		return 0, err
	}
	size := int64(binary.BigEndian.Uint64(foot[len(magic):]))
	if string(foot[:len(magic)]) != magic || binary.BigEndian.Uint32(foot[len(magic)+8:]) != blob.BlockSize ||
		size < 0 || size > at || size+blocksOf(size)*int64(sumSize) != at {
		return 0, c.damage(0, "the footer does not fit the file: it was cut, or its end was overwritten")
	}
	tail := make([]byte, st.Size()-size)
	if err := c.readAt(tail, size); err != nil {
		return 0, err
	}
	if sealSum(c.id, tail[:len(tail)-sumSize]) != binary.BigEndian.Uint32(tail[len(tail)-sumSize:]) {
		return 0, c.damage(0, "the checksums behind the content are damaged, or are another content's")
	}
	c.size, c.sums = size, tail[:len(tail)-footerSize]
	return blob.End(c.id, size, offset, length)
}

func (c *content) readAt(p []byte, at int64) error {
	err := c.s.opt.hook("read", c.f.Name())
	if err == nil {
		_, err = c.f.ReadAt(p, at)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return c.damage(at, "the file is too short")
	}
	if err != nil {
		return c.damage(at, "%v", err)
	}
	return nil
}

// Next reads and verifies the block at an offset.
func (c *content) Next(at int64) ([]byte, error) {
	n := at / blob.BlockSize
	start := n * blob.BlockSize
	length := min(c.size-start, blob.BlockSize)
	if c.block == nil {
		c.block = blocks.Get().(*[blob.BlockSize]byte)
	}
	p := c.block[:length]
	if err := c.readAt(p, start); err != nil {
		return nil, err
	}
	if crc32.Checksum(p, castagnoli()) != binary.BigEndian.Uint32(c.sums[n*int64(sumSize):]) {
		return nil, c.damage(start, "the checksum of these %d bytes is not the one that was written", length)
	}
	return p[at-start:], nil
}

// Close implements blob.Source.
func (c *content) Close() error {
	if c.block != nil {
		blocks.Put(c.block)
	}
	return c.f.Close()
}
