package cli

import (
	"context"
	"fmt"

	"drover/internal/server"
)

// doctorCommand is `drover doctor`.
type doctorCommand struct {
	Account string `default:"000000000000" hidden:"" help:"Account number of the server."`
}

// Help is shown by drover doctor --help.
func (*doctorCommand) Help() string {
	return `Reads all that a stopped server's data folder holds: checks the databases, compares the checksum of every block of every object, and removes contents that no object names (what a crash left). Damaged objects are listed with their bucket, key, version and the first bad byte; they are never served, so put them again from their source, or restore the files from a backup.

  drover stop && drover doctor

Exit status 1: something is damaged.`
}

// Run carries out the command.
func (c *doctorCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	found, err := server.Doctor(ctx, g.Data, c.Account)
	if err != nil {
		return refused("%w", err)
	}
	if g.JSON {
		if err := printJSON(sh, found); err != nil {
			return err
		}
	} else {
		for _, d := range found.Databases {
			state := "good"
			if d.Trouble != "" {
				state = "DAMAGED: " + d.Trouble
			}
			fmt.Fprintf(sh.out, "%-22s %s\n", d.Name, state)
		}
		for _, d := range found.Damaged {
			fmt.Fprintf(sh.out, "DAMAGED s3://%s/%s version %s at byte %d: %s\n", d.Bucket, d.Key, d.VersionID, d.Offset, d.Reason)
		}
		fmt.Fprintf(sh.out, "%d objects read (%s), %d damaged", found.Objects, sized(found.Bytes), len(found.Damaged))
		if found.Removed > 0 {
			fmt.Fprintf(sh.out, "; removed %d contents without an object (%s)", found.Removed, sized(found.Freed))
		}
		fmt.Fprintln(sh.out)
	}
	if !found.Healthy() {
		return quiet(exitJobs)
	}
	return nil
}
