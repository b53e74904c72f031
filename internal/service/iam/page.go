package iam

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"drover/internal/store"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// window is what a List operation asks for.
type window struct {
	after string // key of the last item of the page before
	size  int
}

func readWindow(marker *string, size *int32) (w window, err error) {
	w.size = defaultPage
	if size != nil {
		if *size < 1 || *size > maxPage {
			return w, invalid("1 validation error detected: Value '%d' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and %d", *size, maxPage)
		}
		w.size = int(*size)
	}
	if marker != nil {
		b, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil || len(b) == 0 {
			return w, invalid("Invalid Marker; give the one of the answer before.")
		}
		w.after = string(b)
	}
	return w, nil
}

func marker(after string) *string {
	return aws.String(base64.RawURLEncoding.EncodeToString([]byte(after)))
}

// slice pages through a list that is in memory, sorted by the keys that name gives.
func slice[T any](list []T, w window, name func(T) string) (page []T, truncated bool, next *string) {
	for _, v := range list {
		if w.after != "" && name(v) <= w.after {
			continue
		}
		if len(page) == w.size {
			return page, true, marker(name(page[len(page)-1]))
		}
		page = append(page, v)
	}
	return page, false, nil
}

// scan pages through a table, leaving out what keep refuses. It looks at every record at
// most once, so that a rare path prefix costs no more than the table.
func scan[T any](ctx context.Context, s *Service, t *store.Table[T], w window, keep func(*store.Tx, *T) (bool, error)) (page []T, truncated bool, next *string, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		page, truncated, next = nil, false, nil
		last := ""
		for after := w.after; ; {
			list, err := t.Scan(tx, "", after, maxPage)
			if err != nil {
				return err
			}
			for _, e := range list {
				ok, err := keep(tx, &e.Value)
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
				if len(page) == w.size {
					truncated, next = true, marker(last)
					return nil
				}
				page, last = append(page, e.Value), e.Key
			}
			if len(list) < maxPage {
				return nil
			}
			after = list[len(list)-1].Key
		}
	})
	return page, truncated, next, err
}

// scanPath is scan for an operation that takes a path prefix.
func scanPath[T any](ctx context.Context, s *Service, t *store.Table[T], from *string, size *int32, prefix *string, path func(*T) string) (page []T, truncated bool, next *string, err error) {
	w, err := readWindow(from, size)
	if err != nil {
		return nil, false, nil, err
	}
	under, err := checkPrefix(prefix)
	if err != nil {
		return nil, false, nil, err
	}
	return scan(ctx, s, t, w, func(_ *store.Tx, v *T) (bool, error) { return strings.HasPrefix(path(v), under), nil })
}

// viewList is view for an operation that lists what a record holds.
func viewList[T any](ctx context.Context, s *Service, t *store.Table[T], name string, absent error, from *string, size *int32) (v T, w window, err error) {
	if w, err = readWindow(from, size); err != nil {
		return v, w, err
	}
	v, err = view(ctx, s, t, name, absent)
	return v, w, err
}
