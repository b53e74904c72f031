package batch_test

import (
	"os"
	"os/exec"
	"testing"

	"drover/internal/core/job"
)

// botocore drops absent members and looks names up with their case: what Luigi, Metaflow
// and others read through it must be there.
func TestBoto3(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("SKIP: python3 with boto3 is not installed")
	}
	w := newWorld(t, job.DroverLimits())
	newHand(t, w.m, 4).answerAll(0)
	c := exec.CommandContext(t.Context(), python, "testdata/boto.py")
	c.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+w.own.Endpoint, "AWS_DEFAULT_REGION=eu-west-9",
		"AWS_ACCESS_KEY_ID="+w.own.Credentials.AccessKey, "AWS_SECRET_ACCESS_KEY="+w.own.Credentials.Secret)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
