package s3

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// follow reads all events after a point, a few at a time.
func (r *rig) follow(after int64, bucket string) (out []Record, next int64) {
	r.t.Helper()
	for {
		events, next, err := r.s.Events(ctx, after, 3, bucket)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range events {
			var rec Record
			if err := json.Unmarshal(e, &rec); err != nil {
				r.t.Fatal(err)
			}
			out = append(out, rec)
		}
		if next == after {
			return out, next
		}
		after = next
	}
}

// Each creation and deletion leaves one record of AWS's shape, and nothing else does.
func TestEvents(t *testing.T) {
	r := open(t, nil)
	r.bucket("events-one")
	r.bucket("events-two")
	c, b := r.client, aws.String("events-one")
	begin, err := r.s.LastEvent(ctx)
	if err != nil {
		t.Fatal(err)
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	body := func() *strings.Reader { return strings.NewReader("content") }
	must(c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: aws.String("a/red flower+ü"), Body: body()}))
	must(c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: aws.String("a/red flower+ü"), Body: body()}))
	if _, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: aws.String("a/red flower+ü"), Body: body(), IfNoneMatch: aws.String("*")}); err == nil {
		t.Error("a refused write was done")
	}
	must(c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String("events-one/a/red%20flower%2B%C3%BC")}))
	up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("parts")})
	must(up, err)
	part, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: b, Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: body()})
	must(part, err)
	must(c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: b, Key: aws.String("parts"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}}}))
	gone, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("aborted")})
	must(gone, err)
	must(c.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: b, Key: aws.String("aborted"), UploadId: gone.UploadId}))
	must(c.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("events-two"), Key: aws.String("other"), Body: body()}))
	must(c.GetObject(ctx, &awss3.GetObjectInput{Bucket: b, Key: aws.String("copy")}))
	must(c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: b, Key: aws.String("never was")}))
	must(c.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: b, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: aws.String("copy")}, {Key: aws.String("parts")}, {Key: aws.String("nor this")}}}}))
	must(c.PutBucketVersioning(ctx, &awss3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &types.VersioningConfiguration{Status: "Enabled"}}))
	v, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: aws.String("v"), Body: body()})
	must(v, err)
	m, err := c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: b, Key: aws.String("v")})
	must(m, err)
	must(c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: b, Key: aws.String("v"), VersionId: v.VersionId}))

	records, next := r.follow(begin, "events-one")
	var got []string
	sequencer := ""
	for _, rec := range records {
		o := rec.S3.Object
		got = append(got, fmt.Sprintf("%s %s %d %s %s", rec.Name, o.Key, aws.ToInt64(o.Size), o.ETag, o.Version))
		if rec.Version != "2.1" || rec.Source != "aws:s3" || rec.Region != "drover-1" || rec.S3.Bucket.ARN != "arn:aws:s3:::events-one" || rec.S3.Bucket.Name != "events-one" ||
			rec.Identity.Principal != "AWS:"+testAccount || rec.Request.Address != "127.0.0.1" || rec.Response.ID == "" || rec.S3.Schema != "1.0" || rec.S3.Bucket.Owner.Principal != testAccount {
			t.Errorf("%+v", rec)
		}
		if at, err := time.Parse(time.RFC3339, rec.Time); err != nil || time.Since(at).Abs() > time.Hour || !strings.HasSuffix(rec.Time, "Z") {
			t.Errorf("eventTime %q, %v", rec.Time, err)
		}
		if len(o.Sequencer) != 16 || o.Sequencer <= sequencer {
			t.Errorf("sequencer %s after %s", o.Sequencer, sequencer)
		}
		sequencer = o.Sequencer
	}
	const sum = "9a0364b9e99bb480dd25e1f0284c8555"
	want := []string{
		"ObjectCreated:Put a/red+flower%2B%C3%BC 7 " + sum + " ", "ObjectCreated:Put a/red+flower%2B%C3%BC 7 " + sum + " ",
		"ObjectCreated:Copy copy 7 " + sum + " ", "ObjectCreated:CompleteMultipartUpload parts 7 " + `6c6e5b65f5ae7b71ff5dbd6b7ff6e1b5-1` + " ",
		"ObjectRemoved:Delete copy 0  ", "ObjectRemoved:Delete parts 0  ",
		"ObjectCreated:Put v 7 " + sum + " " + *v.VersionId, "ObjectRemoved:DeleteMarkerCreated v 0  " + *m.VersionId, "ObjectRemoved:Delete v 0  " + *v.VersionId,
	}
	if len(got) == len(want) { // the ETag of an upload is the library's to compute
		want[3] = got[3]
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || !strings.HasSuffix(strings.TrimSpace(got[3]), "-1") {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all, _ := r.follow(begin, ""); len(all) != len(records)+1 {
		t.Errorf("%d events of all buckets, %d of one", len(all), len(records))
	}
	if more, _ := r.follow(next, ""); len(more) != 0 {
		t.Errorf("%d events again", len(more))
	}
}

// Followers that sleep are woken, and many writers at once lose no event and double none.
func TestEventsExactlyOnce(t *testing.T) {
	r := open(t, nil)
	r.bucket("events")
	const writers, each = 8, 40
	seen := map[string]int{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var after int64
		for deadline := time.After(60 * time.Second); len(seen) < 2*writers*each; {
			changed := r.s.Changed()
			events, next, err := r.s.Events(ctx, after, 1000, "")
			if err != nil {
				t.Error(err)
				return
			}
			for _, e := range events {
				var rec Record
				if err := json.Unmarshal(e, &rec); err != nil {
					t.Error(err)
				}
				seen[rec.Name+" "+rec.S3.Object.Key]++
			}
			if next != after {
				after = next
				continue
			}
			select {
			case <-changed:
			case <-deadline:
				return
			}
		}
	}()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				key := fmt.Sprintf("%d-%d", w, i)
				if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: aws.String("events"), Key: &key, Body: strings.NewReader(key)}); err != nil {
					t.Error(err)
				}
				if _, err := r.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: aws.String("events"), Key: &key}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	<-done
	if len(seen) != 2*writers*each {
		t.Errorf("%d events, want %d", len(seen), 2*writers*each)
	}
	for e, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", e, n)
		}
	}
}

