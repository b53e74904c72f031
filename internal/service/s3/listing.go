package s3

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// Listings. The library ignores encoding-type=url, by which clients ask for keys in a form
// that XML can carry, and its continuation tokens are bare keys, which XML can damage.

// urlKeys is the user value that says that the client asked for URL-encoded keys.
const urlKeys = "drover-url-keys"

// spelling is how names are written into a listing.
type spelling bool

func spellingOf(ctx context.Context) spelling { return spelling(ctx.Value(urlKeys) != nil) }

func (s spelling) text(v string) string {
	if !s {
		return v
	}
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(v), "+", "%20"), "%2F", "/")
}

func (s spelling) name(p **string) {
	if s && *p != nil {
		v := s.text(**p)
		*p = &v
	}
}

func (s spelling) prefixes(list []types.CommonPrefix) {
	for i := range list {
		s.name(&list[i].Prefix)
	}
}

func (s spelling) encoding() types.EncodingType {
	if s {
		return types.EncodingTypeUrl
	}
	return ""
}

// ListObjects lists a bucket, version 1.
func (f *files) ListObjects(ctx context.Context, in *awss3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	out, err := f.Posix.ListObjects(ctx, in)
	s := spellingOf(ctx)
	out.EncodingType = s.encoding()
	for _, p := range []**string{&out.Prefix, &out.Marker, &out.NextMarker, &out.Delimiter} {
		s.name(p)
	}
	for i := range out.Contents {
		s.name(&out.Contents[i].Key)
	}
	s.prefixes(out.CommonPrefixes)
	return out, err
}

// ListObjectsV2 lists a bucket, version 2.
func (f *files) ListObjectsV2(ctx context.Context, in *awss3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	token := in.ContinuationToken
	if token != nil && *token != "" {
		key, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil {
			return s3response.ListObjectsV2Result{}, s3err.APIError{Code: "InvalidArgument", Description: "The continuation token provided is incorrect", HTTPStatusCode: 400}
		}
		inner, after := *in, string(key)
		inner.ContinuationToken = &after
		in = &inner
	}
	out, err := f.Posix.ListObjectsV2(ctx, in)
	s := spellingOf(ctx)
	out.EncodingType = s.encoding()
	if out.ContinuationToken != nil {
		out.ContinuationToken = token
	}
	if out.NextContinuationToken != nil {
		next := base64.RawURLEncoding.EncodeToString([]byte(*out.NextContinuationToken))
		out.NextContinuationToken = &next
	}
	for _, p := range []**string{&out.Prefix, &out.StartAfter, &out.Delimiter} {
		s.name(p)
	}
	for i := range out.Contents {
		s.name(&out.Contents[i].Key)
	}
	s.prefixes(out.CommonPrefixes)
	return out, err
}

// ListObjectVersions lists a bucket with all versions.
func (f *files) ListObjectVersions(ctx context.Context, in *awss3.ListObjectVersionsInput) (s3response.ListVersionsResult, error) {
	out, err := f.Posix.ListObjectVersions(ctx, in)
	s := spellingOf(ctx)
	out.EncodingType = s.encoding()
	for _, p := range []**string{&out.Prefix, &out.KeyMarker, &out.NextKeyMarker, &out.Delimiter} {
		s.name(p)
	}
	for i := range out.Versions {
		s.name(&out.Versions[i].Key)
	}
	for i := range out.DeleteMarkers {
		s.name(&out.DeleteMarkers[i].Key)
	}
	s.prefixes(out.CommonPrefixes)
	return out, err
}

// ListMultipartUploads lists the uploads that are under way.
func (f *files) ListMultipartUploads(ctx context.Context, in *awss3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	out, err := f.Posix.ListMultipartUploads(ctx, in)
	s := spellingOf(ctx)
	out.EncodingType = string(s.encoding())
	for _, p := range []*string{&out.Prefix, &out.KeyMarker, &out.NextKeyMarker, &out.Delimiter} {
		*p = s.text(*p)
	}
	for i := range out.Uploads {
		out.Uploads[i].Key = s.text(out.Uploads[i].Key)
	}
	for i := range out.CommonPrefixes {
		out.CommonPrefixes[i].Prefix = s.text(out.CommonPrefixes[i].Prefix)
	}
	return out, err
}
