package native

import (
	"context"
	"fmt"

	"drover/internal/core/fault"
	"drover/internal/wire"
)

// ReadHistoryInput asks for a page of what the scheduler was told and decided.
type ReadHistoryInput struct {
	Since *int64  // µs since 1970: only terms of a manager in which something happened since then
	Token *string // of the page before
}

// ReadHistoryOutput is pieces of tapes (core/tape), in order. The pieces of one term put
// together are the tape of that term.
type ReadHistoryOutput struct {
	Pieces []HistoryPiece `json:"pieces"`
	Next   string         `json:"next,omitempty"`
}

// HistoryPiece is one piece.
type HistoryPiece struct {
	Term int64  `json:"term"`
	At   int64  `json:"at"`
	Data []byte `json:"data"`
}

// historyPage is about how many bytes of tapes a page has.
const historyPage = 1 << 20

var _ = wire.Op(Ops, "ReadHistory", (*Service).ReadHistory, path("readhistory"))

// ReadHistory gives the recorded history of the scheduler, page by page.
func (s *Service) ReadHistory(ctx context.Context, in *ReadHistoryInput) (*ReadHistoryOutput, error) {
	var since, term, seq int64
	if in.Since != nil {
		since = *in.Since
	}
	if in.Token != nil {
		if _, err := fmt.Sscanf(*in.Token, "%d.%d", &term, &seq); err != nil {
			return nil, fault.New(fault.Invalid, "ValidationException", "the token is not one that drover gave")
		}
	}
	rows, err := s.jobs.History(ctx, since, term, seq, historyPage)
	if err != nil {
		return nil, err
	}
	out := &ReadHistoryOutput{}
	for _, r := range rows {
		out.Pieces = append(out.Pieces, HistoryPiece{Term: r.Term, At: r.At, Data: r.Data})
		out.Next = fmt.Sprintf("%d.%d", r.Term, r.Seq)
	}
	return out, nil
}
