// Package authz answers one question: may this principal do this action? It is pure:
// the same principal and action always get the same answer, and no answer is given by
// default except no.
//
// Until IAM policies exist the rules are these: the root key may do everything, a
// session may call the services it was minted for (never the worker protocol), a worker
// speaks only the worker protocol, and the anonymous principal may call no operation (the
// S3 front asks the bucket's policy about it instead).
package authz

import (
	"slices"

	"drover/internal/core/fault"
)

// Kind says what sort of caller a principal is.
type Kind uint8

// The kinds of principal. The zero Kind is Anonymous, so that a principal which nobody
// filled in may do nothing.
const (
	Anonymous Kind = iota // nobody: the request carried no signature
	Root                  // the account's own key
	Session               // temporary credentials, such as a job attempt's
	Worker                // a drover worker on its own protocol
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Root:
		return "root"
	case Session:
		return "session"
	case Worker:
		return "worker"
	}
	return "anonymous"
}

// WorkerService is the signing name of the worker protocol, the only service that a
// worker's own credentials open.
const WorkerService = "drover-worker"

// Principal is who makes a request, as proved by its signature.
type Principal struct {
	Account   string
	AccessKey string
	ARN       string
	Kind      Kind
	Attempt   string   // the attempt that a session was minted for; "" otherwise
	Services  []string // what a session may call; nil: everything its account may
}

// Name is how messages call the principal.
func (p Principal) Name() string {
	if p.ARN != "" {
		return p.ARN
	}
	return p.Kind.String()
}

// Allowed reports whether the principal may call the operation of the service (named by
// its signing name); the error is an AccessDenied fault that names both.
func Allowed(p Principal, service, op string) error {
	switch p.Kind {
	case Root:
		return nil
	case Session:
		if service != WorkerService && (p.Services == nil || slices.Contains(p.Services, service)) {
			return nil
		}
	case Worker:
		if service == WorkerService {
			return nil
		}
	}
	return fault.New(fault.Denied, "AccessDenied", "%s is not allowed to perform %s:%s", p.Name(), service, op)
}
