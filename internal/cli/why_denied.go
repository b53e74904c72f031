package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"drover/internal/service/native"
)

// whyCommand is `drover why-denied`.
type whyCommand struct {
	Request string `arg:"" name:"request-id" help:"Request id of the refused call, as its answer has it."`
}

// Help is shown by drover why-denied --help.
func (*whyCommand) Help() string {
	return `Tells who asked for what, and which statement of which policy refused it, or that none allowed it. The server keeps its newest 10,000 refusals in memory.

The request id is in the error that the client got (RequestID: in the SDKs' messages, ResponseMetadata in boto3, --debug with the aws command).

  drover why-denied 7e0c0f9a-5b1c-4d5e-8f43-2f7d3a1c9b11`
}

// Run carries out the command.
func (c *whyCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	out, err := native.Call[native.WhyDeniedOutput](ctx, conn.client, "WhyDenied", &native.WhyDeniedInput{RequestId: aws.String(c.Request)})
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, out)
	}
	for _, d := range out.Denials {
		fmt.Fprintf(sh.out, "at        %s\nwho       %s\naction    %s\nresource  %s\nbecause   %s\n",
			time.UnixMicro(d.At).Format(time.RFC3339), d.Principal, d.Action, d.Resource, d.Reason)
	}
	return nil
}
