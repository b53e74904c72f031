package cli

import (
	"fmt"
	"strings"
	"time"

	"drover/internal/service/native"
)

// progress is what the display of a run says at one moment.
type progress struct {
	Label    string // before the rest
	Verb     string // "uploaded", or empty while jobs run
	Done     int64
	Total    int64
	Counts   native.Counts // while jobs run
	Rate     float64       // per second
	Left     time.Duration // 0 = not known
	Fetched  int64         // results brought here, of a run whose results go to a folder
	Fetching bool
}

// line writes the display: one line, at most width columns. With bar it is for a terminal.
func (p progress) line(width int, bar bool) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if p.Verb != "" {
		add("%s %s of %s files", p.Verb, grouped(p.Done), grouped(p.Total))
	} else {
		c := p.Counts
		add("%s of %s done", grouped(c.Succeeded), grouped(p.Total))
		if c.Failed > 0 {
			add("%s failed", grouped(c.Failed))
		}
		if n := c.Starting + c.Running; n > 0 {
			add("%s running", grouped(n))
		}
		if n := c.Submitted + c.Pending + c.Runnable; n > 0 {
			add("%s waiting", grouped(n))
		}
		if behind := c.Succeeded - p.Fetched; p.Fetching && behind > 0 {
			add("%s to fetch", grouped(behind))
		}
	}
	if p.Rate > 0 {
		add("%s", perSecond(p.Rate))
	}
	if p.Left > 0 {
		add("%s left", roughly(p.Left))
	}
	text := p.Label + strings.Join(parts, ", ")
	if bar {
		if room := min(width-len(text)-4, 30); room >= 8 {
			text = "[" + p.bar(room) + "] " + text
		}
		if len(text) >= width {
			text = text[:max(width-1, 0)]
		}
	}
	return text
}

// bar draws what is done and what failed.
func (p progress) bar(n int) string {
	if p.Total == 0 {
		return strings.Repeat(" ", n)
	}
	good, bad := p.Done, int64(0)
	if p.Verb == "" {
		good, bad = p.Counts.Succeeded, p.Counts.Failed
	}
	cells := int((good + bad) * int64(n) / p.Total)
	wrong := int(bad * int64(n) / p.Total)
	if bad > 0 && wrong == 0 && cells > 0 {
		wrong = 1 // one failure in a million still shows
	}
	return strings.Repeat("#", cells-wrong) + strings.Repeat("x", wrong) + strings.Repeat(".", n-cells)
}

// pace measures how fast something goes, over the last seconds.
type pace struct {
	at   []time.Time
	done []int64
}

// paceWindow is how far back a rate looks.
const paceWindow = 10 * time.Second

// add records how much is done and gives the rate and the time that the rest will take.
func (p *pace) add(now time.Time, done, total int64) (rate float64, left time.Duration) {
	p.at, p.done = append(p.at, now), append(p.done, done)
	old := 0
	for old < len(p.at)-2 && now.Sub(p.at[old+1]) >= paceWindow {
		old++
	}
	p.at, p.done = p.at[old:], p.done[old:]
	span := now.Sub(p.at[0]).Seconds()
	if span <= 0 || done <= p.done[0] {
		return 0, 0
	}
	rate = float64(done-p.done[0]) / span
	return rate, time.Duration(float64(total-done) / rate * float64(time.Second))
}

// grouped writes a count with a comma for each thousand.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted is a number with its noun.
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

func perSecond(rate float64) string {
	switch {
	case rate >= 10:
		return grouped(int64(rate+0.5)) + "/s"
	case rate >= 0.1:
		return fmt.Sprintf("%.1f/s", rate)
	}
	return fmt.Sprintf("%.1f/min", rate*60)
}

// roughly writes a time to come.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int((d+time.Second-1)/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// spent writes a time that has passed.
func spent(d time.Duration) string {
	switch {
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return roughly(d)
}

// micros is a duration of so many microseconds.
func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// sized writes a number of bytes.
func sized(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
