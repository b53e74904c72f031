package server_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/service/native"
	"drover/internal/wire"
)

// TestMountsKeepToPolicies lets a user into one folder of a mounted bucket.
func TestMountsKeepToPolicies(t *testing.T) {
	o := startOther(t)
	at := o.bucket(t, "theirs")
	root, _ := account(t)
	if err := mountBucket(t, &wire.Client{Endpoint: root.endpoint, Region: "drover-1", Credentials: root.creds}, "raw", at); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for _, key := range []string{"home/a", "other/a"} {
		putObject(t, root.s3, "raw", key, []byte("x"))
	}
	ann := root.user(t, "ann", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::raw/home/*"},
		{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::raw","Condition":{"StringLike":{"s3:prefix":"home/*"}}}]}`)
	b := aws.String("raw")
	get := func(key string) error {
		_, err := ann.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: &key})
		return err
	}
	put := func(key string) error {
		_, err := ann.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: &key, Body: strings.NewReader("y")})
		return err
	}
	list := func(prefix string) error {
		_, err := ann.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, Prefix: &prefix})
		return err
	}
	many := func(keys ...string) error {
		var ids []types.ObjectIdentifier
		for _, k := range keys {
			ids = append(ids, types.ObjectIdentifier{Key: &k})
		}
		_, err := ann.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: ids}})
		return err
	}
	cp := func(from, to string) error {
		_, err := ann.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: &to, CopySource: aws.String("raw/" + from)})
		return err
	}
	ok(t, "get", get("home/a"))
	ok(t, "put", put("home/b"))
	ok(t, "list", list("home/"))
	ok(t, "copy", cp("home/a", "home/c"))
	ok(t, "delete-many", many("home/b", "home/c"))
	denied(t, "get elsewhere", get("other/a"))
	denied(t, "get of what begins like it", get("homes/a"))
	if err := get("home/../other/a"); apiCode(err) != "InvalidArgument" {
		t.Errorf("a key that leads elsewhere where paths are folded: %v", err)
	}
	denied(t, "put elsewhere", put("other/b"))
	denied(t, "list of all", list(""))
	denied(t, "list elsewhere", list("other/"))
	denied(t, "copy from elsewhere", cp("other/a", "home/d"))
	denied(t, "copy elsewhere", cp("home/a", "other/d"))
	denied(t, "delete-many with one elsewhere", many("home/a", "other/a"))
	ok(t, "nothing of that was deleted", get("home/a"))
	_, err := native.Call[native.UnmountBucketOutput](ctx, &wire.Client{Endpoint: root.endpoint, Region: "drover-1", Credentials: ann.creds}, "UnmountBucket", &native.UnmountBucketInput{Bucket: b})
	if err == nil {
		t.Error("a user unmounted a bucket")
	}
}
