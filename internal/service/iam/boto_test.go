package iam

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"drover/internal/wire/wiretest"
)

// TestBoto3: botocore has its own reading of the protocol, of documents and of errors.
func TestBoto3(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("SKIP: python3 with boto3 is not installed")
	}
	srv := httptest.NewServer(newHouse(t).mux)
	defer srv.Close()
	c := exec.CommandContext(t.Context(), python, "testdata/boto.py")
	c.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+srv.URL, "AWS_DEFAULT_REGION=drover-1",
		"AWS_ACCESS_KEY_ID="+wiretest.Key.AccessKey, "AWS_SECRET_ACCESS_KEY="+wiretest.Key.Secret)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
