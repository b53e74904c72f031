package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"drover/internal/core/job"
	"drover/internal/executor"
)

// acks is a handle that only remembers acknowledgements.
type acks struct{ n, mark int64 }

func (a *acks) Held() executor.Held                              { return executor.Held{} }
func (a *acks) Wait(context.Context) (e executor.End, err error) { return e, err }
func (a *acks) Stop(time.Duration, job.Cause) error              { return nil }
func (a *acks) Forget() error                                    { return nil }
func (a *acks) Acknowledge(n, mark int64)                        { a.n, a.mark = n, mark }

// drain takes everything, a little at a time, as the reporter does.
func drain(s *stream) (texts []string, firsts []int64) {
	for {
		events, first, _ := s.take(1 << 10)
		for _, e := range events {
			texts = append(texts, e.Text)
		}
		if len(events) > 0 {
			firsts = append(firsts, first)
		}
		if !s.done() {
			return texts, firsts
		}
	}
}

func TestStreamLines(t *testing.T) {
	now := time.Now()
	long := strings.Repeat("x", maxEvent)
	for _, c := range []struct {
		name   string
		chunks []string
		want   []string
	}{
		{"lines over chunks", []string{"on", "e\ntw", "o\n"}, []string{"one", "two"}},
		{"empty lines are left out", []string{"\n\na\n\n\nb\n"}, []string{"a", "b"}},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"carriage returns and NUL stay", []string{"a\r\nb\x00c\n"}, []string{"a\r", "b\x00c"}},
		{"invalid bytes are replaced", []string{"a\xff\xfeb\n"}, []string{"a\uFFFDb"}},
		{"a character over chunks", []string{"\xe2\x82", "\xac\n"}, []string{"€"}},
		{"a long line is cut", []string{long + "yz\n", "next\n"}, []string{long, "yz", "next"}},
		{"and not within a character", []string{long[1:] + "€\n"}, []string{long[1:], "€"}},
		{"exactly full", []string{long + "\n"}, []string{long}},
	} {
		s := newStream(0, 0)
		h := &acks{}
		s.attach(h)
		total := 0
		for _, chunk := range c.chunks {
			s.write([]byte(chunk), now, now)
			total += len(chunk)
		}
		s.finish(now)
		got, _ := drain(s)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %d events %.80q, want %d", c.name, len(got), got, len(c.want))
		}
		if h.mark != int64(len(c.want)) || h.n > int64(total) || h.n < int64(total)-3 {
			t.Errorf("%s: acknowledged %d bytes of %d, mark %d", c.name, h.n, total, h.mark)
		}
	}
}

func TestStreamPartial(t *testing.T) {
	now := time.Now()
	s := newStream(0, 0)
	if ready, waits := s.write([]byte("50 %\xe2"), now, now); ready || !waits {
		t.Errorf("ready %v, waits %v", ready, waits)
	}
	if ready, _ := s.flush(now.Add(partialAfter - 1)); ready {
		t.Error("flushed too early")
	}
	if ready, waits := s.flush(now.Add(partialAfter)); !ready || !waits {
		t.Errorf("ready %v, half a character waits %v", ready, waits)
	}
	if _, waits := s.flush(now.Add(3 * partialAfter)); waits {
		t.Error("half a character waits for ever")
	}
	if got, _ := drain(s); !slices.Equal(got, []string{"50 %", "\uFFFD"}) {
		t.Errorf("%q", got)
	}
}

func TestStreamDiscard(t *testing.T) {
	s := newStream(0, 0)
	h := &acks{}
	s.attach(h)
	now := time.Now()
	s.write([]byte("a\nb"), now, now)
	s.take(100)
	s.discard()
	if h.n != 3 {
		t.Errorf("acknowledged %d", h.n)
	}
	if ready, _ := s.write([]byte("c\n"), now, now); ready || h.n != 5 || s.done() || !s.all() {
		t.Errorf("ready %v, acknowledged %d", ready, h.n)
	}
}

