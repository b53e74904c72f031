package sched

import (
	"testing"
	"unsafe"
)

// What is read with every decision must not grow past its lines of the cache unseen.
func TestSizes(t *testing.T) {
	for what, c := range map[string]struct{ is, most uintptr }{
		"a record that waits":                {unsafe.Sizeof(rec{}), 16},
		"a FIFO":                             {unsafe.Sizeof(fifo{}), 32},
		"a run":                              {unsafe.Sizeof(run{}), 96},
		"a host":                             {unsafe.Sizeof(host{}), 128},
		"what is read of a host in a search": {unsafe.Offsetof(host{}.runs), 64},
		"a slot of the table of runs":        {unsafe.Sizeof(runSlot{}), 16},
		"a lead":                             {unsafe.Sizeof(lead{}), 16},
	} {
		if c.is > c.most {
			t.Errorf("%s takes %d bytes, %d at most", what, c.is, c.most)
		}
	}
}
