package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// raw sends what a client sends, byte for byte and header for header, and gives the answer
// as plain JSON: a member that is absent or null is not there, as it is not for botocore and
// the Java SDK.
type raw struct {
	s      *server
	t      *testing.T
	region string
	batch  func(*http.Request) // the client's own headers on Batch requests
	http   *http.Client
}

type object = map[string]any

// client gives a raw client. Its subtest may be another than the one that started the server.
func (s *server) raw(t *testing.T, region string, headers func(*http.Request)) *raw {
	transport := &http.Transport{ExpectContinueTimeout: 5 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return &raw{s: s, t: t, region: region, batch: headers, http: &http.Client{Transport: transport}}
}

// do calls an operation of Batch and expects it to be answered.
func (c *raw) do(op string, in object) object {
	c.t.Helper()
	status, out := c.send("batch", "/v1/"+strings.ToLower(op), in, c.batch)
	if status != http.StatusOK {
		c.t.Fatalf("%s: %d %v", op, status, out)
	}
	return out
}

// refused calls an operation of Batch and expects ClientException, HTTP 400, with the words.
func (c *raw) refused(words, op string, in object) {
	c.t.Helper()
	status, out := c.send("batch", "/v1/"+strings.ToLower(op), in, c.batch)
	message, _ := out["message"].(string)
	if status != http.StatusBadRequest || out["code"] != "ClientException" || !strings.Contains(message, words) {
		c.t.Errorf("%s: %d %v, want ClientException with %q", op, status, out, words)
	}
}

// logs calls an operation of CloudWatch Logs; code is that of its error, or "".
func (c *raw) logs(op string, in object) (out object, code string) {
	c.t.Helper()
	status, out := c.send("logs", "/", in, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "Logs_20140328."+op)
	})
	if status != http.StatusOK {
		code = fmt.Sprint(out["code"])
	}
	return out, code
}

// send signs a request after the client's headers are on it. An error answer gives its code,
// from header or body as SDKs look for it, and its message.
func (c *raw) send(service, path string, in object, headers func(*http.Request)) (int, object) {
	c.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.s.endpoint+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if headers != nil {
		headers(req)
	}
	resp := c.signed(service, req, body)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		c.t.Fatalf("%s answered %d %q: %v", path, resp.StatusCode, text, err)
	}
	if resp.StatusCode != http.StatusOK {
		code := resp.Header.Get("X-Amzn-Errortype")
		if t, ok := out["__type"].(string); ok && code == "" {
			code = t
		}
		if i := strings.LastIndexByte(code, '#'); i >= 0 {
			code = code[i+1:]
		}
		code, _, _ = strings.Cut(code, ":")
		message := out["message"]
		if message == nil {
			message = out["Message"]
		}
		return resp.StatusCode, object{"code": code, "message": message}
	}
	return resp.StatusCode, out
}

// signed signs a request, as its client does after all its headers are on it, and sends it.
func (c *raw) signed(service string, req *http.Request, body []byte) *http.Response {
	c.t.Helper()
	sum := sha256.Sum256(body)
	creds := aws.Credentials{AccessKeyID: c.s.client.Credentials.AccessKey, SecretAccessKey: c.s.client.Credentials.Secret}
	if err := v4.NewSigner().SignHTTP(c.t.Context(), creds, req, hex.EncodeToString(sum[:]), service, c.region, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// find walks to a value by member names and list indices (-1: the last); ok is false where a
// client would find nothing.
func find(v any, path ...any) (found any, ok bool) {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, is := v.(object)
			if v = m[step]; !is || v == nil {
				return nil, false
			}
		case int:
			l, is := v.([]any)
			if step < 0 {
				step += len(l)
			}
			if !is || step < 0 || step >= len(l) {
				return nil, false
			}
			v = l[step]
		}
	}
	return v, true
}

// at is find for what a client reads without asking: it must be there, with the type T.
func at[T any](c *raw, v any, path ...any) T {
	c.t.Helper()
	found, ok := find(v, path...)
	typed, is := found.(T)
	if !ok || !is {
		c.t.Fatalf("%v is %#v, want a %T that the client reads; in %v", path, found, typed, v)
	}
	return typed
}

// absent makes sure that a client finds nothing.
func (c *raw) absent(v any, path ...any) {
	c.t.Helper()
	if found, ok := find(v, path...); ok {
		c.t.Errorf("%v is %v, it must be absent; in %v", path, found, v)
	}
}

// same compares a value with what was expected, after JSON made both plain.
func (c *raw) same(what string, got, want any) {
	c.t.Helper()
	a, err := json.Marshal(got)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := json.Marshal(want)
	if err != nil {
		c.t.Fatal(err)
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil || fmt.Sprint(x) != fmt.Sprint(y) {
		c.t.Errorf("%s is %s, want %s", what, a, b)
	}
}

// job is one job as DescribeJobs gives it.
func (c *raw) job(id string) object {
	c.t.Helper()
	jobs := at[[]any](c, c.do("DescribeJobs", object{"jobs": []string{id}}), "jobs")
	if len(jobs) != 1 {
		c.t.Fatalf("job %s: %d answers", id, len(jobs))
	}
	return jobs[0].(object)
}

// until polls a job until it has one of the statuses.
func (c *raw) until(id string, statuses ...string) object {
	c.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		d := c.job(id)
		if slices.Contains(statuses, at[string](c, d, "status")) {
			return d
		}
		if time.Now().After(end) {
			c.t.Fatalf("job %s never was %v: %v", id, statuses, d)
		}
	}
}
