package job

import (
	"path"
	"strings"
	"testing"
)

func TestParseData(t *testing.T) {
	for _, c := range []struct {
		tag, value string
		want       string // "bucket key path [prefix|list]" joined by "; "
	}{
		{InputsTag, "s3://bucket/a/b.csv", "bucket a/b.csv b.csv"},
		{InputsTag, "s3://bucket/a/b.csv=in/x.csv", "bucket a/b.csv in/x.csv"},
		{InputsTag, "s3://bucket/a/b.csv=in/", "bucket a/b.csv in/b.csv"},
		{InputsTag, "s3://bucket/day=1/b=b", "bucket day=1/b b"},
		{InputsTag, "s3://bucket/a/", "bucket a/ a prefix"},
		{InputsTag, "s3://bucket/a/=in/deep/", "bucket a/ in/deep prefix"},
		{InputsTag, "s3://bucket/=./", "bucket  . prefix"},
		{InputsTag, "s3://bucket/", "bucket  bucket prefix"},
		{InputsTag, "@s3://bucket/lists/@index.txt  s3://bucket/x", "bucket lists/@index.txt  list; bucket x x"},
		{OutputsTag, "s3://bucket/out/=result.csv", "bucket out/result.csv result.csv"},
		{OutputsTag, "s3://bucket/out/=results/", "bucket out/ results prefix"},
		{OutputsTag, "s3://bucket/out/@job/@index=result", "bucket out/@job/@index result"},
	} {
		data, err := ParseData(c.tag, c.value, true)
		var got []string
		for _, d := range data {
			s := d.Bucket + " " + d.Key + " " + d.Path
			if d.Prefix {
				s += " prefix"
			}
			if d.List {
				s += " list"
			}
			got = append(got, s)
		}
		if err != nil || strings.Join(got, "; ") != c.want {
			t.Errorf("%s %q: %q, %v; want %q", c.tag, c.value, got, err, c.want)
		}
	}
}

func TestParseDataRefuses(t *testing.T) {
	for _, c := range []struct{ tag, value, say string }{
		{InputsTag, "", "names nothing"},
		{InputsTag, "  ", "names nothing"},
		{InputsTag, "bucket/key", "is not s3://bucket/key"},
		{InputsTag, "s3://bucket", "is not s3://bucket/key"},
		{InputsTag, "s3://B/key", "is not s3://bucket/key"},
		{InputsTag, "s3://bucket/k=", "without a path"},
		{InputsTag, "s3://bucket/k=../up", "not a path in the job's working folder"},
		{InputsTag, "s3://bucket/k=/etc/passwd", "not a path in the job's working folder"},
		{InputsTag, "s3://bucket/k=a//b", "not a path in the job's working folder"},
		{InputsTag, "s3://bucket/a/..", "not a path in the job's working folder"},
		{InputsTag, "s3://bucket/a/=file", "end the path with"},
		{InputsTag, "@s3://bucket/lists/", "must be one object"},
		{InputsTag, "s3://bucket/a s3://bucket/b/a", "names a twice"},
		{InputsTag, "s3://bucket/{index}", "no tag of AWS may have"},
		{InputsTag, "s3://bucket/@index", "only the children of an array have"},
		{OutputsTag, "s3://bucket/k=folder/", "end the key with"},
		{OutputsTag, "s3://bucket/k=a s3://bucket/k=b", "names s3://bucket/k twice"},
		{OutputsTag, "s3://bucket/" + strings.Repeat("k", 1025), "is not s3://bucket/key"},
	} {
		if _, err := ParseData(c.tag, c.value, false); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s %q: %v, want something of %q", c.tag, c.value, err, c.say)
		}
	}
}

func TestDatumFor(t *testing.T) {
	id, _ := ParseID("01234567-89ab-cdef-0123-456789abcdef")
	d := Datum{Bucket: "b", Key: "@job/@index.csv", Path: "in-@index"}.For(id, 7)
	if d.Key != "01234567-89ab-cdef-0123-456789abcdef/7.csv" || d.Path != "in-7" {
		t.Errorf("%+v", d)
	}
}

// Whatever is accepted stays in the working folder and names an object.
func FuzzParseData(f *testing.F) {
	for _, s := range []string{"s3://bucket/a=b", "s3://bucket/a/=./ @s3://b.c/d", "s3://bucket/@index/=x/@job/", "s3://abc/../..=.."} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, value string, outputs bool) {
		tag := InputsTag
		if outputs {
			tag = OutputsTag
		}
		data, err := ParseData(tag, value, true)
		if err != nil {
			return
		}
		for _, d := range data {
			if d.List {
				continue
			}
			if p := path.Join("/work", d.Path); p != "/work" && !strings.HasPrefix(p, "/work/") || d.Prefix != (d.Key == "" || strings.HasSuffix(d.Key, "/")) {
				t.Errorf("%q gave %+v", value, d)
			}
		}
	})
}
