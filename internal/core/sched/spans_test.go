package sched

import (
	"testing"
)

// apply reads ops as a program of adds, removes and pops, and runs it on spans and on a
// plain set.
func apply(t *testing.T, ops []byte) {
	var s spans
	plain := map[int32]bool{}
	for ; len(ops) >= 3; ops = ops[3:] {
		n := span{int32(ops[1]) - 1, int32(ops[1]) + int32(ops[2]%16)} // job.Whole too, and never empty
		var got, want int64
		switch ops[0] % 3 {
		case 0:
			for i := n.lo; i < n.hi; i++ {
				if !plain[i] {
					plain[i], want = true, want+1
				}
			}
			got = s.add(n)
		case 1:
			for i := n.lo; i < n.hi; i++ {
				if plain[i] {
					delete(plain, i)
					want++
				}
			}
			got = s.remove(n)
		default:
			if len(s) == 0 {
				continue
			}
			i := s.pop()
			for k := range plain {
				if k < i {
					t.Fatalf("popped %d before %d", i, k)
				}
			}
			if !plain[i] {
				t.Fatalf("popped %d, which is not there", i)
			}
			delete(plain, i)
		}
		if got != want {
			t.Fatalf("%d of %v changed %d children, want %d: %v", ops[0]%3, n, got, want, s)
		}
		check(t, s, plain)
	}
}

func check(t *testing.T, s spans, plain map[int32]bool) {
	t.Helper()
	if s.size() != int64(len(plain)) {
		t.Fatalf("%v holds %d, want %d", s, s.size(), len(plain))
	}
	for i, p := range s {
		if p.lo >= p.hi || i > 0 && s[i-1].hi >= p.lo {
			t.Fatalf("%v: span %d is empty, or touches the one before", s, i)
		}
		for k := p.lo; k < p.hi; k++ {
			if !plain[k] {
				t.Fatalf("%v holds %d", s, k)
			}
		}
	}
}

func FuzzSpans(f *testing.F) {
	f.Add([]byte{0, 10, 5, 0, 20, 5, 0, 15, 5, 1, 12, 3, 2, 0, 0})
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 15})
	f.Add([]byte{0, 1, 15, 1, 3, 2, 1, 8, 2, 0, 2, 15, 1, 0, 15, 1, 16, 15})
	f.Fuzz(func(t *testing.T, ops []byte) { apply(t, ops[:min(len(ops), 300)]) })
}

func TestSpans(t *testing.T) {
	x := uint64(1)
	for range 300 {
		ops := make([]byte, 90)
		for i := range ops {
			x = x*6364136223846793005 + 1442695040888963407
			ops[i] = byte(x >> 56)
			if i%3 == 1 {
				ops[i] %= 64
			}
		}
		apply(t, ops)
	}
}

// A million children that end up waiting one by one must not cost a million squared.
func BenchmarkSpansScattered(b *testing.B) {
	for b.Loop() {
		var s spans
		for i := int32(0); i < 100_000; i += 2 {
			s.add(span{i, i + 1})
		}
		for i := int32(0); i < 100_000; i += 2 {
			s.remove(span{i, i + 1})
		}
	}
}
