package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"drover/internal/core/fault"
)

type colour string

type inner struct {
	Text  *string
	Count int32
}

// sample has one member of every kind that the codec knows, and some it skips.
type sample struct {
	Text    *string
	Word    colour
	Flag    *bool
	Small   *int32
	Large   int64
	Ratio   *float64
	When    *time.Time
	Data    []byte
	Names   []string
	Words   []colour
	Inners  []inner
	One     *inner
	Self    *sample
	Lists   [][]string
	Params  map[string]string
	Counts  map[string]int32
	Groups  map[colour][]string
	Deep    map[string]*inner
	Union   any
	private int
}

var sampleID = Identity{Name: "sample", Protocols: []Protocol{RestJSON}, LowerFirst: true, Names: map[string]string{"inner.Count": "COUNT"}}

func samplePlan() *plan { return newCodec(&sampleID).structure(reflect.TypeFor[sample](), nil) }

func decodeSample(text string) (sample, error) {
	var s sample
	err := decodeJSON([]byte(text), samplePlan(), reflect.ValueOf(&s).Elem(), nil)
	return s, err
}

func TestJSONDecodesStrictly(t *testing.T) {
	deep := strings.Repeat(`{"self":`, 99)
	for _, k := range []struct{ text, wrong string }{
		{``, ""}, {`{}`, ""}, {" {\n} \t", ""},
		{`{"text":"a"}`, ""}, {`{"text":null}`, ""}, {`{"TEXT":1,"Text":[{}]}`, ""},
		{`{"unknown":{"a":[1,2,{"b":null}],"c":true,"d":false,"e":-1.5e+3,"f":"\u00e9"}}`, ""},
		{`{"small":2147483647,"large":-9223372036854775808,"ratio":1e-3,"flag":false}`, ""},
		{`{"small":3.0,"large":1e3}`, ""},
		{`{"ratio":"NaN"}`, ""}, {`{"ratio":"-Infinity"}`, ""},
		{`{"one":{"COUNT":1}}`, ""}, {`{"one":{"count":"ignored"}}`, ""},
		{`{"union":{"anything":1}}`, ""}, {`{"private":"x"}`, ""},
		{`{"when":1700000000.123}`, ""}, {`{"data":"AAE="}`, ""}, {`{"data":"AAE"}`, ""},
		{deep + `{}` + strings.Repeat("}", 99), ""},

		{`[]`, "must be a JSON object"}, {`"a"`, "must be a JSON object"}, {`null`, "must be a JSON object"},
		{`{"text":"a","text":"b"}`, `"text" is repeated`}, {`{"text":null,"text":"b"}`, "repeated"},
		{`{"params":{"a":"1","a":"2"}}`, `params: the key "a" is repeated`}, {`{"counts":{"a":1,"a":2}}`, "repeated"},
		{`{"text":1}`, "text: expected a string, got a number"}, {`{"text":{}}`, "got an object"},
		{`{"flag":"true"}`, "flag: expected a boolean"}, {`{"flag":1}`, "expected a boolean"}, {`{"flag":tru}`, "expected true"},
		{`{"small":"1"}`, "small: expected a whole number, got a string"}, {`{"small":1.5}`, "whole number"},
		{`{"small":2147483648}`, "out of range"}, {`{"large":9223372036854775808}`, "out of range"}, {`{"large":1e19}`, "whole number"},
		{`{"small":01}`, "malformed number"}, {`{"small":-}`, "malformed number"}, {`{"small":1.}`, "malformed number"}, {`{"small":1e}`, "malformed number"}, {`{"small":+1}`, "expected a whole number"},
		{`{"ratio":"1"}`, "expected a number"}, {`{"ratio":1e999}`, "out of range"}, {`{"ratio":NaN}`, "expected a number"},
		{`{"when":"2006-01-02T15:04:05Z"}`, "expected a number"}, {`{"when":1e300}`, "out of range"},
		{`{"data":"!"}`, "not base64"}, {`{"data":[1]}`, "base64"},
		{`{"names":"a"}`, "names: expected a list"}, {`{"names":["a",1]}`, "names[1]: expected a string"}, {`{"names":["a",null]}`, "names[1]: expected a value, got null"},
		{`{"inners":[{},{"text":1}]}`, "inners[1].text: expected a string"},
		{`{"params":["a"]}`, "params: expected an object"}, {`{"params":{"a":1}}`, "params.a: expected a string"}, {`{"deep":{"a":null}}`, "deep.a: expected a value"},
		{`{`, "member name"}, {`{"text"`, "':'"}, {`{"text":`, "ends too early"}, {`{"text":"a"`, "',' or '}'"}, {`{"text":"a",}`, "member name"}, {`{"names":[1`, "expected a string"}, {`{"names":["a",]}`, "expected a string"},
		{`{} {}`, "text follows"}, {`{}x`, "text follows"}, {`{'a':1}`, "member name"}, {`{"unknown":nope}`, "expected null"}, {`{"unknown":@}`, "no JSON"},
		{"{\"text\":\"a\nb\"}", "control character"}, {`{"text":"\x"}`, "unknown escape"}, {`{"text":"\u12"}`, `\u escape`}, {`{"text":"\u+123"}`, `\u escape`}, {`{"text":"a`, "does not end"}, {`{"text":"a\`, "does not end"},
		{`{"text":"\ud800"}`, "surrogate"}, {`{"text":"\ud800\ud800"}`, "surrogate"}, {`{"text":"\udc00"}`, "surrogate"},
		{"{\"text\":\"\xff\"}", "not UTF-8"}, {"{\"text\":\"\\n\xff\"}", "not UTF-8"},
		{deep + `{"self":{}}` + strings.Repeat("}", 99), "nested more than 100 deep"},
		{`{"unknown":` + strings.Repeat("[", 100_000), "nested more than 100 deep"},
		{`{"inners":[` + strings.Repeat("{},", maxElements) + `{}]}`, "list elements"},
	} {
		_, err := decodeSample(k.text)
		name := k.text[:min(len(k.text), 60)]
		switch {
		case k.wrong == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case k.wrong != "" && (err == nil || !strings.Contains(err.Error(), k.wrong) || fault.From(err).Code != codeSerialization):
			t.Errorf("%s: %v, want %q", name, err, k.wrong)
		}
	}
}

func TestJSONValues(t *testing.T) {
	s, err := decodeSample(`{"text":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00ü","word":"red","small":-5,"when":-1.5,"data":"AP8=","names":[],"lists":[["a"],[]],"groups":{"red":["x"]},"ratio":"Infinity"}`)
	if err != nil {
		t.Fatal(err)
	}
	if *s.Text != "a\"\\/\b\f\n\r\té😀ü" || s.Word != "red" || *s.Small != -5 || s.When.UnixMilli() != -1500 ||
		!bytes.Equal(s.Data, []byte{0, 255}) || s.Names == nil || len(s.Names) != 0 || len(s.Lists) != 2 || s.Groups["red"][0] != "x" || !math.IsInf(*s.Ratio, 1) {
		t.Errorf("%+v", s)
	}
}

func TestMembersTellAbsentFromZero(t *testing.T) {
	var s sample
	m := Members{of: reflect.TypeFor[sample]()}
	if err := decodeJSON([]byte(`{"large":0,"text":null,"one":{"COUNT":1}}`), samplePlan(), reflect.ValueOf(&s).Elem(), &m); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"Large": true, "Text": false, "Small": false, "One": true, "Count": false, "Nothing": false} {
		if m.Has(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if (*Members)(nil).Has("Large") {
		t.Error("a nil set has members")
	}
}

func TestTimesOnTheWire(t *testing.T) {
	for ms, want := range map[int64]string{0: "0", 1: "0.001", 1500: "1.5", -1500: "-1.5", -1: "-0.001", 1_700_000_000_123: "1700000000.123", 1_700_000_000_120: "1700000000.12"} {
		if got := string(appendEpoch(nil, time.UnixMilli(ms))); got != want {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
}

// anySample draws a structure with everything in it that survives the wire.
func anySample(t *rapid.T, depth int) *sample {
	s := &sample{}
	text := rapid.String()
	opt := func(name string) bool { return rapid.Bool().Draw(t, name) }
	if opt("text") {
		v := text.Draw(t, "v")
		s.Text = &v
	}
	s.Word = colour(rapid.SampledFrom([]string{"", "red", "a b"}).Draw(t, "word"))
	if opt("flag") {
		v := opt("v")
		s.Flag = &v
	}
	if opt("small") {
		v := rapid.Int32().Draw(t, "v")
		s.Small = &v
	}
	s.Large = rapid.Int64().Draw(t, "large")
	if opt("ratio") {
		v := rapid.Float64().Draw(t, "v")
		s.Ratio = &v
	}
	if opt("when") {
		v := time.UnixMilli(rapid.Int64Range(-1e13, 1e13).Draw(t, "v")).UTC()
		s.When = &v
	}
	if opt("data") {
		s.Data = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "v")...)
	}
	if opt("names") {
		s.Names = append([]string{}, rapid.SliceOf(text).Draw(t, "v")...)
	}
	if opt("params") {
		s.Params = rapid.MapOf(text, text).Draw(t, "v")
	}
	if opt("counts") {
		s.Counts = rapid.MapOf(text, rapid.Int32()).Draw(t, "v")
	}
	if opt("inners") {
		v := text.Draw(t, "v")
		s.Inners = []inner{{Text: &v, Count: 3}, {}}
		s.Deep = map[string]*inner{v: {Count: 1}}
		s.Lists = [][]string{{v}, {}}
	}
	if depth < 3 && opt("self") {
		s.Self = anySample(t, depth+1)
	}
	return s
}

// valid drops what JSON strings cannot carry: rapid draws strings that are no UTF-8.
func valid(s *sample) bool {
	b, err := json.Marshal(s)
	return err == nil && utf8.Valid(b) && !bytes.Contains(b, []byte(`\ufffd`))
}

func TestRoundTrips(t *testing.T) {
	p := samplePlan()
	rapid.Check(t, func(t *rapid.T) {
		s := anySample(t, 0)
		if !valid(s) {
			return
		}
		text := appendJSON(nil, p, reflect.ValueOf(s).Elem(), asInput)
		if !json.Valid(text) {
			t.Fatalf("no JSON: %s", text)
		}
		var got sample
		if err := decodeJSON(text, p, reflect.ValueOf(&got).Elem(), nil); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if !reflect.DeepEqual(*s, got) {
			t.Fatalf("json:\n%+v\n%+v\n%s", *s, got, text)
		}
		form := appendForm(nil, "", p, reflect.ValueOf(s).Elem())
		tree, err := parseForm(strings.TrimPrefix(string(form), "&"))
		if err != nil {
			t.Fatalf("%v: %s", err, form)
		}
		// A form cannot tell a structure, blob or map without members from an absent one.
		var fromForm sample
		if err := decodeQuery(tree, p, reflect.ValueOf(&fromForm).Elem(), "", nil); err != nil {
			t.Fatalf("%v: %s", err, form)
		}
		again := appendForm(nil, "", p, reflect.ValueOf(&fromForm).Elem())
		if string(form) != string(again) {
			t.Fatalf("form:\n%s\n%s", form, again)
		}
	})
}

func TestXMLRoundTrip(t *testing.T) {
	p := samplePlan()
	text := "a<&>\"'\t\n\r]]>é"
	s := sample{Text: &text, Word: "red", Large: 7, Names: []string{"x", "", text}, Params: map[string]string{"k<": text, "": ""},
		Inners: []inner{{Text: &text}, {Count: 2}}, Data: []byte{1, 2}, Deep: map[string]*inner{"a": {Count: 9}}}
	when := time.UnixMilli(1_700_000_000_120).UTC()
	s.When = &when
	body := appendXMLAnswer(nil, &sampleID, "Op", "id", p, reflect.ValueOf(s))
	var got sample
	if err := decodeXMLAnswer(body, "Op", p, reflect.ValueOf(&got).Elem()); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	s.Words, s.Lists = []colour{}, [][]string{} // empty lists at the top are written
	if !reflect.DeepEqual(s, got) {
		t.Errorf("%+v\n%+v\n%s", s, got, body)
	}
	if b := appendXMLText(nil, "a\x00b\xff"); string(b) != "a\ufffdb\ufffd" {
		t.Errorf("%q", b)
	}
}

func TestQueryDecodesStrictly(t *testing.T) {
	p := samplePlan()
	for _, k := range []struct{ form, wrong string }{
		{"", ""}, {"text=a&large=1&flag=true&names.member.2=b&names.member.1=a", ""}, {"names=", ""}, {"params=", ""},
		{"params.entry.1.key=a&params.entry.1.value=b", ""}, {"params.entry.1.key=a", ""}, {"unknown.thing.1=x&X-Amz-Date=1", ""},
		{"one.text=a&self.self.text=b", ""}, {"ratio=NaN", ""}, {"when=2023-11-14T22:13:20.120Z", ""},
		{"text=a&text=b", "repeated"}, {"text.x=a", "one value"}, {"names=a", "must be a list"}, {"names.member.0=a", "numbered"}, {"names.member.01=a", "numbered"}, {"names.member.x=a", "numbered"},
		{"names.1=a", "must be a list"}, {"params.entry.1.value=b", "without a key"}, {"params.entry.1.key=a&params.entry.2.key=a", "twice"}, {"params.a=b", "must be a map"},
		{"flag=yes", "true or false"}, {"small=2147483648", "whole number"}, {"small=1.5", "whole number"}, {"small=0x10", "whole number"}, {"ratio=0x1p3", "number"}, {"ratio=inf", "number"}, {"when=yesterday", "time"}, {"data=!", "base64"},
		{"text=%zz", "form encoding"}, {"text=%ff", "UTF-8"},
		{strings.Repeat("a.", 101) + "b=1", "deep"}, {strings.Repeat("a=1&", maxParams+1), "parameters"},
	} {
		tree, err := parseForm(k.form)
		if err == nil {
			var s sample
			err = decodeQuery(tree, p, reflect.ValueOf(&s).Elem(), "", nil)
		}
		name := k.form[:min(len(k.form), 60)]
		if k.wrong == "" && err != nil || k.wrong != "" && (err == nil || !strings.Contains(err.Error(), k.wrong)) && !(strings.HasPrefix(k.form, "a=1&") && err != nil) {
			t.Errorf("%s: %v, want %q", name, err, k.wrong)
		}
	}
}

// FuzzJSON: nothing that encoding/json refuses is accepted, and what is accepted is
// written back to a text that decodes to the same value.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"text":"a\ud83d\ude00","small":1e2,"names":["x"],"params":{"a":"b"},"one":{"COUNT":3},"unknown":[{"a":null}]}`, `{"when":1.5,"data":"AA==","ratio":"NaN"}`, `{"self":{"self":{}}}`} {
		f.Add([]byte(s))
	}
	p := samplePlan()
	f.Fuzz(func(t *testing.T, text []byte) {
		var s sample
		if decodeJSON(text, p, reflect.ValueOf(&s).Elem(), nil) != nil {
			return
		}
		if len(bytes.TrimSpace(text)) > 0 && !json.Valid(text) {
			t.Fatalf("accepted what is no JSON: %q", text)
		}
		out := appendJSON(nil, p, reflect.ValueOf(&s).Elem(), asInput)
		var again sample
		if err := decodeJSON(out, p, reflect.ValueOf(&again).Elem(), nil); err != nil {
			t.Fatalf("%v in our own %s", err, out)
		}
		if second := appendJSON(nil, p, reflect.ValueOf(&again).Elem(), asInput); !bytes.Equal(out, second) {
			t.Fatalf("not stable:\n%s\n%s", out, second)
		}
	})
}

// FuzzQuery: what is accepted is written back to a form that decodes to the same value.
func FuzzQuery(f *testing.F) {
	f.Add("text=a&names.member.1=b&params.entry.1.key=c&params.entry.1.value=d&one.COUNT=1&inners.member.1.text=x&when=2023-11-14T22:13:20Z&data=AA==")
	f.Add("lists.member.1.member.1=a&groups.entry.1.key=k&groups.entry.1.value.member.1=v")
	p := samplePlan()
	f.Fuzz(func(t *testing.T, form string) {
		tree, err := parseForm(form)
		if err != nil {
			return
		}
		var s, again sample
		if decodeQuery(tree, p, reflect.ValueOf(&s).Elem(), "", nil) != nil {
			return
		}
		out := appendForm(nil, "", p, reflect.ValueOf(&s).Elem())
		tree, err = parseForm(string(out))
		if err == nil {
			err = decodeQuery(tree, p, reflect.ValueOf(&again).Elem(), "", nil)
		}
		if err != nil {
			t.Fatalf("%v in our own %s", err, out)
		}
		if second := appendForm(nil, "", p, reflect.ValueOf(&again).Elem()); !bytes.Equal(out, second) {
			t.Fatalf("not stable:\n%s\n%s", out, second)
		}
	})
}

func TestQuotedIsWhatJSONReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		var got string
		if err := json.Unmarshal(appendQuoted(nil, s), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && !strings.Contains(got, "\ufffd") {
			t.Fatalf("%q: %q %v", s, got, err)
		}
	})
	for _, f := range []float64{0, 1, -1.5, 1e-7, 1e21, 123456789.125, math.MaxFloat64} {
		if got, err := strconv.ParseFloat(string(appendFloat(nil, f, 64)), 64); err != nil || got != f || !json.Valid(appendFloat(nil, f, 64)) {
			t.Errorf("%v: %v %v", f, got, err)
		}
	}
}
