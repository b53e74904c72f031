package manager

import (
	"encoding/binary"
	"maps"
	"slices"

	"drover/internal/core/job"
)

// mould is what jobs on the shelf have in common: the common part of their specs. Of what
// differs from job to job it keeps that of the first one, as the pattern from which the
// others are written down: names and arguments of the jobs of a pipeline begin alike.
type mould struct {
	common  string
	spec    job.Spec // ID, Key and Token are never used
	created int64    // of the first job
	tags    map[string]string
	pairs   []string // its tags
	uses    int
}

func newMould(e *entry) mould {
	m := mould{common: e.common, spec: *e.spec, created: e.created, tags: e.tags, pairs: pairs(e.tags)}
	m.spec.Parameters, m.spec.Tags = nil, nil // only DescribeJobs wants them, from the store
	return m
}

// pairs are the names and values of a map, in order of the names.
func pairs(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	out := make([]string, 0, 2*len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k, m[k])
	}
	return out
}

// pack appends what tells the job of an entry from others of its mould.
func (m *mould) pack(b []byte, e *entry) []byte {
	b = binary.AppendVarint(b, e.created-m.created)
	b = binary.AppendVarint(b, e.unit.Ready-e.created)
	b = appendOwn(b, e.spec, &m.spec)
	var flags byte
	if e.failure {
		flags |= packedFailure
	}
	if maps.Equal(e.tags, m.tags) {
		return append(b, flags)
	}
	return appendList(append(b, flags|packedTags), pairs(e.tags), m.pairs)
}

const (
	packedFailure = 1 << iota // e.failure
	packedTags                // the tags are not those of the mould
)

// unpack makes the entry that pack wrote down.
func (m *mould) unpack(b []byte, k job.Key, id job.ID) *entry {
	r := reader{b: b}
	s := m.spec
	s.Key, s.ID = k, id
	e := &entry{spec: &s, common: m.common, tags: m.tags}
	e.created = m.created + r.varint()
	e.unit.Ready = e.created + r.varint()
	r.own(&s, &m.spec)
	flags := r.byte()
	e.failure = flags&packedFailure != 0
	if flags&packedTags != 0 {
		e.tags = unpair(r.list(m.pairs))
	}
	return e
}

func unpair(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

// appendOwn writes what is a job's own of its spec, after the pattern of another one.
func appendOwn(b []byte, s, like *job.Spec) []byte {
	b = appendLike(b, s.Name, like.Name)
	b = appendList(b, s.Command, like.Command)
	b = binary.AppendUvarint(b, uint64(len(s.Environment)))
	for i, v := range s.Environment {
		p := variable(like.Environment, i)
		b = appendLike(appendLike(b, v.Name, p.Name), v.Value, p.Value)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Dependencies)))
	for _, d := range s.Dependencies {
		b = binary.AppendVarint(append(b, byte(d.Kind)), int64(d.Key))
		b = append(b, d.ID[:]...)
	}
	return appendLike(appendLike(b, s.Stage, like.Stage), s.Token, "")
}

// own reads what appendOwn wrote.
func (r *reader) own(s, like *job.Spec) {
	s.Name = r.like(like.Name)
	s.Command = r.list(like.Command)
	s.Environment = nil
	if n := r.count(2); n > 0 {
		s.Environment = make([]job.Variable, n)
	}
	for i := range s.Environment {
		p := variable(like.Environment, i)
		s.Environment[i] = job.Variable{Name: r.like(p.Name), Value: r.like(p.Value)}
	}
	s.Dependencies = nil
	if n := r.count(len(job.ID{})); n > 0 {
		s.Dependencies = make([]job.Dependency, n)
	}
	for i := range s.Dependencies {
		d := &s.Dependencies[i]
		d.Kind, d.Key = job.DependencyKind(r.byte()), job.Key(r.varint())
		copy(d.ID[:], r.next(len(d.ID)))
	}
	s.Stage, s.Token = r.like(like.Stage), r.like("")
}

func variable(list []job.Variable, i int) job.Variable {
	if i < len(list) {
		return list[i]
	}
	return job.Variable{}
}

// appendLike writes a string as what it has in common with another one and the rest.
func appendLike(b []byte, s, like string) []byte {
	n := 0
	for n < len(s) && n < len(like) && s[n] == like[n] {
		n++
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendUvarint(b, uint64(len(s)-n))
	return append(b, s[n:]...)
}

func appendList(b []byte, list, like []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i, s := range list {
		b = appendLike(b, s, at(like, i))
	}
	return b
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// reader reads what the functions above wrote. What it reads may come from the disk: after
// anything that cannot be, it is bad and gives zeroes.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) next(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.next(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		n = -1
	}
	r.next(n)
	return v
}

func (r *reader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<31 {
		n, v = -1, 0
	}
	r.next(n)
	return int(v)
}

// count is the length of a list whose elements have at least so many bytes.
func (r *reader) count(bytes int) int {
	n := r.uvarint()
	if n*bytes > len(r.b) {
		r.b, r.bad = nil, true
		return 0
	}
	return n
}

func (r *reader) like(like string) string {
	n, rest := r.uvarint(), r.uvarint()
	if rest == 0 && n == len(like) {
		return like
	}
	if n > len(like) {
		r.b, r.bad = nil, true
		return ""
	}
	return like[:n] + string(r.next(rest))
}

func (r *reader) list(like []string) []string {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = r.like(at(like, i))
	}
	return out
}

func (r *reader) pairs() map[string]string { return unpair(r.list(nil)) }
