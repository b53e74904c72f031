package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"

	"drover/internal/core/job"
	"drover/internal/server"
	batchsvc "drover/internal/service/batch"
	"drover/internal/wire"
	"drover/internal/wire/keys"
)

func run(t *testing.T, opt server.Options) (endpoint string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan string, 1)
	opt.Ready = func(e string) { ready <- e }
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, opt) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	select {
	case e := <-ready:
		return e, stop
	case err := <-done:
		cancel()
		t.Fatalf("the server ended before it was ready: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not become ready")
	}
	return "", nil
}

func options(t *testing.T) server.Options {
	return server.Options{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", Account: "000000000000", Limits: job.DroverLimits(), Retain: 30 * 24 * time.Hour, Version: "test"}
}

func TestServesAndRefusesASecond(t *testing.T) {
	opt := options(t)
	start := time.Now()
	endpoint, stop := run(t, opt)
	t.Logf("ready after %v", time.Since(start))
	resp, err := http.Get(endpoint + "/healthz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("healthz: %v, %v", resp, err)
	}
	resp.Body.Close()
	second := opt
	second.Log = slog.New(slog.DiscardHandler)
	if err := server.Run(t.Context(), second); err == nil || !strings.Contains(err.Error(), "pid") {
		t.Errorf("a second server on the folder: %v", err)
	}
	creds, err := keys.LoadOrCreate(filepath.Join(opt.Data, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	c := &wire.Client{Endpoint: endpoint, Region: "drover-1", Credentials: creds}
	out, err := wire.Call[batch.DescribeJobQueuesOutput](t.Context(), c, batchsvc.Identity, "DescribeJobQueues", &batch.DescribeJobQueuesInput{})
	if err != nil || len(out.JobQueues) != 1 || aws.ToString(out.JobQueues[0].JobQueueName) != "default" {
		t.Fatalf("DescribeJobQueues = %+v, %v", out, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(opt.Data, "server.json")); err == nil {
		t.Error("server.json is left behind")
	}
}

// TestStopsWithUnusedConnections opens a connection and sends nothing: stopping does not
// wait for it.
func TestStopsWithUnusedConnections(t *testing.T) {
	endpoint, stop := run(t, options(t))
	c, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if resp, err := http.Get(endpoint + "/healthz"); err != nil { // by now the other one is accepted
		t.Fatal(err)
	} else {
		resp.Body.Close()
	}
	start := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
}
