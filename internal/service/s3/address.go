package s3

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"drover/internal/core/fault"
)

// operationOf names what a request asks for, or refuses it.
func operationOf(r *http.Request, path, query string) (*operation, error) {
	bucket, key, slash := strings.Cut(path[1:], "/")
	on := onObject
	switch {
	case bucket == "":
		on = onService
		if slash && key != "" {
			return nil, fault.New(fault.Invalid, "InvalidBucketName", "The path begins with two slashes, so it names no bucket.")
		}
	case key == "":
		on = onBucket
	}
	if r.Method == http.MethodOptions && on != onService {
		return &operation{name: "Options", on: on}, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fault.New(fault.Invalid, "InvalidURI", "The query string cannot be read: %v.", err)
	}
	op := recognise(r.Method, on, values, r.Header)
	switch {
	case op == nil && r.Method == http.MethodPost && on == onBucket:
		return nil, withStatus(412, fault.New(fault.Invalid, "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data"))
	case op == nil:
		return nil, withStatus(405, fault.New(fault.Invalid, "MethodNotAllowed", "The specified method is not allowed against this resource."))
	case !op.served:
		return nil, notBuilt(op.name)
	}
	return op, nil
}

func notBuilt(op string) error {
	return fault.New(fault.NotBuilt, "NotImplemented", "drover's S3 does not have the operation %s.", op)
}

// HostBucket is the bucket that a host name stands for, or "".
func (s *Service) HostBucket(host string) string { return hostBucket(host, s.opts.Domains) }

// hostBucket is the bucket that a virtual-host address names, or "". domains are names of
// this server beside localhost and those of AWS.
func hostBucket(host string, domains []string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if slices.Contains(domains, host) {
		return ""
	}
	for _, d := range domains {
		if bucket, ok := strings.CutSuffix(host, "."+d); ok {
			return bucket
		}
	}
	if bucket, ok := strings.CutSuffix(host, ".localhost"); ok {
		if bucket == "s3" { // an endpoint's name; buckets have three letters or more
			return ""
		}
		return strings.TrimSuffix(bucket, ".s3")
	}
	name, ok := strings.CutSuffix(host, ".amazonaws.com")
	if !ok {
		return ""
	}
	// bucket.s3, bucket.s3.region, bucket.s3-region, bucket.s3.dualstack.region
	if i := strings.LastIndex(name, ".s3"); i > 0 {
		if rest := name[i+3:]; rest == "" || rest[0] == '.' || rest[0] == '-' {
			return name[:i]
		}
	}
	return ""
}

// withoutSignature takes a presigned URL's parameters out of a query and leaves the rest
// as it is, byte for byte.
func withoutSignature(query string) string {
	old := strings.Contains(query, "AWSAccessKeyId=")
	if !strings.Contains(query, "X-Amz-") && !old {
		return query
	}
	kept := make([]string, 0, 8)
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
			"X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Content-Sha256":
		case "AWSAccessKeyId", "Signature", "Expires", "x-amz-security-token":
			if !old { // a version 2 signature
				kept = append(kept, pair)
			}
		default:
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

func encodingURL(query string) bool {
	q, err := url.ParseQuery(query)
	return err == nil && q.Get("encoding-type") == "url"
}
