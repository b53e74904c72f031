package server_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	batchsvc "drover/internal/service/batch"
	"drover/internal/wire"
	"drover/internal/wire/keys"
)

// A file placed in a tagged bucket submits a job of the definition that the tag names: one
// for each version, none for what the filter leaves out, and none again after a restart.
func TestPlacedFilesSubmitJobs(t *testing.T) {
	opt := options(t)
	endpoint, stop := run(t, opt)
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	client := func() *wire.Client { return &wire.Client{Endpoint: endpoint, Region: "drover-1", Credentials: creds} }
	register := &batch.RegisterJobDefinitionInput{JobDefinitionName: aws.String("sentiment"), Type: types.JobDefinitionTypeContainer, ContainerProperties: &types.ContainerProperties{
		Image: aws.String("host"), Command: []string{"echo", "Ref::bucket", "Ref::key"},
		ResourceRequirements: []types.ResourceRequirement{{Type: types.ResourceTypeVcpu, Value: aws.String("1")}, {Type: types.ResourceTypeMemory, Value: aws.String("64")}}}}
	if _, err := wire.Call[batch.RegisterJobDefinitionOutput](t.Context(), client(), batchsvc.Identity, "RegisterJobDefinition", register); err != nil {
		t.Fatal(err)
	}
	objects := s3.New(s3.Options{BaseEndpoint: &endpoint, Region: "drover-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(creds.AccessKey, creds.Secret, "")})
	inbox := aws.String("inbox")
	if _, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: inbox}); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.PutBucketTagging(t.Context(), &s3.PutBucketTaggingInput{Bucket: inbox, Tagging: &s3types.Tagging{TagSet: []s3types.Tag{
		{Key: aws.String("drover:on-put"), Value: aws.String("default sentiment")}, {Key: aws.String("drover:on-put-suffix"), Value: aws.String(".csv")}}}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a.csv", "b.csv", "b.csv", "notes.txt"} {
		if _, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: inbox, Key: &key, Body: strings.NewReader(key)}); err != nil {
			t.Fatal(err)
		}
	}
	jobs := func() (list []string) {
		t.Helper()
		out, err := wire.Call[batch.ListJobsOutput](t.Context(), client(), batchsvc.Identity, "ListJobs", &batch.ListJobsInput{JobQueue: aws.String("default"),
			Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{"on-put-*"}}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range out.JobSummaryList {
			list = append(list, *j.JobId)
		}
		return list
	}
	for deadline := time.Now().Add(20 * time.Second); len(jobs()) < 3; {
		if time.Now().After(deadline) {
			t.Fatalf("jobs %v", jobs())
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	endpoint, stop = run(t, opt)
	defer stop()
	ids := jobs()
	if len(ids) != 3 {
		t.Errorf("after a restart there are %d jobs, want 3", len(ids))
	}
	out, err := wire.Call[batch.DescribeJobsOutput](t.Context(), client(), batchsvc.Identity, "DescribeJobs", &batch.DescribeJobsInput{Jobs: ids})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range out.Jobs {
		key := j.Parameters["key"]
		if *j.JobName != "on-put-"+strings.ReplaceAll(key, ".", "_") || !strings.Contains(fmt.Sprint(j.Container.Environment), "DROVER_OBJECT_KEY") && len(j.Container.Environment) == 0 {
			t.Errorf("job %s of key %q: %+v", *j.JobName, key, j.Container)
		}
	}
}
