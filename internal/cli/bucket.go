package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"drover/internal/link/external"
	"drover/internal/service/native"
)

// bucketCommand is `drover bucket`.
type bucketCommand struct {
	Mount   mountCommand      `cmd:"" help:"Make a bucket that passes through to one of your own S3."`
	Unmount unmountCommand    `cmd:"" help:"Take a mounted bucket away; its objects stay where they are."`
	List    listBucketCommand `cmd:"" help:"List buckets, and what the mounted ones pass through to."`
}

// mountCommand is `drover bucket mount`.
type mountCommand struct {
	Name    string `arg:"" help:"Name of the bucket here."`
	Address string `arg:"" help:"s3://bucket/prefix?endpoint=URL&region=NAME, and profile=NAME or credentials=FILE."`
}

// Help is shown by drover bucket mount --help.
func (*mountCommand) Help() string {
	return `Makes a bucket whose objects are those of another S3, under its own keys: MinIO, Ceph, SeaweedFS, AWS. Jobs and clients use it as any bucket, with the keys that they have here; it has no versions, no events, no rules and no policy of drover's. Policies of users and roles count.

The other S3's keys are those that aws would use here: of the environment, of profile=NAME, or of credentials=FILE in the form of ~/.aws/credentials. The server keeps them in a file that only its user can read, and shows them to nobody.

  drover bucket mount raw 's3://measurements/2026?endpoint=https://minio.example.org:9000&profile=minio'`
}

// Run carries out the command.
func (c *mountCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	at, err := external.Parse(c.Address)
	if err != nil {
		return wrong("%w", err)
	}
	access, secret, token, err := at.Keys(ctx)
	if err != nil {
		return wrong("%w", err)
	}
	if token != "" {
		return wrong("the keys for %s are of a session and would soon be void; name long-lived ones with profile=NAME or credentials=FILE", at.Place())
	}
	at.Profile, at.Credentials = "", "" // the server gets the keys themselves
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	address := at.String()
	if _, err := native.Call[native.MountBucketOutput](ctx, conn.client, "MountBucket", &native.MountBucketInput{Bucket: &c.Name, Address: &address, AccessKey: &access, SecretKey: &secret}); err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, map[string]string{"bucket": c.Name, "mount": at.Place()})
	}
	_, err = fmt.Fprintf(sh.out, "s3://%s passes through to %s, without drover's versions and events\n", c.Name, at.Place())
	return err
}

// unmountCommand is `drover bucket unmount`.
type unmountCommand struct {
	Name string `arg:"" help:"Name of the mounted bucket."`
}

// Run carries out the command.
func (c *unmountCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	_, err = native.Call[native.UnmountBucketOutput](ctx, conn.client, "UnmountBucket", &native.UnmountBucketInput{Bucket: &c.Name})
	return err
}

// listBucketCommand is `drover bucket list`.
type listBucketCommand struct{}

// Run carries out the command.
func (*listBucketCommand) Run(ctx context.Context, sh *shell, g *globals) error {
	conn, err := g.connect(ctx, sh)
	if err != nil {
		return err
	}
	out, err := native.Call[native.ListStoredBucketsOutput](ctx, conn.client, "ListStoredBuckets", &native.ListStoredBucketsInput{})
	if err != nil {
		return err
	}
	if g.JSON {
		return printJSON(sh, out.Buckets)
	}
	table := tabwriter.NewWriter(sh.out, 0, 0, 2, ' ', 0)
	for _, b := range out.Buckets {
		what := "own"
		if b.Mount != "" {
			what = "mounted from " + b.Mount + ", without versions and events"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", b.Name, b.Created.Local().Format(time.DateOnly), what)
	}
	return table.Flush()
}
