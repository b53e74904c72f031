// Package link is the protocol between the manager and the workers on its hosts: plain
// HTTP and JSON, long polls, everything batched both ways.
//
// It promises that no message is lost or run twice, whatever the network does:
//
//   - A worker says Hello once per life of its process or of the manager's, and lists every
//     lease that it (or its launcher) still holds. The answer opens a session.
//   - Messages to a worker are numbered within the session. Each Poll acknowledges the
//     highest number received; unacknowledged ones come again. A worker ignores numbers it
//     has seen and answers of other sessions.
//   - Everything said of an attempt carries its lease with the fence; the manager refuses
//     what is not current, and the worker then ends that attempt.
//   - Log events are numbered within their stream, so that a chunk sent twice is kept once.
//   - Heartbeats have a connection of their own, so that bulk traffic cannot starve them.
//
// Every request names the protocol Version; another major version is refused in words.
package link

import (
	"time"

	"drover/internal/core/job"
	"drover/internal/core/resource"
)

// Version of the protocol. It rises when an older peer could misread a message: one of
// version 1 would run a pod's first image alone.
const Version = 2

// Timing of leases (reference: reliability contract F5, F6). The manager tells workers.
const (
	HeartbeatEvery = 5 * time.Second
	LeaseTTL       = 30 * time.Second
	PollFor        = 20 * time.Second // longest a poll is held open
)

// Paths below which the handler is mounted.
const (
	PathHello       = "/drover/link/v1/hello"
	PathPoll        = "/drover/link/v1/poll"
	PathReport      = "/drover/link/v1/report"
	PathHeartbeat   = "/drover/link/v1/heartbeat"
	PathCredentials = "/drover/link/v1/credentials"
	PathPrefix      = "/drover/link/"
)

// Hello opens a session.
type Hello struct {
	Version   int             `json:"version"`
	Host      string          `json:"host"` // instance id, "i-" + 17 hex digits, kept across restarts
	Boot      string          `json:"boot"` // changes when the launcher is a new one: what it held is lost
	Capacity  resource.Vector `json:"capacity"`
	Executors []string        `json:"executors"` // "process", later "docker"
	Held      []job.Lease     `json:"held"`      // running, or ended and not yet acknowledged
}

// Welcome answers Hello.
type Welcome struct {
	Session        string      `json:"session"`
	HeartbeatEvery int64       `json:"heartbeatMillis"`
	LeaseTTL       int64       `json:"leaseMillis"`
	Region         string      `json:"region"`
	Endpoint       string      `json:"endpoint"` // URL of the API as jobs on this host reach it
	Drop           []job.Lease `json:"drop"`     // held by the worker but no longer valid: stop and forget
}

// Poll asks for messages; it is held open until there are some.
type Poll struct {
	Host    string `json:"host"`
	Session string `json:"session"`
	Ack     int64  `json:"ack"` // highest message number received in this session
}

// Messages answers Poll.
type Messages struct {
	Session  string    `json:"session"`
	Messages []Message `json:"messages"`
	Leave    bool      `json:"leave,omitempty"` // the server is going for good: end jobs and launcher, then leave
}

// Message is one instruction; exactly one of Start and Stop is set.
type Message struct {
	Seq         int64           `json:"seq"`
	Start       *job.Assignment `json:"start,omitempty"`
	Credentials *Credentials    `json:"credentials,omitempty"` // with Start: the attempt's own
	Staging     *Credentials    `json:"staging,omitempty"`     // with Start: those that move its data, if they are others
	Stop        *Stop           `json:"stop,omitempty"`
}

// Stop tells a worker to end an attempt: SIGTERM, 30 s, SIGKILL. Its exit is reported as usual.
type Stop struct {
	Lease  job.Lease `json:"lease"`
	Reason string    `json:"reason"`
}

// Credentials are an attempt's session credentials: dead as soon as its lease is.
type Credentials struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	SessionToken    string `json:"sessionToken"`
	Expires         int64  `json:"expires"` // µs
}

// Reports carries what happened to many attempts, and their output.
type Reports struct {
	Host    string       `json:"host"`
	Session string       `json:"session"`
	Reports []job.Report `json:"reports,omitempty"`
	Logs    []Chunk      `json:"logs,omitempty"`
}

// Chunk is a run of log events of one attempt, to be kept before its exit is.
type Chunk struct {
	Lease  job.Lease `json:"lease"`
	Stream string    `json:"stream"` // in group /aws/batch/job
	First  int64     `json:"first"`  // number of the first event within the stream, from 0
	Events []Event   `json:"events"`
}

// Event is one log line, without its newline.
type Event struct {
	At   int64  `json:"at"` // ms since 1970, as CloudWatch Logs counts
	Text string `json:"text"`
}

// Outcome answers Reports. Everything not refused is durable.
type Outcome struct {
	Refused []Refusal `json:"refused,omitempty"`
}

// Refusal names an attempt that the worker must stop, if it runs, and forget.
type Refusal struct {
	Lease   job.Lease `json:"lease"`
	Code    string    `json:"code"` // StaleFence, AlreadySettled, UnknownJob
	Message string    `json:"message"`
}

// Heartbeat renews every lease of the host.
type Heartbeat struct {
	Host    string `json:"host"`
	Session string `json:"session"`
}

// CredentialsRequest asks for fresh credentials for leases that are still held.
type CredentialsRequest struct {
	Host    string      `json:"host"`
	Session string      `json:"session"`
	Leases  []job.Lease `json:"leases"`
}

// CredentialsAnswer has one entry per lease asked for; nil where the lease is not valid.
type CredentialsAnswer struct {
	Credentials []*Credentials `json:"credentials"`
	Staging     []*Credentials `json:"staging,omitempty"` // those that move data; nil where they are no others
}

// CodeUnknownSession is the fault code that tells a worker to say Hello again.
const CodeUnknownSession = "UnknownSession"
