package manager_test

import (
	"testing"

	"drover/internal/core/job"
	"drover/internal/manager"
)

// A round that has taken long enough ends, and the next one goes on where it stopped without
// any new event: whoever has submitted meanwhile does not wait for a whole array to be placed.
func TestARoundEndsInTime(t *testing.T) {
	r := newRig(t, 300)
	if _, err := r.c.Submit([]*job.Spec{r.spec(1000)}, r.now); err != nil {
		t.Fatal(err)
	}
	d := manager.NewDesk(r.c, manager.NewPost())
	placed, rounds := 0, 0
	for rounds == 0 || d.Busy() {
		if rounds++; rounds > 100 {
			t.Fatal("the Desk is busy for ever")
		}
		d.Decide(r.now, func() bool { return true }, func(b *manager.Batch, done func(error)) {
			if len(b.Units) > 64 {
				t.Errorf("a round placed %d units", len(b.Units))
			}
			placed += len(b.Units)
			done(nil)
			d.Settled(b.Seq, nil)
		})
	}
	if placed != 300 || rounds < 5 {
		t.Errorf("%d units were placed in %d rounds, want 300 in several", placed, rounds)
	}
	r.c.Schedule(1000, r.now)
	if len(r.c.Take().Units) != 0 {
		t.Error("the last round left something to place")
	}
}
