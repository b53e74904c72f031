package wire

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"drover/internal/core/fault"
)

// Option states a constraint or a binding of an operation. The vocabulary is closed:
// what it cannot say belongs into the handler.
type Option func(*operation)

// MaxBody sets how many bytes the operation's body may have, compressed and inflated.
func MaxBody(n int64) Option { return func(op *operation) { op.maxBody = n } }

// Refused marks an operation that drover does not do on purpose; the reason is part of
// its answer and of the coverage page. The handler is never called.
func Refused(reason string) Option {
	return func(op *operation) { op.built, op.refused = false, reason }
}

// GET binds a rest-json operation to a method and path. {Member} takes one path segment;
// the members in query come from the query string.
func GET(path string, query ...string) Option { return bindTo("GET", path, query) }

// POST is GET for the method POST.
func POST(path string, query ...string) Option { return bindTo("POST", path, query) }

// PUT is GET for the method PUT.
func PUT(path string, query ...string) Option { return bindTo("PUT", path, query) }

// DELETE is GET for the method DELETE.
func DELETE(path string, query ...string) Option { return bindTo("DELETE", path, query) }

func bindTo(method, path string, query []string) Option {
	return func(op *operation) { op.route = &route{method: method, pattern: path, query: query} }
}

// check is one constraint on one member of the input; path leads to it through
// structures ("ArrayProperties.Size").
type check struct {
	path   string
	wire   string // the path in wire names, for messages
	index  []int
	test   func(v reflect.Value) string // what is wrong, or ""
	absent bool                         // test a member that is absent too
	fits   func(reflect.Type) bool      // which types the test is for; nil: all
}

// compile resolves the path; it panics if the input has no such member.
func (c *check) compile(cd *codec, op *operation) {
	t := op.in
	var names []string
	for part := range strings.SplitSeq(c.path, ".") {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			panic(fmt.Sprintf("wire: %s: %s is no structure on the way to %s", op.name, t, c.path))
		}
		f, ok := t.FieldByName(part)
		if !ok || len(f.Index) != 1 {
			panic(fmt.Sprintf("wire: %s: %s has no member %s", op.name, t, part))
		}
		names = append(names, cd.wireName(t, f.Name))
		c.index = append(c.index, f.Index[0])
		t = f.Type
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if c.fits != nil && !c.fits(t) {
		panic(fmt.Sprintf("wire: %s: a constraint on %s does not fit its type %s", op.name, c.path, t))
	}
	c.wire = strings.Join(names, ".")
}

// run applies the check to an input; an absent parent has nothing to check.
func (c *check) run(in reflect.Value) string {
	v := in
	for i, index := range c.index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return ""
			}
			v = v.Elem()
		}
		v = v.Field(index)
	}
	if isAbsent(v) && !c.absent {
		return ""
	}
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return c.test(v)
}

// isAbsent reports whether a member has no value. An empty list or map that was sent is
// present; an empty enum is not.
func isAbsent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	}
	return false
}

func (op *operation) validate(id *Identity, in any) error {
	if len(op.checks) == 0 {
		return nil
	}
	v := reflect.ValueOf(in).Elem()
	for i := range op.checks {
		if wrong := op.checks[i].run(v); wrong != "" {
			return fault.New(fault.Invalid, id.invalidCode(), "%s %s", op.checks[i].wire, wrong)
		}
	}
	return nil
}

// Required says that members must be present and, if text, not empty.
func Required(members ...string) Option {
	return func(op *operation) {
		for _, m := range members {
			op.checks = append(op.checks, check{path: m, absent: true, test: func(v reflect.Value) string {
				if isAbsent(v) {
					return "is required"
				}
				return ""
			}})
		}
	}
}

// Range bounds a number.
func Range(member string, low, high float64) Option {
	return with(member, isNumber, func(v reflect.Value) string {
		var n float64
		switch {
		case v.CanInt():
			n = float64(v.Int())
		case v.CanFloat():
			n = v.Float()
		}
		if n < low || n > high {
			return fmt.Sprintf("is %v; it must be between %v and %v", n, low, high)
		}
		return ""
	})
}

// Length bounds the characters of a text or the members of a list or map.
func Length(member string, low, high int) Option {
	return with(member, hasLength, func(v reflect.Value) string {
		n, unit := 0, "characters"
		if v.Kind() == reflect.String {
			n = utf8.RuneCountInString(v.String())
		} else {
			n, unit = v.Len(), "members"
		}
		if n < low || n > high {
			return fmt.Sprintf("has %d %s; it must have %d to %d", n, unit, low, high)
		}
		return ""
	})
}

