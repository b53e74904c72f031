package logs

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"

	"drover/internal/store/storetest"
	"drover/internal/wire"
	"drover/internal/wire/wiretest"
)

func TestConformance(t *testing.T) {
	wiretest.Conformance(t, ops, func(c aws.Config) any { return cloudwatchlogs.NewFromConfig(c) })
}

// TestSDK is the life of a stream as the AWS SDK's own client sees it.
func TestSDK(t *testing.T) {
	s := service(t, storetest.SQLite(t))
	c := cloudwatchlogs.NewFromConfig(wiretest.Config(wiretest.NewMux(s.Wire())))
	ctx, g, st := t.Context(), aws.String("/g"), aws.String("s")

	_, err := c.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: g, LogStreamName: st})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Fatalf("reading a missing group: %v", err)
	}
	if _, err := c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: g}); err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: g})
	if _, ok := errors.AsType[*types.ResourceAlreadyExistsException](err); !ok {
		t.Fatalf("making a group twice: %v", err)
	}
	if _, err := c.CreateLogStream(ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: g, LogStreamName: st}); err != nil {
		t.Fatal(err)
	}
	// What a job can print: controls, NUL, no newline, text that is long.
	want := []string{"plain", "NUL \x00 and \x1b[31mred\x1b[0m", "höher 🐑 \t\"quoted\"", strings.Repeat("\x01", 1<<19)}
	var events []types.InputLogEvent
	for i := range want {
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(nowMillis()), Message: &want[i]})
	}
	if _, err := c.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: g, LogStreamName: st, LogEvents: events}); err != nil {
		t.Fatal(err)
	}
	var got []string
	pages := cloudwatchlogs.NewGetLogEventsPaginator(c, &cloudwatchlogs.GetLogEventsInput{LogGroupName: g, LogStreamName: st, StartFromHead: aws.Bool(true)},
		func(o *cloudwatchlogs.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, texts(out.Events)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d events %.60q, want %d", len(got), got, len(want))
	}
	_, err = c.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{QueryString: aws.String("fields @message"), StartTime: aws.Int64(0), EndTime: aws.Int64(1)})
	if e, ok := errors.AsType[smithy.APIError](err); !ok || !strings.Contains(e.ErrorMessage(), "StartQuery") {
		t.Errorf("an operation that is not built: %v", err)
	}
}

// Every operation that the SDK's client can call is built or known by name.
func TestEveryOperationIsKnown(t *testing.T) {
	var known, want, built []string
	for _, row := range wire.Coverage([]wire.Service{(&Service{}).Wire()}) {
		known = append(known, row.Operation)
		if row.State == wire.Built {
			built = append(built, row.Operation)
		}
	}
	for m := range reflect.TypeFor[*cloudwatchlogs.Client]().Methods() {
		if m.Type.NumIn() == 4 && m.Type.In(1) == reflect.TypeFor[context.Context]() {
			want = append(want, m.Name)
		}
	}
	slices.Sort(known)
	slices.Sort(want)
	if !slices.Equal(known, want) {
		t.Errorf("known:\n%q\nwant:\n%q", known, want)
	}
	if len(built) != 14 {
		t.Errorf("%d operations are built: %q", len(built), built)
	}
}
