// Package tape records what a scheduler was told and what it decided, and plays it again.
//
// It promises that a scheduler that is told the same again decides the same: the tape holds
// every call that changes a sched.State in its order and with its times, and of each decision
// the placements, so that Play can compare them one by one. A tape is complete from the begin
// of a manager's term. It is bytes of a versioned form that can be cut anywhere between two
// Cuts; a plain job costs about 20 of them.
package tape

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"

	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/core/sched"
)

// version begins each tape.
const version = 1

// op is what a record is.
type op byte

const (
	opVersion op = iota + 1
	opText       // the next text of the table
	opDemand     // the next demand of the table, as JSON
	opCall       // a rare call: its name and arguments, as JSON
	opAdd
	opRemove
	opRelease
	opReleaseNode
	opLeave
	opDecide
	opFull // the tape is full: nothing follows
)

// Begins reports whether a piece is the first one of a tape.
func Begins(piece []byte) bool { return len(piece) > 0 && op(piece[0]) == opVersion }

// Most is how many bytes a tape has at most; then it is full.
const Most = 48 << 20

// Recorder is a State that keeps a tape. What it does not shadow changes nothing that
// decisions rest on.
type Recorder struct {
	*sched.State
	buf     []byte
	size    int64 // of what was cut off already
	full    bool
	texts   map[string]uint64
	demands map[demandKey]uint64
	at      int64
	key     int64
}

// demandKey is a sched.Demand as a key of a map: a test sees to it that no field is missing.
type demandKey struct {
	sched.Shape
	share                    string
	priority, timeout, nodes int32
	image                    uint8
	rest                     string // tokens and groups
}

// NewRecorder begins a tape on an empty State.
func NewRecorder() *Recorder {
	return &Recorder{State: sched.New(), buf: []byte{byte(opVersion), version}, texts: map[string]uint64{}, demands: map[demandKey]uint64{}}
}

// At is the last time that was recorded (µs).
func (r *Recorder) At() int64 { return r.at }

// Cut gives what was recorded since the last Cut.
func (r *Recorder) Cut() []byte {
	out := r.buf
	r.size += int64(len(out))
	r.buf = nil
	if r.size > Most && !r.full {
		r.full = true
		out = append(out, byte(opFull))
		r.texts, r.demands = nil, nil
	}
	return out
}

func (r *Recorder) uint(v uint64)    { r.buf = binary.AppendUvarint(r.buf, v) }
func (r *Recorder) int(v int64)      { r.buf = binary.AppendVarint(r.buf, v) }
func (r *Recorder) bytes(b []byte)   { r.uint(uint64(len(b))); r.buf = append(r.buf, b...) }
func (r *Recorder) begin(o op)       { r.buf = append(r.buf, byte(o)) }
func (r *Recorder) time(t int64)     { r.int(t - r.at); r.at = t }
func (r *Recorder) unit(u job.Ref)   { r.number(u.Key); r.int(int64(u.Index)) }
func (r *Recorder) number(k job.Key) { r.int(int64(k) - r.key); r.key = int64(k) }

// text gives the number of a text, writing it down at its first use.
func (r *Recorder) text(s string) uint64 {
	n, ok := r.texts[s]
	if !ok {
		n = uint64(len(r.texts))
		r.texts[s] = n
		r.begin(opText)
		r.bytes([]byte(s))
	}
	return n
}

// demand gives the number of a demand, writing it down at its first use.
func (r *Recorder) demand(d *sched.Demand) uint64 {
	k := demandKey{Shape: d.Shape, share: d.Share, priority: d.Priority, timeout: d.Timeout, nodes: d.Nodes, image: d.Image}
	if len(d.Tokens)+len(d.Groups) > 0 {
		var b strings.Builder
		for _, t := range d.Tokens {
			b.WriteString(t.Name + "=" + strconv.FormatInt(t.Quantity, 10) + " ")
		}
		for _, g := range d.Groups {
			text, _ := json.Marshal(g) // numbers and texts always can be written
			b.Write(text)
		}
		k.rest = b.String()
	}
	n, ok := r.demands[k]
	if !ok {
		n = uint64(len(r.demands))
		r.demands[k] = n
		bare := *d
		bare.Since = 0
		text, _ := json.Marshal(&bare)
		r.begin(opDemand)
		r.bytes(text)
	}
	return n
}

// call is a rare call. Only the fields that it needs are set.
type call struct {
	Do          string             `json:"do"`
	Name        string             `json:"name,omitempty"`
	Environment *job.Environment   `json:"environment,omitempty"`
	Queue       *job.Queue         `json:"queue,omitempty"`
	Fair        *sched.FairShare   `json:"fair,omitempty"`
	Quotas      []sched.QuotaShare `json:"quotas,omitempty"`
	Total       int64              `json:"total,omitempty"`
	Flag        bool               `json:"flag,omitempty"`
	Capacity    *resource.Vector   `json:"capacity,omitempty"`
	Words       []string           `json:"words,omitempty"`
	Amount      float64            `json:"amount,omitempty"`
	At          int64              `json:"at,omitempty"`
	Key         job.Key            `json:"key,omitempty"`
	Index       int32              `json:"index,omitempty"`
	Demand      *sched.Demand      `json:"demand,omitempty"`
}

func (r *Recorder) call(c call) {
	if r.full {
		return
	}
	text, _ := json.Marshal(&c)
	r.begin(opCall)
	r.bytes(text)
}