// Pattern says that a text must match the whole regular expression.
func Pattern(member, expr string) Option {
	re := regexp.MustCompile(`\A(?:` + expr + `)\z`)
	return with(member, isText, func(v reflect.Value) string {
		if !re.MatchString(v.String()) {
			return fmt.Sprintf("is %q; it must match %s", clip(v.String()), expr)
		}
		return ""
	})
}

// Enum says which words a text may be. Letter case is forgiven (Terraform and Metaflow
// send their own): the handler sees the word as it is written here.
func Enum(member string, words ...string) Option {
	return with(member, isText, func(v reflect.Value) string {
		given := v.String()
		if slices.Contains(words, given) {
			return ""
		}
		for _, w := range words {
			if strings.EqualFold(w, given) {
				v.SetString(w)
				return ""
			}
		}
		return fmt.Sprintf("is %q; it must be one of %s", clip(given), strings.Join(words, ", "))
	})
}

func with(member string, fits func(reflect.Type) bool, test func(reflect.Value) string) Option {
	return func(op *operation) { op.checks = append(op.checks, check{path: member, test: test, fits: fits}) }
}

func isText(t reflect.Type) bool { return t.Kind() == reflect.String }

func isNumber(t reflect.Type) bool {
	return reflect.Zero(t).CanInt() || reflect.Zero(t).CanFloat()
}

func hasLength(t reflect.Type) bool {
	return isText(t) || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
}

// route is where a rest-json operation lives.
type route struct {
	method, pattern string
	query           []string // Go names of members in the query string

	parts  []routePart
	fields map[string]*field // bound members by Go name
}

// routePart is a fixed piece of the path or the member that fills a segment.
type routePart struct{ text, member string }

func (rt *route) plain() bool { return !strings.Contains(rt.pattern, "{") }

// compile splits the pattern into segments.
func (rt *route) compile() {
	for seg := range strings.SplitSeq(strings.TrimPrefix(rt.pattern, "/"), "/") {
		if strings.HasPrefix(seg, "{") && strings.HasSuffix(seg, "}") {
			rt.parts = append(rt.parts, routePart{member: seg[1 : len(seg)-1]})
		} else {
			rt.parts = append(rt.parts, routePart{text: seg})
		}
	}
}

func (op *operation) boundMembers() []string {
	if op.route == nil {
		return nil
	}
	if op.route.parts == nil {
		op.route.compile()
	}
	names := slices.Clone(op.route.query)
	for _, p := range op.route.parts {
		if p.member != "" {
			names = append(names, p.member)
		}
	}
	return names
}

// bind resolves the bound members; it panics if the input lacks one.
func (rt *route) bind(cd *codec, op *operation) {
	rt.fields = map[string]*field{}
	whole := cd.structure(op.in, nil)
	for _, name := range op.boundMembers() {
		f := whole.member(name)
		if f == nil {
			panic(fmt.Sprintf("wire: %s has no member %s to bind", op.name, name))
		}
		rt.fields[name] = f
	}
}

// match compares an escaped path with the pattern and returns the members' raw values.
// The last member takes the rest of the path, for clients that do not encode the slashes
// of an ARN.
func (rt *route) match(path string) (values []string, ok bool) {
	rest := strings.TrimPrefix(path, "/")
	for i, p := range rt.parts {
		seg, tail, more := strings.Cut(rest, "/")
		last := i == len(rt.parts)-1
		if p.member != "" {
			if last {
				seg, more = rest, false
			}
			if seg == "" {
				return nil, false
			}
			values = append(values, seg)
		} else if seg != p.text {
			return nil, false
		}
		if more == last {
			return nil, false
		}
		rest = tail
	}
	return values, true
}

// decodeBound fills the members that come from path and query.
func (rt *route) decodeBound(path, rawQuery string, in reflect.Value, seen *Members) error {
	values, _ := rt.match(path)
	for _, p := range rt.parts {
		if p.member == "" {
			continue
		}
		text, err := url.PathUnescape(values[0])
		if err != nil || !utf8.ValidString(text) {
			return serialization("the path segment for %s cannot be decoded", rt.fields[p.member].name)
		}
		values = values[1:]
		seen.add(rt.fields[p.member].index)
		if err := rt.fields[p.member].setText(in, []string{text}); err != nil {
			return err
		}
	}
	if len(rt.query) == 0 {
		return nil
	}
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return serialization("the query string cannot be decoded")
	}
	for _, name := range rt.query {
		f := rt.fields[name]
		if texts := q[f.name]; len(texts) > 0 {
			seen.add(f.index)
			if err := f.setText(in, texts); err != nil {
				return err
			}
		}
	}
	return nil
}
