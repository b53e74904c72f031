package rig

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestRate(t *testing.T) {
	var mu sync.Mutex
	var got []int64
	if r, err := Rate(8, func(i int64) error {
		if i >= 1000 {
			return ErrEnough
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, i)
		return nil
	}); err != nil || r <= 0 {
		t.Errorf("%v a second, %v", r, err)
	}
	slices.Sort(got)
	if len(got) != 1000 || got[0] != 0 || len(slices.Compact(got)) != 1000 {
		t.Errorf("%d calls of 1000, or not each once", len(got))
	}
	broken := errors.New("the cable is out")
	if r, err := Rate(8, func(i int64) error {
		if i == 100 {
			return broken
		}
		return nil // for ever
	}); err != broken || r != 0 {
		t.Errorf("%v a second, %v", r, err)
	}
}

func TestKnown(t *testing.T) {
	names := []string{"a", "b", "c"}
	if err := known([]string{"c", "a"}, names); err != nil {
		t.Error(err)
	}
	if err := known([]string{"a", "x"}, names); err == nil || !strings.Contains(err.Error(), `no row "x"; there are a, b, c`) {
		t.Error(err)
	}
}

// A process that runs holds memory; one that has gone is an error and not nothing.
func TestResident(t *testing.T) {
	if n, err := Resident(os.Getpid()); err != nil || n <= 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := Resident(1 << 30); err == nil {
		t.Errorf("no process holds %d bytes", n)
	}
}
