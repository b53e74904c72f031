package launcher

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fetch plays the worker: it reads everything there is to send, and acknowledges it in
// steps when ack is set.
func fetch(t testing.TB, o *output, epoch uint64, ack bool) string {
	t.Helper()
	var got strings.Builder
	for {
		b, more, _ := o.appendNext(nil, Key{}, epoch)
		if len(b) > 0 {
			f, _, err := readFrame(bufio.NewReader(bytes.NewReader(b)), nil)
			if err != nil {
				t.Fatal(err)
			}
			offset, _, chunk, err := f.Output()
			if err != nil || f.Kind != KindOutput {
				t.Fatal(f.Kind, err)
			}
			got.Write(chunk)
			if ack {
				o.ack(offset+int64(len(chunk)), 0)
				more = true
			}
		}
		if !more && len(b) == 0 {
			return got.String()
		}
	}
}

func TestOutputSpills(t *testing.T) {
	now := time.Now()
	o := &output{spill: filepath.Join(t.TempDir(), "spill", "x")}
	o.attach(1)
	var want strings.Builder
	for i := range 40_000 {
		line := fmt.Sprintf("line %d of many\n", i)
		want.WriteString(line)
		o.write([]byte(line), now)
	}
	if len(o.mem) > memoryMax {
		t.Errorf("%d bytes in memory", len(o.mem))
	}
	if st, err := os.Stat(o.spill); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("spill file: %v %v", st, err)
	}
	if got := fetch(t, o, 1, false); len(got) != windowMax {
		t.Errorf("%d bytes on their way without an acknowledgement", len(got))
	}
	o.attach(2)
	if b, _, _ := o.appendNext(nil, Key{}, 1); len(b) != 0 {
		t.Error("an old connection is still served")
	}
	if got := fetch(t, o, 2, true); got != want.String() {
		t.Errorf("%d bytes came, %d were written", len(got), want.Len())
	}
	if st, err := os.Stat(o.spill); err != nil || st.Size() != 0 {
		t.Errorf("the file keeps its space: %v", st)
	}
	o.discard()
	if _, err := os.Stat(o.spill); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

// TestOutputDrops: with nobody there the writer is held up for one moment in all, and what
// does not fit becomes a line that says how much it was.
func TestOutputDrops(t *testing.T) {
	now := time.Now()
	o := &output{spill: filepath.Join(t.TempDir(), "x")}
	o.attach(1)
	chunk := bytes.Repeat([]byte("y"), chunkMax)
	total, longest := 0, time.Duration(0)
	for total < spillMax+memoryMax+50*chunkMax {
		begin := time.Now()
		o.write(chunk, now)
		longest = max(longest, time.Since(begin))
		total += len(chunk)
	}
	if longest > patience+2*time.Second {
		t.Errorf("a write took %v", longest)
	}
	if st, err := os.Stat(o.spill); err != nil || st.Size() > ringSize {
		t.Errorf("the file is larger than it may be: %v %v", st, err)
	}
	kept := o.end()
	dropped := int64(total) - kept
	if dropped <= 0 || o.dropped != dropped {
		t.Fatalf("%d of %d kept, %d counted as dropped", kept, total, o.dropped)
	}
	o.finish(now)
	got := fetch(t, o, 1, true)
	want := fmt.Sprintf("\n[drover: %d bytes of output dropped here: the job wrote faster than its log could be stored]\n", dropped)
	if !strings.HasSuffix(got, "y"+want) || int64(len(got)) != kept+int64(len(want)) {
		t.Errorf("%d bytes came, ending in %q", len(got), got[max(0, len(got)-150):])
	}
	o.write([]byte("more\n"), now)
	if got := fetch(t, o, 1, true); got != "more\n" {
		t.Errorf("afterwards came %q", got)
	}
	o.discard()
}

// TestOutputAnyOrder: whatever is written, sent, acknowledged and sent again to a new
// connection, in whatever order, the bytes come as they were written.
func TestOutputAnyOrder(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		o := &output{spill: filepath.Join(dir, fmt.Sprint(n))}
		defer o.discard()
		epoch := uint64(1)
		o.attach(epoch)
		var wrote, got []byte // got is what the current connection and its forerunners kept
		seed := byte(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				p := make([]byte, rapid.SampledFrom([]int{1, 10, 5000, chunkMax}).Draw(t, "size"))
				for i := range p {
					seed += 7
					p[i] = seed
				}
				o.write(p, time.UnixMilli(int64(len(wrote))))
				wrote = append(wrote, p...)
			case 1:
				b, _, _ := o.appendNext(nil, Key{}, epoch)
				if len(b) > 0 {
					got = append(got, b[frameHead+outputHead:]...)
				}
			case 2:
				if len(got) > int(o.acked) {
					o.ack(o.acked+int64(rapid.IntRange(1, len(got)-int(o.acked)).Draw(t, "ack")), 0)
				}
			case 3:
				epoch++
				acked, _ := o.attach(epoch)
				got = got[:acked]
			}
			if !bytes.HasPrefix(wrote, got) {
				t.Fatalf("after %d bytes written, other bytes were sent", len(wrote))
			}
		}
		for {
			b, more, drained := o.appendNext(nil, Key{}, epoch)
			if len(b) > 0 {
				got = append(got, b[frameHead+outputHead:]...)
			}
			o.ack(int64(len(got)), 0)
			if drained && !more {
				break
			}
		}
		if !bytes.Equal(got, wrote) {
			t.Fatalf("%d bytes came, %d were written", len(got), len(wrote))
		}
	})
}

func TestOutputTimes(t *testing.T) {
	o := &output{spill: filepath.Join(t.TempDir(), "x")}
	begin := time.UnixMilli(1_700_000_000_000)
	for i := range 5 {
		o.write([]byte("x"), begin.Add(time.Duration(i)*time.Second))
	}
	o.attach(1)
	for i := range 5 {
		b, _, _ := o.appendNext(nil, Key{}, 1)
		f, _, err := readFrame(bufio.NewReader(bytes.NewReader(b)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, at, chunk, _ := f.Output(); string(chunk) != "x" || !at.Equal(begin.Add(time.Duration(i)*time.Second)) {
			t.Errorf("piece %d: %q at %v", i, chunk, at)
		}
	}
}

func TestFrames(t *testing.T) {
	k := Key{Job: -5, Index: -1, Fence: 4_000_000_000}
	b := appendJSON(nil, KindStop, k, Stop{GraceMillis: 7, Cause: "timeout"})
	f, _, err := readFrame(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil || f.Kind != KindStop || f.Key != k || string(f.Body) != `{"graceMillis":7,"cause":"timeout"}` {
		t.Errorf("%+v %v", f, err)
	}
	for name, bad := range map[string][]byte{
		"short": b[:10], "cut": b[:len(b)-1], "huge": append([]byte{255, 255, 255, 255}, b[4:]...), "too small": append([]byte{1, 0, 0, 0}, b[4:]...),
	} {
		if _, _, err := readFrame(bufio.NewReader(bytes.NewReader(bad)), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
