package native

import (
	"context"
	"errors"
	"time"

	"drover/internal/wire"
)

// WaitLogInput names a place in a log stream.
type WaitLogInput struct {
	LogGroupName  *string
	LogStreamName *string
	Token         *string // NextForwardToken of GetLogEvents; absent: the head
	WaitMillis    *int32  // how long to wait
}

// WaitLogOutput says whether GetLogEvents would have something to give now.
type WaitLogOutput struct {
	More bool `json:"more"`
}

var _ = wire.Op(Ops, "WaitLog", (*Service).WaitLog, path("waitlog"),
	wire.Required("LogGroupName", "LogStreamName", "WaitMillis"), wire.Range("WaitMillis", 1, 1000*maxWaitSeconds))

// WaitLog waits until a log stream has an event beyond the token; the stream need not
// exist yet.
func (s *Service) WaitLog(ctx context.Context, in *WaitLogInput) (*WaitLogOutput, error) {
	token := given(in.Token, "")
	ctx, cancel := context.WithTimeout(ctx, time.Duration(*in.WaitMillis)*time.Millisecond)
	defer cancel()
	err := s.logs.WaitAfter(ctx, *in.LogGroupName, *in.LogStreamName, token)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return &WaitLogOutput{}, nil
	}
	return &WaitLogOutput{More: err == nil}, err
}
