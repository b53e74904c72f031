package manager

import (
	"context"
	"fmt"
	"strconv"

	"drover/internal/core/job"
	"drover/internal/store"
)

// ConsumerQuery selects the jobs that need a consumable resource.
type ConsumerQuery struct {
	Resource string
	Status   job.Status // 0 = any
	Name     string     // job name, a final * matches a prefix
	Limit    int
	Token    string // of the page before
}

// Consumers lists the jobs that need a consumable resource, in order of submission, and
// gives the token of the next page; empty at the end.
func (m *Manager) Consumers(ctx context.Context, q ConsumerQuery) (views []View, next string, err error) {
	after := int64(0)
	if q.Token != "" {
		if after, err = strconv.ParseInt(q.Token, 10, 64); err != nil {
			return nil, "", client("the nextToken is not one that drover gave")
		}
	}
	err = m.db.View(ctx, func(tx *store.Tx) error {
		views, next = nil, ""
		ids, last, err := consumers(tx, q, after)
		next = last
		if err != nil {
			return err
		}
		for _, id := range ids {
			v, ok, err := describe(tx, id, job.Whole)
			if err != nil {
				return err
			}
			if ok {
				views = append(views, v)
			}
		}
		return nil
	})
	return views, next, err
}

func consumers(tx *store.Tx, q ConsumerQuery, after int64) (ids []job.ID, next string, err error) {
	rows, err := tx.Query(fmt.Sprintf(`SELECT j.key, j.id, j.name, j.status FROM consumers c JOIN jobs j ON j.key = c.job
		WHERE c.resource = $1 AND c.job > $2 ORDER BY c.job LIMIT %d`, maxScan), q.Resource, after)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	scanned, last := 0, int64(0)
	for rows.Next() {
		if len(ids) == q.Limit {
			return ids, strconv.FormatInt(last, 10), nil
		}
		var key, status int64
		var raw []byte
		var name string
		if err := rows.Scan(&key, &raw, &name, &status); err != nil {
			return nil, "", err
		}
		last, scanned = key, scanned+1
		if q.Status != 0 && int64(q.Status) != status || !matches(q.Name, name) {
			continue
		}
		var id job.ID
		copy(id[:], raw)
		ids = append(ids, id)
	}
	if scanned == maxScan {
		next = strconv.FormatInt(last, 10)
	}
	return ids, next, rows.Err()
}
