package sim

import (
	"encoding/json"
	"slices"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
)

// paper is the journal: the tables of manager/journal.go in memory, with the same rules.
// What is in it is durable; it survives every manager.
type paper struct {
	w         *world
	term, seq int64
	tape      []byte // what was recorded in the term
	writing   bool
	queue     []*write
	full      bool // the disk is full: every batch is refused
	dieBefore bool // the manager crashes before the next group is durable
	dieAfter  bool // the manager crashes once it is, before anybody hears of it

	jobs        []*paperJob // by key
	byID        map[job.ID]*paperJob
	tokens      map[string]*paperJob
	queues      []job.Queue
	envs        []job.Environment
	policies    []job.SchedulingPolicy
	consumables []job.Consumable
	quotas      []job.QuotaShare
	hosts       []manager.HostRow // by id
	outbox      int
	usage       []manager.UsageRow
}

type paperJob struct {
	spec     []byte
	key      job.Key
	deps     []job.Dependency
	id       job.ID
	size     int32
	created  int64
	row      manager.JobRow
	units    map[int32]manager.UnitRow
	attempts map[int32][]manager.UnitRow // of each unit, in order of attempt
}

// write is one batch on its way to the disk.
type write struct {
	by   *server
	term int64
	b    *manager.Batch
	done func(error)
}

func newPaper(w *world) *paper {
	return &paper{w: w, byID: map[job.ID]*paperJob{}, tokens: map[string]*paperJob{}}
}

func (p *paper) job(k job.Key) *paperJob {
	i, ok := slices.BinarySearchFunc(p.jobs, k, func(j *paperJob, k job.Key) int { return int(j.key - k) })
	if !ok {
		return nil
	}
	return p.jobs[i]
}

// commit takes a batch. Batches that come while the disk is busy become durable together.
func (p *paper) commit(by *server, term int64, b *manager.Batch, done func(error)) {
	p.queue = append(p.queue, &write{by, term, b, done})
	if !p.writing {
		p.flush()
	}
}

func (p *paper) flush() {
	w := p.w
	p.writing = true
	d := w.between(200, 3*ms)
	if !w.healed && w.chance(0.02) {
		d += w.between(0, 4*second)
	}
	w.after(d, p.flushed)
}

// flushed is the moment at which a group of batches is durable, or is not.
func (p *paper) flushed() {
	w := p.w
	group := p.queue
	p.queue = nil
	p.writing = false
	if len(group) == 0 {
		return // their manager has crashed
	}
	if p.dieBefore {
		p.dieBefore = false
		w.stats.Lost += len(group)
		w.note("crash: %d batches are lost", len(group))
		w.crashServer()
		return
	}
	errs := make([]error, len(group))
	for i, g := range group {
		errs[i] = p.apply(g)
	}
	if p.dieAfter {
		p.dieAfter = false
		w.note("crash: %d batches are durable, and nobody knows", len(group))
		w.crashServer()
		return
	}
	for i, g := range group {
		g.by.event(func() { g.done(errs[i]) })
	}
	if len(p.queue) > 0 && !p.writing {
		p.flush()
	}
}

// forget drops what a crashed manager had not made durable.
func (p *paper) forget(by *server) {
	n := len(p.queue)
	p.queue = slices.DeleteFunc(p.queue, func(g *write) bool { return g.by == by })
	p.w.stats.Lost += n - len(p.queue)
}

