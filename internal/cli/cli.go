// Package cli is drover's command line: the commands that run the parts of drover, the
// ones that look at jobs, and `drover map`, which turns a folder of files into results.
//
// It promises that what cannot work is refused before anything is submitted; that every
// error is one sentence that says what to change; that with --json standard output holds
// JSON and nothing else; and that the exit status means the same for every command.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"drover/internal/core/fault"
	"drover/internal/executor/docker/inside"

	"github.com/alecthomas/kong"
)

// Exit statuses of every command.
const (
	exitOK          = 0
	exitJobs        = 1   // the command did its work, but jobs failed, or what it checked is damaged
	exitUsage       = 2   // the command line or a file named in it is wrong; nothing was done
	exitService     = 3   // the server refused, could not be reached or is none
	exitInterrupted = 130 // ended by Ctrl-C
)

// shell is the outside world as a command sees it.
type shell struct {
	out, err io.Writer
	env      func(string) string
	terminal bool // err is a terminal
	width    func() int
}

// failure is an error that has chosen its exit status.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// wrong makes an error of the caller's: nothing was done.
func wrong(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// refused makes an error of the service's.
func refused(format string, args ...any) error {
	return &failure{exitService, fmt.Errorf(format, args...)}
}

// quiet is an exit status whose reason has been told already.
func quiet(code int) error { return &failure{code, nil} }

// grammar is the command line.
type grammar struct {
	globals

	Map       mapCommand       `cmd:"" group:"Work" help:"Run a command over every file of a folder and collect the results."`
	Jobs      jobsCommand      `cmd:"" group:"Work" help:"List jobs, newest first."`
	Job       jobCommand       `cmd:"" group:"Work" help:"Show one job: state, reason, attempts."`
	Logs      logsCommand      `cmd:"" group:"Work" help:"Print what a job wrote."`
	Events    eventsCommand    `cmd:"" group:"Work" help:"Print what happens to jobs and objects."`
	Cancel    cancelCommand    `cmd:"" group:"Work" help:"Cancel a job that has not started."`
	Terminate terminateCommand `cmd:"" group:"Work" help:"End a job, whether it has started or not."`
	Retry     retryCommand     `cmd:"" group:"Work" help:"Submit what has failed of a job again."`
	Explain   explainCommand   `cmd:"" group:"Work" help:"Say why a job does not run, and what would help."`
	Simulate  simulateCommand  `cmd:"" group:"Work" help:"Replay a log of jobs under a scheduling policy."`

	Bucket  bucketCommand  `cmd:"" group:"Server" help:"Mount buckets of another S3, and list buckets."`
	Objects objectsCommand `cmd:"" group:"Server" help:"Look after the object store."`

	Serve    serveCommand    `cmd:"" group:"Server" help:"Run the server: API, object store, job manager, logs and one worker."`
	Env      envCommand      `cmd:"" group:"Server" help:"Print the environment for aws, the SDKs and drover itself."`
	Certs    certsCommand    `cmd:"" group:"Server" help:"Show or renew drover's own TLS certificate."`
	Stop     stopCommand     `cmd:"" group:"Server" help:"Stop the server of the data folder."`
	Doctor   doctorCommand   `cmd:"" group:"Server" help:"Check all that a server has stored."`
	Why      whyCommand      `cmd:"" name:"why-denied" group:"Server" help:"Tell why a request was refused."`
	Hosts    hostsCommand    `cmd:"" group:"Server" help:"List the hosts that run jobs."`
	Worker   workerCommand   `cmd:"" group:"Server" help:"Run a worker by itself."`
	Launcher launcherCommand `cmd:"" hidden:"" help:"Own the job processes of a host (started by the worker)."`
	Version  versionCommand  `cmd:"" group:"Server" help:"Print the version."`
}

// globals are the flags of every command.
type globals struct {
	Data     string `placeholder:"DIR" help:"Data folder (default $$DROVER_DATA, else ~/.drover)."`
	Endpoint string `placeholder:"URL" help:"Server to talk to (default $$AWS_ENDPOINT_URL, else the one that runs on the data folder)."`
	CABundle string `name:"ca-bundle" placeholder:"FILE" help:"Certificate authorities to trust for https (default $$AWS_CA_BUNDLE, else the data folder's own)."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

const about = `Batch jobs on your own machines, through the API of AWS Batch.

Start here, with nothing to set up:

    drover map --in texts --out counts -- wc -w

Or run a server, and use it with any AWS client:

    drover serve
    eval "$(drover env)"; aws batch describe-job-queues

Exit status: 0 done, 1 jobs failed, 2 wrong usage (nothing was done), 3 the server refused or could not be reached, 130 interrupted.`

// Main runs drover with the arguments after the program's name and gives its exit status.
func Main(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == inside.PauseCommand { // in a container of a pod
		inside.Pause()
		return 0
	}
	if len(args) > 0 && args[0] == inside.RedirectCommand { // in a container, before its command: no parsing
		fmt.Fprintln(os.Stderr, "drover:", inside.Redirect(args[1:]))
		return 127
	}
	sh := &shell{out: os.Stdout, err: os.Stderr, env: os.Getenv, terminal: isTerminal(os.Stderr), width: func() int { return terminalWidth(os.Stderr) }}
	return run(ctx, args, sh)
}

// leave carries kong's wish to end, after --help, out of the parser.
type leave int

func run(ctx context.Context, args []string, sh *shell) (code int) {
	defer func() {
		if l, ok := recover().(leave); ok {
			code = int(l)
		}
	}()
	var g grammar
	parser, err := kong.New(&g,
		kong.Name("drover"), kong.Description(about),
		kong.Writers(sh.out, sh.err), kong.Exit(func(code int) { panic(leave(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(sh, &g.globals))
	if err != nil {
		fmt.Fprintln(sh.err, "drover:", err)
		return exitUsage
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(sh.err, "drover: %v; see drover %s--help\n", err, commandOf(err))
		return exitUsage
	}
	if k.Command() == "launcher" { // it runs with no environment, and knows only its own folder
		return sh.report(k.Run())
	}
	if err := g.complete(sh); err != nil {
		return sh.report(err)
	}
	return sh.report(k.Run())
}

// commandOf names the command that a usage error belongs to, with a space behind it.
func commandOf(err error) string {
	p, ok := errors.AsType[*kong.ParseError](err)
	if !ok || p.Context == nil {
		return ""
	}
	if c, _, _ := strings.Cut(p.Context.Command(), " "); c != "" {
		return c + " "
	}
	return ""
}

// report prints an error and gives the exit status.
func (sh *shell) report(err error) int {
	if err == nil {
		return exitOK
	}
	if f, ok := errors.AsType[*failure](err); ok {
		if f.err != nil {
			fmt.Fprintln(sh.err, "drover:", sentence(f.err))
		}
		return f.code
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(sh.err, "drover: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(sh.err, "drover:", sentence(err))
	return exitService
}

// sentence is an error as a person reads it: of a fault the message without its code and
// without its causes.
func sentence(err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err.Error()
	}
	return strings.Replace(err.Error(), f.Error(), f.Message, 1)
}
