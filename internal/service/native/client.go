package native

import (
	"context"
	"strings"

	"drover/internal/wire"
)

// Call calls an operation of this API by its name.
func Call[Out any](ctx context.Context, c *wire.Client, op string, in any) (*Out, error) {
	return wire.Call[Out](ctx, c, Identity, "POST /drover/v1/"+strings.ToLower(op), in)
}
