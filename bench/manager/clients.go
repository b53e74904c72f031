package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"drover/bench/rig"
	batchsvc "drover/internal/service/batch"
	"drover/internal/service/native"
	"drover/internal/wire"
	"drover/internal/wire/sigv4"
)

// body is the submission of job i as a pipeline makes it: a name of its own, a command and
// a variable that name its part of the work, and a tag.
func body(i int64) string {
	return fmt.Sprintf(`{"jobName":"align-%07d","jobQueue":"bench","jobDefinition":"bench","containerOverrides":{"command":["align","--sample","s-%07d"],"environment":[{"name":"SAMPLE","value":"s-%07d"}]},"tags":{"project":"genomes"}}`, i, i, i)
}

// arrayBody is the submission of an array.
func arrayBody(i int64, size int) string {
	return fmt.Sprintf(`{"jobName":"align-%07d","jobQueue":"bench","jobDefinition":"bench","arrayProperties":{"size":%d},"tags":{"project":"genomes"}}`, i, size)
}

// sign signs a submission as the account's root.
func sign(in *rig.Instance) func(*http.Request, string) {
	creds := in.Client.Credentials
	return func(r *http.Request, body string) {
		hash := sha256.Sum256([]byte(body))
		r.Header.Set("Content-Type", "application/json")
		sigv4.Sign(r, hex.EncodeToString(hash[:]), creds, "batch", "drover-1", time.Now())
	}
}

// submit makes n clients submit jobs number from to to, one by one, and gives their rate.
func submit(in *rig.Instance, n int, from, to int64) (float64, error) {
	return rig.Post(n, in.Endpoint+"/v1/submitjob", func(i int64) (string, bool) { return body(from + i), from+i < to }, sign(in))
}

// someJobs gives the ids of the first jobs that the queue lists as RUNNABLE.
func someJobs(in *rig.Instance, n int) ([]string, error) {
	var out []string
	var token *string
	for len(out) < n {
		page, err := wire.Call[batch.ListJobsOutput](context.Background(), in.Client, batchsvc.Identity, "ListJobs",
			&batch.ListJobsInput{JobQueue: aws.String("bench"), JobStatus: "RUNNABLE", MaxResults: aws.Int32(100), NextToken: token})
		if err != nil {
			return nil, err
		}
		for _, j := range page.JobSummaryList {
			out = append(out, aws.ToString(j.JobId))
		}
		if token = page.NextToken; token == nil {
			break
		}
	}
	if len(out) < n {
		return nil, fmt.Errorf("%d jobs are RUNNABLE, %d were looked for", len(out), n)
	}
	return out[:n], nil
}

// latencies calls something n times, one after another, and gives what each call took, in ms.
func latencies(n int, call func(i int) error) ([]float64, error) {
	var out []float64
	for i := range n {
		start := time.Now()
		if err := call(i); err != nil {
			return nil, err
		}
		out = append(out, time.Since(start).Seconds()*1000)
	}
	return out, nil
}

func describe(in *rig.Instance, jobs []string) error {
	out, err := wire.Call[batch.DescribeJobsOutput](context.Background(), in.Client, batchsvc.Identity, "DescribeJobs", &batch.DescribeJobsInput{Jobs: jobs})
	if err == nil && len(out.Jobs) != len(jobs) {
		err = fmt.Errorf("%d of %d jobs were described", len(out.Jobs), len(jobs))
	}
	return err
}

func explain(in *rig.Instance, id string) error {
	v, err := native.Call[native.GetJobViewOutput](context.Background(), in.Client, "GetJobView", &native.GetJobViewInput{Job: &id})
	if err == nil && v.Wait == nil {
		b, _ := json.Marshal(v)
		err = fmt.Errorf("nothing says why %s waits: %s", id, b)
	}
	return err
}

// follow reads the outbox until it has seen n units succeed, and gives the number of events
// that were told: one for each unit and step.
func follow(in *rig.Instance, after, n int64, patience time.Duration) (events int64, err error) {
	deadline := time.Now().Add(patience)
	for ended := int64(0); ended < n; {
		out, err := native.Call[native.ListTransitionsOutput](context.Background(), in.Client, "ListTransitions",
			&native.ListTransitionsInput{After: &after, Limit: aws.Int32(10_000), WaitSeconds: aws.Int32(1)})
		if err != nil {
			return events, err
		}
		after = out.Next
		for _, t := range out.Transitions {
			units := int64(1)
			if t.First != nil {
				units = int64(*t.Last-*t.First) + 1
			}
			if events += units; t.To == "SUCCEEDED" && t.First != nil {
				ended += units
			}
		}
		if time.Now().After(deadline) {
			return events, errors.New("the outbox did not tell of all ends in time")
		}
	}
	return events, nil
}

func percentiles(v []float64) (p50, p99, most float64) {
	return rig.Median(v), rig.Percentile(v, 99), slices.Max(v)
}
