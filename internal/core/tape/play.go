package tape

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"drover/internal/core/job"
	"drover/internal/core/sched"
)

// Story is what a tape tells.
type Story struct {
	Starts []Start // in the order in which they were decided
	Played []Start // the same, as they come out when the tape is played
	Units  []Unit  // what waited and ran, in the order in which it became ready
	Config Config  // as it was at the end
	Begin  int64   // time of the first decision (µs)
	End    int64   // and of the last
	Full   bool    // the tape was full before its end
}

// Start is one placement.
type Start struct {
	At   int64 // µs
	Ref  job.Ref
	Host string
}

// Unit is one attempt of a unit: from when it became ready until it gave back what it held.
type Unit struct {
	Ref    job.Ref
	Queue  string
	Demand sched.Demand
	Ready  int64 // µs
	Placed int64 // 0 = it never was
	Ended  int64 // 0 = it ran at the end of the tape
	Host   string
}

// Config is queues, hosts and what bounds them. All hosts that ever were are in it.
type Config struct {
	Queues       map[string]job.Queue
	Fair         map[string]*sched.FairShare
	Quotas       map[string][]sched.QuotaShare
	Environments map[string]job.Environment
	Tokens       map[string]Token
	Hosts        map[string]Host
}

// Token is a consumable resource.
type Token struct {
	Total         int64
	Replenishable bool
}

// Host is a host as it last said it was.
type Host struct {
	sched.Shape // Need is its capacity
	Executors   []string
}

// Same reports whether playing gave the recorded order; if not, where the first difference is.
func (s *Story) Same() (at int, ok bool) {
	for i := range s.Starts {
		if i >= len(s.Played) || s.Starts[i] != s.Played[i] {
			return i, false
		}
	}
	return len(s.Starts), len(s.Played) == len(s.Starts)
}

// maxUnits bounds how much of a tape is told.
const maxUnits = 20_000_000

// player reads a tape.
type player struct {
	b       []byte
	bad     bool
	state   *sched.State
	texts   []string
	demands []sched.Demand
	at, key int64
	story   *Story
	waiting map[job.Ref]int // places in story.Units
	running map[job.Ref]int
}

// Play tells a tape, which must begin where its Recorder began.
func Play(b []byte) (*Story, error) {
	p := &player{b: b, state: sched.New(), waiting: map[job.Ref]int{}, running: map[job.Ref]int{}, story: &Story{Config: Config{
		Queues: map[string]job.Queue{}, Fair: map[string]*sched.FairShare{}, Quotas: map[string][]sched.QuotaShare{}, Environments: map[string]job.Environment{}, Tokens: map[string]Token{}, Hosts: map[string]Host{}}}}
	if len(b) < 2 || op(b[0]) != opVersion {
		return nil, fmt.Errorf("the recorded history has no begin")
	}
	if b[1] != version {
		return nil, fmt.Errorf("the history was recorded in form %d, this drover reads %d", b[1], version)
	}
	p.b = b[2:]
	for len(p.b) > 0 && !p.story.Full {
		o := op(p.b[0])
		p.b = p.b[1:]
		p.step(o)
		if p.bad || len(p.story.Units) > maxUnits {
			return nil, fmt.Errorf("the recorded history is damaged %d bytes before its end", len(p.b))
		}
	}
	return p.story, nil
}

func (p *player) uint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *player) int() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *player) bytes() []byte {
	n := p.uint()
	if p.bad || n > uint64(len(p.b)) {
		p.bad = true
		return nil
	}
	out := p.b[:n]
	p.b = p.b[n:]
	return out
}

func (p *player) time() int64     { p.at += p.int(); return p.at }
func (p *player) number() job.Key { p.key += p.int(); return job.Key(p.key) }
func (p *player) unit() job.Ref   { return job.Ref{Key: p.number(), Index: int32(p.int())} }

func (p *player) text() string {
	if n := p.uint(); n < uint64(len(p.texts)) {
		return p.texts[n]
	}
	p.bad = true
	return ""
}

func (p *player) demand() sched.Demand {
	if n := p.uint(); n < uint64(len(p.demands)) {
		return p.demands[n]
	}
	p.bad = true
	return sched.Demand{}
}

func (p *player) step(o op) {
	switch o {
	case opText:
		p.texts = append(p.texts, string(p.bytes()))
	case opDemand:
		var d sched.Demand
		p.bad = json.Unmarshal(p.bytes(), &d) != nil || p.bad
		p.demands = append(p.demands, d)
	case opCall:
		var c call
		if p.bad = json.Unmarshal(p.bytes(), &c) != nil || p.bad; !p.bad {
			p.call(&c)
		}
	case opAdd, opRemove:
		p.units(o)
	case opRelease:
		u, at := p.unit(), p.time()
		if !p.bad {
			p.state.Release(u, at)
			p.ended(u, at)
		}
	case opReleaseNode:
		u, node, at := p.unit(), int32(p.int()), p.time()
		if !p.bad {
			p.state.ReleaseNode(u, node, at)
		}
	case opLeave:
		if u := p.unit(); !p.bad {
			p.state.Leave(u)
		}
	case opDecide:
		p.decide()
	case opFull:
		p.story.Full = true
	default:
		p.bad = true
	}
}

