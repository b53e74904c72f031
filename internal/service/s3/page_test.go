package s3

import (
	"encoding/xml"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/versity/versitygw/s3response"

	"drover/internal/wire/sigv4"
)

// Our documents say what the library's say of the same listing.
func TestPages(t *testing.T) {
	now := time.Unix(1700000000, 0).UTC()
	var objects []s3response.Object
	for i, k := range []string{"a", "b<&>\"'", "ü/日本", "x\ty\nz", "plain/key"} {
		size, etag := int64(i), `"0123"`
		o := s3response.Object{Key: &k, Size: &size, ETag: &etag, LastModified: &now, StorageClass: types.ObjectStorageClassStandard}
		if i%2 == 0 {
			o.Owner, o.ChecksumAlgorithm, o.ChecksumType = &types.Owner{ID: &k, DisplayName: &k}, []types.ChecksumAlgorithm{"CRC32"}, "FULL_OBJECT"
		}
		objects = append(objects, o)
	}
	name, yes, keys, count := "bucket", true, int32(5), int32(7)
	one := s3response.ListObjectsResult{Name: &name, Prefix: ptr("p&"), Marker: ptr("m"), NextMarker: ptr("n"), MaxKeys: &keys, Delimiter: ptr("/"), IsTruncated: &yes, Contents: objects,
		CommonPrefixes: []types.CommonPrefix{{Prefix: ptr("c/<")}, {Prefix: ptr("d/")}}, EncodingType: "url"}
	two := s3response.ListObjectsV2Result{Name: &name, Prefix: ptr("p&"), StartAfter: ptr("s"), ContinuationToken: ptr("t"), NextContinuationToken: ptr("u"), KeyCount: &count, MaxKeys: &keys,
		Delimiter: ptr("/"), IsTruncated: &yes, Contents: objects, CommonPrefixes: one.CommonPrefixes}
	p1, p2 := &pageWriter{}, &pageWriter{}
	p1.v1(&one)
	p2.v2(&two)
	same(t, p1.buf.Bytes(), one)
	same(t, p2.buf.Bytes(), two)
}

func same[T any](t *testing.T, ours []byte, v T) {
	t.Helper()
	theirs, err := xml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var a, b T
	if err := xml.Unmarshal(ours, &a); err != nil {
		t.Fatalf("%v in %s", err, ours)
	}
	if err := xml.Unmarshal(theirs, &b); err != nil {
		t.Fatal(err)
	}
	unexported := cmpopts.IgnoreUnexported(types.CommonPrefix{}, types.Owner{}, types.RestoreStatus{})
	if diff := cmp.Diff(b, a, unexported); diff != "" {
		t.Errorf("differs from the library's:\n%s", diff)
	}
}

// Through the front the document is ours, the refusals are the library's.
func TestPageThroughTheFront(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("pages")
	r.put(b, "k&", "v")
	get := func(path string) (int, string) {
		req, _ := http.NewRequest("GET", r.url+path, nil)
		sigv4.Sign(req, sigv4.EmptyHash, sigv4.Credentials{AccessKey: testKey, Secret: testSecret}, "s3", "drover-1", time.Now())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	for _, path := range []string{"/pages", "/pages?list-type=2"} {
		status, body := get(path)
		var doc struct {
			XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
			Name     string
			Contents []struct{ Key string }
		}
		if err := xml.Unmarshal([]byte(body), &doc); err != nil || status != 200 || doc.Name != b || len(doc.Contents) != 1 || doc.Contents[0].Key != "k&" {
			t.Errorf("%s: %d %+v %v\n%s", path, status, doc, err, body)
		}
	}
	for path, want := range map[string]int{"/pages-none?list-type=2": 404, "/pages?list-type=2&max-keys=x": 400, "/pages?list-type=2&continuation-token=%21": 400} {
		if status, body := get(path); status != want {
			t.Errorf("%s: %d, want %d: %s", path, status, want, body)
		}
	}
}
