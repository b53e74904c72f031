package batch

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/google/go-cmp/cmp"
)

// fill gives every member of a value something of its own; recursion ends at a depth.
func fill(v reflect.Value, n *int, depth int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), n, depth)
		}
	case reflect.String:
		v.SetString("v\"\\\n\x01é<" + strconv.Itoa(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n, depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, k := range []string{"b", "a"} {
			e := reflect.New(v.Type().Elem()).Elem()
			fill(e, n, depth-1)
			v.SetMapIndex(reflect.ValueOf(k), e)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "ResultMetadata" {
				fill(v.Field(i), n, depth-1)
			}
		}
	}
}

// Every type that the package keeps or weighs comes back as it was.
func TestCompactRoundTrip(t *testing.T) {
	for _, in := range []any{
		&batch.RegisterJobDefinitionInput{}, &batch.SubmitJobInput{}, &jobDetail{}, &environmentDetail{}, &queueDetail{},
	} {
		n := 0
		fill(reflect.ValueOf(in).Elem(), &n, 12)
		raw := compact(in)
		if !json.Valid(raw) {
			t.Fatalf("%T: not JSON: %s", in, raw)
		}
		out := reflect.New(reflect.TypeOf(in).Elem()).Interface()
		if err := restore(raw, out); err != nil {
			t.Fatalf("%T: %v", in, err)
		}
		everything := cmp.Exporter(func(reflect.Type) bool { return true })
		if d := cmp.Diff(in, out, everything); d != "" {
			t.Errorf("%T (-kept +restored):\n%s", in, d)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\\x00\x1f\x7f\n", "é<>&\u2028", "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); got != want {
			t.Errorf("%q came back as %q", want, got)
		}
	})
}