// SetEnvironment shadows State's.
func (r *Recorder) SetEnvironment(e job.Environment) {
	bare := e
	bare.Detail = nil
	r.call(call{Do: "SetEnvironment", Environment: &bare})
	r.State.SetEnvironment(e)
}

// RemoveEnvironment shadows State's.
func (r *Recorder) RemoveEnvironment(name string) {
	r.call(call{Do: "RemoveEnvironment", Name: name})
	r.State.RemoveEnvironment(name)
}

// SetQueue shadows State's.
func (r *Recorder) SetQueue(q job.Queue) {
	bare := q
	bare.Detail = nil
	r.call(call{Do: "SetQueue", Queue: &bare})
	r.State.SetQueue(q)
}

// RemoveQueue shadows State's.
func (r *Recorder) RemoveQueue(name string) {
	r.call(call{Do: "RemoveQueue", Name: name})
	r.State.RemoveQueue(name)
}

// SetPolicy shadows State's.
func (r *Recorder) SetPolicy(queue string, p *sched.FairShare) {
	r.call(call{Do: "SetPolicy", Name: queue, Fair: p})
	r.State.SetPolicy(queue, p)
}

// SetQuotas shadows State's.
func (r *Recorder) SetQuotas(queue string, list []sched.QuotaShare) {
	r.call(call{Do: "SetQuotas", Name: queue, Quotas: list})
	r.State.SetQuotas(queue, list)
}

// SetToken shadows State's.
func (r *Recorder) SetToken(name string, total int64, replenishable bool) {
	r.call(call{Do: "SetToken", Name: name, Total: total, Flag: replenishable})
	r.State.SetToken(name, total, replenishable)
}

// RemoveToken shadows State's.
func (r *Recorder) RemoveToken(name string) {
	r.call(call{Do: "RemoveToken", Name: name})
	r.State.RemoveToken(name)
}

// SetHost shadows State's.
func (r *Recorder) SetHost(id string, capacity resource.Vector, executors []string) {
	r.call(call{Do: "SetHost", Name: id, Capacity: &capacity, Words: executors})
	r.State.SetHost(id, capacity, executors)
}

// OpenHost shadows State's.
func (r *Recorder) OpenHost(id string, open bool) {
	r.call(call{Do: "OpenHost", Name: id, Flag: open})
	r.State.OpenHost(id, open)
}

// RemoveHost shadows State's.
func (r *Recorder) RemoveHost(id string) {
	r.call(call{Do: "RemoveHost", Name: id})
	r.State.RemoveHost(id)
}

// Charge shadows State's.
func (r *Recorder) Charge(queue, share string, amount float64, at int64) {
	r.call(call{Do: "Charge", Name: queue, Words: []string{share}, Amount: amount, At: at})
	r.State.Charge(queue, share, amount, at)
}

// Take shadows State's.
func (r *Recorder) Take(u job.Ref, queue string, d sched.Demand, hosts []string, env string, placed int64) {
	r.call(call{Do: "Take", Key: u.Key, Index: u.Index, Name: queue, Demand: &d, Words: append([]string{env}, hosts...), At: placed})
	r.State.Take(u, queue, d, hosts, env, placed)
}

// Add shadows State's.
func (r *Recorder) Add(queue string, d sched.Demand, k job.Key, again bool, lo, hi int32) {
	if !r.full {
		r.units(opAdd, queue, &d, k, lo, hi)
		flag := uint64(0)
		if again {
			flag = 1
		}
		r.uint(flag)
		r.time(d.Since)
	}
	r.State.Add(queue, d, k, again, lo, hi)
}

// Remove shadows State's.
func (r *Recorder) Remove(queue string, d sched.Demand, k job.Key, lo, hi int32) {
	if !r.full {
		r.units(opRemove, queue, &d, k, lo, hi)
	}
	r.State.Remove(queue, d, k, lo, hi)
}

func (r *Recorder) units(o op, queue string, d *sched.Demand, k job.Key, lo, hi int32) {
	q, n := r.text(queue), r.demand(d)
	r.begin(o)
	r.uint(q)
	r.uint(n)
	r.number(k)
	r.int(int64(lo))
	r.uint(uint64(hi - lo))
}

// Release shadows State's.
func (r *Recorder) Release(u job.Ref, now int64) {
	if !r.full {
		r.begin(opRelease)
		r.unit(u)
		r.time(now)
	}
	r.State.Release(u, now)
}

// ReleaseNode shadows State's.
func (r *Recorder) ReleaseNode(u job.Ref, node int32, now int64) {
	if !r.full {
		r.begin(opReleaseNode)
		r.unit(u)
		r.int(int64(node))
		r.time(now)
	}
	r.State.ReleaseNode(u, node, now)
}

// Leave shadows State's.
func (r *Recorder) Leave(u job.Ref) {
	if !r.full {
		r.begin(opLeave)
		r.unit(u)
	}
	r.State.Leave(u)
}

// Decide shadows State's. A decision for which there is no occasion is not recorded.
func (r *Recorder) Decide(now int64, limit int) sched.Plan {
	quiet := r.State.Quiet(now)
	plan := r.State.Decide(now, limit)
	if quiet || r.full {
		return plan
	}
	hosts := make([]uint64, len(plan.Places))
	for i := range plan.Places {
		hosts[i] = r.text(plan.Places[i].Host)
	}
	r.begin(opDecide)
	r.time(now)
	r.uint(uint64(limit))
	r.uint(uint64(len(hosts)))
	for i, h := range hosts {
		r.unit(plan.Places[i].Ref)
		r.uint(h)
	}
	return plan
}
