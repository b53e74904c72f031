package manager

import (
	"slices"
	"sync"

	"drover/internal/core/fault"
	"drover/internal/core/job"
)

// Letter is one numbered message for a worker.
type Letter struct {
	Seq int64
	Send
}

// maxLetters bounds one answer to a poll.
const maxLetters = 256

// Post keeps the messages for each host's session until they are acknowledged. Only
// durable decisions reach it. It is safe for use by several goroutines.
type Post struct {
	mu    sync.Mutex
	boxes map[string]*box
}

type box struct {
	session string
	last    int64 // number of the newest letter
	letters []Letter
	wake    chan struct{} // closed when a letter arrives or the session ends
}

// NewPost gives an empty Post.
func NewPost() *Post { return &Post{boxes: map[string]*box{}} }

// Open begins a session for a host; the one before ends.
func (p *Post) Open(host, session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.boxes[host]; b != nil {
		close(b.wake)
	}
	p.boxes[host] = &box{session: session, wake: make(chan struct{})}
}

// Greet opens the session in the mailboxes and in the Core, in this order: what the Core
// sends in answer must find its box.
func (p *Post) Greet(c *Core, h Hello, session string, now Instant) (drop []job.Lease) {
	p.Open(h.Host, session)
	return c.Hello(h, session, now)
}

// Close ends a session, if it is still the host's.
func (p *Post) Close(host, session string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.boxes[host]; b != nil && b.session == session {
		close(b.wake)
		delete(p.boxes, host)
	}
}

// Reset ends all sessions.
func (p *Post) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.boxes {
		close(b.wake)
	}
	p.boxes = map[string]*box{}
}

// Done acts on a durable batch: its messages are delivered, the sessions of hosts that it
// gave up end.
func (p *Post) Done(b *Batch) {
	for _, h := range b.Hosts {
		if h.Gone {
			p.Close(h.ID, h.Session)
		}
	}
	p.Deliver(b.Sends)
}

// Deliver adds the messages of a durable batch. Those of ended sessions are dropped: the
// Hello of the next session says what they said.
func (p *Post) Deliver(sends []Send) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range sends {
		b := p.boxes[s.Host]
		if b == nil || b.session != s.Session {
			continue
		}
		b.last++
		b.letters = append(b.letters, Letter{b.last, s})
		if len(b.letters) == 1 {
			close(b.wake)
			b.wake = make(chan struct{})
		}
	}
}

// Collect gives the letters after ack, which acknowledges the ones up to it. Without any,
// the channel is closed when it is time to ask again.
func (p *Post) Collect(host, session string, ack int64) ([]Letter, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boxes[host]
	if b == nil || b.session != session {
		return nil, nil, fault.New(fault.Conflict, "UnknownSession", "the manager does not know this session of host %s; say hello", host)
	}
	n := 0
	for n < len(b.letters) && b.letters[n].Seq <= ack {
		n++
	}
	b.letters = slices.Delete(b.letters, 0, n)
	return slices.Clone(b.letters[:min(len(b.letters), maxLetters)]), b.wake, nil
}
