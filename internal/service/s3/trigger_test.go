package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/store"
	"drover/internal/store/storetest"
	"drover/internal/wire/authz"
)

// submissions is a Batch that takes jobs down by token, as the real one does, and refuses
// the first of each.
type submissions struct {
	mu      sync.Mutex
	refuse  int
	tried   map[string]int
	jobs    map[string]*batch.SubmitJobInput
	settled chan struct{}
}

func (s *submissions) Call(_ context.Context, as authz.Principal, service, op string, in, out any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if as.Kind != authz.Root || service != "batch" || op != "SubmitJob" {
		return fmt.Errorf("called %s %s as %v", service, op, as.Kind)
	}
	j := in.(*batch.SubmitJobInput)
	token := j.Tags["drover:token"]
	if s.tried[token]++; s.tried[token] <= s.refuse {
		return errors.New("no such queue yet")
	}
	s.jobs[token] = j
	*out.(*batch.SubmitJobOutput) = batch.SubmitJobOutput{JobId: aws.String("id")}
	s.settled <- struct{}{}
	return nil
}

func newSubmissions(refuse int) *submissions {
	return &submissions{refuse: refuse, tried: map[string]int{}, jobs: map[string]*batch.SubmitJobInput{}, settled: make(chan struct{}, 1000)}
}

// Every version that is made and fits the filter asks for one job; nothing else does.
func TestTriggers(t *testing.T) {
	storetest.Both(t, func(t *testing.T, db *store.DB) {
		v := openVaultOn(t, db, nil)
		b := "inbox"
		if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b}, nil); err != nil {
			t.Fatal(err)
		}
		if err := v.PutBucketTagging(ctx, b, map[string]string{onPutTag: "day sentiment:3", prefixTag: "in/", suffixTag: ".csv"}); err != nil {
			t.Fatal(err)
		}
		calls := newSubmissions(1)
		run, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); (&Service{vault: v}).RunTriggers(run, calls) }()
		put := func(key, body string) {
			t.Helper()
			if _, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: &key, Body: strings.NewReader(body)}); err != nil {
				t.Fatal(err)
			}
		}
		put("in/reviews 1.csv", "one")
		put("in/reviews 1.csv", "a second version of it")
		put("in/reviews.txt", "no")
		put("out/reviews.csv", "no")
		joined(t, v, b, "in/large.csv")
		if _, err := v.CopyObject(ctx, s3response.CopyObjectInput{Bucket: &b, Key: aws.String("in/copy.csv"), CopySource: aws.String(b + "/out/reviews.csv")}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &b, Key: aws.String("in/copy.csv")}); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			select {
			case <-calls.settled:
			case <-time.After(20 * time.Second):
				t.Fatalf("submitted %d of 4 jobs", len(calls.jobs))
			}
		}
		stop()
		<-done
		if len(calls.jobs) != 4 || len(calls.tried) != 4 {
			t.Errorf("%d jobs of %d tokens", len(calls.jobs), len(calls.tried))
		}
		names := map[string]int{}
		for _, j := range calls.jobs {
			if *j.JobQueue != "day" || *j.JobDefinition != "sentiment:3" || j.Parameters["bucket"] != b || *j.ContainerOverrides.Environment[1].Value != j.Parameters["key"] {
				t.Errorf("job %+v", j)
			}
			names[*j.JobName]++
		}
		if names["on-put-reviews_1_csv"] != 2 || names["on-put-large_csv"] != 1 || names["on-put-copy_csv"] != 1 {
			t.Errorf("jobs %v", names)
		}
	})
}

// A wish outlives the process that wrote it down, and is tried with the same token again.
func TestTriggersAfterRestart(t *testing.T) {
	db := storetest.SQLite(t)
	v := openVaultOn(t, db, nil)
	b := "restart"
	if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &b, CreateBucketConfiguration: &types.CreateBucketConfiguration{
		Tags: []types.Tag{{Key: aws.String(onPutTag), Value: aws.String("q d")}}}}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: &b, Key: aws.String(fmt.Sprint("k", i)), Body: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
	}
	calls := newSubmissions(0)
	list, _, err := v.dueTriggers(ctx)
	if err != nil || len(list) != 20 {
		t.Fatalf("%d wishes, %v", len(list), err)
	}
	for i := range list { // submitted, but killed before that was written down
		if _, err := v.submit(ctx, calls, &list[i]); err != nil {
			t.Fatal(err)
		}
		<-calls.settled
	}
	again := openVaultOn(t, db, nil)
	run, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); (&Service{vault: again}).RunTriggers(run, calls) }()
	for range 20 {
		<-calls.settled
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		left, _, err := again.dueTriggers(ctx)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("%d wishes left, %v", len(left), err)
		}
		if len(left) == 0 {
			break
		}
	}
	stop()
	<-done
	if len(calls.jobs) != 20 {
		t.Errorf("%d jobs for 20 objects", len(calls.jobs))
	}
}

func TestTriggerTags(t *testing.T) {
	r := open(t, nil)
	b := r.bucket("tags")
	tag := func(pairs ...string) error {
		var set []types.Tag
		for i := 0; i < len(pairs); i += 2 {
			set = append(set, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
		}
		_, err := r.client.PutBucketTagging(ctx, &awss3.PutBucketTaggingInput{Bucket: &b, Tagging: &types.Tagging{TagSet: set}})
		return err
	}
	if err := tag(onPutTag, "only-a-queue"); code(err) != "InvalidTag" || !strings.Contains(err.Error(), "job definition") {
		t.Errorf("one word: %v", err)
	}
	if err := tag(prefixTag, "in/"); code(err) != "InvalidTag" {
		t.Errorf("a filter alone: %v", err)
	}
	if err := tag(onPutTag, "queue definition:1", prefixTag, "in/", "other", "x"); err != nil {
		t.Error(err)
	}
	for key, want := range map[string]string{"a/b c.csv": "on-put-b_c_csv", "dir/": "on-put-dir_", "/": "on-put-_", strings.Repeat("x", 500): "on-put-" + strings.Repeat("x", 121)} {
		if got := jobName(key); got != want {
			t.Errorf("job of %q is named %q", key, got)
		}
	}
}
