package cli

import (
	"context"
	"fmt"

	"drover/internal/service/native"
)

// explainCommand is `drover explain`.
type explainCommand struct {
	ID string `arg:"" help:"Job, array, or child (ID:INDEX)."`
}

// Help is shown by drover explain --help.
func (*explainCommand) Help() string {
	return `Says why a job does not run: the check that fails, with what was asked and what is there, its place in the queue, and what would unblock it.

  drover explain 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11`
}

// explained is the answer for programs.
type explained struct {
	Job    string       `json:"job"`
	Queue  string       `json:"queue"`
	Status string       `json:"status"`
	Wait   *native.Wait `json:"wait,omitempty"` // absent: it does not wait
}

// Run carries out the command.
func (c *explainCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	v, err := conn.view(ctx, c.ID)
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, explained{v.Job, v.Queue, v.Status, v.Wait})
	}
	if v.Wait == nil {
		fmt.Fprintf(sh.out, "job %s is %s and waits for nothing\n", v.Job, v.Status)
		return nil
	}
	fmt.Fprintf(sh.out, "job %s is %s: %s\n", v.Job, v.Status, v.Wait.Reason)
	if v.Wait.Position > 0 {
		fmt.Fprintf(sh.out, "place %s in queue %s\n", grouped(v.Wait.Position), v.Queue)
	}
	if v.Wait.Remedy != "" {
		fmt.Fprintf(sh.out, "what would help: %s\n", v.Wait.Remedy)
	}
	fmt.Fprintf(sh.out, "code %s\n", v.Wait.Code)
	return nil
}
