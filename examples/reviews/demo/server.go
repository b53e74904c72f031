package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startServer runs a drover for the demo, or uses the one that the environment names.
func (d *demo) startServer(ctx context.Context) (stop func(), err error) {
	if os.Getenv("AWS_ENDPOINT_URL") != "" {
		d.server = os.Environ()
		return func() {}, nil
	}
	data := filepath.Join(d.work, "drover")
	log, err := os.Create(filepath.Join(d.work, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	serve := exec.Command(d.drover, "serve", "--data", data, "--listen", "127.0.0.1:0")
	serve.Stdout, serve.Stderr = log, log
	if err := serve.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	stop = func() {
		out, err := exec.Command(d.drover, "stop", "--jobs", "--data", data).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "demo: the server did not stop: %v %s\n", err, out)
			return
		}
		<-ended
	}
	for range 600 {
		select {
		case err := <-ended:
			said, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("the server ended: %v\n%s", err, said)
		case <-ctx.Done():
			stop()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if d.server = d.environment(ctx, data); d.server != nil {
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("the server was not ready after 30 s")
}

// environment is that of this program, with the variables that lead to the server; nil
// while it is not ready.
func (d *demo) environment(ctx context.Context, data string) []string {
	out, err := exec.CommandContext(ctx, d.drover, "env", "--json", "--data", data).Output()
	if err != nil {
		return nil
	}
	var variables map[string]string
	if json.NewDecoder(bytes.NewReader(out)).Decode(&variables) != nil {
		return nil
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	for name, value := range variables {
		env = append(env, name+"="+value)
	}
	return env
}

// call runs a program whose words go to the user.
func (d *demo) call(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = d.server, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}
