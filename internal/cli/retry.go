package cli

import (
	"context"
	"fmt"

	"drover/internal/service/native"
)

// retryCommand is `drover retry`.
type retryCommand struct {
	ID string `arg:"" help:"Job or array that has FAILED."`
}

// Help is shown by drover retry --help.
func (*retryCommand) Help() string {
	return `Submits what has failed of a job again, as a new job: a plain job whole, of an array the children that failed and no other. Each child has the AWS_BATCH_JOB_ARRAY_INDEX that it had before.

  drover retry 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11`
}

// Run carries out the command.
func (c *retryCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	out, err := native.Call[native.RetryJobOutput](ctx, conn.client, "RetryJob", &native.RetryJobInput{Job: &c.ID})
	switch {
	case err != nil:
		return err
	case g.JSON:
		return printJSON(sh, out)
	case out.Children > 0:
		_, err = fmt.Fprintf(sh.out, "%s retries %d children of %s\n", out.Job, out.Children, c.ID)
	default:
		_, err = fmt.Fprintf(sh.out, "%s retries %s\n", out.Job, c.ID)
	}
	return err
}
