package server

import "testing"

func TestHeapPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 1 << 20: 100, heapSpare: 100, 2 * heapSpare: 50, 80 << 20: 40, 1 << 40: 20} {
		if got := heapPercent(live); got != want {
			t.Errorf("%d live bytes: %d percent, want %d", live, got, want)
		}
	}
}
