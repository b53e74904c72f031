// Package logs is CloudWatch Logs: groups, streams and events, fed by jobs (Append) and
// by clients (PutLogEvents).
//
// It promises:
//
//   - Durable: what Append or PutLogEvents accepted has reached the disk.
//   - Kept once: events of Append carry their number within the stream; what the stream
//     has already is dropped, so a batch may be sent any number of times. A gap is
//     accepted: numbers that were lost with a host stay unused.
//   - In order: a stream gives its events in the order of their numbers, which is the
//     order in which they were written. A reader that goes on from a token misses
//     nothing and sees nothing twice, whatever the clocks of the writers did.
//   - Found: a stream that Make has begun to make is there for whoever reads it.
//   - Bounded: one call reads at most scanText bytes of text, answers at most 1 MiB or
//     10,000 events, and says with a token where to go on.
//   - Apart: logs live in a database of their own, so that a flood of them never makes a
//     job's state wait (docs/decisions/0006-log-chunks-in-sql.md).
//
// Where it differs from AWS: FilterLogEvents sorts each page by time, and pages follow
// each other by the time of the first event of a stored chunk, so that across the edge
// of two pages events may stand up to a minute out of order; a stream whose events have
// all expired goes with them, if it has not been written to meanwhile.
package logs

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"drover/internal/core/arn"
	"drover/internal/core/fault"
	"drover/internal/store"
)

// JobGroup is the log group of job output.
const JobGroup = "/aws/batch/job"

// What one call may cost.
const (
	pageEvents    = 10_000
	pageBytes     = 1 << 20  // of an answer: text and eventOverhead
	eventOverhead = 26       // what CloudWatch Logs counts for an event beside its text
	scanText      = 16 << 20 // bytes of text that one call decodes at most
)

// Config says for whom the service speaks.
type Config struct {
	Account string
	Region  string
	// JobRetention is how many days the group of job output keeps its events, when it is
	// made by Append; 0 = for ever. PutRetentionPolicy changes it afterwards.
	JobRetention int
}

// Service is CloudWatch Logs on a database. All methods are safe for concurrent use.
type Service struct {
	db     *store.DB
	config Config
	known  *streamCache
	tails  *tails
	making making
}

//go:embed migrations/*.sql
var migrations embed.FS

func schema() fs.FS { return migrations }

// New brings the tables in db up to date and gives the service on them.
func New(ctx context.Context, db *store.DB, c Config) (*Service, error) {
	if err := db.Migrate(ctx, "logs", schema()); err != nil {
		return nil, err
	}
	return &Service{db: db, config: c, known: newStreamCache(), tails: newTails(), making: making{streams: map[streamName]chan struct{}{}}}, nil
}

// The error codes of CloudWatch Logs.
const (
	codeNotFound         = "ResourceNotFoundException"
	codeExists           = "ResourceAlreadyExistsException"
	codeInvalidParameter = "InvalidParameterException"
)

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, codeInvalidParameter, format, args...)
}

func noGroup() error {
	return fault.New(fault.NotFound, codeNotFound, "The specified log group does not exist.")
}

func noStream() error {
	return fault.New(fault.NotFound, codeNotFound, "The specified log stream does not exist.")
}

const maxName = 512

// checkGroup refuses what is not the name of a log group.
func checkGroup(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-/#", r))
	})
	return checkName("logGroupName", name, bad >= 0, `[\.\-_/#A-Za-z0-9]+`)
}

// checkStream refuses what is not the name of a log stream.
func checkStream(name string) error {
	return checkName("logStreamName", name, strings.ContainsAny(name, ":*\x00"), `[^:*]*`)
}

// readStream reads the name of a stream in a request.
func readStream(group, stream *string) (streamName, error) {
	name := streamName{aws.ToString(group), aws.ToString(stream)}
	if err := checkGroup(name.group); err != nil {
		return name, err
	}
	return name, checkStream(name.stream)
}

func checkName(member, name string, bad bool, pattern string) error {
	const says = "1 validation error detected: Value '%.512s' at '%s' failed to satisfy constraint: "
	switch {
	case name == "":
		return invalid(says+"Member must have length greater than or equal to 1", name, member)
	case len(name) > maxName:
		return invalid(says+"Member must have length less than or equal to %d", name, member, maxName)
	case bad:
		return invalid(says+"Member must satisfy regular expression pattern: %s", name, member, pattern)
	}
	return nil
}

// groupARN is the ARN of a group as it is used for tagging; with ":*" it names what is in it.
func (s *Service) groupARN(name string) string {
	return arn.ARN{Service: "logs", Region: s.config.Region, Account: s.config.Account, Resource: "log-group:" + name}.String()
}

// groupNamed gives the group that a request names by name or by identifier (a name or an ARN).
func groupNamed(name, identifier *string) (string, error) {
	switch {
	case name != nil && identifier != nil:
		return "", invalid("LogGroupName and LogGroupIdentifier are mutually exclusive: give one of them")
	case name != nil:
		return *name, checkGroup(*name)
	case identifier == nil:
		return "", invalid("LogGroupName or LogGroupIdentifier is missing: give one of them")
	}
	group := *identifier
	if strings.HasPrefix(group, "arn:") {
		var err error
		if group, err = groupOfARN(group); err != nil {
			return "", err
		}
	}
	return group, checkGroup(group)
}

// groupOfARN reads the ARN of a group, with or without ":*" at its end.
func groupOfARN(s string) (string, error) {
	a, ok := arn.Parse(s)
	name, isGroup := strings.CutPrefix(a.Resource, "log-group:")
	name = strings.TrimSuffix(name, ":*")
	if !ok || a.Service != "logs" || !isGroup || checkGroup(name) != nil {
		return "", invalid("Invalid ARN '%.512s': a log group is named arn:aws:logs:REGION:ACCOUNT:log-group:NAME", s)
	}
	return name, nil
}

// groupID finds a group.
func groupID(tx *store.Tx, name string) (int64, error) {
	var id int64
	err := tx.Row(`SELECT id FROM log_groups WHERE name = $1`, []byte(name)).Scan(&id)
	if errors.Is(err, store.ErrNoRows) {
		return 0, noGroup()
	}
	return id, err
}

// streamIn finds a stream and the number of its next event.
func streamIn(tx *store.Tx, group int64, name string) (id, next int64, err error) {
	err = tx.Row(`SELECT id, next_number FROM log_streams WHERE group_id = $1 AND name = $2`, group, []byte(name)).Scan(&id, &next)
	if errors.Is(err, store.ErrNoRows) {
		return 0, 0, noStream()
	}
	return id, next, err
}

// find finds a stream by the names of its group and its own.
func find(tx *store.Tx, group, stream string) (id, next int64, err error) {
	g, err := groupID(tx, group)
	if err != nil {
		return 0, 0, err
	}
	return streamIn(tx, g, stream)
}

// limit gives how many items a page has: the caller's wish, or as many as there may be.
func limit(wish *int32, most int) (int, error) {
	if wish == nil {
		return most, nil
	}
	if *wish < 1 || int(*wish) > most {
		return 0, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value between 1 and %d", *wish, most)
	}
	return int(*wish), nil
}

func nowMillis() int64 { return time.Now().UnixMilli() }
