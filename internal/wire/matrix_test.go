package wire_test

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
	"drover/internal/wire/wiretest"
)

// authForm is one way to sign a request, or not to.
type authForm struct {
	name string
	good bool
	sign func(r *http.Request, service string, body []byte)
}

func authForms(t *testing.T, minter *keys.Minter) []authForm {
	now := time.Now()
	mint := func(attempt string, ttl time.Duration, services ...string) sigv4.Credentials {
		c, err := minter.Mint(keys.Claims{Account: account, ARN: "arn:aws:sts::0:x", Kind: authz.Session, Services: services, Attempt: attempt}, ttl, now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	alive := mint("alive", time.Hour, "batch", "logs", "sts", "iam")
	swapped := alive
	swapped.SessionToken = mint("alive", time.Hour, "batch", "logs", "sts").SessionToken
	dropped := alive
	dropped.SessionToken = ""
	wrongSecret := root
	wrongSecret.Secret += "x"
	sign := func(c sigv4.Credentials, at time.Time) func(*http.Request, string, []byte) {
		return func(r *http.Request, service string, body []byte) {
			sigv4.Sign(r, sigv4.HashBody(body), c, service, "drover-1", at)
		}
	}
	presign := func(c sigv4.Credentials, at time.Time) func(*http.Request, string, []byte) {
		return func(r *http.Request, service string, body []byte) {
			sigv4.Presign(r, sigv4.HashBody(body), c, service, "drover-1", at, time.Minute)
		}
	}
	role := func(attempt, id string) sigv4.Credentials {
		c, err := minter.Mint(keys.Claims{Account: account, ARN: "arn:aws:sts::0:assumed-role/r/s", Kind: authz.Session, Role: "r", ID: id, SessionName: "s", Attempt: attempt}, time.Hour, now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return []authForm{
		{"user who may", true, sign(users["may"], now)},
		{"user who may, presigned", true, presign(users["may"], now)},
		{"user who may not", false, sign(users["may not"], now)},
		{"user with another's secret", false, sign(sigv4.Credentials{AccessKey: users["may"].AccessKey, Secret: users["may not"].Secret}, now)},
		{"user with a session token", false, sign(sigv4.Credentials{AccessKey: users["may"].AccessKey, Secret: users["may"].Secret, SessionToken: alive.SessionToken}, now)},
		{"role", true, sign(role("", "may"), now)},
		{"role of an attempt", true, sign(role("alive", "may"), now)},
		{"role of an attempt that settled", false, sign(role("settled", "may"), now)},
		{"role that was made again", false, sign(role("alive", "another"), now)},
		{"header", true, sign(root, now)},
		{"presigned", true, presign(root, now)},
		{"session", true, sign(alive, now)},
		{"nothing", false, func(*http.Request, string, []byte) {}},
		{"wrong secret", false, sign(wrongSecret, now)},
		{"presigned, wrong secret", false, presign(wrongSecret, now)},
		{"old", false, sign(root, now.Add(-16*time.Minute))},
		{"presigned, over", false, presign(root, now.Add(-2*time.Minute))},
		{"foreign token", false, sign(swapped, now)},
		{"no token", false, sign(dropped, now)},
		{"session over", false, sign(mint("alive", -time.Second, "batch", "logs", "sts"), now)},
		{"attempt settled", false, sign(mint("settled", time.Hour, "batch", "logs", "sts"), now)},
		{"session for another service", false, sign(mint("alive", time.Hour, "s3"), now)},
		{"signed for another service", false, func(r *http.Request, _ string, body []byte) {
			sigv4.Sign(r, sigv4.HashBody(body), root, "s3", "drover-1", now)
		}},
		{"key in the query and none in the header", false, func(r *http.Request, _ string, _ []byte) {
			r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&X-Amz-Credential="+root.AccessKey, "&")
		}},
		{"both forms", false, func(r *http.Request, service string, body []byte) {
			presign(root, now)(r, service, body)
			sign(root, now)(r, service, body)
		}},
		{"exchanged body", false, func(r *http.Request, service string, body []byte) {
			sign(root, now)(r, service, append(body, ' '))
		}},
	}
}

// users are those that somebody knows, by what policies say of them.
var users = directory{
	"may":     {AccessKey: "AKIAMAYMAYMAYMAYMAYM", Secret: "one"},
	"may not": {AccessKey: "AKIANOTNOTNOTNOTNOTN", Secret: "two"},
}

// directory is a key source and an authorizer.
type directory map[string]sigv4.Credentials

func (d directory) Secret(key, token string, _ time.Time) (sigv4.Key, error) {
	for name, c := range d {
		if c.AccessKey == key && token == "" {
			return sigv4.Key{Secret: c.Secret, Principal: authz.Principal{Account: account, AccessKey: key, ARN: "arn:aws:iam::0:user/x", Kind: authz.User, User: "x", ID: name}}, nil
		}
	}
	return sigv4.Key{}, sigv4.ErrUnknownKey()
}

func (d directory) Decide(_ context.Context, r *authz.Request) (authz.Decision, error) {
	if r.Principal.ID == "may" {
		return authz.Decision{Effect: authz.Allow}, nil
	}
	return authz.Decision{}, nil
}

// TestNoOperationWithoutASignature sends every operation of four services, of all
// protocols, in every form of authentication: only the good ones reach a handler. The
// operations come from the SDK's clients, so none can be forgotten.
func TestNoOperationWithoutASignature(t *testing.T) {
	const tags = "/v1/tags/{ResourceArn}"
	minter := keys.NewMinter([32]byte{1})
	minter.Alive = func(attempt string) bool { return attempt == "alive" }
	forms := authForms(t, minter)
	calls := 0
	record := func(table *wire.Table[struct{}]) wire.Service {
		return wire.Record(table, func(op wire.Name, _ any) (any, error) {
			calls++
			for _, o := range wire.Record(table, nil).Built() {
				if o.Name == op {
					return reflect.New(o.Out).Interface(), nil
				}
			}
			return nil, nil
		})
	}
	tables := []*wire.Table[struct{}]{
		tableOf(t, batchID, &batch.Client{}, map[string][]wire.Option{"ListTagsForResource": {wire.GET(tags)}, "TagResource": {wire.POST(tags)}, "UntagResource": {wire.DELETE(tags, "TagKeys")}}),
		tableOf(t, logsID, &cloudwatchlogs.Client{}, nil, "StartLiveTail", "GetLogObject"),
		tableOf(t, stsID, &sts.Client{}, nil),
		tableOf(t, iamID, &iam.Client{}, nil),
	}
	m := wire.NewMux(wire.MuxOptions{Auth: &sigv4.Verifier{Keys: keys.Any(keys.Root(root, account), users, minter)}, Authorizer: users})
	for _, table := range tables {
		m.Add(record(table))
	}
	m.Raw("s3", func(w http.ResponseWriter, _ *http.Request, p wire.Principal, _ *sigv4.Body) {
		if p.Kind == wire.Anonymous {
			t.Error("an operation's request was taken for an anonymous one of s3")
		}
		w.WriteHeader(http.StatusTeapot)
	})
	for _, table := range tables {
		id := table.Identity()
		for _, op := range wire.Record(table, nil).Built() {
			for _, form := range forms {
				in := reflect.New(op.In)
				wiretest.Fill(in.Interface())
				status := 0
				c := &wire.Client{Endpoint: "http://h", HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					body, _ := io.ReadAll(r.Body)
					r.Body, r.Host = io.NopCloser(strings.NewReader(string(body))), r.URL.Host
					form.sign(r, id.Name, body)
					resp, err := wiretest.Transport{Handler: m}.RoundTrip(r)
					status = resp.StatusCode
					return resp, err
				})}}
				calls = 0
				err := c.Call(t.Context(), id, op.Address, in.Interface(), reflect.New(op.Out).Interface())
				if form.good && (err != nil || calls != 1) || !form.good && (err == nil || calls != 0 || status/100 == 2) {
					t.Errorf("%s %s, %s: status %d, %d calls, %v", id.Name, op.Name, form.name, status, calls, err)
				}
			}
		}
	}
}
