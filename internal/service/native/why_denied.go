package native

import (
	"context"

	"drover/internal/core/fault"
	"drover/internal/wire"
)

// Denials is what the API asks of whoever keeps refused requests.
type Denials interface {
	// Of gives what was refused of a request, oldest first.
	Of(requestID string) []wire.Denial
}

// Explain lets the API tell why requests were refused.
func (s *Service) Explain(d Denials) *Service {
	s.denials = d
	return s
}

// WhyDeniedInput names the request.
type WhyDeniedInput struct {
	RequestId *string // as the refusal's answer has it
}

// WhyDeniedOutput says what was refused.
type WhyDeniedOutput struct {
	Denials []Denied `json:"denials"`
}

// Denied is one thing that a request was refused.
type Denied struct {
	At        int64  `json:"at"` // µs
	Principal string `json:"principal"`
	Action    string `json:"action"`
	Resource  string `json:"resource"`
	Policy    string `json:"policy"` // whose statement denied it; "" if none allowed it
	Statement string `json:"statement"`
	Reason    string `json:"reason"`
}

var _ = wire.Op(Ops, "WhyDenied", (*Service).WhyDenied, path("whydenied"), wire.Required("RequestId"))

// WhyDenied tells why a request was refused. The newest refusals are kept, in memory.
func (s *Service) WhyDenied(_ context.Context, in *WhyDeniedInput) (*WhyDeniedOutput, error) {
	out := &WhyDeniedOutput{}
	if s.denials != nil {
		for _, d := range s.denials.Of(*in.RequestId) {
			out.Denials = append(out.Denials, Denied{At: d.At.UnixMicro(), Principal: d.Principal, Action: d.Action,
				Resource: d.Resource, Policy: d.Policy, Statement: d.Statement, Reason: d.Reason})
		}
	}
	if len(out.Denials) == 0 {
		return nil, fault.New(fault.NotFound, "ResourceNotFoundException",
			"nothing that was refused is known of the request %s: the server keeps its newest 10,000 refusals since it was started, and only those by permission", *in.RequestId)
	}
	return out, nil
}
