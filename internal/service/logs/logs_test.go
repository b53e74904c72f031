package logs

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"drover/internal/core/fault"
	"drover/internal/store"
	"drover/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// both runs a test on a service over each engine.
func both(t *testing.T, fn func(t *testing.T, s *Service)) {
	t.Helper()
	storetest.Both(t, func(t *testing.T, db *store.DB) { fn(t, service(t, db)) })
}

func service(t testing.TB, db *store.DB) *Service {
	t.Helper()
	s, err := New(t.Context(), db, Config{Account: "000000000000", Region: "drover-1", JobRetention: 30})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantCode fails the test unless err is a fault with the code and a text that holds text.
func wantCode(t *testing.T, err error, code, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	if f := fault.From(err); f.Code != code || !strings.Contains(f.Message, text) {
		t.Fatalf("got %v, want %s: … %s …", err, code, text)
	}
}

// said makes n events from a time on, 1 ms apart.
func said(from int64, n int, format string) []Event {
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{At: from + int64(i), Text: fmt.Sprintf(format, i)}
	}
	return events
}

func texts(events []types.OutputLogEvent) []string {
	var list []string
	for _, e := range events {
		list = append(list, *e.Message)
	}
	return list
}

// all reads a stream from its head as clients do: until the forward token repeats.
func all(t *testing.T, s *Service, group, stream string, limit *int32) []string {
	t.Helper()
	var list []string
	var token *string
	for range 1000 {
		out := must[*cloudwatchlogs.GetLogEventsOutput](t)(s.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &group, LogStreamName: &stream, StartFromHead: aws.Bool(true), NextToken: token, Limit: limit}))
		list = append(list, texts(out.Events)...)
		if token != nil && *token == *out.NextForwardToken {
			return list
		}
		token = out.NextForwardToken
	}
	t.Fatal("the forward token never repeats")
	return nil
}

func TestAppendKeepsEachEventOnce(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		now := nowMillis()
		events := said(now, 10, "line %d")
		steps := []struct {
			first  int64
			events []Event
		}{
			{0, events[:4]}, {0, events[:4]}, // twice
			{2, events[2:6]}, // overlap
			{1, events[1:3]}, // all old
			{8, events[8:]},  // a gap: 6 and 7 were lost
			{6, events[6:8]}, // come too late
			{20, nil},
		}
		for _, fresh := range []bool{false, true} {
			stream := fmt.Sprintf("def/default/%t", fresh)
			for i, st := range steps {
				if fresh {
					s.known = newStreamCache() // as after a restart
				}
				if err := s.Append(t.Context(), []Chunk{{JobGroup, stream, st.first, st.events}}); err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
			}
			want := "line 0,line 1,line 2,line 3,line 4,line 5,line 8,line 9"
			if got := strings.Join(all(t, s, JobGroup, stream, aws.Int32(3)), ","); got != want {
				t.Errorf("restarts %t: got %s, want %s", fresh, got, want)
			}
		}
	})
}

func TestAppendManyStreamsAtOnce(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		now := nowMillis()
		var batch []Chunk
		for i := range 100 {
			name := fmt.Sprintf("s%03d", i%70) // thirty streams come twice
			batch = append(batch, Chunk{"/some/group", name, int64(i / 70), said(now, 1, fmt.Sprintf("%s event %d of %%d", name, i/70))})
		}
		batch = append(batch, Chunk{JobGroup, "empty", 0, nil})
		for range 2 {
			if err := s.Append(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 70 {
			name := fmt.Sprintf("s%03d", i)
			if got, want := len(all(t, s, "/some/group", name, nil)), 1+min(1, (99-i)/70); got != want {
				t.Errorf("%s has %d events, want %d", name, got, want)
			}
		}
		if got := all(t, s, JobGroup, "empty", nil); len(got) != 0 {
			t.Errorf("the empty stream has %v", got)
		}
		groups := must[*cloudwatchlogs.DescribeLogGroupsOutput](t)(s.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})).LogGroups
		if len(groups) != 2 || *groups[0].LogGroupName != JobGroup || aws.ToInt32(groups[0].RetentionInDays) != 30 || groups[1].RetentionInDays != nil {
			t.Errorf("groups %+v", groups)
		}
		if *groups[1].StoredBytes != 100*int64(len("s000 event 0 of 0")) {
			t.Errorf("stored bytes %d: duplicates must not count", *groups[1].StoredBytes)
		}
	})
}

