package logs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"drover/internal/core/fault"
	"drover/internal/store"
)

func TestGroups(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		ctx := t.Context()
		create := func(name string) error {
			_, err := s.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &name, Tags: map[string]string{"who": name}})
			return err
		}
		for _, name := range []string{"/b", "/a/2", "B", "/a/1", "/a"} {
			if err := create(name); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, create("/b"), codeExists, "The specified log group already exists")
		wantCode(t, create(""), codeInvalidParameter, "length greater than or equal to 1")
		wantCode(t, create("a:b"), codeInvalidParameter, `[\.\-_/#A-Za-z0-9]+`)
		wantCode(t, create(strings.Repeat("x", 513)), codeInvalidParameter, "less than or equal to 512")
		_, err := s.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("k"), KmsKeyId: aws.String("key")})
		wantCode(t, err, codeInvalidParameter, "KMS")

		list := func(in cloudwatchlogs.DescribeLogGroupsInput) (names []string) {
			for range 20 {
				out := must[*cloudwatchlogs.DescribeLogGroupsOutput](t)(s.DescribeLogGroups(ctx, &in))
				for _, g := range out.LogGroups {
					names = append(names, *g.LogGroupName)
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					return names
				}
			}
			t.Fatal("the pages never end")
			return nil
		}
		arn := "arn:aws:logs:drover-1:000000000000:log-group:/a"
		for want, in := range map[string]cloudwatchlogs.DescribeLogGroupsInput{
			"/a /a/1 /a/2 /b B": {Limit: aws.Int32(2)},
			"/a /a/1 /a/2":      {LogGroupNamePrefix: aws.String("/a"), Limit: aws.Int32(1)},
			"/a/1":              {LogGroupNamePattern: aws.String("1")},
			"/a /b":             {LogGroupIdentifiers: []string{arn + ":*", "/b", "/gone"}},
			"":                  {LogGroupClass: types.LogGroupClassInfrequentAccess},
		} {
			if got := strings.Join(list(in), " "); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		g := must[*cloudwatchlogs.DescribeLogGroupsOutput](t)(s.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})).LogGroups[0]
		if *g.Arn != arn+":*" || *g.LogGroupArn != arn || g.LogGroupClass != "STANDARD" || *g.CreationTime == 0 {
			t.Errorf("group %+v", g)
		}

		tags := func() map[string]string {
			return must[*cloudwatchlogs.ListTagsForResourceOutput](t)(s.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &arn})).Tags
		}
		must[*cloudwatchlogs.TagResourceOutput](t)(s.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(arn + ":*"), Tags: map[string]string{"x": "1", "who": "me"}}))
		must[*cloudwatchlogs.UntagResourceOutput](t)(s.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"x", "never"}}))
		if got := tags(); !maps.Equal(got, map[string]string{"who": "me"}) {
			t.Errorf("tags %v", got)
		}
		many := map[string]string{}
		for i := range 50 {
			many[fmt.Sprint(i)] = ""
		}
		_, err = s.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: &arn, Tags: many})
		wantCode(t, err, "TooManyTagsException", "51 tags")
		_, err = s.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"aws:x": ""}})
		wantCode(t, err, codeInvalidParameter, "reserved")
		_, err = s.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(arn + "/gone")})
		wantCode(t, err, codeNotFound, "log group")
		_, err = s.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String("/a")})
		wantCode(t, err, codeInvalidParameter, "ARN")

		_, err = s.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("/a"), RetentionInDays: aws.Int32(2)})
		wantCode(t, err, codeInvalidParameter, "retentionInDays")
		_, err = s.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String("gone")})
		wantCode(t, err, codeNotFound, "log group")
	})
}

func TestStreams(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		ctx, g := t.Context(), aws.String("/g")
		create := func(name string) error {
			_, err := s.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: g, LogStreamName: &name})
			return err
		}
		wantCode(t, create("x"), codeNotFound, "log group")
		must[*cloudwatchlogs.CreateLogGroupOutput](t)(s.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: g}))
		now := nowMillis()
		for i, name := range []string{"job/2", "job/1", "joé", "other"} {
			if err := create(name); err != nil {
				t.Fatal(err)
			}
			if err := s.Append(ctx, []Chunk{{*g, name, 0, said(now+int64(i)*10, 3, "%d")}}); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, create("job/1"), codeExists, "The specified log stream already exists")
		wantCode(t, create("a:b"), codeInvalidParameter, "[^:*]*")

		list := func(in cloudwatchlogs.DescribeLogStreamsInput) (names []string) {
			in.LogGroupIdentifier = g
			for range 20 {
				out := must[*cloudwatchlogs.DescribeLogStreamsOutput](t)(s.DescribeLogStreams(ctx, &in))
				for _, st := range out.LogStreams {
					names = append(names, *st.LogStreamName)
				}
				if in.NextToken = out.NextToken; in.NextToken == nil {
					return names
				}
			}
			t.Fatal("the pages never end")
			return nil
		}
		one, down := aws.Int32(1), aws.Bool(true)
		cases := []struct {
			in   cloudwatchlogs.DescribeLogStreamsInput
			want []string
		}{
			{cloudwatchlogs.DescribeLogStreamsInput{Limit: one}, []string{"job/1", "job/2", "joé", "other"}},
			{cloudwatchlogs.DescribeLogStreamsInput{Limit: one, Descending: down}, []string{"other", "joé", "job/2", "job/1"}},
			{cloudwatchlogs.DescribeLogStreamsInput{LogStreamNamePrefix: aws.String("jo"), Limit: one}, []string{"job/1", "job/2", "joé"}},
			{cloudwatchlogs.DescribeLogStreamsInput{LogStreamNamePrefix: aws.String("job/"), Descending: down}, []string{"job/2", "job/1"}},
			{cloudwatchlogs.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime, Limit: one}, []string{"job/2", "job/1", "joé", "other"}},
			{cloudwatchlogs.DescribeLogStreamsInput{OrderBy: types.OrderByLastEventTime, Limit: one, Descending: down}, []string{"other", "joé", "job/1", "job/2"}},
		}
		for i, c := range cases {
			if got := list(c.in); !slices.Equal(got, c.want) {
				t.Errorf("case %d: got %q, want %q", i, got, c.want)
			}
		}
		_, err := s.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: g, OrderBy: types.OrderByLastEventTime, LogStreamNamePrefix: g})
		wantCode(t, err, codeInvalidParameter, "Cannot order by LastEventTime")
		_, err = s.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{})
		wantCode(t, err, codeInvalidParameter, "LogGroupName or LogGroupIdentifier")

		st := must[*cloudwatchlogs.DescribeLogStreamsOutput](t)(s.DescribeLogStreams(ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: g})).LogStreams[0]
		if *st.FirstEventTimestamp != now+10 || *st.LastEventTimestamp != now+12 || *st.Arn != "arn:aws:logs:drover-1:000000000000:log-group:/g:log-stream:job/1" {
			t.Errorf("stream %+v", st)
		}
		// A deleted stream is gone, and one of its name starts afresh.
		del := func() error {
			_, err := s.DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: g, LogStreamName: aws.String("job/1")})
			return err
		}
		if err := del(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, del(), codeNotFound, "The specified log stream does not exist.")
		if err := s.Append(ctx, []Chunk{{*g, "job/1", 0, said(now, 1, "again%d")}}); err != nil {
			t.Fatal(err)
		}
		if got := all(t, s, *g, "job/1", nil); len(got) != 1 {
			t.Errorf("after deletion: %q", got)
		}
	})
}

