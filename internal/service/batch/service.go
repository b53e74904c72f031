// Package batch is the AWS Batch API of drover, version 2016-08-10: one file per
// operation, each of which checks the request with AWS's rules and words, translates it
// for the manager, and puts the answer in the shape that AWS's clients read.
//
// It promises that a request is either carried out as it says or refused with a
// ClientException that names what is wrong: no member is dropped in silence, and a refused
// request leaves nothing behind. What a definition, queue or compute environment was
// created with is echoed as it came. The state of jobs belongs to the manager; the package
// keeps only a cache of what submissions need.
package batch

import (
	"context"
	"time"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"
	"drover/internal/wire"
)

// Identity is how AWS Batch presents itself on the wire.
var Identity = wire.Identity{
	Name:       "batch",
	Protocols:  []wire.Protocol{wire.RestJSON},
	LowerFirst: true,
	Invalid:    "ClientException",
}

// ops is the table of the API: an Op line stands beside each handler, and the operations
// that drover does not have yet are listed in unbuilt.go.
var ops = wire.NewTable[*Service](Identity)

// Options of a Service.
type Options struct {
	Manager manager.Service
	Account string           // 12 digits
	Region  string           // for requests that carry none
	Limits  job.Limits       // quotas to keep
	Roles   Roles            // nil: the roles that definitions name are not looked up
	Now     func() time.Time // nil = time.Now
}

// Service answers the operations of AWS Batch.
type Service struct {
	m       manager.Service
	names   names
	limits  job.Limits
	roles   Roles
	now     func() time.Time
	catalog *catalog
}

// New builds the service on a manager.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{
		m:       o.Manager,
		names:   names{account: o.Account, region: o.Region},
		limits:  o.Limits,
		roles:   o.Roles,
		now:     o.Now,
		catalog: newCatalog(o.Manager),
	}
}

// Wire is the service, ready for wire.Mux.Add.
func (s *Service) Wire() wire.Service { return wire.Bind(ops, s) }

// invalid is a ClientException, the one code that AWS Batch has for a bad request.
func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "ClientException", format, args...)
}

// notBuilt refuses a member that drover does not have yet.
func notBuilt(member string) error {
	return invalid("%s is not built in this version of drover; leave it out", member)
}

// clientError puts a refusal of the manager under the codes that clients of AWS Batch
// know: ClientException for what the caller can change, ServerException for the rest.
func clientError(err error) error {
	if err == nil {
		return nil
	}
	f := fault.From(err)
	switch f.Kind {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.TooLarge:
		return fault.Wrap(err, fault.Invalid, "ClientException", "%s", f.Message)
	case fault.Internal:
		return fault.Wrap(err, fault.Internal, "ServerException", "%s", f.Message)
	case fault.Unavailable:
		e := fault.Wrap(err, fault.Unavailable, "ServerException", "%s", f.Message)
		e.Status = 500
		return e
	case fault.Throttled:
		return fault.Wrap(err, fault.Throttled, "TooManyRequestsException", "%s", f.Message)
	}
	return err
}

// in gives the names of things for one request: the region is the one that the client
// signed for, because clients compare ARNs with those they built themselves.
func (s *Service) in(ctx context.Context) names {
	n := s.names
	if r := wire.Region(ctx); r != "" {
		n.region = r
	}
	return n
}

// missing turns a fault.NotFound into a ClientException with the operation's own words;
// other errors pass through clientError.
func missing(err error, format string, args ...any) error {
	if fault.Is(err, fault.NotFound) {
		return invalid(format, args...)
	}
	return clientError(err)
}
