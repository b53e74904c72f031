package manager

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/store"
)

// Journal is the manager's only door to what lasts. The store-backed one is NewJournal;
// the simulation has one made of paper.
type Journal interface {
	// Commit makes a batch durable, then calls done. Batches become durable in the order
	// of the calls, each one whole or not at all. done must not block.
	Commit(b *Batch, done func(error))
	// Load gives everything that a Core needs to go on, in parts: the first has everything
	// but jobs, and the others have those. Whoever led before can write no more.
	Load(ctx context.Context, part func(Image)) error
	// Find gives jobs by id or by token, whatever their status; unknown ones are left out.
	Find(ctx context.Context, ids []job.ID, tokens []string) ([]Loaded, error)
}

//go:embed schema/*.sql
var schema embed.FS

var (
	queueTable       = store.NewTable[job.Queue](string(KindQueue))
	environmentTable = store.NewTable[job.Environment](string(KindEnvironment))
	policyTable      = store.NewTable[job.SchedulingPolicy](string(KindPolicy))
	consumableTable  = store.NewTable[job.Consumable](string(KindConsumable))
	quotaShareTable  = store.NewTable[job.QuotaShare](string(KindQuotaShare))
	definitionTable  = store.NewTable[job.Definition]("definition")
)

// journal is the store-backed Journal. Every batch carries the term of its leader and the
// number that follows the last one written: a manager that was replaced, or a batch whose
// predecessor failed, writes nothing.
type journal struct {
	db   *store.DB
	term int64
	run  int64 // how many Cores the term had before this one
}

// NewJournal gives the journal in a store, after migrating its tables.
func NewJournal(ctx context.Context, db *store.DB) (Journal, error) {
	files, err := fs.Sub(schema, "schema")
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, "manager", files); err != nil {
		return nil, err
	}
	return &journal{db: db}, nil
}

func (j *journal) Commit(b *Batch, done func(error)) {
	term, run := j.term, j.run
	j.db.Enqueue(func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE leader SET seq = $1 WHERE term = $2 AND seq = $3`, b.Seq, term, b.Seq-1)
		if err != nil {
			return err
		}
		if n == 1 {
			if err := writeTape(tx, term, run, b); err != nil {
				return err
			}
			return write(tx, b)
		}
		if err := leads(tx, term); err != nil {
			return err
		}
		return fault.New(fault.Unavailable, "ServerException", "an earlier decision could not be stored; retry")
	}, done)
}

// ErrReplaced is the end of a manager when another one leads: it must not decide any more,
// and can never lead again.
var ErrReplaced error = fault.New(fault.Unavailable, "ServerException", "this server is not the leader any more: another one has begun a new term")

// leads is ErrReplaced unless the term is the current one.
func leads(tx *store.Tx, term int64) error {
	var current int64
	if err := tx.Row(`SELECT term FROM leader`).Scan(&current); err != nil {
		return err
	}
	if current != term {
		return ErrReplaced
	}
	return nil
}

// lead begins a new term, the first time: whoever led before can write no more, neither
// batches nor anything else in this database. Later it begins the term's batches anew, if
// that is still the current one.
func (j *journal) lead(ctx context.Context) error {
	if j.term != 0 {
		j.run++
		return j.db.Update(ctx, func(tx *store.Tx) error {
			if err := leads(tx, j.term); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE leader SET seq = 0`)
			return err
		})
	}
	var term int64
	err := j.db.Update(ctx, func(tx *store.Tx) error {
		err := tx.Row(`UPDATE leader SET term = term + 1, seq = 0 RETURNING term`).Scan(&term)
		if isNoRows(err) {
			term = 1
			_, err = tx.Exec(`INSERT INTO leader (term, seq) VALUES (1, 0)`)
		}
		return err
	})
	if err == nil {
		j.term = term
		j.db.Fence(func(tx *store.Tx) error { return leads(tx, term) })
	}
	return err
}