func TestGetLogEventsPaging(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		ctx, now := t.Context(), nowMillis()
		name, stream := aws.String(JobGroup), aws.String("d/default/x")
		events := said(now, 600, "%d")
		for i := 0; i < 600; i += 2 { // one chunk for two events
			if err := s.Append(ctx, []Chunk{{*name, *stream, int64(i), events[i : i+2]}}); err != nil {
				t.Fatal(err)
			}
		}
		get := func(in cloudwatchlogs.GetLogEventsInput) *cloudwatchlogs.GetLogEventsOutput {
			in.LogGroupName, in.LogStreamName = name, stream
			return must[*cloudwatchlogs.GetLogEventsOutput](t)(s.GetLogEvents(ctx, &in))
		}
		if got := all(t, s, *name, *stream, aws.Int32(7)); len(got) != 600 || got[599] != "599" {
			t.Errorf("forward by 7: %d events", len(got))
		}
		// Without startFromHead: the last ones, in order, and then backward to the head.
		out := get(cloudwatchlogs.GetLogEventsInput{Limit: aws.Int32(50)})
		if got := texts(out.Events); len(got) != 50 || got[0] != "550" || got[49] != "599" {
			t.Fatalf("tail: %v", got)
		}
		end := get(cloudwatchlogs.GetLogEventsInput{NextToken: out.NextForwardToken, StartFromHead: aws.Bool(true)})
		if len(end.Events) != 0 || *end.NextForwardToken != *out.NextForwardToken {
			t.Errorf("at the end: %d events, token %s after %s", len(end.Events), *end.NextForwardToken, *out.NextForwardToken)
		}
		seen := 50
		for token := out.NextBackwardToken; ; {
			out = get(cloudwatchlogs.GetLogEventsInput{NextToken: token, Limit: aws.Int32(100)})
			if n := len(out.Events); n > 0 {
				seen += n
				if want := fmt.Sprint(600 - seen); *out.Events[0].Message != want {
					t.Fatalf("backward page starts at %s, want %s", *out.Events[0].Message, want)
				}
			}
			if *out.NextBackwardToken == *token {
				break
			}
			token = out.NextBackwardToken
		}
		if seen != 600 {
			t.Errorf("backward saw %d events", seen)
		}
		// A reader that waits at the end sees what comes, once.
		if err := s.Append(ctx, []Chunk{{*name, *stream, 600, said(now-5000, 1, "late %d")}}); err != nil {
			t.Fatal(err)
		}
		if got := texts(get(cloudwatchlogs.GetLogEventsInput{NextToken: end.NextForwardToken}).Events); len(got) != 1 || got[0] != "late 0" {
			t.Errorf("after the end: %v", got)
		}
		// startTime is inclusive, endTime is not.
		got := texts(get(cloudwatchlogs.GetLogEventsInput{StartTime: aws.Int64(now + 101), EndTime: aws.Int64(now + 104)}).Events)
		if strings.Join(got, ",") != "101,102,103" {
			t.Errorf("time range: %v", got)
		}
	})
}

func TestGetLogEventsAnswersOneMebibyte(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		line := strings.Repeat("x", 100_000)
		if err := s.Append(t.Context(), []Chunk{{JobGroup, "big", 0, said(nowMillis(), 30, line+"%d")}}); err != nil {
			t.Fatal(err)
		}
		out := must[*cloudwatchlogs.GetLogEventsOutput](t)(s.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: aws.String(JobGroup), LogStreamName: aws.String("big"), StartFromHead: aws.Bool(true)}))
		if len(out.Events) != 10 {
			t.Errorf("%d events of 100 kB on a page, want 10", len(out.Events))
		}
		if got := all(t, s, JobGroup, "big", nil); len(got) != 30 {
			t.Errorf("%d events in all, want 30", len(got))
		}
	})
}

