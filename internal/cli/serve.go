package cli

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
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
	Gates    gateFlags     `embed:""`
	Objects  string        `placeholder:"s3://BUCKET/PREFIX?endpoint=URL" help:"Keep the contents of objects in an S3 of your own; names, versions and events stay here."`
	Keys     string        `name:"objects-key" type:"path" placeholder:"FILE" help:"Encrypt the contents of objects with the keys of this file."`
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
  drover serve --tls-listen 0.0.0.0:4582 --host batch.example.org   for other hosts; drover certs tells how they trust it

Objects are files of the data folder, or elsewhere, and encrypted if you like; both are chosen when the folder is new:

  drover serve --objects 's3://bucket/prefix?endpoint=https://minio.example.org:9000'
  (umask 077; head -c 32 /dev/urandom | base64 > keys) && drover serve --objects-key keys

Then, in another shell:  eval "$(drover env)"  and  aws batch describe-job-queues. SIGTERM ends the server and leaves running jobs running; drover stop --jobs ends them too.`
}

// gateFlags are the addresses beside --listen.
type gateFlags struct {
	TLSListen   string   `name:"tls-listen" placeholder:"HOST:PORT" help:"Serve the API over TLS here too; an address that other hosts reach is welcome."`
	S3Listen    string   `name:"s3-listen" placeholder:"HOST:PORT" help:"Serve the object store alone here too: the direct port for bulk data."`
	S3TLSListen string   `name:"s3-tls-listen" placeholder:"HOST:PORT" help:"The same over TLS."`
	TLSCert     string   `name:"tls-cert" placeholder:"FILE" help:"Certificate in PEM form, with its chain (default: one of drover's own authority; see drover certs)."`
	TLSKey      string   `name:"tls-key" placeholder:"FILE" help:"Key of --tls-cert. Both are read again when they change."`
	Host        []string `placeholder:"NAME" help:"Name by which clients reach this server: for drover's own certificate, and for buckets as BUCKET.NAME."`
	SigV2       bool     `name:"s3-sigv2" help:"Let old S3 clients sign with Signature Version 2 (boto 2, s3cmd --signature-v2), on loopback addresses."`
	Insecure    bool     `help:"Let other hosts in over plain HTTP."`
}

func (f *gateFlags) gates() (server.Gates, error) {
	o := server.Gates{TLS: f.TLSListen, S3: f.S3Listen, S3TLS: f.S3TLSListen, Hosts: f.Host, Insecure: f.Insecure, SigV2: f.SigV2}
	switch {
	case (f.TLSCert == "") != (f.TLSKey == ""):
		return o, wrong("--tls-cert and --tls-key go together; give both, or none for drover's own certificate")
	case f.TLSCert != "" && f.TLSListen == "" && f.S3TLSListen == "":
		return o, wrong("--tls-cert is for a TLS address; give one with --tls-listen or --s3-tls-listen")
	case f.TLSCert == "":
		return o, nil
	}
	var err error
	if o.Cert, err = filepath.Abs(f.TLSCert); err != nil { // the server changes its working folder
		return o, wrong("--tls-cert: %w", err)
	}
	if o.Key, err = filepath.Abs(f.TLSKey); err != nil {
		return o, wrong("--tls-key: %w", err)
	}
	return o, nil
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
	gates, err := c.Gates.gates()
	if err != nil {
		return err
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
		Data: g.Data, Listen: c.Listen, Gates: gates, Contents: server.Contents{Address: c.Objects, KeyFile: c.Keys}, Account: c.Account, Region: region(sh), Limits: limits, Retain: c.Retain,
		Embedded: c.Embedded, Drain: c.Drain, Version: Version,
		Log: slog.New(slog.NewTextHandler(sh.err, &slog.HandlerOptions{Level: level})),
		Ready: func(endpoint string) {
			context.AfterFunc(ctx, release) // a second signal ends the process at once
			further := g.furtherGates()
			if g.JSON {
				said := map[string]string{"endpoint": endpoint, "credentials": g.credentialsFile()}
				maps.Copy(said, further)
				// Nobody reads what cannot be written here; the server goes on.
				_ = printJSON(sh, said)
				return
			}
			fmt.Fprintf(sh.out, "drover %s serves %s\n", Version, endpoint)
			for _, name := range slices.Sorted(maps.Keys(further)) {
				fmt.Fprintf(sh.out, "  and %s\n", further[name])
			}
			fmt.Fprintf(sh.out, "credentials are in %s; next: eval \"$(drover env --data %s)\"\n", g.credentialsFile(), g.Data)
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
