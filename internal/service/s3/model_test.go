package s3

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
	"drover/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// openVaultOn opens the backend alone, over a database of either engine.
func openVaultOn(t testing.TB, db *store.DB, tune func(*Options)) *vault {
	t.Helper()
	opts := Options{Dir: t.TempDir(), Region: "drover-1", Account: testAccount, DB: db, NoFsync: true, Log: testLog(t)}
	if tune != nil {
		tune(&opts)
	}
	v, err := openVault(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Shutdown)
	return v
}

// modelVersion is a version as the model of a bucket knows it.
type modelVersion struct {
	vid, body string
	marker    bool
}

// model is what S3 says a bucket does: for each key its versions, the newest first.
type model struct {
	status string
	keys   map[string][]modelVersion
}

func (m *model) put(key string, v modelVersion) {
	list := m.keys[key]
	if v.vid == "" {
		v.vid = nullVersion
	}
	if v.vid == nullVersion {
		list = slices.DeleteFunc(slices.Clone(list), func(o modelVersion) bool { return o.vid == nullVersion })
	}
	m.keys[key] = append([]modelVersion{v}, list...)
}

func (m *model) live() (keys []string) {
	for k, list := range m.keys {
		if len(list) > 0 && !list[0].marker {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// page is what a listing should give: keys, and common prefixes that end in "*".
func page(keys []string, prefix, delimiter, marker string) (out []string) {
	for _, k := range keys {
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		e, folded := k, false
		if rest := k[len(prefix):]; delimiter != "" && strings.Contains(rest, delimiter) {
			e, folded = prefix+rest[:strings.Index(rest, delimiter)+len(delimiter)], true
		}
		if e <= marker {
			continue
		}
		if folded {
			e += "*"
		}
		if len(out) == 0 || out[len(out)-1] != e {
			out = append(out, e)
		}
	}
	return out
}

// A bucket behaves like its model under random writes, deletes, changes of versioning and
// listings, on both engines.
func TestModel(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := openVaultOn(t, db, nil)
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 7))
			name := fmt.Sprintf("model-%d", seed)
			if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &name}, nil); err != nil {
				t.Fatal(err)
			}
			m := &model{keys: map[string][]modelVersion{}}
			for step := range 250 {
				modelStep(t, v, m, r, name, step)
				if t.Failed() {
					t.Fatalf("seed %d, step %d", seed, step)
				}
			}
			compareVersions(t, v, m, name)
		}
	})
}

func modelKey(r *rand.Rand) string {
	parts := []string{"a", "b", "/", "/", "b/", "\xff", "a\x00"}
	var b strings.Builder
	for range 1 + r.IntN(4) {
		b.WriteString(parts[r.IntN(len(parts))])
	}
	return b.String()
}

func modelStep(t *testing.T, v *vault, m *model, r *rand.Rand, name string, step int) {
	key := modelKey(r)
	switch n := r.IntN(20); {
	case n < 9:
		body := fmt.Sprint("body ", step)
		if r.IntN(6) == 0 {
			body = strings.Repeat(body, inlineSize/4)
		}
		out, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &name, Key: &key, Body: strings.NewReader(body)})
		if err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		if (out.VersionID != "") != (m.status == enabled) {
			t.Errorf("put %q in a bucket with versioning %q gave version %q", key, m.status, out.VersionID)
		}
		m.put(key, modelVersion{vid: out.VersionID, body: body})
	case n < 12:
		out, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &name, Key: &key})
		if err != nil {
			t.Fatalf("delete %q: %v", key, err)
		}
		if m.status == "" {
			delete(m.keys, key)
		} else {
			m.put(key, modelVersion{vid: *out.VersionId, marker: true})
		}
	case n < 15:
		list := m.keys[key]
		if len(list) == 0 {
			return
		}
		i := r.IntN(len(list))
		if _, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &name, Key: &key, VersionId: &list[i].vid}); err != nil {
			t.Fatalf("delete version %s of %q: %v", list[i].vid, key, err)
		}
		m.keys[key] = slices.Delete(slices.Clone(list), i, i+1)
	case n == 15 && step > 40:
		m.status = []string{enabled, suspended}[r.IntN(2)]
		if err := v.PutBucketVersioning(ctx, name, types.BucketVersioningStatus(m.status)); err != nil {
			t.Fatal(err)
		}
	case n < 18:
		compareListing(t, v, m, r, name)
	default:
		compareReads(t, v, m, name, key)
	}
}

