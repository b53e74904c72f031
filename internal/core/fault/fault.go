// Package fault is the one error type that crosses a border of the house: between
// floors that do not share types, and between drover and its clients.
//
// A fault says what kind of thing went wrong (so that callers can decide), the AWS
// error code under which a client knows it, and one sentence for a person that says
// what to change. Causes stay inside the process: only code and message are written
// to the wire.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what a caller can do about a fault.
type Kind uint8

// The kinds. The zero Kind is Internal on purpose: a fault that nobody classified is ours.
const (
	Internal    Kind = iota // drover's own mistake; retry may help
	Invalid                 // the request can never succeed as it is
	NotFound                // the thing named does not exist
	Conflict                // the thing changed or exists already; read again
	Denied                  // known caller, not allowed
	Unsigned                // no caller, or one we cannot prove
	Throttled               // too many requests; slow down and retry
	TooLarge                // over a stated limit
	Unavailable             // cannot be done now; retry later
	NotBuilt                // an operation that drover does not have
)

// Status is the HTTP status of a kind, as AWS services use it.
func (k Kind) Status() int {
	switch k {
	case Invalid, Conflict:
		return 400
	case NotFound:
		return 400 // AWS's JSON services answer 400; S3 overrides it with 404
	case Denied, Unsigned:
		return 403
	case Throttled:
		return 429
	case TooLarge:
		return 413
	case Unavailable:
		return 503
	case NotBuilt:
		return 501
	}
	return 500
}

// Error is a fault. Build it with New or a service's own constructor.
type Error struct {
	Kind    Kind
	Code    string // AWS error code, e.g. "ClientException"
	Message string // one sentence: what is wrong and what to change
	Status  int    // HTTP status when the service differs from Kind.Status; 0 otherwise
	cause   error
}

// New builds a fault; the message is formatted as by fmt.Sprintf.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap is New with a cause, which errors.Is and errors.As see and clients do not.
func Wrap(cause error, kind Kind, code, format string, args ...any) *Error {
	e := New(kind, code, format, args...)
	e.cause = cause
	return e
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Message
	if e.Code != "" {
		s = e.Code + ": " + s
	}
	if e.cause != nil {
		s += " (" + e.cause.Error() + ")"
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.cause }

// HTTPStatus is the status that the fault is answered with.
func (e *Error) HTTPStatus() int {
	if e.Status != 0 {
		return e.Status
	}
	return e.Kind.Status()
}

// From finds the fault in err. An error that holds none becomes an Internal fault whose
// message gives nothing of the inside away.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return Wrap(err, Internal, "InternalFailure", "the request failed inside drover; retry, and see the server's log if it fails again")
}

// Is reports whether err holds a fault of the kind.
func Is(err error, k Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == k
}
