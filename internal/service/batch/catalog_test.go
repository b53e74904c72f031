package batch

import (
	"context"
	"sync"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
)

// shelf is a manager that only has definitions, and lets a test stop a read half way.
type shelf struct {
	manager.Service
	mu      sync.Mutex
	latest  int32
	reading func() // called between the read and its answer
}

func (s *shelf) Definition(context.Context, string, int32) (job.Definition, error) {
	s.mu.Lock()
	d := job.Definition{Name: "d", Revision: s.latest, Active: true}
	s.mu.Unlock()
	if s.reading != nil {
		s.reading()
	}
	if d.Revision == 0 {
		return d, fault.New(fault.NotFound, "ClientException", "none")
	}
	return d, nil
}

func (s *shelf) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest++
}

// A definition that was read before a registration must not be kept after it.
func TestCatalogKeepsNothingOlderThanAChange(t *testing.T) {
	s := &shelf{latest: 1}
	c := newCatalog(s)
	s.reading = func() {
		s.reading = nil
		s.add()
		c.forgetDefinition("d", 0)
	}
	p, err := c.definition(t.Context(), "d", 0)
	if err != nil || p.def.Revision != 1 {
		t.Fatalf("the read under way: %+v, %v", p, err)
	}
	p, err = c.definition(t.Context(), "d", 0)
	if err != nil || p.def.Revision != 2 {
		t.Errorf("after the registration: revision %d, %v; want 2", p.def.Revision, err)
	}
	s.add()
	if p, _ = c.definition(t.Context(), "d", 0); p.def.Revision != 2 {
		t.Errorf("revision %d was read again although nothing said that it changed", p.def.Revision)
	}
}

func TestCatalogIsBounded(t *testing.T) {
	s := &shelf{latest: 1}
	c := newCatalog(s)
	for i := range int32(maxPrepared + 10) {
		if _, err := c.definition(t.Context(), "d", i+1); err != nil {
			t.Fatal(err)
		}
		if len(c.definitions) > maxPrepared {
			t.Fatalf("%d definitions are kept", len(c.definitions))
		}
	}
	s.latest = 0
	if _, err := c.definition(t.Context(), "other", 0); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown definition: %v", err)
	}
}
