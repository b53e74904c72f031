package s3

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// lifecycle is a bucket's rules, as clients write them.
type lifecycle struct {
	XMLName xml.Name        `xml:"LifecycleConfiguration" json:"-"`
	NS      string          `xml:"xmlns,attr,omitempty" json:"-"`
	Rules   []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID         string           `xml:",omitempty" json:",omitempty"`
	Status     string           `xml:"Status"`
	Prefix     *string          `xml:"Prefix" json:",omitempty"` // the old place of a filter
	Filter     *lifecycleFilter `xml:"Filter" json:",omitempty"`
	Expiration *struct {
		Days         int        `xml:",omitempty" json:",omitempty"`
		Date         *time.Time `xml:",omitempty" json:",omitempty"`
		DeleteMarker bool       `xml:"ExpiredObjectDeleteMarker,omitempty" json:",omitempty"`
	} `xml:"Expiration" json:",omitempty"`
	Noncurrent *struct {
		Days int `xml:"NoncurrentDays"`
		Keep int `xml:"NewerNoncurrentVersions,omitempty" json:",omitempty"`
	} `xml:"NoncurrentVersionExpiration" json:",omitempty"`
	Abort *struct {
		Days int `xml:"DaysAfterInitiation"`
	} `xml:"AbortIncompleteMultipartUpload" json:",omitempty"`
	Transition           *struct{} `xml:"Transition" json:"-"`
	NoncurrentTransition *struct{} `xml:"NoncurrentVersionTransition" json:"-"`
}

type lifecycleTag struct{ Key, Value string }

// lifecycleFilter is a filter and, in And, several that must all fit.
type lifecycleFilter struct {
	Prefix  *string        `xml:"Prefix" json:",omitempty"`
	Tag     []lifecycleTag `xml:"Tag" json:",omitempty"`
	Greater *int64         `xml:"ObjectSizeGreaterThan" json:",omitempty"`
	Less    *int64         `xml:"ObjectSizeLessThan" json:",omitempty"`
	And     *struct {
		Prefix  *string        `xml:"Prefix" json:",omitempty"`
		Tag     []lifecycleTag `xml:"Tag" json:",omitempty"`
		Greater *int64         `xml:"ObjectSizeGreaterThan" json:",omitempty"`
		Less    *int64         `xml:"ObjectSizeLessThan" json:",omitempty"`
	} `xml:"And" json:",omitempty"`
}

const maxRules = 1000

// readLifecycle reads and checks a document.
func readLifecycle(doc []byte) (*lifecycle, error) {
	var l lifecycle
	if err := xml.Unmarshal(doc, &l); err != nil || len(l.Rules) == 0 || len(l.Rules) > maxRules {
		return nil, apiError(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	ids := map[string]bool{}
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.ID == "" {
			r.ID = fmt.Sprintf("rule-%d", i+1)
		}
		if ids[r.ID] {
			return nil, apiError(400, "InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule.")
		}
		ids[r.ID] = true
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return &l, nil
}

func (r *lifecycleRule) check() error {
	bad := func(format string, args ...any) error {
		return apiError(400, "InvalidArgument", fmt.Sprintf("Rule %q: ", r.ID)+fmt.Sprintf(format, args...))
	}
	x, n, a := r.Expiration, r.Noncurrent, r.Abort
	switch {
	case r.Status != "Enabled" && r.Status != "Disabled":
		return apiError(400, "MalformedXML", "Status of a rule must be Enabled or Disabled.")
	case r.Transition != nil || r.NoncurrentTransition != nil:
		return bad("drover has one storage class, so nothing can be moved to another; use Expiration.")
	case x == nil && n == nil && a == nil:
		return apiError(400, "InvalidRequest", "At least one action needs to be specified in a rule.")
	case r.Prefix != nil && r.Filter != nil:
		return apiError(400, "MalformedXML", "A rule has either Prefix or Filter.")
	case x != nil && x.Days <= 0 && x.Date == nil && !x.DeleteMarker:
		return bad("'Days' for Expiration action must be a positive integer.")
	case x != nil && (x.Days != 0 && x.Date != nil || x.DeleteMarker && (x.Days != 0 || x.Date != nil)):
		return apiError(400, "MalformedXML", "Expiration has one of Days, Date and ExpiredObjectDeleteMarker.")
	case x != nil && x.Date != nil && !x.Date.Equal(x.Date.UTC().Truncate(24*time.Hour)):
		return bad("'Date' must be at midnight GMT.")
	case n != nil && (n.Days <= 0 || n.Keep < 0 || n.Keep > 100):
		return bad("'NoncurrentDays' must be a positive integer and 'NewerNoncurrentVersions' at most 100.")
	case a != nil && a.Days <= 0:
		return bad("'DaysAfterInitiation' must be a positive integer.")
	}
	f := r.filter()
	if (a != nil || x != nil && x.DeleteMarker) && (len(f.tags) > 0 || f.greater != nil || f.less != nil) {
		return bad("AbortIncompleteMultipartUpload and ExpiredObjectDeleteMarker cannot be specified with tags or object sizes.")
	}
	return nil
}

// fits is a filter in one form.
type fits struct {
	prefix        string
	tags          []lifecycleTag
	greater, less *int64
}

func (r *lifecycleRule) filter() fits {
	var f fits
	if r.Prefix != nil {
		f.prefix = *r.Prefix
	}
	if r.Filter == nil {
		return f
	}
	p := r.Filter
	f = fits{prefix: str(p.Prefix), tags: p.Tag, greater: p.Greater, less: p.Less}
	if a := p.And; a != nil {
		f = fits{prefix: str(a.Prefix), tags: a.Tag, greater: a.Greater, less: a.Less}
	}
	return f
}

// version reports whether the filter fits a version.
func (f *fits) version(v *version) bool {
	if !strings.HasPrefix(string(v.key), f.prefix) || f.greater != nil && v.size <= *f.greater || f.less != nil && v.size >= *f.less {
		return false
	}
	if len(f.tags) == 0 {
		return true
	}
	have := v.tagMap()
	for _, t := range f.tags {
		if got, ok := have[t.Key]; !ok || got != t.Value {
			return false
		}
	}
	return true
}

// dueAfter is when something of a time is days old: at the midnight (UTC) after.
func dueAfter(micros int64, days int) time.Time {
	day := 24 * time.Hour
	t := time.UnixMicro(micros).UTC().Add(time.Duration(days) * day)
	if m := t.Truncate(day); !m.Equal(t) {
		return m.Add(day)
	}
	return t
}
