package server

import (
	"net"
	"net/http"
	"sync"
)

// fresh keeps the connections that were opened and have not been used yet. Clients open
// some to spare; http.Server.Shutdown would wait 5 s for a request on each.
type fresh struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newFresh() *fresh { return &fresh{conns: map[net.Conn]struct{}{}} }

// note is the server's ConnState hook.
func (f *fresh) note(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state == http.StateNew {
		f.conns[c] = struct{}{}
	} else {
		delete(f.conns, c)
	}
}

// close closes them.
func (f *fresh) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close() // nobody has sent anything on it
	}
}
