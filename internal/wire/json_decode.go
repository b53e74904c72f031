package wire

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"drover/internal/core/fault"
)

const (
	maxDepth    = 100     // nesting of a message
	maxElements = 200_000 // list and map elements of one message, against small texts that fill memory
)

func serialization(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, codeSerialization, format, args...)
}

// jsonDecoder reads one JSON text by a plan, strictly.
type jsonDecoder struct {
	data     []byte
	pos      int
	depth    int
	elements int
	buf      []byte   // unescaped string
	path     []string // wire names from the inside out, filled when an error unwinds
}

// decodeJSON fills a structure. Which of its members were in the text is noted in seen
// (nil: not wanted). An empty text is an empty structure.
func decodeJSON(data []byte, p *plan, v reflect.Value, seen *Members) error {
	d := jsonDecoder{data: data}
	d.blank()
	if d.pos == len(data) {
		return nil
	}
	if data[d.pos] != '{' {
		return serialization("the body must be a JSON object")
	}
	err := d.structure(p, v, seen)
	if err == nil {
		if d.blank(); d.pos != len(data) {
			err = d.fail("text follows the end of the JSON object")
		}
	}
	if err != nil {
		return d.explain(err)
	}
	return nil
}

type syntaxError string

func (e syntaxError) Error() string { return string(e) }

func (d *jsonDecoder) fail(format string, args ...any) error {
	return syntaxError(fmt.Sprintf(format, args...))
}

// explain puts the path of the member in front of what is wrong.
func (d *jsonDecoder) explain(err error) error {
	where := ""
	for i := len(d.path) - 1; i >= 0; i-- {
		if where != "" && d.path[i][0] != '[' {
			where += "."
		}
		where += d.path[i]
	}
	if where == "" {
		return serialization("%s", err.Error())
	}
	return serialization("%s: %s", where, err.Error())
}

func (d *jsonDecoder) at(name string, err error) error {
	if err != nil && len(d.path) < 32 && name != "" {
		d.path = append(d.path, clip(name))
	}
	return err
}

func (d *jsonDecoder) count() error {
	if d.elements++; d.elements > maxElements {
		return d.fail("more than %d list elements in one request", maxElements)
	}
	return nil
}

func (d *jsonDecoder) structure(p *plan, v reflect.Value, seen *Members) error {
	var given Members
	return d.object(func(key []byte) error {
		i, known := p.byName[string(key)]
		if !known {
			return d.skip()
		}
		f := &p.fields[i]
		if given.has(f.index) {
			return d.fail("the member %q is repeated", f.name)
		}
		given.add(f.index)
		if d.next() == 'n' {
			return d.at(f.name, d.word("null"))
		}
		if seen != nil {
			seen.add(f.index)
		}
		return d.at(f.name, d.value(f.plan, v.Field(f.index)))
	})
}

// value reads one value that is not null.
func (d *jsonDecoder) value(p *plan, v reflect.Value) error {
	c := d.next()
	if p.ptr {
		v, p = p.settle(v), p.target()
	}
	switch p.kind {
	case kindString:
		if c != '"' {
			return d.mistyped("a string")
		}
		s, err := d.text()
		if err != nil {
			return err
		}
		v.SetString(string(s))
		return nil
	case kindBool:
		return d.boolean(v)
	case kindInt:
		return d.integer(v)
	case kindFloat:
		n, err := d.float()
		if err == nil && v.OverflowFloat(n) {
			err = d.fail("the number is out of range")
		}
		v.SetFloat(n)
		return err
	case kindTime:
		return d.epoch(v)
	case kindBlob:
		return d.blob(v)
	case kindList:
		if c != '[' {
			return d.mistyped("a list")
		}
		return d.list(p, v)
	case kindMap:
		if c != '{' {
			return d.mistyped("an object")
		}
		return d.mapping(p, v)
	}
	if c != '{' {
		return d.mistyped("an object")
	}
	return d.structure(p, v, nil)
}

