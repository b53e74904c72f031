package s3

import (
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
