package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"drover/internal/core/upkeep"
	"drover/internal/service/native"
)

// objectsCommand is `drover objects`.
type objectsCommand struct {
	Housekeeping housekeepingCommand `cmd:"" help:"Show lifecycle rules, what they removed, and sweeps."`
}

// housekeepingCommand is `drover objects housekeeping`.
type housekeepingCommand struct {
	Now bool `help:"Do all of it first (root's key only)."`
}

// Help is shown by drover objects housekeeping --help.
func (*housekeepingCommand) Help() string {
	return `Shows what the server does by itself: lifecycle rules of buckets, applied every hour, and the sweep of contents that no object names (what a crash left), once a day. Rules are set with any S3 client:

  aws s3api put-bucket-lifecycle-configuration --bucket logs --lifecycle-configuration \
    '{"Rules":[{"ID":"old","Status":"Enabled","Filter":{"Prefix":""},"Expiration":{"Days":30}}]}'
  drover objects housekeeping --now`
}

// Run carries out the command.
func (c *housekeepingCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	out, err := native.Call[native.ObjectHousekeepingOutput](ctx, conn.client, "ObjectHousekeeping", &native.ObjectHousekeepingInput{Now: &c.Now})
	if err != nil {
		return err
	}
	h := &out.House
	if g.JSON {
		return printJSON(sh, h)
	}
	printPass(sh, "lifecycle rules", &h.Lifecycle, "")
	for _, b := range h.Buckets {
		fmt.Fprintf(sh.out, "  %s\n", b.Bucket)
		for _, r := range b.Rules {
			off := ""
			if !r.Enabled {
				off = " (disabled)"
			}
			fmt.Fprintf(sh.out, "    %s%s: %s: %s\n", r.ID, off, r.Which, r.Does)
		}
		if b.Last != 0 {
			fmt.Fprintf(sh.out, "    %s: %s\n", clock(b.Last), expired(&b.Expired))
		}
	}
	if len(h.Buckets) == 0 {
		fmt.Fprintln(sh.out, "  no bucket has any")
	}
	printPass(sh, "sweep", &h.Sweep, fmt.Sprintf(": %d contents seen, %d removed that no object named (%s)", h.Swept.Contents, h.Swept.Removed, sized(h.Swept.Bytes)))
	return nil
}

// printPass says when something was done, with what result, and when it is done again.
func printPass(sh *shell, what string, p *upkeep.Pass, result string) {
	if p.Last == 0 {
		fmt.Fprintf(sh.out, "%s: not done yet; due %s\n", what, clock(p.Next))
		return
	}
	fmt.Fprintf(sh.out, "%s: last %s, took %s%s; next %s\n", what, clock(p.Last), (time.Duration(p.Took) * time.Microsecond).Round(time.Millisecond), result, clock(p.Next))
	if p.Error != "" {
		fmt.Fprintf(sh.out, "  it failed: %s\n", p.Error)
	}
}

func clock(micros int64) string { return time.UnixMicro(micros).Format(time.DateTime) }

// expired says what rules removed.
func expired(e *upkeep.Expired) string {
	var parts []string
	for _, p := range []struct {
		n    int64
		what string
	}{{e.Objects, "objects expired"}, {e.Versions, "old versions removed"}, {e.Markers, "delete markers removed"}, {e.Uploads, "uploads aborted"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "nothing was due"
	}
	return strings.Join(parts, ", ") + " (" + sized(e.Bytes) + ")"
}
