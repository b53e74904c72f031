// Package authz holds the words in which permission is asked for and answered: who asks
// (Principal), for what (Request), and the answer (Decision) with the statement that gave
// it. No answer is given by default except no.
//
// Two questions are asked of every call. Allowed says whether a principal of this kind may
// speak to the service at all: the root key may do everything, a session may call the
// services it was minted for (never the worker protocol), a worker speaks only the worker
// protocol, and the anonymous principal may call no operation (the S3 front asks the
// bucket's policy about it instead). Principals that stand for an IAM user or role are
// Governed: an Authorizer must then allow the action by their policies too.
//
// Denials keeps what was refused, so that a person can ask why.
package authz

import (
	"context"
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
	User                  // a long-lived access key of an IAM user
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
	case User:
		return "user"
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

	User        string   // the IAM user it stands for, by name
	Role        string   // the IAM role it stands for, by name
	ID          string   // the user's or role's id: one that is made again under the same name is another
	SessionName string   // of a role's session
	Limits      []string // session policies: documents, or ARNs of managed policies
	Issued      int64    // of a session: unix seconds
}

// Governed reports whether identity policies decide what the principal may do.
func (p *Principal) Governed() bool { return p.Kind == User || p.User != "" || p.Role != "" }

// UserID is the principal's unique id, as sts:GetCallerIdentity and aws:userid have it.
func (p *Principal) UserID() string {
	switch {
	case p.Kind == Root:
		return p.Account // as AWS names the root user
	case p.Role != "":
		return p.ID + ":" + p.SessionName
	case p.ID != "":
		return p.ID
	}
	return p.AccessKey
}

// Name is how messages call the principal.
func (p Principal) Name() string {
	if p.ARN != "" {
		return p.ARN
	}
	return p.Kind.String()
}

// Allowed reports whether the principal may speak to the service (named by its signing
// name) at all; the error is an AccessDenied fault that names the operation. For a
// Governed principal it is the first of two questions.
func Allowed(p Principal, service, op string) error {
	switch p.Kind {
	case Root:
		return nil
	case Session, User:
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

// Request is a question to an Authorizer.
type Request struct {
	Principal *Principal
	Action    string // "batch:SubmitJob"
	Resource  string // an ARN, or "*" for actions that are not about one thing
	// Conditions gives the values of the request's condition keys. It is called only if a
	// statement speaks of the action. nil: there are none.
	Conditions func() map[string][]string
}

// Effect is what policies say to a request.
type Effect uint8

// The effects. The zero Effect is that nobody allowed it.
const (
	NoMatch Effect = iota // no statement speaks of it
	Allow                 // at least one statement allows it, none denies it
	Deny                  // a statement denies it, or a policy cannot be judged
)

// Decision is the answer to a request.
type Decision struct {
	Effect    Effect
	Policy    string // the policy that decided; "" for NoMatch
	Statement string // its statement: the Sid, or "statement 2"
	Reason    string // why, where no statement tells
}

// Because is the reason for a person.
func (d Decision) Because() string {
	switch {
	case d.Reason != "":
		return d.Reason
	case d.Statement == "":
		return "no statement allows it"
	case d.Effect == Deny:
		return d.Statement + " of " + d.Policy + " denies it"
	}
	return d.Statement + " of " + d.Policy + " allows it"
}

// Authorizer answers requests of Governed principals.
type Authorizer interface {
	Decide(ctx context.Context, r *Request) (Decision, error)
}

// Refusal is the fault for a request that was decided against, in AWS's words.
func Refusal(r *Request, d Decision) error {
	why := "because no identity-based policy allows the " + r.Action + " action"
	if d.Effect == Deny {
		why = "with an explicit deny in an identity-based policy"
	}
	on := ""
	if r.Resource != "" && r.Resource != "*" {
		on = " on resource: " + r.Resource
	}
	return fault.New(fault.Denied, "AccessDenied", "User: %s is not authorized to perform: %s%s %s", r.Principal.Name(), r.Action, on, why)
}