func TestPutLogEvents(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		ctx := t.Context()
		g, st := aws.String("g"), aws.String("s")
		put := func(events ...types.InputLogEvent) (*cloudwatchlogs.PutLogEventsOutput, error) {
			return s.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: g, LogStreamName: st, LogEvents: events, SequenceToken: aws.String("ignored")})
		}
		now := nowMillis()
		event := func(at int64, text string) types.InputLogEvent {
			return types.InputLogEvent{Timestamp: &at, Message: &text}
		}
		_, err := put(event(now, "x"))
		wantCode(t, err, codeNotFound, "log group does not exist")
		must[*cloudwatchlogs.CreateLogGroupOutput](t)(s.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: g}))
		_, err = put(event(now, "x"))
		wantCode(t, err, codeNotFound, "log stream does not exist")
		must[*cloudwatchlogs.CreateLogStreamOutput](t)(s.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: g, LogStreamName: st}))

		day := int64(dayMillis)
		must[*cloudwatchlogs.PutLogEventsOutput](t)(put(event(now-1, "a"), event(now, "b")))
		out := must[*cloudwatchlogs.PutLogEventsOutput](t)(put(event(now+int64(time.Hour/time.Millisecond), "c"), event(now+day/4, "too new")))
		if r := out.RejectedLogEventsInfo; r == nil || aws.ToInt32(r.TooNewLogEventStartIndex) != 1 || r.TooOldLogEventEndIndex != nil {
			t.Errorf("too new: %+v", r)
		}
		out = must[*cloudwatchlogs.PutLogEventsOutput](t)(put(event(now-15*day, "old"), event(now-15*day+1, "old")))
		if r := out.RejectedLogEventsInfo; r == nil || aws.ToInt32(r.TooOldLogEventEndIndex) != 2 || out.NextSequenceToken == nil {
			t.Errorf("too old: %+v", r)
		}
		must[*cloudwatchlogs.PutRetentionPolicyOutput](t)(s.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: g, RetentionInDays: aws.Int32(3)}))
		out = must[*cloudwatchlogs.PutLogEventsOutput](t)(put(event(now-3*day-1000, "expired"), event(now-3*day+60_000, "d")))
		if r := out.RejectedLogEventsInfo; r == nil || aws.ToInt32(r.ExpiredLogEventEndIndex) != 1 {
			t.Errorf("expired: %+v", r)
		}
		if got := strings.Join(all(t, s, "g", "s", nil), ""); got != "abcd" {
			t.Errorf("stream has %q, want abcd", got)
		}

		_, err = put(event(now, "x"), event(now-1, "y"))
		wantCode(t, err, codeInvalidParameter, "chronological order")
		_, err = put(event(now-2*day, "x"), event(now, "y"))
		wantCode(t, err, codeInvalidParameter, "24 hours")
		_, err = put()
		wantCode(t, err, codeInvalidParameter, "between 1 and 10000")
		_, err = put(make([]types.InputLogEvent, 10_001)...)
		wantCode(t, err, codeInvalidParameter, "between 1 and 10000")
		_, err = put(event(now, ""))
		wantCode(t, err, codeInvalidParameter, "logEvents.1.member.message")
		half := strings.Repeat("x", 1<<19)
		_, err = put(event(now, half), event(now, half))
		wantCode(t, err, codeInvalidParameter, "Upload too large: 1048628 bytes exceeds limit of 1048576")
	})
}

func TestWaitAfterWakesAtCommit(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		say := func(number int64) {
			if err := s.Append(t.Context(), []Chunk{{JobGroup, "w", number, said(nowMillis(), 1, "%d")}}); err != nil {
				t.Fatal(err)
			}
		}
		woken := make(chan error, 1)
		wait := func(token string) {
			go func() { woken <- s.WaitAfter(t.Context(), JobGroup, "w", token) }()
			for range 1000 { // until it waits: then only the commit can wake it in time
				s.tails.mu.Lock()
				n := len(s.tails.waiting)
				s.tails.mu.Unlock()
				if n > 0 {
					return
				}
				time.Sleep(time.Millisecond)
			}
			t.Fatal("nobody waits")
		}
		token := ""
		for number := range int64(3) { // the first one waits for a stream that does not exist
			wait(token)
			say(number)
			start := time.Now()
			if err := <-woken; err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > lookBack/2 {
				t.Errorf("woken %v after the commit", d)
			}
			out := must[*cloudwatchlogs.GetLogEventsOutput](t)(s.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
				LogGroupName: aws.String(JobGroup), LogStreamName: aws.String("w"), StartFromHead: aws.Bool(true)}))
			token = *out.NextForwardToken
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.WaitAfter(ctx, JobGroup, "w", token); err == nil {
			t.Error("WaitAfter outlived its context")
		}
		wantCode(t, s.WaitAfter(t.Context(), JobGroup, "w", "f/x/1"), codeInvalidParameter, "nextToken")
		if s.tails.count != 0 || len(s.tails.waiting) != 0 {
			t.Errorf("waiters are left: %d, %d", s.tails.count, len(s.tails.waiting))
		}
	})
}
