package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// What the demo makes in the service.
const (
	bucket      = "reviews"
	environment = "reviews"
	queue       = "reviews"
)

// cloud is the AWS SDK's clients and what has been made with them.
type cloud struct {
	batch *batch.Client
	s3    *s3.Client
	undo  []func(context.Context) error // newest last
}

// newCloud makes clients for the server that an environment leads to.
func newCloud(_ context.Context, env []string) (*cloud, error) {
	get := func(name string) string {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
	if get("AWS_ACCESS_KEY_ID") == "" {
		return nil, errors.New(`AWS_ENDPOINT_URL is set but there are no credentials; run eval "$(drover env)"`)
	}
	cfg := aws.Config{
		Region: get("AWS_REGION"), BaseEndpoint: aws.String(get("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider(get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"), get("AWS_SESSION_TOKEN")),
	}
	return &cloud{
		batch: batch.NewFromConfig(cfg),
		s3:    s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }),
	}, nil
}

// upload makes the bucket and puts a folder below in/.
func (c *cloud) upload(ctx context.Context, dir string) (n int, err error) {
	if _, err := c.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return 0, err
	}
	c.undo = append(c.undo, c.removeBucket)
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n++
		_, err = c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("in/" + filepath.ToSlash(rel)), Body: f})
		return err
	})
	return n, err
}

// download fetches what is below a prefix into a folder.
func (c *cloud) download(ctx context.Context, prefix, dir string) error {
	return c.each(ctx, prefix, func(key string) error {
		o, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		if err != nil {
			return err
		}
		defer o.Body.Close()
		path := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(key, prefix)))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, o.Body)
		return errors.Join(err, f.Close())
	})
}

// each calls f with every key below a prefix.
func (c *cloud) each(ctx context.Context, prefix string, f func(key string) error) error {
	pages := s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if err := f(*o.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cloud) removeBucket(ctx context.Context) error {
	var keys []s3types.ObjectIdentifier
	if err := c.each(ctx, "", func(key string) error {
		keys = append(keys, s3types.ObjectIdentifier{Key: aws.String(key)})
		return nil
	}); err != nil {
		return err
	}
	for len(keys) > 0 {
		n := min(len(keys), 1000)
		if _, err := c.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &s3types.Delete{Objects: keys[:n]}}); err != nil {
			return err
		}
		keys = keys[n:]
	}
	_, err := c.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String(bucket)})
	return err
}

// createEnvironment makes a compute environment whose jobs may be processes of the host.
func (c *cloud) createEnvironment(ctx context.Context) error {
	_, err := c.batch.CreateComputeEnvironment(ctx, &batch.CreateComputeEnvironmentInput{
		ComputeEnvironmentName: aws.String(environment), Type: batchtypes.CETypeManaged,
		ComputeResources: &batchtypes.ComputeResource{
			Type: batchtypes.CRTypeEc2, MinvCpus: aws.Int32(0), MaxvCpus: aws.Int32(64),
			InstanceTypes: []string{"optimal"}, InstanceRole: aws.String("ecsInstanceRole"), Subnets: []string{"subnet-local"}, SecurityGroupIds: []string{"sg-local"},
		},
		Tags: map[string]string{"drover:host-jobs": "true"},
	})
	if err != nil {
		return err
	}
	c.undo = append(c.undo, c.removeEnvironment)
	return c.until(ctx, "the compute environment is VALID", func() (bool, error) {
		out, err := c.batch.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{environment}})
		return err == nil && len(out.ComputeEnvironments) == 1 && out.ComputeEnvironments[0].Status == batchtypes.CEStatusValid, err
	})
}

func (c *cloud) removeEnvironment(ctx context.Context) error {
	if _, err := c.batch.UpdateComputeEnvironment(ctx, &batch.UpdateComputeEnvironmentInput{
		ComputeEnvironment: aws.String(environment), State: batchtypes.CEStateDisabled}); err != nil {
		return err
	}
	if err := c.until(ctx, "the compute environment is DISABLED", func() (bool, error) {
		out, err := c.batch.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{environment}})
		return err == nil && len(out.ComputeEnvironments) == 1 && out.ComputeEnvironments[0].State == batchtypes.CEStateDisabled &&
			out.ComputeEnvironments[0].Status == batchtypes.CEStatusValid, err
	}); err != nil {
		return err
	}
	_, err := c.batch.DeleteComputeEnvironment(ctx, &batch.DeleteComputeEnvironmentInput{ComputeEnvironment: aws.String(environment)})
	return err
}

func (c *cloud) createQueue(ctx context.Context) error {
	_, err := c.batch.CreateJobQueue(ctx, &batch.CreateJobQueueInput{
		JobQueueName: aws.String(queue), Priority: aws.Int32(10), State: batchtypes.JQStateEnabled,
		ComputeEnvironmentOrder: []batchtypes.ComputeEnvironmentOrder{{ComputeEnvironment: aws.String(environment), Order: aws.Int32(1)}},
	})
	if err != nil {
		return err
	}
	c.undo = append(c.undo, c.removeQueue)
	return c.until(ctx, "the job queue is VALID", func() (bool, error) {
		out, err := c.batch.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{queue}})
		return err == nil && len(out.JobQueues) == 1 && out.JobQueues[0].Status == batchtypes.JQStatusValid, err
	})
}

func (c *cloud) removeQueue(ctx context.Context) error {
	if _, err := c.batch.UpdateJobQueue(ctx, &batch.UpdateJobQueueInput{JobQueue: aws.String(queue), State: batchtypes.JQStateDisabled}); err != nil {
		return err
	}
	if _, err := c.batch.DeleteJobQueue(ctx, &batch.DeleteJobQueueInput{JobQueue: aws.String(queue)}); err != nil {
		return err
	}
	return c.until(ctx, "the job queue is gone", func() (bool, error) {
		out, err := c.batch.DescribeJobQueues(ctx, &batch.DescribeJobQueuesInput{JobQueues: []string{queue}})
		return err == nil && len(out.JobQueues) == 0, err
	})
}

// removeDefinitions deregisters what drover map registered.
func (c *cloud) removeDefinitions(ctx context.Context) error {
	pages := batch.NewDescribeJobDefinitionsPaginator(c.batch, &batch.DescribeJobDefinitionsInput{JobDefinitionName: aws.String("drover-map"), Status: aws.String("ACTIVE")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, d := range page.JobDefinitions {
			if _, err := c.batch.DeregisterJobDefinition(ctx, &batch.DeregisterJobDefinitionInput{JobDefinition: d.JobDefinitionArn}); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll takes back what was made, newest first, and goes on after an error.
func (c *cloud) removeAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := c.removeDefinitions(ctx)
	// The bucket in which drover map stages stays if another run uses it.
	if _, e := c.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("drover-map")}); e != nil && !strings.Contains(e.Error(), "BucketNotEmpty") {
		err = errors.Join(err, e)
	}
	for i := len(c.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, c.undo[i](ctx))
	}
	return err
}

// until asks again and again, for 30 s.
func (c *cloud) until(ctx context.Context, what string, ask func() (bool, error)) error {
	for range 300 {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("waited 30 s and still not: %s", what)
}
