// Package wiretest proves a service's table against the real AWS SDK client: each
// operation's input is filled by reflection with values that are all different, sent by
// the client, and compared with what the handler received; then the output is filled,
// sent back, and compared with what the client decoded. The same is done with drover's
// own client.
//
// It promises that a member which got lost, changed or swapped on the way, in either
// direction, fails the test with the member's name. The SDK is pinned, so this is the
// proof for exactly the version that drover is built with.
package wiretest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"drover/internal/wire"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

// Key signs the requests of tests.
var Key = sigv4.Credentials{AccessKey: "AKIAWIRETESTWIRETEST", Secret: "wiretest"}

// Account is the account of Key.
const Account = "000000000000"

// Transport answers HTTP requests from a handler, without a network.
type Transport struct{ Handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "192.0.2.1:1234"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	t.Handler.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// NewMux is a mux that knows Key and serves the services.
func NewMux(services ...wire.Service) *wire.Mux {
	m := wire.NewMux(wire.MuxOptions{Account: Account, DefaultRegion: "drover-1",
		Auth: &sigv4.Verifier{Keys: keys.Root(Key, Account)}})
	for _, s := range services {
		m.Add(s)
	}
	return m
}

// Config is how an SDK client reaches a handler.
func Config(h http.Handler) aws.Config {
	return aws.Config{
		Region:           "drover-1",
		BaseEndpoint:     aws.String("http://drover.test:4580"),
		Credentials:      credentials.NewStaticCredentialsProvider(Key.AccessKey, Key.Secret, ""),
		HTTPClient:       &http.Client{Transport: Transport{h}},
		RetryMaxAttempts: 1,
	}
}

// Client is drover's own client to a handler.
func Client(h http.Handler) *wire.Client {
	return &wire.Client{Endpoint: "http://drover.test:4580", Region: "drover-1", Credentials: Key,
		HTTP: &http.Client{Transport: Transport{h}}}
}

// Conformance runs the proof for every built operation of a table. newClient makes the
// SDK's client of the service, for example:
//
//	wiretest.Conformance(t, ops, func(c aws.Config) any { return batch.NewFromConfig(c) })
//
// Operations named in except are left out; the caller says why beside it.
func Conformance[S any](t *testing.T, table *wire.Table[S], newClient func(aws.Config) any, except ...string) {
	t.Helper()
	var got, answer any // of the operation at hand
	svc := wire.Record(table, func(_ wire.Name, in any) (any, error) {
		got = in
		return answer, nil
	})
	var last []byte
	mux := NewMux(svc)
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, r)
		last = rec.Body.Bytes()
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(last)
	})
	client := reflect.ValueOf(newClient(Config(seen)))
	own := Client(seen)
	done := 0
	for _, op := range svc.Built() {
		if slices.Contains(except, string(op.Name)) {
			continue
		}
		done++
		in, out := reflect.New(op.In), reflect.New(op.Out)
		Fill(in.Interface())
		Fill(out.Interface())
		answer = out.Interface()
		check := func(who string, decoded any, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%s, %s: %v", op.Name, who, err)
				return
			}
			if d := Diff(in.Interface(), got); d != "" {
				t.Errorf("%s, %s: the handler got another input (- sent, + got):\n%s", op.Name, who, d)
			}
			if d := Diff(answer, decoded); d != "" {
				t.Errorf("%s, %s: the client got another output (- sent, + got):\n%s\n%s", op.Name, who, d, last)
			}
		}
		got = nil
		decoded, err := callSDK(t.Context(), client, string(op.Name), in)
		check("SDK client", decoded, err)
		got = nil
		mine := reflect.New(op.Out).Interface()
		err = own.Call(t.Context(), table.Identity(), op.Address, in.Interface(), mine)
		check("own client", mine, err)

		answer = reflect.New(op.Out).Interface() // nothing set: lists must still be there
		if _, err := callSDK(t.Context(), client, string(op.Name), in); err != nil {
			t.Errorf("%s: an empty output: %v", op.Name, err)
		}
		emptyLists(t, op, last)
	}
	if done == 0 {
		t.Error("the table has no operation to prove")
	}
}

