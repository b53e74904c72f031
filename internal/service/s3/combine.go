package s3

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// combiner puts the CRCs of consecutive parts together into that of the whole. The CRC of a
// content that n bytes follow is a linear function of its CRC, a matrix of bits; it depends
// on n only, and parts are mostly of one size, so it is worth keeping.
type combiner struct {
	width  int
	poly   uint64 // reflected
	follow map[int64][]uint64
}

func newCombiner(a types.ChecksumAlgorithm) (*combiner, error) {
	c := &combiner{follow: map[int64][]uint64{}}
	switch a {
	case types.ChecksumAlgorithmCrc32:
		c.width, c.poly = 32, 0xedb88320
	case types.ChecksumAlgorithmCrc32c:
		c.width, c.poly = 32, 0x82f63b78
	case types.ChecksumAlgorithmCrc64nvme:
		c.width, c.poly = 64, 0x9a6c9329ac4bc9b5
	default:
		return nil, fmt.Errorf("s3: checksums by %s cannot be combined", a)
	}
	return c, nil
}

// add gives the checksum of a content of checksum sum that a part of checksum next and size
// n follows. Both are base64, big-endian.
func (c *combiner) add(sum, next string, n int64) (string, error) {
	a, err := c.read(sum)
	if err != nil {
		return "", err
	}
	b, err := c.read(next)
	if err != nil {
		return "", err
	}
	v := times(c.matrix(n), a) ^ b
	var out [8]byte
	binary.BigEndian.PutUint64(out[:], v<<(64-c.width))
	return base64.StdEncoding.EncodeToString(out[:c.width/8]), nil
}

func (c *combiner) read(sum string) (uint64, error) {
	p, err := base64.StdEncoding.DecodeString(sum)
	if err != nil || len(p) != c.width/8 {
		return 0, fmt.Errorf("s3: %q is no checksum of %d bits", sum, c.width)
	}
	var v uint64
	for _, b := range p {
		v = v<<8 | uint64(b)
	}
	return v, nil
}

// matrix is what n bytes do to a CRC, by squaring what one bit does.
func (c *combiner) matrix(n int64) []uint64 {
	if m := c.follow[n]; m != nil {
		return m
	}
	m, power := make([]uint64, c.width), make([]uint64, c.width)
	power[0] = c.poly
	for i := range m {
		m[i] = 1 << i // nothing yet
		if i > 0 {
			power[i] = 1 << (i - 1)
		}
	}
	for range 3 { // of one byte
		power = product(power, power)
	}
	for left := n; left > 0; left >>= 1 {
		if left&1 == 1 {
			m = product(power, m)
		}
		power = product(power, power)
	}
	c.follow[n] = m
	return m
}

// product is first b, then a.
func product(a, b []uint64) []uint64 {
	out := make([]uint64, len(b))
	for i := range b {
		out[i] = times(a, b[i])
	}
	return out
}

func times(m []uint64, v uint64) (out uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 == 1 {
			out ^= m[i]
		}
	}
	return out
}