// apply is one transaction: the fence, then the rows.
func (p *paper) apply(g *write) error {
	b := g.b
	switch {
	case p.full:
		return fault.New(fault.Unavailable, "ServerException", "disk full")
	case g.term != p.term || b.Seq != p.seq+1:
		return fault.New(fault.Unavailable, "ServerException", "not the leader any more")
	}
	p.seq = b.Seq
	p.w.stats.Batches++
	p.tape = append(p.tape, b.Tape...)
	p.w.check.before(b)
	for i := range b.NewJobs {
		p.newJob(&b.NewJobs[i])
	}
	for i := range b.Jobs {
		j := p.job(b.Jobs[i].Key)
		if j == nil {
			p.w.broken("journal", "a row of job %d that was never created", b.Jobs[i].Key)
		}
		j.row = b.Jobs[i]
		j.row.Tags = cloneTags(j.row.Tags)
	}
	for i := range b.History {
		u := cloneUnit(b.History[i])
		j := p.job(u.Ref.Key)
		if !slices.ContainsFunc(j.attempts[u.Ref.Index], func(o manager.UnitRow) bool { return o.Attempt == u.Attempt }) {
			j.attempts[u.Ref.Index] = append(j.attempts[u.Ref.Index], u)
		}
	}
	for i := range b.Units {
		u := cloneUnit(b.Units[i])
		p.job(u.Ref.Key).units[u.Ref.Index] = u
	}
	p.outbox += len(b.Transitions)
	p.records(b)
	for _, u := range b.Usage {
		p.addUsage(u)
	}
	p.w.check.batch(b)
	return nil
}

func (p *paper) newJob(n *manager.NewJob) {
	spec, err := json.Marshal(n.Spec)
	if err != nil {
		p.w.broken("journal", "spec of job %d: %v", n.Spec.Key, err)
	}
	j := &paperJob{
		spec: spec, key: n.Spec.Key, id: n.Spec.ID, deps: slices.Clone(n.Spec.Dependencies), size: n.Spec.Size, created: n.Created,
		units: map[int32]manager.UnitRow{}, attempts: map[int32][]manager.UnitRow{},
	}
	if len(p.jobs) > 0 && p.jobs[len(p.jobs)-1].key >= j.key {
		p.w.broken("journal", "job key %d is used twice or goes back", j.key)
	}
	if p.byID[j.id] != nil {
		p.w.broken("I2", "job id %s is used twice", j.id)
	}
	if t := n.Spec.Token; t != "" {
		if o := p.tokens[t]; o != nil {
			p.w.broken("I3", "jobs %s and %s were both created for token %s", o.id, j.id, t)
		}
		p.tokens[t] = j
	}
	p.jobs, p.byID[j.id] = append(p.jobs, j), j
}

func (p *paper) records(b *manager.Batch) {
	for _, r := range b.Records {
		switch r.Kind {
		case manager.KindQueue:
			p.queues = slices.DeleteFunc(p.queues, func(q job.Queue) bool { return q.Name == r.Key })
			if q, ok := r.Value.(job.Queue); ok {
				p.queues = append(p.queues, q)
			}
		case manager.KindEnvironment:
			p.envs = slices.DeleteFunc(p.envs, func(e job.Environment) bool { return e.Name == r.Key })
			if e, ok := r.Value.(job.Environment); ok {
				p.envs = append(p.envs, e)
			}
		case manager.KindPolicy:
			p.policies = replace(p.policies, r, func(v job.SchedulingPolicy) string { return v.Name })
		case manager.KindConsumable:
			p.consumables = replace(p.consumables, r, func(v job.Consumable) string { return v.Name })
		case manager.KindQuotaShare:
			p.quotas = replace(p.quotas, r, func(v job.QuotaShare) string { return v.Key() })
		}
	}
	for _, h := range b.Hosts {
		p.hosts = slices.DeleteFunc(p.hosts, func(o manager.HostRow) bool { return o.ID == h.ID })
		if !h.Gone {
			h.Session = ""
			i, _ := slices.BinarySearchFunc(p.hosts, h.ID, func(o manager.HostRow, id string) int {
				if o.ID < id {
					return -1
				}
				if o.ID > id {
					return 1
				}
				return 0
			})
			p.hosts = slices.Insert(p.hosts, i, h)
		}
	}
}

// replace puts a record in the place of the one with its key, or takes that away.
func replace[T any](list []T, r manager.RecordRow, key func(T) string) []T {
	list = slices.DeleteFunc(list, func(v T) bool { return key(v) == r.Key })
	if v, ok := r.Value.(T); ok {
		list = append(list, v)
	}
	return list
}

// addUsage adds to the usage of a share in a minute.
func (p *paper) addUsage(u manager.UsageRow) {
	for i := range p.usage {
		if o := &p.usage[i]; o.At == u.At && o.Queue == u.Queue && o.Share == u.Share {
			o.Amount += u.Amount
			return
		}
	}
	p.usage = append(p.usage, u)
}