// rows counts what is left in the tables.
func rows(t *testing.T, s *Service) (counts [3]int) {
	t.Helper()
	err := s.db.View(t.Context(), func(tx *store.Tx) error {
		for i, table := range []string{"log_groups", "log_streams", "log_chunks"} {
			if err := tx.Row(`SELECT count(*) FROM ` + table).Scan(&counts[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func purgeAll(t *testing.T, s *Service, now time.Time) {
	t.Helper()
	for range 100 {
		n, err := s.Purge(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	t.Fatal("Purge never ends")
}

func TestPurge(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		ctx, now := t.Context(), time.Now()
		var batch []Chunk
		for i := range 40 {
			batch = append(batch, Chunk{"/drop", fmt.Sprint(i), 0, said(now.UnixMilli(), 2, "%d")})
		}
		var long []Event // more chunks than one transaction deletes
		for i := range purgeChunks + 60 {
			long = append(long, Event{now.UnixMilli() + int64(i)*2*chunkSpan, "x"})
		}
		batch = append(batch,
			Chunk{"/keep", "long", 0, long}, Chunk{"/keep", "short", 0, said(now.UnixMilli(), 1, "s%d")},
			Chunk{JobGroup, "old", 0, said(now.UnixMilli()-40*dayMillis, 5, "old %d")},
			Chunk{JobGroup, "mixed", 0, append(said(now.UnixMilli()-40*dayMillis, 5, "old %d"), said(now.UnixMilli(), 1, "new%d")...)},
			Chunk{JobGroup, "empty", 0, nil},
			Chunk{"/ever", "old", 0, said(0, 5, "old %d")})
		if err := s.Append(ctx, batch); err != nil {
			t.Fatal(err)
		}
		before := rows(t, s)
		if n, err := s.Purge(ctx, now); err != nil || n != 2 {
			t.Fatalf("at first %d rows expire, want the 2 old chunks; %v", n, err)
		}
		must[*cloudwatchlogs.DeleteLogGroupOutput](t)(s.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("/drop")}))
		must[*cloudwatchlogs.DeleteLogStreamOutput](t)(s.DeleteLogStream(ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: aws.String("/keep"), LogStreamName: aws.String("long")}))
		if _, err := s.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("/keep"), LogStreamName: aws.String("long")}); !fault.Is(err, fault.NotFound) {
			t.Errorf("a deleted stream is read: %v", err)
		}
		if got, _ := filtered(t, s, cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/keep")}); !slices.Equal(got, []string{"short:s0"}) {
			t.Errorf("a deleted stream is searched: %q", got)
		}
		purgeAll(t, s, now)
		want := [3]int{before[0] - 1, before[1] - 41, before[2] - 40 - len(long) - 2}
		if got := rows(t, s); got != want {
			t.Errorf("groups, streams and chunks left: %v, want %v", got, want)
		}
		if got := all(t, s, JobGroup, "mixed", nil); !slices.Equal(got, []string{"new0"}) {
			t.Errorf("mixed stream has %q", got)
		}
		// A month later the streams of the job group go too; the other groups keep theirs.
		purgeAll(t, s, now.Add(31*24*time.Hour))
		if got := rows(t, s); got != [3]int{3, 2, 2} {
			t.Errorf("a month later: %v", got)
		}
		for _, g := range must[*cloudwatchlogs.DescribeLogGroupsOutput](t)(s.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})).LogGroups {
			if want := map[string]int64{JobGroup: 0, "/keep": 2, "/ever": 25}[*g.LogGroupName]; *g.StoredBytes != want {
				t.Errorf("%s stores %d bytes, want %d", *g.LogGroupName, *g.StoredBytes, want)
			}
		}
	})
}
