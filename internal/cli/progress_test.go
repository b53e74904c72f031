package cli

import (
	"testing"
	"time"

	"drover/internal/service/native"
)

func TestProgressLine(t *testing.T) {
	half := progress{Total: 2000, Counts: native.Counts{Succeeded: 1000, Failed: 2, Running: 2, Runnable: 996}, Rate: 212.4, Left: 4700 * time.Millisecond, Fetched: 990, Fetching: true}
	for _, c := range []struct {
		p     progress
		width int
		bar   bool
		want  string
	}{
		{half, 120, true, "[##############x...............] 1,000 of 2,000 done, 2 failed, 2 running, 996 waiting, 10 to fetch, 212/s, 5 s left"},
		{half, 100, true, "[#####x.......] 1,000 of 2,000 done, 2 failed, 2 running, 996 waiting, 10 to fetch, 212/s, 5 s left"},
		{half, 40, true, "1,000 of 2,000 done, 2 failed, 2 runnin"},
		{half, 40, false, "1,000 of 2,000 done, 2 failed, 2 running, 996 waiting, 10 to fetch, 212/s, 5 s left"},
		{progress{Verb: "uploaded", Done: 5, Total: 10}, 60, true, "[###############...............] uploaded 5 of 10 files"},
		{progress{Total: 1, Counts: native.Counts{Succeeded: 1}}, 80, true, "[##############################] 1 of 1 done"},
	} {
		if got := c.p.line(c.width, c.bar); got != c.want {
			t.Errorf("at width %d:\ngot  %q\nwant %q", c.width, got, c.want)
		}
	}
}

func TestPace(t *testing.T) {
	var p pace
	start := time.Unix(0, 0)
	if rate, left := p.add(start, 0, 100); rate != 0 || left != 0 {
		t.Errorf("at the start: %v, %v", rate, left)
	}
	if rate, left := p.add(start.Add(2*time.Second), 20, 100); rate != 10 || left != 8*time.Second {
		t.Errorf("after 2 s: %v, %v", rate, left)
	}
	p.add(start.Add(12*time.Second), 20, 100)
	if rate, _ := p.add(start.Add(14*time.Second), 30, 100); rate < 0.8 || rate > 0.9 {
		t.Errorf("after a pause the rate is %v, want that of the last seconds", rate)
	}
	if len(p.at) > 3 {
		t.Errorf("%d old samples are kept", len(p.at))
	}
}

func TestWords(t *testing.T) {
	for _, c := range [][2]string{
		{grouped(7), "7"}, {grouped(1234567), "1,234,567"}, {counted(1, "job"), "1 job"}, {counted(0, "job"), "0 jobs"},
		{perSecond(1234.6), "1,235/s"}, {perSecond(2.25), "2.2/s"}, {perSecond(0.05), "3.0/min"},
		{roughly(100 * time.Millisecond), "1 s"}, {roughly(61 * time.Second), "1 min 1 s"}, {roughly(3 * time.Hour), "3 h 0 min"},
		{spent(900 * time.Microsecond), "900 µs"}, {spent(12 * time.Millisecond), "12 ms"}, {spent(2500 * time.Millisecond), "2.5 s"},
		{sized(10), "10 B"}, {sized(1536), "1.5 KiB"}, {sized(3 << 20), "3.0 MiB"}, {sized(5 << 30), "5.0 GiB"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}
