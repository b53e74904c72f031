package manager

import (
	"context"
	"fmt"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/store"
)

// revisionTable holds the highest revision ever given to a name: deregistering or purging
// revisions does not give their numbers back.
var revisionTable = store.NewTable[int32]("definition-revision")

// definitionKey sorts the revisions of a name newest first.
func definitionKey(name string, revision int32) string {
	return fmt.Sprintf("%s/%010d", name, 9_999_999_999-int64(revision))
}

// Definition finds one revision; 0 means the newest active one.
func (m *Manager) Definition(ctx context.Context, name string, revision int32) (d job.Definition, err error) {
	err = m.db.View(ctx, func(tx *store.Tx) error {
		if revision > 0 {
			d, _, err = definitionTable.Get(tx, definitionKey(name, revision))
			return err
		}
		after := ""
		for {
			page, err := definitionTable.Scan(tx, name+"/", after, 50)
			if err != nil {
				return err
			}
			for _, e := range page {
				if after = e.Key; e.Value.Active {
					d = e.Value
					return nil
				}
			}
			if len(page) == 0 {
				return fault.New(fault.NotFound, "ClientException", "JobDefinition %s does not exist or has no active revision", name)
			}
		}
	})
	return d, err
}

// Definitions lists revisions by name, the newest of each name first. next is the token
// for the following page, empty at the end.
func (m *Manager) Definitions(ctx context.Context, name, after string, limit int) (defs []job.Definition, next string, err error) {
	prefix := ""
	if name != "" {
		prefix = name + "/"
	}
	err = m.db.View(ctx, func(tx *store.Tx) error {
		page, err := definitionTable.Scan(tx, prefix, after, limit+1)
		if err != nil {
			return err
		}
		defs, next = nil, ""
		for i, e := range page {
			if i == limit {
				next = page[i-1].Key
				break
			}
			defs = append(defs, e.Value)
		}
		return nil
	})
	return defs, next, err
}

// prefixPattern splits a filter such as "abc*" into what a match must begin with, and
// whether more may follow.
func prefixPattern(p string) (string, bool) { return strings.CutSuffix(p, "*") }
