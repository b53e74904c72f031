package wire

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

const xmlHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// appendXMLAnswer writes the answer of a query operation.
func appendXMLAnswer(b []byte, id *Identity, op, requestID string, p *plan, v reflect.Value) []byte {
	b = append(b, '<')
	b = append(b, op...)
	b = append(b, `Response xmlns="`...)
	b = appendXMLText(b, id.Namespace)
	b = append(b, `"><`...)
	b = append(b, op...)
	b = append(b, "Result>"...)
	b = appendXMLStruct(b, p, v, true)
	b = append(b, "</"...)
	b = append(b, op...)
	b = append(b, "Result><ResponseMetadata><RequestId>"...)
	b = append(b, requestID...)
	b = append(b, "</RequestId></ResponseMetadata></"...)
	b = append(b, op...)
	return append(b, "Response>"...)
}

func appendTag(b []byte, name string, end bool) []byte {
	b = append(b, '<')
	if end {
		b = append(b, '/')
	}
	b = append(b, name...)
	return append(b, '>')
}

func appendXMLStruct(b []byte, p *plan, v reflect.Value, top bool) []byte {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.index)
		if omitted(f.plan, fv, asOutput) && (!top || f.plan.kind != kindList) {
			continue
		}
		b = appendElement(b, f.name, f.plan, fv)
	}
	return b
}

func appendElement(b []byte, name string, p *plan, v reflect.Value) []byte {
	b = appendTag(b, name, false)
	b = appendXMLValue(b, p, v)
	return appendTag(b, name, true)
}

func appendXMLValue(b []byte, p *plan, v reflect.Value) []byte {
	if p.ptr {
		if v.IsNil() {
			return b
		}
		v, p = v.Elem(), p.target()
	}
	switch p.kind {
	case kindList:
		for i := range v.Len() {
			b = appendElement(b, "member", p.elem, v.Index(i))
		}
		return b
	case kindMap:
		for _, k := range sortedValues(v) {
			b = append(b, "<entry><key>"...)
			b = appendXMLText(b, k.String())
			b = append(b, "</key>"...)
			b = appendElement(b, "value", p.elem, v.MapIndex(k))
			b = append(b, "</entry>"...)
		}
		return b
	case kindStruct:
		return appendXMLStruct(b, p, v, false)
	case kindString:
		return appendXMLText(b, v.String())
	}
	return appendScalar(b, p, v)
}

// appendScalar writes the text form of a scalar that is no string.
func appendScalar(b []byte, p *plan, v reflect.Value) []byte {
	switch p.kind {
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		start := len(b)
		b = appendFloat(b, v.Float(), p.typ.Bits())
		if b[start] == '"' { // NaN and its kin are quoted in JSON only
			b = append(b[:start], b[start+1:len(b)-1]...)
		}
		return b
	case kindTime:
		return v.Interface().(time.Time).UTC().AppendFormat(b, "2006-01-02T15:04:05.999Z")
	case kindBlob:
		return base64.StdEncoding.AppendEncode(b, v.Bytes())
	}
	return b
}

// appendXMLText escapes a text. Characters that XML cannot carry become U+FFFD.
func appendXMLText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&quot;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r < 0x20 && r != '\t' && r != '\n', r == utf8.RuneError && size == 1, r == 0xfffe, r == 0xffff:
			b = append(b, "\ufffd"...)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}
