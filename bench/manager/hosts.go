package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"drover/bench/rig"
	"drover/internal/core/job"
	"drover/internal/core/resource"
	"drover/internal/link"
)

// hosts are simulated workers: what they are told to start has run and succeeded at once.
type hosts struct {
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	settled atomic.Int64 // ends that the manager has acknowledged
	failed  atomic.Pointer[error]
	zero    int32 // the exit code of everything
}

// slots is how many jobs of one vCPU a host runs at a time.
const slots = 250

// openHosts makes n hosts say hello to a server.
func openHosts(in *rig.Instance, n int) (*hosts, error) {
	token, err := os.ReadFile(filepath.Join(in.Data, "worker.token"))
	if err != nil {
		return nil, err
	}
	h := &hosts{}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	for i := range n {
		c := link.NewClient(in.Endpoint, strings.TrimSpace(string(token)), nil)
		id := fmt.Sprintf("i-%017x", i+1)
		w, err := c.Hello(h.ctx, link.Hello{Host: id, Boot: "bench", Capacity: resource.Vector{MilliVCPU: slots * 1000, MemoryMiB: slots * 1024}, Executors: []string{"process"}})
		if err != nil {
			h.close()
			return nil, err
		}
		ended := make(chan []job.Report, 64)
		h.wg.Go(func() { defer close(ended); h.note(h.poll(c, id, w.Session, ended)) })
		h.wg.Go(func() { h.note(h.report(c, id, w.Session, ended)) })
	}
	return h, nil
}

func (h *hosts) note(err error) {
	if err != nil && h.ctx.Err() == nil {
		h.failed.CompareAndSwap(nil, &err)
		h.cancel()
	}
}

// poll takes assignments and hands on their ends.
func (h *hosts) poll(c *link.Client, id, session string, ended chan<- []job.Report) error {
	defer c.Close()
	ack := int64(0)
	for {
		m, err := c.Poll(h.ctx, link.Poll{Host: id, Session: session, Ack: ack})
		if err != nil {
			return err
		}
		now := time.Now().UnixMicro()
		var out []job.Report
		for _, l := range m.Messages {
			if ack = l.Seq; l.Start != nil {
				out = append(out, job.Report{Lease: l.Start.Lease, Exit: &job.Exit{Code: &h.zero}, At: now})
			}
		}
		if len(out) == 0 {
			continue
		}
		select {
		case ended <- out:
		case <-h.ctx.Done():
			return nil
		}
	}
}

// report tells the manager of ends: of all that came while the last report was on its way.
func (h *hosts) report(c *link.Client, id, session string, ended <-chan []job.Report) error {
	for out := range ended {
		for more := true; more && len(out) < 4*slots; {
			select {
			case next, ok := <-ended:
				out, more = append(out, next...), ok
			default:
				more = false
			}
		}
		o, err := c.Report(h.ctx, link.Reports{Host: id, Session: session, Reports: out})
		if err != nil {
			return err
		}
		if len(o.Refused) > 0 {
			return fmt.Errorf("the manager refused a report: %+v", o.Refused[0])
		}
		h.settled.Add(int64(len(out)))
	}
	return nil
}

// await waits until n units have been settled.
func (h *hosts) await(n int64, patience time.Duration) error {
	for deadline := time.Now().Add(patience); h.settled.Load() < n; time.Sleep(time.Millisecond) {
		if e := h.failed.Load(); e != nil {
			return *e
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d units were settled in %s", h.settled.Load(), n, patience)
		}
	}
	return nil
}

func (h *hosts) close() {
	h.cancel()
	h.wg.Wait()
}
