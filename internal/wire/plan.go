package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// kind is how a value is spoken.
type kind uint8

const (
	kindString kind = iota + 1
	kindBool
	kindInt
	kindFloat
	kindTime
	kindBlob
	kindList
	kindMap
	kindStruct
)

// plan is how one Go type is encoded and decoded: computed once, then only walked.
type plan struct {
	kind kind
	ptr  bool         // the Go value is a pointer to the kind
	typ  reflect.Type // without the pointer
	elem *plan        // of lists and maps

	fields []field // of structures, in the order of the Go type
	byName map[string]int
}

// field is one member of a structure.
type field struct {
	index  int    // in the Go struct
	goName string // Go's name
	name   string // wire name
	json   string // the name as a JSON key with its colon
	plan   *plan
}

func (p *plan) member(goName string) *field {
	for i := range p.fields {
		if p.fields[i].goName == goName {
			return &p.fields[i]
		}
	}
	return nil
}

// codec compiles and keeps the plans of one identity.
type codec struct {
	id    *Identity
	mu    sync.RWMutex // guards plans
	plans map[reflect.Type]*plan
}

func newCodec(id *Identity) *codec {
	return &codec{id: id, plans: map[reflect.Type]*plan{}}
}

// wireName applies the identity's naming rule to a member.
func (c *codec) wireName(owner reflect.Type, member string) string {
	if n, ok := c.id.Names[owner.Name()+"."+member]; ok {
		return n
	}
	if n, ok := c.id.Names[member]; ok {
		return n
	}
	if !c.id.LowerFirst {
		return member
	}
	first, size := utf8.DecodeRuneInString(member)
	return string(unicode.ToLower(first)) + member[size:]
}

// structure gives the plan of a structure type, without the members named in except.
func (c *codec) structure(t reflect.Type, except []string) *plan {
	c.mu.RLock()
	p := c.plans[t]
	c.mu.RUnlock()
	if p == nil {
		c.mu.Lock()
		p = c.compile(t)
		c.mu.Unlock()
	}
	if p == nil || p.kind != kindStruct {
		panic(fmt.Sprintf("wire: %s is no structure of %s", t, c.id.Name))
	}
	if len(except) == 0 {
		return p
	}
	q := &plan{kind: kindStruct, typ: t, byName: map[string]int{}}
	for _, f := range p.fields {
		if !slices.Contains(except, f.goName) {
			q.byName[f.name] = len(q.fields)
			q.fields = append(q.fields, f)
		}
	}
	return q
}

// compile makes the plan of a type; the caller holds mu. A type that no protocol carries
// (unions, documents) gives nil and its member is left out of both directions.
func (c *codec) compile(t reflect.Type) *plan {
	if p, ok := c.plans[t]; ok {
		return p
	}
	if t.Kind() == reflect.Pointer {
		inner := c.compile(t.Elem())
		if inner == nil || inner.ptr {
			return nil
		}
		// A structure may still be under construction (a recursive type): the pointer's
		// plan is then completed together with it, through the shared plan.
		p := &plan{kind: inner.kind, ptr: true, typ: t.Elem(), elem: inner}
		c.plans[t] = p
		return p
	}
	p := &plan{typ: t}
	switch t.Kind() {
	case reflect.String:
		p.kind = kindString
	case reflect.Bool:
		p.kind = kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.kind = kindInt
	case reflect.Float32, reflect.Float64:
		p.kind = kindFloat
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			p.kind = kindBlob
			break
		}
		p.kind = kindList
		if p.elem = c.compile(t.Elem()); p.elem == nil {
			return nil
		}
	case reflect.Map:
		p.kind = kindMap
		if p.elem = c.compile(t.Elem()); p.elem == nil || t.Key().Kind() != reflect.String {
			return nil
		}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			p.kind = kindTime
			break
		}
		c.plans[t] = p
		c.compileFields(p, t)
	default:
		return nil
	}
	c.plans[t] = p
	return p
}

func (c *codec) compileFields(p *plan, t reflect.Type) {
	if t.NumField() > 256 {
		panic(fmt.Sprintf("wire: %s has more members than a Members set can hold", t))
	}
	p.kind, p.byName = kindStruct, map[string]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Anonymous || f.Name == "ResultMetadata" {
			continue
		}
		fp := c.compile(f.Type)
		if fp == nil {
			continue
		}
		name := c.wireName(t, f.Name)
		if _, twice := p.byName[name]; twice {
			panic(fmt.Sprintf("wire: two members of %s are named %s", t, name))
		}
		p.byName[name] = len(p.fields)
		p.fields = append(p.fields, field{index: i, goName: f.Name, name: name,
			json: string(appendQuoted(nil, name)) + ":", plan: fp})
	}
}

// target gives the plan behind a pointer plan, and the plan itself otherwise.
func (p *plan) target() *plan {
	if p.ptr {
		return p.elem
	}
	return p
}

// settle makes a pointer value point at a new zero value and returns what it points at.
func (p *plan) settle(v reflect.Value) reflect.Value {
	if !p.ptr {
		return v
	}
	n := reflect.New(p.typ)
	v.Set(n)
	return n.Elem()
}

// setText fills a member from the texts of a path segment or query parameter.
func (f *field) setText(in reflect.Value, texts []string) error {
	v, p := in.Field(f.index), f.plan
	if p.kind == kindList {
		list := reflect.MakeSlice(p.typ, len(texts), len(texts))
		for i, s := range texts {
			if err := setScalar(p.elem, list.Index(i), s, f.name); err != nil {
				return err
			}
		}
		v.Set(list)
		return nil
	}
	return setScalar(p, v, texts[0], f.name)
}

// setScalar parses the text form of a scalar, as path, query and XML have it.
func setScalar(p *plan, v reflect.Value, s, name string) error {
	v = p.settle(v)
	switch p.kind {
	case kindString:
		v.SetString(s)
	case kindBool:
		switch s {
		case "true":
			v.SetBool(true)
		case "false":
			v.SetBool(false)
		default:
			return serialization("%s is %q; it must be true or false", name, clip(s))
		}
	case kindInt:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return serialization("%s is %q; it must be a whole number in range", name, clip(s))
		}
		v.SetInt(n)
	case kindFloat:
		n, ok := parseFloat(s)
		if !ok || v.OverflowFloat(n) {
			return serialization("%s is %q; it must be a number", name, clip(s))
		}
		v.SetFloat(n)
	case kindTime:
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return serialization("%s is %q; it must be a time such as 2006-01-02T15:04:05Z", name, clip(s))
		}
		v.Set(reflect.ValueOf(t.UTC()))
	case kindBlob:
		data, err := decodeBase64(s)
		if err != nil {
			return serialization("%s is not base64", name)
		}
		v.SetBytes(data)
	default:
		return serialization("%s cannot be given as text", name)
	}
	return nil
}

// parseFloat reads a number, and AWS's words for those that JSON lacks.
func parseFloat(s string) (float64, bool) {
	switch s {
	case "NaN", "Infinity", "-Infinity":
		n, err := strconv.ParseFloat(strings.TrimSuffix(s, "inity"), 64)
		return n, err == nil
	}
	if s == "" || strings.ContainsAny(s, "_xXpPnNiI") {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}