// emptyLists checks that every list at the top of an empty JSON answer is [].
func emptyLists(t *testing.T, op wire.Operation, answer []byte) {
	t.Helper()
	if len(answer) == 0 || answer[0] != '{' {
		return
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(answer, &members); err != nil {
		t.Errorf("%s: %v in %s", op.Name, err, answer)
	}
	lists := 0
	for _, v := range members {
		if string(v) == "[]" {
			lists++
		}
	}
	want := 0
	for i := range op.Out.NumField() {
		f := op.Out.Field(i)
		if f.IsExported() && f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.Uint8 && !carriesInterface(f.Type.Elem()) {
			want++
		}
	}
	if lists != want {
		t.Errorf("%s: an empty answer has %d empty lists, the type %d: %s", op.Name, lists, want, answer)
	}
}

func carriesInterface(t reflect.Type) bool { return t.Kind() == reflect.Interface }

// callSDK calls a method of an SDK client by name.
func callSDK(ctx context.Context, client reflect.Value, name string, in reflect.Value) (any, error) {
	m := client.MethodByName(name)
	if !m.IsValid() {
		return nil, fmt.Errorf("the SDK's client has no method %s", name)
	}
	res := m.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	err, _ := res[1].Interface().(error)
	return res[0].Interface(), err
}

// Diff compares two SDK values, without the SDK's own bookkeeping; "" means equal.
func Diff(want, got any) string {
	return cmp.Diff(want, got,
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.FilterPath(func(p cmp.Path) bool {
			f, ok := p.Last().(cmp.StructField)
			return ok && (f.Name() == "noSmithyDocumentSerde" || f.Name() == "ResultMetadata")
		}, cmp.Ignore()),
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }))
}

// Fill gives every member of the structure that ptr points at a value of its own.
func Fill(ptr any) { (&filler{}).fill(reflect.ValueOf(ptr).Elem()) }

// filler gives every member a value of its own.
type filler struct {
	n    int64
	path []reflect.Type
}

// fill sets v and all below it; a type inside itself is left empty, as are unions.
func (f *filler) fill(v reflect.Value) {
	f.n++
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer:
		if slices.Contains(f.path, t.Elem()) {
			return
		}
		v.Set(reflect.New(t.Elem()))
		f.fill(v.Elem())
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d <&\"é+/%% \n>", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.n % 100)
		if t.Bits() == 64 {
			v.SetInt(f.n<<40 + 1)
		}
		if v.Int() == 0 {
			v.SetInt(100)
		}
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n) + 0.25)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{byte(f.n), 0, 0xff, byte(f.n >> 8)})
			return
		}
		if t.Elem().Kind() == reflect.Interface || slices.Contains(f.path, t.Elem()) {
			return
		}
		v.Set(reflect.MakeSlice(t, 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface || slices.Contains(f.path, t.Elem()) {
			return
		}
		v.Set(reflect.MakeMap(t))
		for range 2 {
			k, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			f.fill(k)
			f.fill(e)
			v.SetMapIndex(k, e)
		}
	case reflect.Struct:
		f.fillStruct(v)
	}
}

func (f *filler) fillStruct(v reflect.Value) {
	t := v.Type()
	if t == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.UnixMilli(1_700_000_000_000 + f.n*1001).UTC()))
		return
	}
	f.path = append(f.path, t)
	for i := range t.NumField() {
		if sf := t.Field(i); sf.IsExported() && !sf.Anonymous && sf.Name != "ResultMetadata" {
			f.fill(v.Field(i))
		}
	}
	f.path = f.path[:len(f.path)-1]
}

// Send posts a raw body, signed, and gives status, header and body: for golden
// transcripts of what a client would see.
func Send(t testing.TB, h http.Handler, service, method, target, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, line := range header {
		name, value, _ := strings.Cut(line, ":")
		r.Header.Set(name, strings.TrimSpace(value))
	}
	if service != "" {
		sigv4.Sign(r, sigv4.HashBody([]byte(body)), Key, service, "drover-1", time.Now())
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	data, err := io.ReadAll(rec.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Code, rec.Header(), string(data)
}
