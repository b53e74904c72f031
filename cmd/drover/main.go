// Command drover is the whole program: server, worker and command line in one file.
package main

import (
	"context"
	"os"

	"drover/internal/cli"
)

func main() { os.Exit(cli.Main(context.Background(), os.Args[1:])) }
