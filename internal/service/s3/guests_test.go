package s3

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/authz/policy"
	"drover/internal/wire/sigv4"
)

// directory is an account with users, each with one policy.
type directory map[string]string

func (d directory) Secret(key, token string, now time.Time) (sigv4.Key, error) {
	if key == testKey {
		return oneKey{}.Secret(key, token, now)
	}
	name := strings.ToLower(strings.TrimPrefix(key, "AKIA"))
	if _, ok := d[name]; !ok {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	return sigv4.Key{Secret: testSecret, Principal: authz.Principal{Account: testAccount, Kind: authz.User, User: name, ARN: "arn:aws:iam::" + testAccount + ":user/" + name}}, nil
}

func (d directory) Decide(_ context.Context, r *authz.Request) (authz.Decision, error) {
	doc, err := policy.Parse(d[r.Principal.User])
	if err != nil {
		return authz.Decision{}, err
	}
	out, _ := doc.Evaluate(r)
	return out, nil
}

// usersRig is a service with root and the two users.
type usersRig struct {
	s                *Service
	root, alice, bob *rig
}

func openUsers(t *testing.T) usersRig {
	t.Helper()
	s, err := Open(ctx, Options{Dir: t.TempDir(), Region: "drover-1", Account: testAccount, NoFsync: true, Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	users := directory{
		"alice": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::alpha","arn:aws:s3:::alpha/*","arn:aws:s3:::made"]},{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::alpha/keep/*"}]}`,
		"bob":   `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::alpha/pub/*"},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::alpha","Condition":{"StringLike":{"s3:prefix":"pub/*"}}}]}`,
	}
	m := wire.NewMux(wire.MuxOptions{Account: testAccount, DefaultRegion: "drover-1", Auth: &sigv4.Verifier{Keys: users}, Authorizer: users, Denials: authz.NewDenials(100)})
	m.Raw("s3", s.Serve)
	m.Judge("s3", s.Judge)
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	root := &rig{t: t, s: s, url: srv.URL, client: clientOf(srv.URL, testSecret)}
	as := func(name string) *rig {
		return &rig{t: t, s: s, url: srv.URL, client: awss3.New(awss3.Options{BaseEndpoint: &srv.URL, Region: "x", UsePathStyle: true, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("AKIA"+strings.ToUpper(name), testSecret, "")})}
	}
	return usersRig{s, root, as("alice"), as("bob")}
}

// Two users with different policies see what they may, in every form of asking, and a
// bucket's policy has its say too.
func TestUsersAndPolicies(t *testing.T) {
	u := openUsers(t)
	s, root, alice, bob := u.s, u.root, u.alice, u.bob
	alpha, beta := root.bucket("alpha"), root.bucket("beta")
	for _, k := range []string{"pub/1", "pub//2", "pub/../3", "own/1", "keep/1", "keep/../4"} {
		root.put(alpha, k, k)
	}
	root.put(beta, "secret", "x")
	get := func(r *rig, b, k string) error {
		out, err := r.client.GetObject(ctx, &awss3.GetObjectInput{Bucket: &b, Key: &k})
		if err == nil && read(t, out.Body) != k {
			t.Errorf("%s of %s is another's", k, b)
		}
		return err
	}
	put := func(r *rig, b, k string) error {
		_, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: &k, Body: strings.NewReader(k)})
		return err
	}
	list := func(r *rig, b, prefix string) error {
		_, err := r.client.ListObjectsV2(ctx, &awss3.ListObjectsV2Input{Bucket: &b, Prefix: &prefix})
		return err
	}
	copied := func(r *rig, from, b, k string) error {
		_, err := r.client.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: &b, Key: &k, CopySource: aws.String(from)})
		return err
	}
	create := func(r *rig, b string) error {
		_, err := r.client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b})
		return err
	}
	for what, c := range map[string]struct {
		err error
		may bool
	}{
		"alice gets hers":             {get(alice, alpha, "own/1"), true},
		"alice puts hers":             {put(alice, alpha, "own/2"), true},
		"alice lists hers":            {list(alice, alpha, ""), true},
		"alice copies within hers":    {copied(alice, "alpha/own/1", alpha, "own/3"), true},
		"alice makes a bucket":        {create(alice, "made"), true},
		"alice makes another bucket":  {create(alice, "other"), false},
		"alice gets beta's":           {get(alice, beta, "secret"), false},
		"alice copies from beta":      {copied(alice, "beta/secret", alpha, "own/4"), false},
		"bob gets a public one":       {get(bob, alpha, "pub/1"), true},
		"bob gets pub//2":             {get(bob, alpha, "pub//2"), true},
		"bob gets pub/../3":           {get(bob, alpha, "pub/../3"), true}, // keys are opaque: it begins with pub/
		"bob gets what is not public": {get(bob, alpha, "own/1"), false},
		"bob gets keep/../4":          {get(bob, alpha, "keep/../4"), false},
		"bob puts":                    {put(bob, alpha, "pub/9"), false},
		"bob lists the public ones":   {list(bob, alpha, "pub/"), true},
		"bob lists all":               {list(bob, alpha, ""), false},
		"bob lists beta":              {list(bob, beta, "pub/"), false},
		"bob makes a bucket":          {create(bob, "bobs"), false},
		"bob reads no bucket's policy": {func() error {
			_, err := bob.client.GetBucketPolicy(ctx, &awss3.GetBucketPolicyInput{Bucket: &alpha})
			return err
		}(), false},
		"bob lists buckets": {func() error { _, err := bob.client.ListBuckets(ctx, &awss3.ListBucketsInput{}); return err }(), false},
	} {
		if c.may && c.err != nil || !c.may && code(c.err) != "AccessDenied" {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	if made, err := s.vault.bucket("made"); err != nil || s.vault.owner(made) != testAccount {
		t.Errorf("whose is the bucket that alice made: %v", err)
	}
	out, err := alice.client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: &alpha, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("own/1")}, {Key: aws.String("keep/1")}, {Key: aws.String("own/2")}}}})
	if err != nil || len(out.Deleted) != 2 || len(out.Errors) != 1 || *out.Errors[0].Key != "keep/1" || *out.Errors[0].Code != "AccessDenied" {
		t.Errorf("alice deletes many: %+v, %v", out, err)
	}
	bucketPolicy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + testAccount + `:user/bob"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::alpha/in/*"},` +
		`{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::` + testAccount + `:user/alice"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::alpha/pub/*"}]}`
	if _, err := root.client.PutBucketPolicy(ctx, &awss3.PutBucketPolicyInput{Bucket: &alpha, Policy: &bucketPolicy}); err != nil {
		t.Fatal(err)
	}
	if err := put(bob, alpha, "in/1"); err != nil {
		t.Errorf("the bucket lets bob put: %v", err)
	}
	if err := get(alice, alpha, "pub//2"); code(err) != "AccessDenied" {
		t.Errorf("the bucket denies alice: %v", err)
	}
	if err := get(root, alpha, "pub/1"); err != nil {
		t.Errorf("root: %v", err)
	}
	var names []string
	all, err := root.client.ListBuckets(ctx, &awss3.ListBucketsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all.Buckets {
		names = append(names, *b.Name)
	}
	if !slices.Equal(names, []string{"alpha", "beta", "made"}) {
		t.Errorf("buckets %q", names)
	}
	s.library.guests.at.Range(func(access, _ any) bool { t.Errorf("guest %s never left", access); return true })
}
