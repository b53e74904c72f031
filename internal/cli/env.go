package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"drover/internal/wire/keys"
)

// envCommand is `drover env`.
type envCommand struct {
	TLS bool `name:"tls" help:"The addresses over TLS, with the authority to trust."`
}

// Help is shown by drover env --help.
func (*envCommand) Help() string {
	return `Prints the lines that make aws, the SDKs and drover talk to the server of the data folder.

  eval "$(drover env)"
  aws batch submit-job --job-name hello --job-queue default --job-definition ...
  aws s3 ls`
}

// Run carries out the command.
func (c *envCommand) Run(sh *shell, g *globals) error {
	r, err := serverOf(g.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return refused("no server runs on %s; start one with drover serve --data %s", g.Data, g.Data)
	}
	if err != nil {
		return refused("%w", err)
	}
	creds, err := keys.LoadOrCreate(g.credentialsFile())
	if err != nil {
		return refused("%w", err)
	}
	variables := [][2]string{
		{"AWS_ENDPOINT_URL", r.Endpoint},
		{"AWS_ACCESS_KEY_ID", creds.AccessKey},
		{"AWS_SECRET_ACCESS_KEY", creds.Secret},
		{"AWS_REGION", defaultRegion},
		{"AWS_DEFAULT_REGION", defaultRegion},
	}
	if c.TLS {
		if r.TLS == "" {
			return refused("the server of %s has no TLS address; start it with drover serve --tls-listen HOST:PORT", g.Data)
		}
		variables[0][1], r.S3 = r.TLS, r.S3TLS
		if r.CA != "" {
			variables = append(variables, [2]string{"AWS_CA_BUNDLE", r.CA})
		}
	}
	if r.S3 != "" {
		variables = append(variables, [2]string{"AWS_ENDPOINT_URL_S3", r.S3})
	}
	if g.JSON {
		all := map[string]string{}
		for _, v := range variables {
			all[v[0]] = v[1]
		}
		return printJSON(sh, all)
	}
	for _, v := range variables {
		fmt.Fprintf(sh.out, "export %s=%s\n", v[0], quoted(v[1]))
	}
	// What the user's shell holds for AWS itself would go before these.
	fmt.Fprintln(sh.out, "unset AWS_SESSION_TOKEN AWS_PROFILE")
	return nil
}

// quoted writes a value so that any shell reads it back.
func quoted(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:+=@%", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// printJSON writes one value, indented, to standard output.
func printJSON(sh *shell, v any) error {
	enc := json.NewEncoder(sh.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printLine writes one value as one line of JSON, for streams.
func printLine(sh *shell, v any) error {
	enc := json.NewEncoder(sh.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