// lead begins a new term.
func (p *paper) lead() int64 {
	p.w.check.replays()
	p.term++
	p.seq, p.tape = 0, nil
	return p.term
}

// image is what Load of the real journal gives: jobs that have not ended, behind the ended
// ones that they depend on.
func (p *paper) image() manager.Image {
	img := manager.Image{NextKey: 1, Queues: slices.Clone(p.queues), Environments: slices.Clone(p.envs), Hosts: slices.Clone(p.hosts),
		Policies: slices.Clone(p.policies), Consumables: slices.Clone(p.consumables), QuotaShares: slices.Clone(p.quotas), Usage: slices.Clone(p.usage)}
	if n := len(p.jobs); n > 0 {
		img.NextKey = p.jobs[n-1].key + 1
	}
	known := map[job.ID]bool{}
	var live, ended []manager.Loaded
	for _, j := range p.jobs {
		if !j.row.Status.Terminal() {
			live = append(live, p.loaded(j))
			known[j.id] = true
		}
	}
	for _, l := range live {
		for _, d := range l.Spec.Dependencies {
			if d.Kind != job.Sequential && !known[d.ID] {
				known[d.ID] = true
				if j := p.byID[d.ID]; j != nil {
					ended = append(ended, p.loaded(j))
				}
			}
		}
	}
	img.Jobs = append(ended, live...)
	return img
}

func (p *paper) find(ids []job.ID, tokens []string) []manager.Loaded {
	var out []manager.Loaded
	for _, id := range ids {
		if j := p.byID[id]; j != nil {
			out = append(out, p.loaded(j))
		}
	}
	for _, t := range tokens {
		if j := p.tokens[t]; j != nil {
			out = append(out, p.loaded(j))
		}
	}
	return out
}

func (p *paper) loaded(j *paperJob) manager.Loaded {
	l := manager.Loaded{Spec: &job.Spec{}, Created: j.created, Row: j.row}
	if err := json.Unmarshal(j.spec, l.Spec); err != nil {
		p.w.broken("journal", "spec of job %d: %v", j.key, err)
	}
	l.Spec.Key = j.key
	l.Row.Tags = cloneTags(l.Row.Tags)
	for i := int32(0); i < j.size; i++ {
		u, ok := j.units[i]
		if !ok {
			continue
		}
		l.Touched = append(l.Touched, manager.ChildStatus{Index: i, Status: u.Status})
		if !u.Status.Terminal() {
			l.Units = append(l.Units, cloneUnit(u))
		}
	}
	if u, ok := j.units[job.Whole]; ok && j.size == 0 {
		l.Units = append(l.Units, cloneUnit(u))
	}
	for n := int32(0); l.Spec.Nodes != nil && n < l.Spec.Nodes.Count; n++ {
		if u, ok := j.units[job.Node(n)]; ok {
			l.Units = append(l.Units, cloneUnit(u))
		}
	}
	return l
}

func cloneTags(t map[string]string) map[string]string {
	if len(t) == 0 {
		return nil // an empty column
	}
	out := make(map[string]string, len(t))
	for k, v := range t { // copying: the order does not matter
		out[k] = v
	}
	return out
}

// cloneUnit copies a row as deep as writing and reading it does.
func cloneUnit(u manager.UnitRow) manager.UnitRow {
	if u.Exit != nil {
		x := *u.Exit
		if x.Code != nil {
			c := *x.Code
			x.Code = &c
		}
		u.Exit = &x
	}
	return u
}

// status is what the journal says of a unit.
func (j *paperJob) status(i int32) job.Status {
	if i == job.Whole {
		return j.row.Status
	}
	if u, ok := j.units[i]; ok {
		return u.Status
	}
	return j.row.Base
}

// attempt finds the record of an attempt. Once another is to follow, it is that of the
// history: the row of the unit goes on.
func (j *paperJob) attempt(i, number int32) (manager.UnitRow, bool) {
	for _, u := range j.attempts[i] {
		if u.Attempt == number {
			return u, true
		}
	}
	if u, ok := j.units[i]; ok && u.Attempt == number {
		return u, true
	}
	return manager.UnitRow{}, false
}
