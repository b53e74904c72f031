package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"drover/internal/server"
	"drover/internal/wire/certs"
)

// certsCommand is `drover certs`.
type certsCommand struct {
	Host         []string `placeholder:"NAME" help:"Add a name or address to the server's certificate."`
	Renew        bool     `help:"Make a new server certificate of the same authority; clients need nothing new."`
	NewAuthority bool     `help:"Make a new authority and a certificate of it; every client must be given the new ca.pem."`
}

// Help is shown by drover certs --help.
func (*certsCommand) Help() string {
	return `Shows the certificate that drover serve --tls-listen uses unless --tls-cert names another, and the authority that clients must trust; makes both if there are none. A running server takes a new certificate within seconds, and renews its own months before it ends.

  drover certs --host batch.example.org
  drover certs --renew`
}

// Run carries out the command.
func (c *certsCommand) Run(sh *shell, g *globals) error {
	now := time.Now()
	own, err := certs.Open(filepath.Join(g.Data, server.CertsFolder), now)
	if err != nil {
		return refused("%w", err)
	}
	cert, _ := own.Server()
	names := certs.Hosts(c.Host...)
	if had, err := certs.Show(cert); err == nil {
		names = append(names, had.Names...)
	}
	if c.NewAuthority {
		if err := own.Replace(now); err != nil {
			return refused("%w", err)
		}
	}
	if c.Renew {
		err = own.Issue(unique(names), now)
	} else {
		err = own.Ensure(names, now)
	}
	if err != nil {
		return refused("%w", err)
	}
	authority, err := certs.Show(own.CAFile())
	if err != nil {
		return refused("%w", err)
	}
	leaf, err := certs.Show(cert)
	if err != nil {
		return refused("%w", err)
	}
	if g.JSON {
		return printJSON(sh, map[string]certs.Shown{"authority": authority, "server": leaf})
	}
	fmt.Fprintf(sh.out, "authority  %s (%s), good until %s\n           SHA-256 %s\n", authority.File, authority.Subject, authority.Expires.Format(time.DateOnly), authority.Fingerprint)
	fmt.Fprintf(sh.out, "server     %s, good until %s\n           for %s\n", leaf.File, leaf.Expires.Format(time.DateOnly), strings.Join(leaf.Names, " "))
	fmt.Fprintf(sh.out, `
Clients trust it so (copy the file to other hosts; it is no secret):
  aws, boto3         export AWS_CA_BUNDLE=%[1]s   (or aws --ca-bundle FILE)
  drover             drover --ca-bundle FILE, or AWS_CA_BUNDLE
  Go, curl, OpenSSL  export SSL_CERT_FILE=%[1]s
  Node.js            export NODE_EXTRA_CA_CERTS=%[1]s
  Java               keytool -importcert -cacerts -noprompt -alias drover -file FILE
  everything         on Debian: copy it to /usr/local/share/ca-certificates/drover.crt, then update-ca-certificates
`, authority.File)
	return nil
}

// unique drops repetitions and keeps the order.
func unique(list []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
