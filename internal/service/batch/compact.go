package batch

import (
	"encoding/json"
	"reflect"
	"strconv"
)

// compact writes a wire value as JSON without its absent members, for keeping. An empty
// list that is present stays, because it is echoed. encoding/json reads it back (it finds
// members whatever their case).
func compact(v any) json.RawMessage {
	return appendCompact(nil, reflect.ValueOf(v))
}

func appendCompact(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		return appendCompact(b, v.Elem())
	case reflect.String:
		return appendString(b, v.String())
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Slice:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCompact(b, v.Index(i))
		}
		return append(b, ']')
	case reflect.Struct:
		return appendStruct(b, v)
	}
	j, err := json.Marshal(v.Interface()) // maps and what future versions of the model bring
	if err != nil {
		panic("batch: a wire type holds what JSON cannot: " + err.Error())
	}
	return append(b, j...)
}

func appendStruct(b []byte, v reflect.Value) []byte {
	b = append(b, '{')
	t, empty := v.Type(), true
	for i := range v.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" || v.Field(i).IsZero() {
			continue
		}
		if !empty {
			b = append(b, ',')
		}
		empty = false
		b = append(b, '"', f.Name[0]|0x20)
		b = append(b, f.Name[1:]...)
		b = append(b, '"', ':')
		b = appendCompact(b, v.Field(i))
	}
	return append(b, '}')
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			j, err := json.Marshal(s)
			if err != nil {
				panic("batch: " + err.Error()) // json.Marshal takes every string
			}
			return append(b, j...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// restore reads what compact wrote. Records are written by this package only, so that a
// failure means a damaged store.
func restore(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(raw, into)
}
