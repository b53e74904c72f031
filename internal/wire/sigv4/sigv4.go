// Package sigv4 proves who sent a request: AWS Signature Version 4 in its header, query
// (presigned) and chunked forms, for the server and for drover's own clients.
//
// What it promises:
//   - A request is accepted only if every part that drover acts on is covered by the
//     signature: method, path, query, host, every x-amz-* header, and the body (except
//     for S3's explicit UNSIGNED-PAYLOAD forms).
//   - The path is judged as it came over the wire, never as a server decoded it. S3
//     paths are encoded once and not normalised; those of other services are normalised
//     and encoded twice.
//   - Nothing is guessed: an unknown payload form, a second set of credentials, an
//     ECDSA (SigV4a) signature is refused with a message that says so, and one of version 2
//     too, unless Verifier.V2 lets it in.
//   - Faults carry AWS's codes in their query spelling; the wire layer puts them into
//     the dress of the protocol that the client speaks.
//
// A replay within the time window is accepted, as AWS accepts it: calls that must not
// happen twice need a token of their own.
package sigv4

import (
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
)

// Credentials sign requests.
type Credentials struct {
	AccessKey    string
	Secret       string
	SessionToken string    // "" for long-lived keys
	Expires      time.Time // zero: never
}

// Key is what a verifier needs to know about an access key.
type Key struct {
	Secret    string
	Principal authz.Principal
}

// KeySource looks up access keys. It refuses with a fault of code CodeUnknownKey for a
// key it does not know or a session token that does not belong to the key, and
// CodeExpiredToken for a session that has ended.
type KeySource interface {
	Secret(accessKey, sessionToken string, now time.Time) (Key, error)
}

// The codes of the faults that this package and its key sources return.
const (
	CodeMissingToken = "MissingAuthenticationToken" // no signature at all
	CodeUnknownKey   = "InvalidClientTokenId"       // no such access key, or a foreign session token
	CodeExpiredToken = "ExpiredToken"               // the session has ended
	CodeMismatch     = "SignatureDoesNotMatch"      // signature or signed parts differ
	CodeIncomplete   = "IncompleteSignature"        // the signature's own parts are missing or malformed
	CodeSkewed       = "RequestTimeTooSkewed"       // signed too long ago or in the future
	CodeExpired      = "RequestExpired"             // a presigned URL past its life
	CodeDenied       = "AccessDenied"               // headers that matter are not signed
	CodeBodyHash     = "XAmzContentSHA256Mismatch"  // body differs from its signed hash
	CodeIncompleteBd = "IncompleteBody"             // body shorter or longer than announced
	CodeUnsupported  = "InvalidRequest"             // a form of authentication drover does not take
)

const (
	algorithm    = "AWS4-HMAC-SHA256"
	terminator   = "aws4_request"
	isoBasic     = "20060102T150405Z"
	isoDate      = "20060102"
	maxSkew      = 15 * time.Minute
	maxPresigned = 7 * 24 * time.Hour

	// EmptyHash is the SHA-256 of no bytes.
	EmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	// UnsignedPayload says that the body is not covered by the signature (S3 only).
	UnsignedPayload = "UNSIGNED-PAYLOAD"

	streamSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// RawPath reports whether a service signs its path as it is sent, without
// normalisation and second encoding. S3 does; no other service.
func RawPath(service string) bool { return service == "s3" }

func refuse(code, format string, args ...any) *fault.Error {
	return fault.New(fault.Unsigned, code, format, args...)
}

func errMismatch() *fault.Error {
	return refuse(CodeMismatch, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
}

// ErrUnknownKey is the fault for an access key that does not exist.
func ErrUnknownKey() error {
	return refuse(CodeUnknownKey, "The security token included in the request is invalid.")
}

// ErrExpiredToken is the fault for a session that has ended.
func ErrExpiredToken() error {
	return refuse(CodeExpiredToken, "The security token included in the request is expired.")
}