func compareReads(t *testing.T, v *vault, m *model, name, key string) {
	list := m.keys[key]
	out, err := v.GetObject(ctx, &awss3.GetObjectInput{Bucket: &name, Key: &key})
	if len(list) == 0 || list[0].marker {
		if err == nil {
			t.Errorf("%q was given, but is gone", key)
		}
	} else if err != nil || read(t, out.Body) != list[0].body {
		t.Errorf("%q: %v", key, err)
	}
	for _, want := range list {
		out, err := v.GetObject(ctx, &awss3.GetObjectInput{Bucket: &name, Key: &key, VersionId: &want.vid})
		if want.marker != (err != nil) || err == nil && read(t, out.Body) != want.body {
			t.Errorf("version %s of %q: %v", want.vid, key, err)
		}
	}
}

func compareListing(t *testing.T, v *vault, m *model, r *rand.Rand, name string) {
	prefix := []string{"", "", "a", "a/", "b", "/", "\xff"}[r.IntN(7)]
	delimiter := []string{"", "/", "/", "b/", "a"}[r.IntN(5)]
	limit := int32(1 + r.IntN(5))
	marker := ""
	if r.IntN(3) == 0 {
		marker = modelKey(r)
	}
	want := page(m.live(), prefix, delimiter, marker)
	var got []string
	for token, first := "", true; first || token != ""; first = false {
		in := &awss3.ListObjectsV2Input{Bucket: &name, Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &limit, StartAfter: &marker, ContinuationToken: &token}
		out, err := v.ListObjectsV2(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		var both []string
		for _, o := range out.Contents {
			both = append(both, *o.Key)
		}
		for _, p := range out.CommonPrefixes {
			both = append(both, *p.Prefix+"*")
		}
		if len(both) > int(limit) || int(*out.KeyCount) != len(both) || *out.IsTruncated != (out.NextContinuationToken != nil) {
			t.Errorf("page of %d: %+v", limit, out)
		}
		slices.SortFunc(both, func(a, b string) int {
			return strings.Compare(strings.TrimSuffix(a, "*"), strings.TrimSuffix(b, "*"))
		})
		got, token = append(got, both...), str(out.NextContinuationToken)
	}
	if !slices.Equal(got, want) {
		t.Errorf("prefix %q, delimiter %q, after %q, by %d: %q, want %q", prefix, delimiter, marker, limit, got, want)
	}
}

// compareVersions pages over all versions, in pages of every small size.
func compareVersions(t *testing.T, v *vault, m *model, name string) {
	var want []string
	keys := make([]string, 0, len(m.keys))
	for k := range m.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		for i, ver := range m.keys[k] {
			want = append(want, fmt.Sprintf("%q %s %v %v", k, ver.vid, ver.marker, i == 0))
		}
	}
	for limit := range int32(7) {
		var got []string
		in := &awss3.ListObjectVersionsInput{Bucket: &name, MaxKeys: aws.Int32(limit + 1)}
		for {
			out, err := v.ListObjectVersions(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, versionPage(&out)...)
			if !*out.IsTruncated {
				break
			}
			in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
		}
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Fatalf("by %d: %d versions, want %d\n%q\n%q", limit+1, len(got), len(want), got, want)
		}
	}
}

func versionPage(out *s3response.ListVersionsResult) (list []string) {
	for _, o := range out.Versions {
		list = append(list, fmt.Sprintf("%q %s %v %v", *o.Key, *o.VersionId, false, *o.IsLatest))
	}
	for _, o := range out.DeleteMarkers {
		list = append(list, fmt.Sprintf("%q %s %v %v", *o.Key, *o.VersionId, true, *o.IsLatest))
	}
	return list
}

// What the model ends with is all that is stored: no row or file is left of what is gone.
func TestNothingIsLeftBehind(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := openVaultOn(t, db, nil)
		name := "left"
		if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &name}, nil); err != nil {
			t.Fatal(err)
		}
		m := &model{keys: map[string][]modelVersion{}}
		r := rand.New(rand.NewPCG(3, 4))
		for step := range 200 {
			modelStep(t, v, m, r, name, step)
		}
		for key, list := range m.keys {
			for _, ver := range list {
				if _, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &name, Key: &key, VersionId: &ver.vid}); err != nil {
					t.Fatal(err)
				}
			}
		}
		expectEmpty(t, v)
		if err := v.DeleteBucket(ctx, name); err != nil {
			t.Error(err)
		}
	})
}

// expectEmpty checks that no object has left anything.
func expectEmpty(t *testing.T, v *vault) {
	t.Helper()
	for e := range v.blobs.Scan(ctx, "") {
		t.Errorf("a content is left: %+v", e)
	}
	for _, table := range []string{"s3_objects", "s3_versions", "s3_inline", "s3_uploads", "s3_parts", "s3_trash"} {
		var n int
		err := v.db.Update(ctx, func(tx *store.Tx) error { return tx.Row(`SELECT count(*) FROM ` + table).Scan(&n) }) // after what is queued
		if err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
}
