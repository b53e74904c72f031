package sched

import "testing"

// What nine of ten ran follows each new one, though it is kept between them.
func TestHistoryFollows(t *testing.T) {
	var h history
	if got := h.ninety(); got != 0 {
		t.Fatalf("of no units nine of ten ran %d µs", got)
	}
	for range 100 {
		h.note(10 * second)
	}
	short := h.ninety()
	if short < 10*second || short > 20*second {
		t.Fatalf("of units of 10 s nine of ten ran %d µs", short)
	}
	for range 20 {
		h.note(1000 * second)
	}
	if long := h.ninety(); long < 1000*second || long > 2000*second {
		t.Fatalf("with one in six of 1000 s nine of ten ran %d µs", long)
	}
}