// maxSpan bounds the units of one record, so that damage cannot ask for all memory.
const maxSpan = 1 << 24

func (p *player) units(o op) {
	queue, d, k := p.text(), p.demand(), p.number()
	lo, n := p.int(), p.uint()
	if p.bad || n > maxSpan || lo < int64(job.Whole) || lo > maxSpan {
		p.bad = true
		return
	}
	from, to := int32(lo), int32(lo)+int32(n)
	if o == opRemove {
		p.state.Remove(queue, d, k, from, to)
		for i := from; i < to; i++ {
			delete(p.waiting, job.Ref{Key: k, Index: i})
		}
		return
	}
	again := p.uint() == 1
	d.Since = p.time()
	if p.bad {
		return
	}
	p.state.Add(queue, d, k, again, from, to)
	for i := from; i < to; i++ {
		r := job.Ref{Key: k, Index: i}
		p.waiting[r] = len(p.story.Units)
		p.story.Units = append(p.story.Units, Unit{Ref: r, Queue: queue, Demand: d, Ready: d.Since})
	}
}

func (p *player) ended(u job.Ref, at int64) {
	if i, ok := p.running[u]; ok {
		p.story.Units[i].Ended = at
		delete(p.running, u)
	}
}

func (p *player) decide() {
	at, limit, n := p.time(), p.uint(), p.uint()
	if p.bad || n > uint64(len(p.b)) || limit > 1<<30 {
		p.bad = true
		return
	}
	s := p.story
	if s.Begin == 0 {
		s.Begin = at
	}
	s.End = at
	for range n {
		r, host := p.unit(), p.text()
		s.Starts = append(s.Starts, Start{at, r, host})
		if i, ok := p.waiting[r]; ok {
			s.Units[i].Placed, s.Units[i].Host = at, host
			p.running[r] = i
			delete(p.waiting, r)
		}
	}
	for _, x := range p.state.Decide(at, int(limit)).Places {
		s.Played = append(s.Played, Start{at, x.Ref, x.Host})
	}
}

// call does a rare call again.
func (p *player) call(c *call) {
	s, k := p.state, &p.story.Config
	switch {
	case c.Do == "SetEnvironment" && c.Environment != nil:
		k.Environments[c.Environment.Name] = *c.Environment
		s.SetEnvironment(*c.Environment)
	case c.Do == "RemoveEnvironment":
		delete(k.Environments, c.Name)
		s.RemoveEnvironment(c.Name)
	case c.Do == "SetQueue" && c.Queue != nil:
		k.Queues[c.Queue.Name] = *c.Queue
		s.SetQueue(*c.Queue)
	case c.Do == "RemoveQueue":
		delete(k.Queues, c.Name)
		s.RemoveQueue(c.Name)
	case c.Do == "SetPolicy":
		k.Fair[c.Name] = c.Fair
		s.SetPolicy(c.Name, c.Fair)
	case c.Do == "SetQuotas":
		k.Quotas[c.Name] = c.Quotas
		s.SetQuotas(c.Name, c.Quotas)
	case c.Do == "SetToken":
		k.Tokens[c.Name] = Token{c.Total, c.Flag}
		s.SetToken(c.Name, c.Total, c.Flag)
	case c.Do == "RemoveToken":
		delete(k.Tokens, c.Name)
		s.RemoveToken(c.Name)
	case c.Do == "SetHost" && c.Capacity != nil:
		k.Hosts[c.Name] = Host{sched.Shape{Need: *c.Capacity}, c.Words}
		s.SetHost(c.Name, *c.Capacity, c.Words)
	case c.Do == "OpenHost":
		s.OpenHost(c.Name, c.Flag)
	case c.Do == "RemoveHost":
		s.RemoveHost(c.Name)
	case c.Do == "Charge" && len(c.Words) == 1:
		s.Charge(c.Name, c.Words[0], c.Amount, c.At)
	case c.Do == "Take" && c.Demand != nil && len(c.Words) > 1:
		p.take(c)
	default:
		p.bad = true
	}
}

func (p *player) take(c *call) {
	r := job.Ref{Key: c.Key, Index: c.Index}
	p.state.Take(r, c.Name, *c.Demand, c.Words[1:], c.Words[0], c.At)
	p.running[r] = len(p.story.Units)
	p.story.Units = append(p.story.Units, Unit{Ref: r, Queue: c.Name, Demand: *c.Demand, Ready: c.Demand.Since, Placed: c.At, Host: c.Words[1]})
}
