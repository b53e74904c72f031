package docker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"drover/internal/executor"
	"drover/internal/executor/docker"
)

// taker takes output as a server does that is quick: it acknowledges what comes.
type taker struct {
	mu     sync.Mutex
	text   strings.Builder
	before int64 // acknowledged to the worker before
	handle executor.Handle
}

func (k *taker) Log(_ executor.ID, chunk []byte, _ time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text.Write(chunk)
	if k.handle != nil {
		k.handle.Acknowledge(k.before+int64(k.text.Len()), 0)
	}
}

func (k *taker) know(h executor.Handle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.handle = h
	h.Acknowledge(k.before+int64(k.text.Len()), 0)
}

func (k *taker) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text.Len()
}

// A container writes many times what is kept of its output; nothing is lost as long as
// somebody reads, also when that is a worker that came later.
func TestLogIsBounded(t *testing.T) {
	const mib = 32
	d := newDesk(t, func(o *docker.Options) { o.LogMiB = 32 })
	progImage(t, d.api)
	gate := t.TempDir()
	open := func(from, to int) {
		for i := from; i < to; i++ {
			if err := os.WriteFile(filepath.Join(gate, fmt.Sprint(i)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	a := d.attempt(fmt.Sprintf("flood=%d", mib))
	a.Mounts, a.Environment = []executor.Mount{{Host: gate, Path: "/gate", ReadOnly: true}}, []string{"GATE=/gate"}
	first := &taker{}
	h, err := d.x.Start(d.ctx(), a, first)
	if err != nil {
		t.Fatal(err)
	}
	first.know(h)
	// Nobody is ever late by more than a MiB, and what is kept is more than comes in three
	// seconds: reading goes on by counting the messages of the last two. On disk a line of 64
	// bytes takes about 100.
	pace := time.NewTicker(250 * time.Millisecond)
	defer pace.Stop()
	for i := range mib / 2 {
		<-pace.C
		open(i, i+1)
		eventually(t, fmt.Sprint("MiB ", i, " came"), func() bool { return first.len() >= (i+1)<<20 })
	}
	open(mib/2, mib/2+1)
	if err := d.x.Close(d.ctx(), false); err != nil {
		t.Fatal(err)
	}
	d.x = d.client()
	second := &taker{before: int64(first.len())}
	held, err := d.x.Adopt(d.ctx(), second)
	if err != nil || len(held) != 1 {
		t.Fatal(err, held)
	}
	if got := held[0].Held().Acked; got != second.before {
		t.Fatalf("%d bytes are acknowledged, %d were", got, second.before)
	}
	second.know(held[0])
	for i := mib / 2; i < mib; i++ {
		<-pace.C
		open(i, i+1)
		eventually(t, fmt.Sprintf("MiB %d came after %d before", i, first.len()), func() bool { return first.len()+second.len() >= (i+1)<<20 })
	}
	if x := d.wait(held[0]); !x.OK() {
		t.Fatalf("%+v", x)
	}
	n := 0
	for line := range strings.Lines(first.text.String() + second.text.String()) {
		if line != fmt.Sprintf("%063d\n", n) {
			t.Fatalf("line %d is %q", n, line)
		}
		n++
	}
	if n != mib<<14 {
		t.Errorf("%d lines of %d", n, mib<<14)
	}
	if err := held[0].Forget(); err != nil {
		t.Error(err)
	}
}
