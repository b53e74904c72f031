package manager

import "drover/internal/core/sched"

// Bounds of the loop.
const (
	maxInFlight = 2    // batches handed to the journal and not yet durable
	maxCommands = 1024 // commands in one batch
	maxPlaces   = 512  // placements in one batch
	somePlaces  = 32   // placements between two looks at whether the round has taken long enough
)

// Command is one request to the Core. Answer is called exactly once: when what Run decided
// is durable, or with the fault that prevented it. If Now is set the answer does not wait.
type Command struct {
	Run    func(c *Core, now Instant)
	Answer func(error)
	Now    bool
}

// Desk is the loop without its goroutines and its clock: the order in which commands are
// run, decisions become batches, and answers leave. The loop of production and the fault
// simulation drive the same Desk, so that what is simulated is what runs. It promises that
// no answer and no message to a worker leaves before the batch it rests on is durable.
// One goroutine owns it; only the done that Decide hands out may run elsewhere.
type Desk struct {
	core     *Core
	post     *Post
	waiting  []Command // run, and their answers rest on the batch under way
	inFlight int
	more     bool // the last round ended before everything that fits was placed
}

// NewDesk gives a Desk for a Core and the mailboxes that its durable batches reach.
func NewDesk(core *Core, post *Post) *Desk { return &Desk{core: core, post: post} }

// Room reports whether another batch may be handed to the journal; without it commands wait.
func (d *Desk) Room() bool { return d.inFlight < maxInFlight }

// InFlight is the number of batches handed to the journal of which nothing is known yet.
func (d *Desk) InFlight() int { return d.inFlight }

// Busy reports whether Decide has something to do without any new event.
func (d *Desk) Busy() bool { return (d.core.Busy() || d.more) && d.Room() }

// Tick lets time pass for leases and memory.
func (d *Desk) Tick(now Instant) { d.core.Tick(now) }

// Take runs a command.
func (d *Desk) Take(cmd Command, now Instant) {
	cmd.Run(d.core, now)
	if cmd.Now {
		cmd.Answer(nil)
		return
	}
	d.waiting = append(d.waiting, cmd)
}

// Decide settles and places until nothing more fits, or until the round has placed many or
// spent says that it has taken long enough; then the Desk stays Busy. It hands the batch to
// commit if there is room for one. commit must see to it that batches become durable in
// order, and call done once it is known what became of this one, from any goroutine; then
// Settled must be told, by the Desk's owner.
func (d *Desk) Decide(now Instant, spent func() bool, commit func(b *Batch, done func(error))) {
	if !d.Room() {
		return
	}
	d.core.Work(now)
	d.more = true
	for n := 0; d.more && n < maxPlaces; n += somePlaces {
		d.more = d.core.Schedule(somePlaces, now) == somePlaces
		if d.more && spent() {
			break
		}
	}
	if !d.core.Pending() && (len(d.waiting) == 0 || d.inFlight == 0) {
		d.answer(nil) // nothing that they saw is still on its way to the disk
		return
	}
	b, waiting, post := d.core.Take(), d.waiting, d.post
	d.waiting = nil
	d.inFlight++
	commit(b, func(err error) {
		if err == nil {
			post.Done(b)
		}
		answer(waiting, err)
	})
}

// Quarantined lists the kinds of units that the scheduler set aside since the last call.
func (d *Desk) Quarantined() []sched.Quarantine { return d.core.sched.Quarantined() }

func (d *Desk) answer(err error) {
	answer(d.waiting, err)
	d.waiting = nil
}

func answer(waiting []Command, err error) {
	for _, c := range waiting {
		c.Answer(err)
	}
}

// Settled takes note of what became of a batch. After a refusal the Core is ahead of the
// disk: wait until no batch is in flight, then Abandon and Restart.
func (d *Desk) Settled(seq int64, err error) {
	d.inFlight--
	if err == nil {
		d.core.Committed(seq)
	}
}

// Abandon answers with err the commands whose decisions have not been handed to the journal.
func (d *Desk) Abandon(err error) { d.answer(err) }

// Restart goes on with another Core, made from the rows. The sessions of workers end: what
// the last Core promised them may not be in the rows.
func (d *Desk) Restart(core *Core) {
	d.post.Reset()
	d.core = core
}