const (
	insertJob = `INSERT INTO jobs (key, id, name, queue, definition, share, token, size, created, spec, status, reason, base, base_reason, counts, flags, user_reason, ready, stopped, tags, changed, nodes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)`
	updateJob = `UPDATE jobs SET status = $2, reason = $3, base = $4, base_reason = $5, counts = $6, flags = $7, user_reason = $8, ready = $9, stopped = $10, tags = $11, changed = $12 WHERE key = $1`

	unitColumns = `job, idx, status, flags, reason, user_reason, ready, attempt, fence, host, environment, log, placed, started, stopped, why, ended, exit_code, exit_reason, cause, error_line, cpu_ms, peak_kib, bytes_in, bytes_out, cost_micros, memory, members, address, preempted`
	unitValues  = `($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)`
	upsertUnit  = `INSERT INTO units (` + unitColumns + `) VALUES ` + unitValues + `
		ON CONFLICT (job, idx) DO UPDATE SET status = excluded.status, flags = excluded.flags, reason = excluded.reason, user_reason = excluded.user_reason,
		ready = excluded.ready, attempt = excluded.attempt, fence = excluded.fence, host = excluded.host, environment = excluded.environment, log = excluded.log,
		placed = excluded.placed, started = excluded.started, stopped = excluded.stopped, why = excluded.why, ended = excluded.ended, exit_code = excluded.exit_code,
		exit_reason = excluded.exit_reason, cause = excluded.cause, error_line = excluded.error_line, cpu_ms = excluded.cpu_ms, peak_kib = excluded.peak_kib,
		bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out, cost_micros = excluded.cost_micros, memory = excluded.memory, members = excluded.members,
		address = excluded.address, preempted = excluded.preempted`
	insertAttempt = `INSERT INTO attempts (` + unitColumns + `) VALUES ` + unitValues + ` ON CONFLICT (job, idx, attempt) DO NOTHING`
	insertUsage   = `INSERT INTO usage (at, queue, share, amount) VALUES ($1, $2, $3, $4) ON CONFLICT (at, queue, share) DO UPDATE SET amount = usage.amount + excluded.amount`
	insertOutbox  = `INSERT INTO outbox (at, job, lo, hi, before, after, why) VALUES ($1, $2, $3, $4, $5, $6, $7)`
)

// write puts a batch into the transaction.
func write(tx *store.Tx, b *Batch) error {
	rows := make(map[job.Key]*JobRow, len(b.Jobs))
	for i := range b.Jobs {
		rows[b.Jobs[i].Key] = &b.Jobs[i]
	}
	for i := range b.NewJobs {
		n := &b.NewJobs[i]
		r := rows[n.Spec.Key]
		delete(rows, n.Spec.Key)
		if err := writeNewJob(tx, n, r); err != nil {
			return err
		}
	}
	for i := range b.Jobs {
		if r := &b.Jobs[i]; rows[r.Key] != nil {
			a := jobState(r)
			if _, err := tx.Exec(updateJob, append([]any{int64(r.Key)}, a[:]...)...); err != nil {
				return err
			}
		}
	}
	for i := range b.History {
		if err := writeUnit(tx, insertAttempt, &b.History[i]); err != nil {
			return err
		}
	}
	for i := range b.Units {
		if err := writeUnit(tx, upsertUnit, &b.Units[i]); err != nil {
			return err
		}
	}
	for _, u := range b.Usage {
		if _, err := tx.Exec(insertUsage, u.At, u.Queue, u.Share, u.Amount); err != nil {
			return err
		}
	}
	for _, t := range b.Transitions {
		if _, err := tx.Exec(insertOutbox, t.At, int64(t.Key), int64(t.Lo), int64(t.Hi), int64(t.From), int64(t.To), t.Why); err != nil {
			return err
		}
	}
	return writeRecords(tx, b)
}

func writeNewJob(tx *store.Tx, n *NewJob, r *JobRow) error {
	s := n.Spec
	spec := appendSpec(nil, s, n.Common)
	var token any
	if s.Token != "" {
		token = s.Token
	}
	a := jobState(r)
	args := append([]any{int64(s.Key), s.ID[:], s.Name, s.Queue, s.Definition, s.Share, token, int64(s.Size), n.Created, spec}, a[:]...)
	nodes := int64(0)
	if s.Nodes != nil {
		nodes = int64(s.Nodes.Count)
	}
	args = append(args, nodes)
	if _, err := tx.Exec(insertJob, args...); err != nil {
		return err
	}
	for _, c := range s.Consumables {
		if _, err := tx.Exec(`INSERT INTO consumers (resource, job) VALUES ($1, $2)`, c.Name, int64(s.Key)); err != nil {
			return err
		}
	}
	return nil
}

