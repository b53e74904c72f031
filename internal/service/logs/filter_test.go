package logs

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

func TestPattern(t *testing.T) {
	cases := []struct{ pattern, yes, no string }{
		{"", "anything", ""},
		{"  ", "anything", ""},
		{"ERROR", "[ERROR 400] bad", "error 400"},
		{"ERROR 400", "[400] ERROR", "ERROR 500"},
		{`"bad request"`, "a bad request", "request bad"},
		{`"say \"hi\" \\"`, `say "hi" \`, `say hi \`},
		{"ERROR -exiting", "ERROR starting", "ERROR exiting"},
		{`-"not found"`, "found", "it was not found"},
		{"?WARN ?ERROR", "an ERROR", "INFO"},
		{"?WARN ?ERROR -debug", "an ERROR", "ERROR debug"},
		{"INFO ?WARN ?ERROR", "INFO only", "ERROR"},
		{`?"disk full" ?quota`, "disk full", "disk"},
		{"%[0-9]{3}ms%", "took 123ms", "took 12ms"},
		{"%^start% fast", "start fast", "a start fast"},
		{"höher", "viel höher", "hoher"},
		{`""`, "anything", ""},
	}
	for _, c := range cases {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		if !p.matches(c.yes) {
			t.Errorf("%q does not match %q", c.pattern, c.yes)
		}
		if c.no != "" && p.matches(c.no) {
			t.Errorf("%q matches %q", c.pattern, c.no)
		}
	}
	for pattern, why := range map[string]string{
		`{ $.level = "ERROR" }`:   "JSON patterns",
		" [ip, user]":             "column patterns",
		`"open`:                   "no closing quote",
		`"open\"`:                 "no closing quote",
		"- x":                     "right before a term",
		"?":                       "right before a term",
		"%x":                      "no closing %",
		"%(a)%":                   "not allowed",
		"%[a%":                    "well formed",
		"%a% %b% %c%":             "at most two",
		strings.Repeat("x", 1025): "less than or equal to 1024",
	} {
		_, err := parsePattern(pattern)
		wantCode(t, err, codeInvalidParameter, why)
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"", "a -b ?c", `"a b" %c+%`, `-"\\"`, "{x}"} {
		f.Add(s, "a b c")
	}
	f.Fuzz(func(t *testing.T, s, text string) {
		p, err := parsePattern(s)
		if err != nil {
			return
		}
		got := p.matches(text)
		for _, term := range p.none {
			if got && strings.Contains(text, term) {
				t.Fatalf("%q matches %q that holds the excluded %q", s, text, term)
			}
		}
		if !got && len(p.all)+len(p.any)+len(p.none)+len(p.regexps) == 0 {
			t.Fatalf("%q has no terms and does not match %q", s, text)
		}
		// The text of every required term together must match, unless something excludes it.
		if len(p.none) == 0 && len(p.regexps) == 0 && len(p.all) > 0 && !p.matches(strings.Join(p.all, " ")) {
			t.Fatalf("%q does not match its own terms %q", s, p.all)
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add("f/12/34", int64(12), int64(-1), int64(5), "name/with/slashes")
	f.Add(pageToken("filter", place{at: 1, id: 2, number: 3, skip: 4, name: "oldest"}), int64(1), int64(2), int64(3), "")
	f.Fuzz(func(t *testing.T, token string, a, b, c int64, name string) {
		if onward, next, err := parseEventToken(token, a); err == nil && eventToken(onward, a, next) != token {
			t.Fatalf("%q is read, but written as %q", token, eventToken(onward, a, next))
		}
		if p, err := parsePageToken("filter", token); err == nil && pageToken("filter", p) != token {
			t.Fatalf("%q is read, but written as %q", token, pageToken("filter", p))
		}
		p := place{at: a, id: b, number: c, skip: a, name: name}
		got, err := parsePageToken("k", pageToken("k", p))
		if len(name) <= maxName && (err != nil || got != p) {
			t.Fatalf("%+v comes back as %+v, %v", p, got, err)
		}
		if _, err := parsePageToken("other", pageToken("k", p)); err == nil {
			t.Fatal("a token of another list is taken")
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(said(1e12, 3, "line %d"), 18))
	f.Add(encode(said(1e12, 300, "line %d"), 3000))
	f.Fuzz(func(t *testing.T, data []byte) {
		if events, err := decode(data); err == nil {
			size := 0
			for _, e := range events {
				size += len(e.Text)
			}
			if again, err := decode(encode(events, size)); err != nil || !slices.Equal(again, events) {
				t.Fatalf("%+v comes back as %+v, %v", events, again, err)
			}
		}
	})
}

func TestPackKeepsItsBounds(t *testing.T) {
	big := strings.Repeat("y", chunkText)
	cases := map[string][]Event{
		"small":    said(5, 3, "%d"),
		"many":     said(5, chunkEvents+1, ""),
		"text":     {{1, big}, {1, "x"}, {1, big + "longer"}, {1, big}},
		"time":     {{0, "a"}, {chunkSpan, "b"}, {chunkSpan + 1, "c"}, {0, "d"}, {math.MaxInt64, "e"}, {math.MinInt64 + 1, "f"}},
		"clock":    {{100_000, "a"}, {99_000, "b"}, {20_000, "c"}},
		"nothing":  nil,
		"NUL byte": {{1, "\x00\x1b[31mred"}},
	}
	for name, events := range cases {
		t.Run(name, func(t *testing.T) {
			var got []Event
			for _, c := range pack(7, events) {
				if c.number != 7+int64(len(got)) {
					t.Fatalf("chunk starts at %d, want %d", c.number, 7+len(got))
				}
				some, err := decode(c.data)
				if err != nil || len(some) != c.events {
					t.Fatalf("%d events, want %d, %v", len(some), c.events, err)
				}
				size := 0
				for _, e := range some {
					size += len(e.Text)
					if e.At < c.first || e.At > c.last {
						t.Fatalf("event at %d outside of %d to %d", e.At, c.first, c.last)
					}
				}
				if size != c.size || span(c.first, c.last) > chunkSpan || c.events > 1 && size > chunkText || c.events > chunkEvents {
					t.Fatalf("chunk %d: %d events, %d bytes, %d ms", c.number, c.events, size, span(c.first, c.last))
				}
				got = append(got, some...)
			}
			if !slices.Equal(got, events) {
				t.Fatalf("got %d events back of %d", len(got), len(events))
			}
		})
	}
}

func TestClean(t *testing.T) {
	long := strings.Repeat("é", maxEventText)
	for _, text := range []string{"", "plain", "bad \xff\xfe", long, "\xff" + strings.Repeat("\xffa", maxEventText/2)} {
		got := clean(text)
		if len(got) > maxEventText || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%d bytes, valid %t", len(got), strings.ToValidUTF8(got, "") == got)
		}
	}
	if got := clean(long); !strings.HasSuffix(got, "[drover: event cut at 1 MiB]") {
		t.Error("nothing says that the event was cut")
	}
}

// filtered reads all pages and gives "stream:text" of every event, and how many pages.
func filtered(t *testing.T, s *Service, in cloudwatchlogs.FilterLogEventsInput) (list []string, pages int) {
	t.Helper()
	for pages = 1; pages < 500; pages++ {
		out := must[*cloudwatchlogs.FilterLogEventsOutput](t)(s.FilterLogEvents(t.Context(), &in))
		for _, e := range out.Events {
			list = append(list, *e.LogStreamName+":"+*e.Message)
		}
		if out.NextToken == nil {
			return list, pages
		}
		in.NextToken = out.NextToken
	}
	t.Fatal("the pages never end")
	return nil, 0
}

func TestFilterLogEvents(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		// Three streams speak in turns, a second each, 60 times; c also wrote long ago.
		base := nowMillis() - 3600_000
		group := aws.String("/jobs")
		var want []string
		if err := s.Append(t.Context(), []Chunk{{*group, "c", 0, []Event{{base - 86_400_000, "ERROR ancient"}}}, {"/other", "a", 0, said(base, 5, "ERROR other %d")}}); err != nil {
			t.Fatal(err)
		}
		for turn := range int64(60) {
			for i, name := range []string{"a", "b", "c"} {
				first := turn
				if name == "c" {
					first++
				}
				text := fmt.Sprintf("INFO turn %d", turn)
				if turn%10 == 0 {
					text = fmt.Sprintf("ERROR turn %d", turn)
					want = append(want, name+":"+text)
				}
				if err := s.Append(t.Context(), []Chunk{{*group, name, first, []Event{{base + turn*1000 + int64(i), text}}}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		since := aws.Int64(base)
		cases := []struct {
			name string
			in   cloudwatchlogs.FilterLogEventsInput
			want []string
		}{
			{"pattern", cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String("ERROR"), StartTime: since}, want},
			{"small pages", cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String("ERROR"), StartTime: since, Limit: aws.Int32(2)}, want},
			{"no time", cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String("ERROR")}, slices.Insert(slices.Clone(want), 0, "c:ERROR ancient")},
			{"times inclusive", cloudwatchlogs.FilterLogEventsInput{StartTime: aws.Int64(base + 1001), EndTime: aws.Int64(base + 2000)}, []string{"b:INFO turn 1", "c:INFO turn 1", "a:INFO turn 2"}},
			{"two streams", cloudwatchlogs.FilterLogEventsInput{LogStreamNames: []string{"b", "a", "b"}, StartTime: since, EndTime: aws.Int64(base + 999)}, []string{"a:ERROR turn 0", "b:ERROR turn 0"}},
			{"streams by page", cloudwatchlogs.FilterLogEventsInput{LogStreamNames: []string{"a", "c"}, FilterPattern: aws.String("ERROR"), Limit: aws.Int32(1)},
				slices.Insert(slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s[0] == 'b' }), 0, "c:ERROR ancient")},
			{"prefix", cloudwatchlogs.FilterLogEventsInput{LogStreamNamePrefix: aws.String("b"), FilterPattern: aws.String(`"turn 50"`)}, []string{"b:ERROR turn 50"}},
			{"nothing", cloudwatchlogs.FilterLogEventsInput{FilterPattern: aws.String("absent")}, nil},
		}
		for _, c := range cases {
			c.in.LogGroupName = group
			if got, _ := filtered(t, s, c.in); !slices.Equal(got, c.want) {
				t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
			}
			c.in.StartFromHead = aws.Bool(false)
			back := slices.Clone(c.want)
			slices.Reverse(back)
			if got, _ := filtered(t, s, c.in); !slices.Equal(got, back) {
				t.Errorf("%s, newest first:\n got %q\nwant %q", c.name, got, back)
			}
		}
		_, err := s.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, LogStreamNames: []string{"nobody"}})
		wantCode(t, err, codeNotFound, "log stream")
		_, err = s.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, LogStreamNames: []string{"a"}, LogStreamNamePrefix: aws.String("a")})
		wantCode(t, err, codeInvalidParameter, "mutually exclusive")
		_, err = s.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, NextToken: aws.String("x")})
		wantCode(t, err, codeInvalidParameter, "nextToken")
	})
}

// A search that finds nothing in much text must give pages, not take its time.
func TestFilterLooksAtBoundedText(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		line := strings.Repeat("all work and no play ", 5000) // 105 kB
		now := nowMillis()
		for i := range int64(4) {
			if err := s.Append(t.Context(), []Chunk{{JobGroup, "flood", i * 90, said(now+i*90, 90, line)}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Append(t.Context(), []Chunk{{JobGroup, "flood", 360, said(now+360, 1, "needle%d")}}); err != nil {
			t.Fatal(err)
		}
		got, pages := filtered(t, s, cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(JobGroup), FilterPattern: aws.String("needle0")})
		if !slices.Equal(got, []string{"flood:needle0"}) || pages != 3 {
			t.Errorf("got %d events in %d pages, want the needle in 3 (38 MB at 16 MiB a page)", len(got), pages)
		}
	})
}