func (d *jsonDecoder) list(p *plan, v reflect.Value) error {
	n := 0
	v.Set(reflect.MakeSlice(p.typ, 0, 0))
	return d.array(func(i int) error {
		if err := d.count(); err != nil {
			return err
		}
		if d.next() == 'n' {
			return d.at("["+strconv.Itoa(i)+"]", d.mistyped("a value"))
		}
		if n == v.Cap() {
			v.Grow(1)
		}
		v.SetLen(n + 1)
		e := v.Index(n)
		e.SetZero()
		n++
		if err := d.value(p.elem, e); err != nil {
			return d.at("["+strconv.Itoa(i)+"]", err)
		}
		return nil
	})
}

func (d *jsonDecoder) mapping(p *plan, v reflect.Value) error {
	if _, ok := v.Interface().(map[string]string); ok {
		m := map[string]string{}
		v.Set(reflect.ValueOf(m))
		return d.object(func(key []byte) error {
			k := string(key)
			if err := d.mapKey(k, func() bool { _, twice := m[k]; return twice }); err != nil {
				return err
			}
			if d.next() != '"' {
				return d.at(k, d.mistyped("a string"))
			}
			s, err := d.text()
			m[k] = string(s)
			return d.at(k, err)
		})
	}
	m := reflect.MakeMap(p.typ)
	v.Set(m)
	return d.object(func(key []byte) error {
		k := string(key)
		kv := reflect.ValueOf(k).Convert(p.typ.Key())
		if err := d.mapKey(k, func() bool { return m.MapIndex(kv).IsValid() }); err != nil {
			return err
		}
		if d.next() == 'n' {
			return d.at(k, d.mistyped("a value"))
		}
		e := reflect.New(p.typ.Elem()).Elem()
		if err := d.value(p.elem, e); err != nil {
			return d.at(k, err)
		}
		m.SetMapIndex(kv, e)
		return nil
	})
}

func (d *jsonDecoder) mapKey(k string, twice func() bool) error {
	if err := d.count(); err != nil {
		return err
	}
	if twice() {
		return d.fail("the key %q is repeated", clip(k))
	}
	return nil
}

func (d *jsonDecoder) boolean(v reflect.Value) error {
	switch d.next() {
	case 't':
		v.SetBool(true)
		return d.word("true")
	case 'f':
		v.SetBool(false)
		return d.word("false")
	}
	return d.mistyped("a boolean")
}

func (d *jsonDecoder) integer(v reflect.Value) error {
	if c := d.next(); c != '-' && (c < '0' || c > '9') {
		return d.mistyped("a whole number")
	}
	text, whole, err := d.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if !whole {
		// 1.0 and 1e3 are whole numbers too; beyond 2^53 a float no longer says which.
		f, ferr := strconv.ParseFloat(string(text), 64)
		if n, err = int64(f), ferr; f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return d.fail("expected a whole number, got %s", clip(string(text)))
		}
	}
	if err != nil || v.OverflowInt(n) {
		return d.fail("the number %s is out of range", clip(string(text)))
	}
	v.SetInt(n)
	return nil
}

func (d *jsonDecoder) float() (float64, error) {
	switch c := d.next(); {
	case c == '"':
		s, err := d.text()
		if err != nil {
			return 0, err
		}
		switch string(s) {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
		return 0, d.fail("expected a number, got a string")
	case c != '-' && (c < '0' || c > '9'):
		return 0, d.mistyped("a number")
	}
	text, _, err := d.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, d.fail("the number %s is out of range", clip(string(text)))
	}
	return n, nil
}

// epoch reads a time as seconds since 1970; like AWS it keeps milliseconds.
func (d *jsonDecoder) epoch(v reflect.Value) error {
	n, err := d.float()
	if err != nil {
		return err
	}
	if math.IsNaN(n) || math.Abs(n) > 1e12 {
		return d.fail("the time is out of range")
	}
	v.Set(reflect.ValueOf(time.UnixMilli(int64(math.Round(n * 1000))).UTC()))
	return nil
}

func (d *jsonDecoder) blob(v reflect.Value) error {
	if d.next() != '"' {
		return d.mistyped("a string of base64")
	}
	s, err := d.text()
	if err != nil {
		return err
	}
	data, err := decodeBase64(string(s))
	if err != nil {
		return d.fail("not base64")
	}
	v.SetBytes(data)
	return nil
}
