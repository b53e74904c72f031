package cli

import (
	"fmt"
	"sync"
	"time"
)

// How often the display changes: on a terminal it is redrawn, elsewhere each state is a line.
const (
	redrawEvery = 200 * time.Millisecond
	lineEvery   = time.Second
)

// display is what a run shows on standard error while it works.
type display struct {
	sh *shell

	mu    sync.Mutex // guards what follows and the order of writes
	drawn bool       // a line stands on the terminal, to be overwritten
	last  string     // the line written last
}

func newDisplay(sh *shell) *display { return &display{sh: sh} }

// interval is the time between two states.
func (d *display) interval() time.Duration {
	if d.sh.terminal {
		return redrawEvery
	}
	return lineEvery
}

// put shows a state.
func (d *display) put(p progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sh.terminal {
		if text := p.line(0, false); text != d.last {
			fmt.Fprintln(d.sh.err, text)
			d.last = text
		}
		return
	}
	text := p.line(d.sh.width(), true)
	fmt.Fprintf(d.sh.err, "\r\x1b[K%s", text)
	d.drawn = true
}

// note writes a line that stays.
func (d *display) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wipe()
	fmt.Fprintf(d.sh.err, "drover: "+format+"\n", args...)
}

// clear takes the state away.
func (d *display) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wipe()
}

func (d *display) wipe() {
	if d.drawn {
		fmt.Fprint(d.sh.err, "\r\x1b[K")
		d.drawn = false
	}
}

// every shows state at the display's own pace until stop is called. Nothing is shown of
// what takes less than one interval.
func (d *display) every(state func(now time.Time) progress) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(d.interval())
		defer t.Stop()
		for {
			select {
			case now := <-t.C:
				d.put(state(now))
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-done }
}
