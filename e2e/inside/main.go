// Command inside is a job that uses AWS from inside of a container that has nothing but
// this program: it says who it is, stores an object and reads it back, and describes its
// own job, all with what it finds in its environment.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func run(bucket string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	who, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	creds, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	fmt.Println("source", creds.Source, "temporary", creds.SessionToken != "" && creds.CanExpire)
	fmt.Println("arn", aws.ToString(who.Arn))
	store := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
	key := "from a container/ü+1"
	if _, err := store.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("hello")}); err != nil {
		return err
	}
	got, err := store.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	fmt.Println("object", string(text))
	me := os.Getenv("AWS_BATCH_JOB_ID")
	jobs, err := batch.NewFromConfig(c).DescribeJobs(ctx, &batch.DescribeJobsInput{Jobs: []string{me}})
	if err != nil {
		return err
	}
	fmt.Println("jobs", len(jobs.Jobs), aws.ToString(jobs.Jobs[0].JobId) == me)
	return nil
}
