package s3

import (
	"context"
	"errors"

	"github.com/versity/versitygw/s3err"

	"drover/internal/blob"
	"drover/internal/core/fault"
)

// The library answers errors of its own kind as they are and all others as InternalError.

func apiError(status int, code, message string) error {
	return s3err.APIError{Code: code, Description: message, HTTPStatusCode: status}
}

func errNoSuchBucket(name string) error { return s3err.GetBucketErr(s3err.ErrNoSuchBucket, name) }
func errNoSuchKey() error               { return s3err.GetAPIError(s3err.ErrNoSuchKey) }

// explain turns what went wrong below into what a client can act on, and logs what an
// operator must know.
func (o *vault) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[s3err.S3Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return apiError(400, "RequestTimeout", "The request ended before it was done.")
	}
	if d, ok := errors.AsType[*blob.Damage](err); ok {
		o.log.Error("s3: stored content is damaged", "what", what, "content", d.ID, "offset", d.Offset, "where", d.Where, "reason", d.Reason)
		return apiError(500, "InternalError", "The stored content of "+what+" is damaged and is not served. Restore the object from its source; drover doctor lists what is damaged.")
	}
	if errors.Is(err, blob.ErrFull) {
		o.log.Warn("s3: disk full", "what", what, "err", err)
		return s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		if f.Kind == fault.Unavailable {
			o.log.Warn("s3: store unavailable", "what", what, "err", err)
			return apiError(503, "ServiceUnavailable", f.Message)
		}
	}
	o.log.Error("s3: internal error", "what", what, "err", err)
	return err
}
