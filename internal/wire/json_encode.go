package wire

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// writeMode says what becomes of members without a value.
type writeMode uint8

const (
	asOutput writeMode = iota // plain numbers always; empty lists at the top as []
	asInput                   // what the caller did not set is not sent
)

// appendJSON writes a structure, the top of a message.
func appendJSON(b []byte, p *plan, v reflect.Value, mode writeMode) []byte {
	return appendStruct(b, p, v, mode, true)
}

func appendStruct(b []byte, p *plan, v reflect.Value, mode writeMode, top bool) []byte {
	b = append(b, '{')
	start := len(b)
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.index)
		if omitted(f.plan, fv, mode) {
			if top && mode == asOutput && f.plan.kind == kindList {
				b = appendComma(b, start)
				b = append(b, f.json...)
				b = append(b, "[]"...)
			}
			continue
		}
		b = appendComma(b, start)
		b = append(b, f.json...)
		b = appendValue(b, f.plan, fv, mode)
	}
	return append(b, '}')
}

func appendComma(b []byte, start int) []byte {
	if len(b) > start {
		return append(b, ',')
	}
	return b
}

// omitted reports whether a member is not written: nil, an enum never set, or, in a
// request, a plain number or bool that is zero.
func omitted(p *plan, v reflect.Value, mode writeMode) bool {
	if p.ptr {
		return v.IsNil()
	}
	switch p.kind {
	case kindList, kindMap, kindBlob:
		return v.IsNil()
	case kindString:
		return v.Len() == 0
	case kindTime:
		return v.IsZero()
	case kindBool, kindInt, kindFloat:
		return mode == asInput && v.IsZero()
	}
	return false
}

func appendValue(b []byte, p *plan, v reflect.Value, mode writeMode) []byte {
	if p.ptr {
		if v.IsNil() {
			return append(b, "null"...)
		}
		v, p = v.Elem(), p.target()
	}
	switch p.kind {
	case kindString:
		return appendQuoted(b, v.String())
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		return appendFloat(b, v.Float(), p.typ.Bits())
	case kindTime:
		return appendEpoch(b, v.Interface().(time.Time))
	case kindBlob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case kindList:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, p.elem, v.Index(i), mode)
		}
		return append(b, ']')
	case kindMap:
		return appendMap(b, p, v, mode)
	}
	return appendStruct(b, p, v, mode, false)
}

// appendMap writes a map with its keys in order, so that answers are repeatable.
func appendMap(b []byte, p *plan, v reflect.Value, mode writeMode) []byte {
	b = append(b, '{')
	start := len(b)
	if m, ok := v.Interface().(map[string]string); ok {
		for _, k := range sortedKeys(m) {
			b = appendComma(b, start)
			b = appendQuoted(b, k)
			b = append(b, ':')
			b = appendQuoted(b, m[k])
		}
		return append(b, '}')
	}
	for _, k := range sortedValues(v) {
		b = appendComma(b, start)
		b = appendQuoted(b, k.String())
		b = append(b, ':')
		b = appendValue(b, p.elem, v.MapIndex(k), mode)
	}
	return append(b, '}')
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func sortedValues(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
	return keys
}

// appendEpoch writes a time as seconds since 1970 with milliseconds, as AWS's JSON does.
func appendEpoch(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	sec, frac := ms/1000, ms%1000
	if ms < 0 && frac != 0 {
		b = append(b, '-')
		sec, frac = -sec, -frac
	}
	b = strconv.AppendInt(b, sec, 10)
	if frac == 0 {
		return b
	}
	b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, bits)
}

const lowerHex = "0123456789abcdef"

// appendQuoted writes a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// decodeBase64 takes standard base64 with or without padding.
func decodeBase64(s string) ([]byte, error) {
	if len(s)%4 != 0 {
		return base64.RawStdEncoding.DecodeString(s)
	}
	return base64.StdEncoding.DecodeString(s)
}
