package s3

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func TestKeysAreOpaque(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("keys")
	keys := []string{"plain", "sp ace", "a+b", "a%2Fb", "100%", "%41", "ü/ß", "日本/語", "q?x=y&z", "h#ash", "a;b=c", "tilde~", "quote'\"", "back\\slash",
		"star*", "[brackets]", "a,b", "\x01control", ".hidden", "..dots", "a..b/c.", "Case", "case", "at@:colon", "emoji🐑", "trailing ", " leading", "a\tb", strings.Repeat("x", 255) + "/" + strings.Repeat("y", 255)}
	for _, k := range keys {
		r.put(b, k, "content of "+k)
		if got := r.get(b, k); got != "content of "+k {
			t.Errorf("%q came back as %q", k, got)
		}
	}
	var got []string
	in := &awss3.ListObjectsV2Input{Bucket: &b, EncodingType: types.EncodingTypeUrl, MaxKeys: aws.Int32(1)} // a token after every key
	for pages := awss3.NewListObjectsV2Paginator(r.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			key, err := url.QueryUnescape(*o.Key) // as botocore does
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, key)
		}
	}
	if want := slices.Sorted(slices.Values(keys)); !slices.Equal(got, want) {
		t.Errorf("listed %q\nwant   %q", got, want)
	}
}

// Keys that a file system would fold into others are refused, and never reach another's file.
func TestKeysThatFilesCannotHold(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("keys")
	r.put(b, "k", "precious")
	r.put(b, "a/k", "precious")
	for _, k := range []string{"/k", "//k", "a//k", "a/./k", "a/../k", "./k", "../keys/k", "a/../../keys/k", "..", ".", "nul\x00byte", ".sgwtmp/x", strings.Repeat("z", 256), strings.Repeat("a/", 600) + "b"} {
		if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: &k, Body: strings.NewReader("overwritten")}); err == nil {
			t.Errorf("put %q was taken", k)
		} else if c := code(err); c == "InternalError" {
			t.Errorf("put %q: %v", k, err)
		}
		if _, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &k}); err == nil {
			t.Errorf("get %q found something", k)
		}
		if _, err := r.client.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: &b, Key: aws.String("copy"), CopySource: aws.String(b + "/" + (&escaper{}).path(k))}); err == nil {
			t.Errorf("copy from %q found something", k)
		}
		_, _ = r.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: &k})
		_, _ = r.client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: &b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &k}}}})
	}
	for _, k := range []string{"k", "a/k"} {
		if got := r.get(b, k); got != "precious" {
			t.Errorf("%s = %q", k, got)
		}
	}
}

type escaper struct{}

func (*escaper) path(k string) string {
	var b strings.Builder
	for i := range len(k) {
		fmt.Fprintf(&b, "%%%02X", k[i])
	}
	return b.String()
}