// A destination that drover cannot deliver to is refused by its name, not taken in silence.
func TestNotificationsAreRefusedByName(t *testing.T) {
	r := open(t, nil)
	r.bucket("notify")
	all := []types.Event{"s3:ObjectCreated:*"}
	for service, conf := range map[string]*types.NotificationConfiguration{
		"SQS":         {QueueConfigurations: []types.QueueConfiguration{{QueueArn: aws.String("arn:aws:sqs:drover-1:000000000000:q"), Events: all}}},
		"SNS":         {TopicConfigurations: []types.TopicConfiguration{{TopicArn: aws.String("arn:aws:sns:drover-1:000000000000:t"), Events: all}}},
		"Lambda":      {LambdaFunctionConfigurations: []types.LambdaFunctionConfiguration{{LambdaFunctionArn: aws.String("arn:aws:lambda:drover-1:000000000000:function:f"), Events: all}}},
		"EventBridge": {EventBridgeConfiguration: &types.EventBridgeConfiguration{}},
	} {
		_, err := r.client.PutBucketNotificationConfiguration(ctx, &awss3.PutBucketNotificationConfigurationInput{Bucket: aws.String("notify"), NotificationConfiguration: conf})
		if err == nil || !strings.Contains(err.Error(), "InvalidArgument") || !strings.Contains(err.Error(), "drover has no "+service+" yet") {
			t.Errorf("%s: %v", service, err)
		}
	}
	if _, err := r.client.PutBucketNotificationConfiguration(ctx, &awss3.PutBucketNotificationConfigurationInput{Bucket: aws.String("notify"), NotificationConfiguration: &types.NotificationConfiguration{}}); err != nil {
		t.Errorf("none: %v", err)
	}
	out, err := r.client.GetBucketNotificationConfiguration(ctx, &awss3.GetBucketNotificationConfigurationInput{Bucket: aws.String("notify")})
	if err != nil || len(out.QueueConfigurations)+len(out.TopicConfigurations) > 0 {
		t.Errorf("%+v, %v", out, err)
	}
}