// TestStreamResumes: wherever a worker stops, the next one, which begins after the last
// acknowledged byte, numbers and cuts the rest so that nothing is missing or twice.
func TestStreamResumes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching(`[a-zé€]{0,8}`)).Draw(t, "lines")
		text := strings.Join(lines, "\n")
		want := slices.DeleteFunc(slices.Clone(lines), func(s string) bool { return s == "" })
		kept := map[int64]string{}
		keep := func(s *stream, batches int) {
			for range batches {
				events, first, _ := s.take(rapid.IntRange(1, 200).Draw(t, "limit"))
				for i, e := range events {
					if old, ok := kept[first+int64(i)]; ok && old != e.Text {
						t.Fatalf("event %d is %q and was %q", first+int64(i), e.Text, old)
					}
					kept[first+int64(i)] = e.Text
				}
				if rapid.Bool().Draw(t, "answer is lost") {
					return
				}
				s.done()
			}
		}
		now := time.Now()
		h := &acks{}
		for range rapid.IntRange(0, 4).Draw(t, "restarts") {
			s := newStream(h.n, h.mark)
			s.attach(h)
			rest := text[h.n:]
			s.write([]byte(rest[:rapid.IntRange(0, len(rest)).Draw(t, "read")]), now, now)
			keep(s, rapid.IntRange(0, 5).Draw(t, "batches"))
		}
		s := newStream(h.n, h.mark)
		s.attach(h)
		s.write([]byte(text[h.n:]), now, now)
		s.finish(now)
		events, first, _ := s.take(1 << 30)
		for i, e := range events {
			kept[first+int64(i)] = e.Text
		}
		got := make([]string, 0, len(kept))
		for i := range int64(len(kept)) {
			got = append(got, kept[i])
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestErrorLine(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"  ordinary message: file not found \x1b[0m", "ordinary message: file not found [0m"},
		{"key AKIAIOSFODNN7EXAMPLE is bad", "key **** is bad"},
		{"ASIAIOSFODNN7EXAMPLE", "****"},
		{"password=hunter2, user=me", "password=****, user=me"},
		{`{"password": "hun ter2", "x": 1}`, `{"password": ****, "x": 1}`},
		{"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG failed", "AWS_SECRET_ACCESS_KEY=**** failed"},
		{"db_token: abc def", "db_token: **** def"},
		{"Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ****"},
		{"connect postgres://me:secret@host/db", "connect postgres://me:****@host/db"},
		{"GET https://h/x?X-Amz-Signature=abcdef0123&y=1", "GET https://h/x?X-Amz-Signature=****&y=1"},
		{"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln ends", "jwt **** ends"},
		{"ghp_0123456789abcdef0123", "****"},
		{"bad \xff byte", "bad \uFFFD byte"},
	} {
		if got := ErrorLine([]byte(c.in)); got != c.want {
			t.Errorf("%q became %q, want %q", c.in, got, c.want)
		}
	}
	for _, in := range []string{strings.Repeat("é", 5000), strings.Repeat("a", 600), strings.Repeat("€", 171)} {
		got := ErrorLine([]byte(in))
		if len(got) > maxErrorLine || !utf8.ValidString(got) || len(got) < maxErrorLine-6 {
			t.Errorf("%d bytes of %.10q became %d", len(in), in, len(got))
		}
	}
}

func FuzzErrorLine(f *testing.F) {
	f.Add([]byte("password=x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := ErrorLine(b)
		if len(got) > maxErrorLine || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r") {
			t.Errorf("%q became %q", b, got)
		}
	})
}

func TestSettledIsBounded(t *testing.T) {
	var s settled
	lease := func(i int) job.Lease { return job.Lease{Ref: job.Ref{Key: 1}, Fence: uint32(i)} }
	for i := range settledMost + 10 {
		s.add(lease(i))
		s.add(lease(i))
	}
	if s.has(lease(9)) || !s.has(lease(10)) || !s.has(lease(settledMost+9)) || len(s.set) != settledMost {
		t.Errorf("%d are remembered", len(s.set))
	}
}

func TestLocalName(t *testing.T) {
	for in, want := range map[string]string{
		"a/b/photo.jpg": "photo.jpg", "x": "x", "größe 1.txt": "größe_1.txt", "-rf": "_rf",
		"$(reboot).csv": "__reboot_.csv", "a;b|c&d'\"`\n*?": "a_b_c_d______",
		strings.Repeat("n", 300) + ".csv": "item.csv", strings.Repeat("n", 300): "item",
	} {
		if got := localName(in); got != want {
			t.Errorf("%s became %s", in, got)
		}
	}
}

func TestPlansAreBounded(t *testing.T) {
	p := newPlans()
	fetched := 0
	get := func(i, cost int) {
		_, err := p.get(t.Context(), planKey{1, fmt.Sprint(i)}, func() (any, int, error) { fetched++; return i, cost, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		get(1, cacheCost/2)
		get(2, cacheCost/2)
	}
	if fetched != 2 {
		t.Errorf("fetched %d times", fetched)
	}
	get(3, cacheCost/2) // pushes 1 out
	get(2, 0)
	get(1, cacheCost/2)
	if fetched != 4 || p.cost > cacheCost {
		t.Errorf("fetched %d times, cost %d", fetched, p.cost)
	}
}
