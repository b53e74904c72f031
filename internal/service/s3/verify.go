package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"drover/internal/blob"
	"drover/internal/core/upkeep"
	"drover/internal/store"
)

// Damaged is an object that Verify found damaged.
type Damaged = upkeep.Damaged

// Verified says what Verify read.
type Verified = upkeep.Verified

// Verify reads every version of every object and gives those whose content is damaged or
// missing to report. Objects that are deleted meanwhile are passed over.
func (s *Service) Verify(ctx context.Context, report func(Damaged)) (Verified, error) {
	out, _, err := s.VerifySome(ctx, upkeep.Place{}, 0, 0, report)
	return out, err
}

// VerifySome is a part of Verify: from a place on, for as long as given (0 = to the end), at
// most rate bytes a second (0 = as fast as it goes). It gives the place to go on from, nil at
// the end. An object that has been begun is read to its end.
func (s *Service) VerifySome(ctx context.Context, from upkeep.Place, long time.Duration, rate int64, report func(Damaged)) (out Verified, next *upkeep.Place, err error) {
	o := s.vault
	began := time.Now()
	speed := &throttle{ctx: ctx, rate: rate, began: began}
	for _, b := range o.sorted() {
		if b.name < from.Bucket {
			continue
		}
		at := upkeep.Place{Bucket: b.name, Rank: -1 << 63}
		if b.name == from.Bucket {
			at = from
		}
		for {
			page, err := o.versionsAfter(ctx, b, at.Key, at.Rank)
			if err != nil {
				return out, nil, err
			}
			if len(page) == 0 {
				break
			}
			for _, v := range page {
				at.Key, at.Rank = v.key, v.rank
				if v.marker {
					continue
				}
				out.Objects++
				n, err := o.verify(ctx, b, v, speed)
				out.Bytes += n
				if ctx.Err() != nil {
					return out, nil, ctx.Err()
				}
				if err != nil {
					report(Damaged{Bucket: b.name, Key: string(v.key), VersionID: v.vid, Offset: n, Reason: err.Error()})
				}
				if long > 0 && time.Since(began) >= long {
					return out, &at, nil
				}
			}
		}
	}
	return out, nil, nil
}

// throttle takes bytes no faster than its rate.
type throttle struct {
	ctx   context.Context
	rate  int64 // a second; 0 = any
	began time.Time
	n     int64
}

func (t *throttle) Write(p []byte) (int, error) {
	t.n += int64(len(p))
	if t.rate <= 0 {
		return len(p), nil
	}
	due := t.began.Add(time.Duration(float64(t.n) / float64(t.rate) * float64(time.Second)))
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.ctx.Done():
			return 0, t.ctx.Err()
		}
	}
	return len(p), nil
}

// versionsAfter pages over all versions of a bucket.
func (o *vault) versionsAfter(ctx context.Context, b *bucket, key []byte, rank int64) (list []*version, err error) {
	if key == nil {
		key = []byte{}
	}
	where := ` WHERE bucket = $1 AND key >= $2 AND (key > $2 OR rank > $3)`
	err = o.db.View(ctx, func(tx *store.Tx) error {
		list = list[:0]
		rows, err := tx.Query(`SELECT `+columns+` FROM s3_objects`+where+` UNION ALL SELECT `+columns+` FROM s3_versions`+where+` ORDER BY key, rank LIMIT 200`, b.id, key, rank)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v, err := scanVersion(rows)
			if err != nil {
				return err
			}
			list = append(list, v)
		}
		return rows.Err()
	})
	return list, err
}

// verify reads one version to its end. What is gone by now is not damaged.
func (o *vault) verify(ctx context.Context, b *bucket, v *version, to io.Writer) (int64, error) {
	f, err := o.lookup(ctx, b, string(v.key), v.vid, true)
	if err != nil || f == nil || f.rank != v.rank {
		return 0, err
	}
	r, err := o.open(ctx, b, f, 0, f.size)
	if errors.Is(err, blob.ErrNotFound) {
		again, e := o.lookup(ctx, b, string(v.key), v.vid, false)
		if e != nil || again == nil || again.rank != v.rank {
			return 0, e
		}
		return 0, errors.New("the content is missing")
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err := io.Copy(to, r)
	if err == nil && n != f.size {
		err = fmt.Errorf("the content has %d bytes, the object has %d", n, f.size)
	}
	return n, err
}
