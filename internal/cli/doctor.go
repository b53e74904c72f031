package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"drover/internal/core/upkeep"
	"drover/internal/server"
	"drover/internal/service/native"
)

// doctorCommand is `drover doctor`.
type doctorCommand struct {
	Account string `default:"000000000000" hidden:"" help:"Account number of the server."`
	Keys    string `name:"objects-key" type:"path" placeholder:"FILE" help:"Key file of a stopped server's encrypted objects."`
	Rate    int64  `default:"64" placeholder:"MiB" help:"What to read a second at most while the server runs (default ${default})."`
}

// Help is shown by drover doctor --help.
func (*doctorCommand) Help() string {
	return `Reads all objects and compares the checksum of every block. Damaged objects are listed with their bucket, key, version and the first bad byte; they are never served, so put them again from their source, or restore the files from a backup.

While the server runs, it does the reading, at a bounded rate. Of a stopped server the databases are checked too, and contents that no object names (what a crash left) are removed:

  drover doctor --rate 16
  drover stop && drover doctor

Exit status 1: something is damaged.`
}

// Run carries out the command.
func (c *doctorCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	if c.Rate < 1 {
		return wrong("--rate must be at least 1 MiB a second")
	}
	found := &server.Checkup{}
	err := os.ErrNotExist
	if _, stat := os.Stat(g.Data); stat == nil || g.Endpoint == "" {
		found, err = server.Doctor(ctx, g.Data, c.Account, server.Contents{KeyFile: c.Keys})
	}
	live := errors.Is(err, server.ErrRuns) || g.Endpoint != "" && errors.Is(err, os.ErrNotExist)
	if live {
		found, err = c.ask(ctx, sh, g)
	}
	if err != nil && live {
		return err
	}
	if err != nil {
		return refused("%w", err)
	}
	if err := c.print(sh, g, found); err != nil {
		return err
	}
	if !found.Healthy() {
		return quiet(exitJobs)
	}
	return nil
}

func (c *doctorCommand) print(sh *shell, g *globals, found *server.Checkup) error {
	if g.JSON {
		return printJSON(sh, found)
	}
	for _, d := range found.Databases {
		state := "good"
		if d.Trouble != "" {
			state = "DAMAGED: " + d.Trouble
		}
		fmt.Fprintf(sh.out, "%-22s %s\n", d.Name, state)
	}
	for _, d := range found.Damaged {
		fmt.Fprintf(sh.out, "DAMAGED %s version %s at byte %d: %s\n", address(d.Bucket, d.Key), d.VersionID, d.Offset, d.Reason)
	}
	fmt.Fprintf(sh.out, "%d objects read (%s), %d damaged", found.Objects, sized(found.Bytes), len(found.Damaged))
	if found.Removed > 0 {
		fmt.Fprintf(sh.out, "; removed %d contents without an object (%s)", found.Removed, sized(found.Freed))
	}
	_, err := fmt.Fprintln(sh.out)
	return err
}

// ask has a server that runs check its objects, a part after the other.
func (c *doctorCommand) ask(ctx context.Context, sh *shell, g *globals) (*server.Checkup, error) {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return nil, err
	}
	out := &server.Checkup{Databases: []server.Database{}, Damaged: []upkeep.Damaged{}}
	rate := c.Rate << 20
	in := &native.VerifyObjectsInput{Rate: &rate}
	said := time.Now()
	for {
		part, err := native.Call[native.VerifyObjectsOutput](ctx, conn.client, "VerifyObjects", in)
		if err != nil {
			return nil, err
		}
		out.Objects += part.Objects
		out.Bytes += part.Bytes
		out.Damaged = append(out.Damaged, part.Damaged...)
		if part.Next == "" {
			return out, nil
		}
		in.After = &part.Next
		if sh.terminal && time.Since(said) > 10*time.Second {
			said = time.Now()
			fmt.Fprintf(sh.err, "%d objects read so far (%s), %d damaged\n", out.Objects, sized(out.Bytes), len(out.Damaged))
		}
	}
}
