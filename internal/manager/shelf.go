package manager

import (
	"encoding/binary"
	"maps"
	"slices"

	"drover/internal/core/job"
)

// shelf keeps the jobs that only wait for a host, packed: about a hundred bytes each and no
// pointer, where an entry takes three thousand. A million of them are nothing to the garbage
// collector. Jobs lie by key on pages; a page goes with its last job, and is written anew
// without its gaps once they are most of it.
type shelf struct {
	pages   map[job.Key]*page // by key / pageJobs
	ids     map[uint64]job.Key
	moulds  []mould
	mouldOf map[string]int32
	free    []int32 // of moulds
	n       int
	scratch []byte
}

const pageJobs = 512

type page struct {
	at   [pageJobs]uint32 // where in data the job lies, plus 1; 0 = not here
	data []byte           // of each: length, id, mould, and what the mould packed
	n    int
	used int // bytes of the jobs that are here
}

func newShelf() *shelf {
	return &shelf{pages: map[job.Key]*page{}, ids: map[uint64]job.Key{}, mouldOf: map[string]int32{}}
}

// short is the part of an id by which it is found. Ids that are made here differ in it: it
// holds the random half.
func short(id job.ID) uint64 { return binary.LittleEndian.Uint64(id[8:]) }

// put takes a job in. It is false, and nothing has happened, if the job cannot be kept here.
func (f *shelf) put(e *entry) bool {
	if _, taken := f.ids[short(e.spec.ID)]; taken || e.common == "" {
		return false
	}
	m, ok := f.mouldOf[e.common]
	if !ok {
		m = f.newMould(e)
	}
	mo := &f.moulds[m]
	mo.uses++
	b := append(f.scratch[:0], e.spec.ID[:]...)
	b = binary.AppendUvarint(b, uint64(m))
	b = mo.pack(b, e)
	f.scratch = b
	p := f.pages[e.spec.Key/pageJobs]
	if p == nil {
		p = &page{}
		f.pages[e.spec.Key/pageJobs] = p
	}
	p.put(int(e.spec.Key%pageJobs), b)
	f.ids[short(e.spec.ID)] = e.spec.Key
	f.n++
	return true
}

func (f *shelf) newMould(e *entry) int32 {
	var m int32
	if n := len(f.free); n > 0 {
		m, f.free = f.free[n-1], f.free[:n-1]
	} else {
		m = int32(len(f.moulds))
		f.moulds = append(f.moulds, mould{})
	}
	f.moulds[m] = newMould(e)
	f.mouldOf[e.common] = m
	return m
}

// page gives the page on which a job lies; nil if it does not.
func (f *shelf) page(k job.Key) *page {
	if k <= 0 {
		return nil
	}
	if p := f.pages[k/pageJobs]; p != nil && p.at[k%pageJobs] != 0 {
		return p
	}
	return nil
}

// peek makes an entry of a job that stays here; nil if it is not.
func (f *shelf) peek(k job.Key) *entry {
	p := f.page(k)
	if p == nil {
		return nil
	}
	e, _ := f.read(p.record(int(k%pageJobs)), k)
	return e
}

func (f *shelf) read(record []byte, k job.Key) (*entry, int) {
	r := reader{b: record}
	var id job.ID
	copy(id[:], r.next(len(id)))
	m := r.uvarint()
	return f.moulds[m].unpack(r.b, k, id), m
}

// common gives the spec of the mould of a job; nil if the job is not here.
func (f *shelf) common(k job.Key) *job.Spec {
	p := f.page(k)
	if p == nil {
		return nil
	}
	r := reader{b: p.record(int(k % pageJobs))[len(job.ID{}):]}
	return &f.moulds[r.uvarint()].spec
}

// take gives a job and forgets it; nil if it is not here.
func (f *shelf) take(k job.Key) *entry {
	p := f.page(k)
	if p == nil {
		return nil
	}
	e, m := f.read(p.record(int(k%pageJobs)), k)
	p.remove(int(k % pageJobs))
	if p.n == 0 {
		delete(f.pages, k/pageJobs)
	}
	delete(f.ids, short(e.spec.ID))
	f.n--
	if mo := &f.moulds[m]; mo.uses > 1 {
		mo.uses--
	} else {
		delete(f.mouldOf, mo.common)
		*mo = mould{}
		f.free = append(f.free, int32(m))
	}
	return e
}

// find gives the key of a job by its id; 0 if it is not here.
func (f *shelf) find(id job.ID) job.Key {
	k := f.ids[short(id)]
	if k == 0 {
		return 0
	}
	if p := f.pages[k/pageJobs]; job.ID(p.record(int(k % pageJobs))[:len(id)]) != id {
		return 0
	}
	return k
}

// keysFrom lists up to n jobs that are here behind one, in order.
func (f *shelf) keysFrom(after job.Key, n int) []job.Key {
	out := make([]job.Key, 0, min(f.n, n))
	numbers := slices.Sorted(maps.Keys(f.pages))
	from, _ := slices.BinarySearch(numbers, after/pageJobs)
	for _, number := range numbers[from:] {
		for i, at := range f.pages[number].at {
			k := number*pageJobs + job.Key(i)
			if at == 0 || k <= after {
				continue
			}
			if len(out) == n {
				return out
			}
			out = append(out, k)
		}
	}
	return out
}

func (p *page) put(i int, record []byte) {
	p.at[i] = uint32(len(p.data)) + 1
	p.n++
	before := len(p.data)
	p.data = binary.AppendUvarint(p.data, uint64(len(record)))
	p.data = append(p.data, record...)
	p.used += len(p.data) - before
	if p.n == pageJobs { // nothing more will come for now
		p.data = slices.Clip(slices.Clone(p.data))
	}
}

// record is what put was given; it is good until the page changes.
func (p *page) record(i int) []byte {
	b := p.data[p.at[i]-1:]
	n, head := binary.Uvarint(b)
	return b[head : head+int(n)]
}

func (p *page) remove(i int) {
	b := p.data[p.at[i]-1:]
	n, head := binary.Uvarint(b)
	p.used -= head + int(n)
	p.at[i] = 0
	p.n--
	if gaps := len(p.data) - p.used; gaps < 4096 || gaps < p.used {
		return
	}
	data := make([]byte, 0, p.used)
	for j, at := range p.at {
		if at != 0 {
			record := p.record(j)
			p.at[j] = uint32(len(data)) + 1
			data = append(binary.AppendUvarint(data, uint64(len(record))), record...)
		}
	}
	p.data = data
}
