package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"drover/internal/core/job"
	"drover/internal/executor/launcher"
	"drover/internal/server"
)

// Version is the version of this program. The release build sets it.
const Version = "0.1.0"

// serveCommand is `drover serve`.
type serveCommand struct {
	Listen   string        `default:"127.0.0.1:4580" placeholder:"HOST:PORT" help:"Address of the API (default ${default}); port 0 takes a free one."`
	Account  string        `default:"000000000000" placeholder:"DIGITS" help:"Account number in ARNs (default ${default})."`
	Limits   string        `enum:"drover,aws" default:"drover" help:"Quotas: drover (arrays to 1,000,000) or aws (exactly those of AWS Batch) (default ${default})."`
	Retain   time.Duration `default:"720h" placeholder:"D" help:"How long ended jobs and their logs are kept (default 30 days)."`
	Drain    bool          `help:"When told to end, wait until no job runs."`
	NoWorker bool          `help:"Run no worker on this host."`
	Embedded bool          `hidden:"" help:"End when the last client has gone."`
	Verbose  bool          `short:"v" help:"Log every request."`
}

// Help is shown by drover serve --help.
func (*serveCommand) Help() string {
	return `Runs the API, the object store, the job manager, the logs and one worker on this host. The first start makes a root access key in DIR/credentials, the queue "default" and the compute environment "local".

  drover serve
  drover serve --data /var/lib/drover --listen 127.0.0.1:4580

Then, in another shell:  eval "$(drover env)"  and  aws batch describe-job-queues. SIGTERM ends the server and leaves running jobs running; drover stop --jobs ends them too.`
}

// Run carries out the command.
func (c *serveCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	limits, _ := job.LimitsNamed(c.Limits) // kong checked the word
	if !regexp.MustCompile(`^[0-9]{12}$`).MatchString(c.Account) {
		return wrong("--account %q is not an account number; give 12 digits", c.Account)
	}
	if c.Retain < time.Minute {
		return wrong("--retain %s is too short to read a result in; give at least 1m", c.Retain)
	}
	self, err := os.Executable()
	if err != nil {
		return refused("find this program: %w", err)
	}
	ctx, release := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer release()
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	opt := server.Options{
		Data: g.Data, Listen: c.Listen, Account: c.Account, Region: region(sh), Limits: limits, Retain: c.Retain,
		Embedded: c.Embedded, Drain: c.Drain, Version: Version,
		Log: slog.New(slog.NewTextHandler(sh.err, &slog.HandlerOptions{Level: level})),
		Ready: func(endpoint string) {
			context.AfterFunc(ctx, release) // a second signal ends the process at once
			if g.JSON {
				// Nobody reads what cannot be written here; the server goes on.
				_ = printJSON(sh, map[string]string{"endpoint": endpoint, "credentials": g.credentialsFile()})
				return
			}
			fmt.Fprintf(sh.out, "drover %s serves %s\ncredentials are in %s; next: eval \"$(drover env --data %s)\"\n", Version, endpoint, g.credentialsFile(), g.Data)
		},
	}
	if !c.NoWorker {
		opt.Worker = []string{self, "worker", "--data", g.Data}
	}
	if err := server.Run(ctx, opt); err != nil {
		return refused("%w", err)
	}
	return nil
}

// launcherCommand is `drover launcher`.
type launcherCommand struct {
	Dir string `required:"" placeholder:"DIR" help:"State folder."`
}

// Run carries out the command.
func (c *launcherCommand) Run(ctx context.Context) error { return launcher.Main(ctx, c.Dir) }

// versionCommand is `drover version`.
type versionCommand struct{}

// Run carries out the command.
func (*versionCommand) Run(sh *shell, g *globals) error {
	if g.JSON {
		return printJSON(sh, map[string]string{"version": Version})
	}
	fmt.Fprintln(sh.out, "drover", Version)
	return nil
}
