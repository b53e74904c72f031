package job

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Tags by which a job declares its data. Each value is words parted by spaces:
//
//	s3://bucket/key=path      an object, and the file that it is in the working folder
//	s3://bucket/prefix/=dir/  all objects below a prefix, and their folder
//	@s3://bucket/key          a list: an object with one of the above on each line
//
// "=path" may be left out: it is then the last part of the key, below the folder if only a
// folder is given. The last "=" counts. In keys and paths @index stands for the number of the
// array child and @job for the job's id.
const (
	InputsTag  = "drover:inputs"  // objects to fetch before the job starts
	OutputsTag = "drover:outputs" // files to store after it has succeeded
)

const (
	indexWord = "@index"
	jobWord   = "@job"

	maxObjectKey   = 1024
	maxDatumFolder = 1024 // bytes of a path in the working folder
)

// Datum is one piece of a job's declared data.
type Datum struct {
	Bucket, Key string
	Path        string // in the working folder, clean and relative; "." for all of it
	Prefix      bool   // all objects below Key, which is empty or ends in "/"
	List        bool   // the object lists more; it has no Path
}

// URL is the address of the datum's object or prefix.
func (d *Datum) URL() string { return "s3://" + d.Bucket + "/" + d.Key }

// ParseData reads the value of one of the two tags.
func ParseData(tag, value string, array bool) ([]Datum, error) {
	if i := strings.IndexFunc(value, func(r rune) bool { return !inTags(r) }); i >= 0 {
		return nil, invalid("tag %s has %q, which no tag of AWS may have: put such names into a list object and name it as @s3://bucket/key", tag, value[i:])
	}
	words := strings.Fields(value)
	if len(words) == 0 {
		return nil, invalid("tag %s names nothing: give s3://bucket/key=path, more of them parted by spaces", tag)
	}
	var out []Datum
	for _, w := range words {
		if rest, ok := strings.CutPrefix(w, "@"); ok {
			bucket, key, err := splitObject(tag, rest)
			if err != nil {
				return nil, err
			}
			if key == "" || strings.HasSuffix(key, "/") {
				return nil, invalid("tag %s: the list %s must be one object", tag, w)
			}
			out = append(out, Datum{Bucket: bucket, Key: key, List: true})
			continue
		}
		d, err := ParseDatum(tag, w)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	for i := range out {
		if d := &out[i]; !array && strings.Contains(d.Key+d.Path, indexWord) {
			return nil, invalid("tag %s has %s, which only the children of an array have: give arrayProperties", tag, indexWord)
		}
	}
	return out, CheckData(tag, out)
}

// inTags reports whether AWS allows the character in a tag's value.
func inTags(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsSpace(r) || strings.ContainsRune("_.:/=+-@", r)
}

// CheckData refuses data that would overwrite each other.
func CheckData(tag string, data []Datum) error {
	seen := map[string]bool{}
	for i := range data {
		d := &data[i]
		what := d.Path // two inputs in one file
		if tag == OutputsTag {
			what = d.URL() // two files in one object
		}
		if d.List || d.Prefix {
			continue
		}
		if seen[what] {
			return invalid("tag %s names %s twice", tag, what)
		}
		seen[what] = true
	}
	return nil
}

// ParseDatum reads one entry of a tag or, with spaces and all, one line of a list.
func ParseDatum(tag, entry string) (Datum, error) {
	source, to, given := entry, "", false
	if i := strings.LastIndexByte(entry, '='); i >= 0 {
		source, to, given = entry[:i], entry[i+1:], true
	}
	bucket, key, err := splitObject(tag, source)
	if err != nil {
		return Datum{}, err
	}
	d := Datum{Bucket: bucket, Key: key, Prefix: key == "" || strings.HasSuffix(key, "/")}
	folder := strings.HasSuffix(to, "/")
	switch {
	case given && to == "":
		return d, invalid("tag %s: %q ends in \"=\" without a path", tag, entry)
	case d.Prefix && given && !folder && tag == OutputsTag:
		d.Key, d.Prefix = key+path.Base(to), false // one file into that folder of the bucket
	case d.Prefix && given && !folder:
		return d, invalid("tag %s: %q puts all objects below a prefix into one file; end the path with \"/\"", tag, entry)
	case d.Prefix && !given:
		to = lastPart(strings.TrimSuffix(key, "/"))
		if to == "" {
			to = bucket
		}
	case !d.Prefix && !given:
		to = lastPart(key)
	case !d.Prefix && folder && tag == OutputsTag:
		return d, invalid("tag %s: %q stores a folder as one object; end the key with \"/\"", tag, entry)
	case !d.Prefix && folder:
		to += lastPart(key)
	}
	to = strings.TrimSuffix(to, "/")
	if path.IsAbs(to) || path.Clean(to) != to || to == "." && !d.Prefix || to == ".." || strings.HasPrefix(to, "../") || len(to) > maxDatumFolder || strings.ContainsRune(to, 0) {
		return d, invalid("tag %s: %q is not a path in the job's working folder: it must be relative, without \"..\" or empty parts", tag, to)
	}
	d.Path = to
	return d, nil
}

func splitObject(tag, s string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(s, "s3://")
	bucket, key, cut := strings.Cut(rest, "/")
	if !ok || !cut || !validBucket(bucket) || len(key) > maxObjectKey {
		return "", "", invalid("tag %s: %q is not s3://bucket/key, s3://bucket/prefix/ or @s3://bucket/list, with =path behind the first two", tag, s)
	}
	return bucket, key, nil
}

func validBucket(b string) bool {
	return len(b) >= 3 && len(b) <= 63 && !strings.ContainsFunc(b, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// For gives the datum of one unit: @index and @job replaced.
func (d Datum) For(id ID, child int32) Datum {
	r := strings.NewReplacer(indexWord, strconv.Itoa(int(child)), jobWord, id.String())
	d.Key, d.Path = r.Replace(d.Key), r.Replace(d.Path)
	return d
}

// Submitter is the IAM user or role whose rights move a job's data when the job has no role
// of its own: staging must not read what its submitter may not.
type Submitter struct {
	ARN         string   `json:"arn"`
	User        string   `json:"user,omitempty"`
	Role        string   `json:"role,omitempty"`
	ID          string   `json:"id"`
	SessionName string   `json:"session,omitempty"`
	Limits      []string `json:"limits,omitempty"`
}

// Same reports whether two stand for one principal with the same rights.
func (s *Submitter) Same(o *Submitter) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.User == o.User && s.Role == o.Role && s.ID == o.ID && slices.Equal(s.Limits, o.Limits)
}
