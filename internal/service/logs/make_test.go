package logs

import (
	"errors"
	"fmt"
	"testing"

	"drover/internal/core/fault"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// A client that has seen a silent job end asks for its log at once: the stream is there.
func TestStreamBeingMadeIsFound(t *testing.T) {
	both(t, func(t *testing.T, s *Service) {
		read := func(stream string) error {
			out, err := s.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String(JobGroup), LogStreamName: &stream})
			if err == nil && (len(out.Events) != 0 || out.NextForwardToken == nil) {
				return fmt.Errorf("it has %d events, token %v", len(out.Events), out.NextForwardToken)
			}
			return err
		}
		for i := range 20 {
			name := fmt.Sprint("silent/default/", i)
			made := s.Make(t.Context(), []Chunk{{Group: JobGroup, Stream: name}, {Group: JobGroup, Stream: name + "b"}})
			again := s.Make(t.Context(), []Chunk{{Group: JobGroup, Stream: name}}) // a worker that repeats itself
			if err := errors.Join(read(name+"b"), read(name), <-made, <-again, read(name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-s.Make(t.Context(), nil); err != nil {
			t.Error(err)
		}
		if err := <-s.Make(t.Context(), []Chunk{{Group: JobGroup, Stream: "a:b"}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a bad name: %v", err)
		}
		if err := read("nobody/makes/it"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a stream that nobody makes: %v", err)
		}
		if n := len(s.making.streams); n != 0 {
			t.Errorf("%d streams are still being made", n)
		}
	})
}