// flags of jobs and units.
const (
	flagCancelled = 1 << iota
	flagTerminated
	flagBegun // of jobs: one of its units has a row
)

func flags(cancelled, terminated bool) int64 {
	var f int64
	if cancelled {
		f |= flagCancelled
	}
	if terminated {
		f |= flagTerminated
	}
	return f
}

func jobState(r *JobRow) [11]any {
	counts, _ := json.Marshal(r.Counts) // an array of integers always can be written
	f := flags(r.Cancelled, r.Terminated)
	if r.Begun {
		f |= flagBegun
	}
	var tags any
	if len(r.Tags) > 0 {
		t, _ := json.Marshal(r.Tags)
		tags = string(t)
	}
	return [11]any{int64(r.Status), r.Reason, int64(r.Base), r.BaseReason, string(counts), f, r.UserReason, r.Ready, r.Stopped, tags, r.Changed}
}

func writeUnit(tx *store.Tx, query string, r *UnitRow) error {
	u := &r.Unit
	var x job.Exit
	var ended int64
	if u.Exit != nil {
		x, ended = *u.Exit, 1
	}
	var code any
	if x.Code != nil {
		code = int64(*x.Code)
	}
	members, err := writeMembers(x.Members)
	if err != nil {
		return err
	}
	_, err = tx.Exec(query, int64(r.Ref.Key), int64(r.Ref.Index), int64(u.Status), flags(u.Cancelled, u.Terminated), u.StatusReason, u.UserReason, u.Ready,
		int64(u.Attempt), int64(u.Fence), u.Host, u.Environment, u.Log, u.Placed, u.Started, u.Stopped, u.AttemptWhy, ended, code, x.Reason, string(x.Cause), x.ErrorLine,
		x.Usage.CPUMillis, x.Usage.PeakMemKiB, x.Usage.BytesIn, x.Usage.BytesOut, nil, u.MemoryMiB, members, u.Address, int64(u.Preempted))
	return err
}

// writeMembers writes how the members of a pod ended; "" where there are none.
func writeMembers(list []job.MemberExit) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	text, err := json.Marshal(list)
	return string(text), err
}

func writeRecords(tx *store.Tx, b *Batch) error {
	for _, r := range b.Records {
		var err error
		switch v := r.Value.(type) {
		case nil:
			err = deleteRecord(tx, r)
		case job.Queue:
			_, err = queueTable.Put(tx, r.Key, v, store.Any)
		case job.Environment:
			_, err = environmentTable.Put(tx, r.Key, v, store.Any)
		case job.SchedulingPolicy:
			_, err = policyTable.Put(tx, r.Key, v, store.Any)
		case job.Consumable:
			_, err = consumableTable.Put(tx, r.Key, v, store.Any)
		case job.QuotaShare:
			_, err = quotaShareTable.Put(tx, r.Key, v, store.Any)
		default:
			err = fmt.Errorf("manager: no table for a record of type %T", v)
		}
		if err != nil {
			return err
		}
	}
	for _, h := range b.Hosts {
		if h.Gone {
			if _, err := tx.Exec(`DELETE FROM hosts WHERE id = $1`, h.ID); err != nil {
				return err
			}
			continue
		}
		text, err := json.Marshal(h)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO hosts (id, json) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET json = excluded.json`, h.ID, string(text)); err != nil {
			return err
		}
	}
	return nil
}

func deleteRecord(tx *store.Tx, r RecordRow) error {
	var err error
	switch r.Kind {
	case KindQueue:
		err = queueTable.Delete(tx, r.Key)
	case KindEnvironment:
		err = environmentTable.Delete(tx, r.Key)
	case KindPolicy:
		err = policyTable.Delete(tx, r.Key)
	case KindConsumable:
		err = consumableTable.Delete(tx, r.Key)
	case KindQuotaShare:
		err = quotaShareTable.Delete(tx, r.Key)
	}
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

func isNoRows(err error) bool { return errors.Is(err, store.ErrNoRows) }
