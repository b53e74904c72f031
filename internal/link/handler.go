package link

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"drover/internal/core/fault"
)

// Backend is what answers workers: the manager.
type Backend interface {
	Hello(ctx context.Context, h Hello) (Welcome, error)
	// Poll blocks until there are messages, up to PollFor; ending ctx ends it early.
	Poll(ctx context.Context, p Poll) (Messages, error)
	Report(ctx context.Context, r Reports) (Outcome, error)
	Heartbeat(ctx context.Context, h Heartbeat) error
	Credentials(ctx context.Context, r CredentialsRequest) (CredentialsAnswer, error)
}

// Fault codes of the protocol itself.
const (
	CodeWrongVersion = "WrongVersion" // the two sides are of releases that cannot talk
	CodeWrongToken   = "WrongToken"   // the worker token is not this manager's
	CodeBadMessage   = "BadMessage"   // not a message of this protocol
	CodeManagerAway  = "ManagerAway"  // no answer from the manager
)

// versionHeader carries Version on every request and answer.
const versionHeader = "Drover-Link"

// Most bytes that a request of each kind may have: enough for a worker's whole load,
// bounded so that no peer can fill the manager's memory.
const (
	maxHello       = 8 << 20 // held leases: ~60 bytes each
	maxPoll        = 16 << 10
	maxReport      = 16 << 20 // a worker sends about 1 MiB of output at a time; JSON may grow it sixfold
	maxHeartbeat   = 16 << 10
	maxCredentials = 1 << 20
	maxAnswer      = 64 << 20
)

// Handler serves the worker protocol. Every request needs the bearer token.
func Handler(b Backend, token string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+PathHello, serve(token, maxHello, func(ctx context.Context, h *Hello) (Welcome, error) {
		if h.Version != Version {
			return Welcome{}, wrongVersion(strconv.Itoa(h.Version))
		}
		return b.Hello(ctx, *h)
	}))
	mux.Handle("POST "+PathPoll, serve(token, maxPoll, func(ctx context.Context, p *Poll) (Messages, error) {
		return b.Poll(ctx, *p)
	}))
	mux.Handle("POST "+PathReport, serve(token, maxReport, func(ctx context.Context, r *Reports) (Outcome, error) {
		return b.Report(ctx, *r)
	}))
	mux.Handle("POST "+PathHeartbeat, serve(token, maxHeartbeat, func(ctx context.Context, h *Heartbeat) (struct{}, error) {
		return struct{}{}, b.Heartbeat(ctx, *h)
	}))
	mux.Handle("POST "+PathCredentials, serve(token, maxCredentials, func(ctx context.Context, r *CredentialsRequest) (CredentialsAnswer, error) {
		return b.Credentials(ctx, *r)
	}))
	return mux
}

func wrongVersion(said string) error {
	return fault.New(fault.Invalid, CodeWrongVersion,
		"the worker speaks version %q of the worker protocol and the manager version %d; run the same release of drover on both", said, Version)
}

// serve reads a message of type In, calls do, and writes its answer.
func serve[In, Out any](token string, limit int64, do func(context.Context, *In) (Out, error)) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if !ok || token == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			answerFault(w, fault.New(fault.Unsigned, CodeWrongToken, "the worker token is missing or not this manager's; give the worker the token from the manager's data folder"))
			return
		}
		if v := r.Header.Get(versionHeader); v != strconv.Itoa(Version) {
			answerFault(w, wrongVersion(v))
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
		if err != nil {
			if _, big := errors.AsType[*http.MaxBytesError](err); big {
				answerFault(w, fault.New(fault.TooLarge, CodeBadMessage, "the message is larger than %d bytes", limit))
				return
			}
			answerFault(w, fault.Wrap(err, fault.Invalid, CodeBadMessage, "the message was cut off; send it again"))
			return
		}
		in := new(In)
		if err := json.Unmarshal(body, in); err != nil {
			answerFault(w, fault.Wrap(err, fault.Invalid, CodeBadMessage, "the message is not the JSON of a %T", *in))
			return
		}
		out, err := do(r.Context(), in)
		if err != nil {
			answerFault(w, err)
			return
		}
		answer(w, http.StatusOK, out)
	})
}

// wireFault is a fault as it travels.
type wireFault struct {
	Kind    fault.Kind `json:"kind"`
	Code    string     `json:"code"`
	Message string     `json:"message"`
}

func answerFault(w http.ResponseWriter, err error) {
	f := fault.From(err)
	answer(w, f.HTTPStatus(), wireFault{Kind: f.Kind, Code: f.Code, Message: f.Message})
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // nothing in these messages can fail to marshal, except a bad string a job wrote
		status = http.StatusInternalServerError
		body = []byte(`{"kind":0,"code":"InternalFailure","message":"the manager could not write its answer"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set(versionHeader, strconv.Itoa(Version))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a worker that has gone asks again
}
