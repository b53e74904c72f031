// Package external reaches an S3 of the user's own: AWS, MinIO, Ceph, SeaweedFS, another
// drover. It reads the addresses by which users name a bucket there, and makes a client.
//
// It promises that credentials come from where AWS's own tools take them or from the file
// that the address names, and are in no address, message or log; that calls end: a few
// attempts each, and none waits longer than a minute for a silent peer; and that what goes
// wrong there is told in a sentence that says whose fault it is and what to change.
package external

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"drover/internal/core/fault"
	"drover/internal/wire/certs"
)

const (
	attempts    = 4
	longestWait = time.Second // between attempts
	patience    = time.Minute // with a connection on which nothing moves
	connections = 64
)

// Address names a bucket of an external S3, and how to reach it.
type Address struct {
	Bucket      string
	Prefix      string // of keys, without slashes at its ends; "" = the whole bucket
	Endpoint    string // URL; "" = AWS's own, or what the environment says
	Region      string // "" = what the environment says, else us-east-1
	Profile     string // of the AWS configuration files; "" = the usual one
	Credentials string // file in the form of ~/.aws/credentials; "" = the usual sources
	CA          string // file of certificate authorities to trust; "" = the system's
	HostStyle   bool   // bucket.host instead of host/bucket at an endpoint

	static aws.CredentialsProvider
}

const example = "s3://bucket/prefix?endpoint=https://minio.example.org:9000&region=us-east-1"

// Parse reads s3://bucket[/prefix]?endpoint=…&region=…&profile=…&credentials=FILE&ca=FILE&style=host.
func Parse(text string) (Address, error) {
	var a Address
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" {
		return a, fmt.Errorf("%q is not the address of a bucket; it looks like %s", text, example)
	}
	if u.User != nil {
		return a, errors.New("an address holds no keys, for it is shown and logged; put them into the AWS environment or into a file named by credentials=FILE")
	}
	a.Bucket, a.Prefix = u.Host, strings.Trim(u.Path, "/")
	if a.Bucket == "" || u.Port() != "" {
		return a, fmt.Errorf("%q names no bucket; it looks like %s", text, example)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return a, fmt.Errorf("the options of %q cannot be read: %w", text, err)
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "endpoint":
			a.Endpoint = strings.TrimRight(value, "/")
			if e, err := url.Parse(a.Endpoint); err != nil || e.Host == "" || e.Scheme != "http" && e.Scheme != "https" || e.User != nil {
				return a, fmt.Errorf("endpoint=%s is not a URL such as https://minio.example.org:9000", value)
			}
		case "region":
			a.Region = value
		case "profile":
			a.Profile = value
		case "credentials":
			a.Credentials, err = filepath.Abs(value)
		case "ca":
			a.CA, err = filepath.Abs(value)
		case "style":
			if value != "host" && value != "path" {
				return a, fmt.Errorf("style=%s is neither host nor path", value)
			}
			a.HostStyle = value == "host"
		default:
			return a, fmt.Errorf("%s= is no option of an address; there are endpoint, region, profile, credentials, ca and style", name)
		}
		if err != nil {
			return a, err
		}
	}
	return a, nil
}

// String is the address in a form that Parse reads.
func (a *Address) String() string {
	var options []string
	escape := strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", " ", "%20", "#", "%23", ";", "%3B")
	for _, o := range [][2]string{{"endpoint", a.Endpoint}, {"region", a.Region}, {"profile", a.Profile}, {"credentials", a.Credentials}, {"ca", a.CA}} {
		if o[1] != "" {
			options = append(options, o[0]+"="+escape.Replace(o[1]))
		}
	}
	if a.HostStyle {
		options = append(options, "style=host")
	}
	u := url.URL{Scheme: "s3", Host: a.Bucket, Path: a.Prefix}
	if a.Prefix != "" {
		u.Path = "/" + a.Prefix
	}
	u.RawQuery = strings.Join(options, "&")
	return u.String()
}

// Place says where the address leads: how it is reached may change, this may not.
func (a *Address) Place() string {
	place := "s3://" + a.Bucket
	if a.Prefix != "" {
		place += "/" + a.Prefix
	}
	if a.Endpoint != "" {
		place += " at " + a.Endpoint
	}
	return place
}

// Key is the key below the prefix.
func (a *Address) Key(name string) string {
	if a.Prefix == "" {
		return name
	}
	return a.Prefix + "/" + name
}

// Use makes the address use these keys and no others.
func (a *Address) Use(accessKey, secret, token string) {
	a.static = credentials.NewStaticCredentialsProvider(accessKey, secret, token)
}

// Keys are the credentials that the address leads to now.
func (a *Address) Keys(ctx context.Context) (accessKey, secret, token string, err error) {
	cfg, err := a.config(ctx)
	if err != nil {
		return "", "", "", err
	}
	c, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", "", "", fmt.Errorf("there are no credentials for %s: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile or a file in the address (profile=NAME, credentials=FILE)", a.Place())
	}
	return c.AccessKeyID, c.SecretAccessKey, c.SessionToken, nil
}

func (a *Address) config(ctx context.Context) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(web()),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff = attempts, longestWait
			})
		}),
	}
	if a.Region != "" {
		options = append(options, config.WithRegion(a.Region))
	} else {
		options = append(options, config.WithDefaultRegion("us-east-1"))
	}
	switch provider, err := a.provider(ctx); {
	case err != nil:
		return aws.Config{}, err
	case provider != nil:
		options = append(options, config.WithCredentialsProvider(provider))
	case a.Profile != "":
		options = append(options, config.WithSharedConfigProfile(a.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("the AWS configuration for %s cannot be read: %w", a.Place(), err)
	}
	return cfg, a.trust(&cfg)
}

// provider gives the keys that the address itself names; nil if it names none.
func (a *Address) provider(ctx context.Context) (aws.CredentialsProvider, error) {
	if a.static != nil || a.Credentials == "" {
		return a.static, nil
	}
	profile := a.Profile
	if profile == "" {
		profile = "default"
	}
	if _, err := os.Stat(a.Credentials); err != nil {
		return nil, fmt.Errorf("the credentials of %s: %w", a.Place(), err)
	}
	c, err := config.LoadSharedConfigProfile(ctx, profile, func(o *config.LoadSharedConfigOptions) {
		o.CredentialsFiles, o.ConfigFiles = []string{a.Credentials}, []string{}
	})
	if err != nil || !c.Credentials.HasKeys() {
		return nil, fmt.Errorf("%s has no keys in the section [%s]; it needs aws_access_key_id and aws_secret_access_key", a.Credentials, profile)
	}
	return credentials.StaticCredentialsProvider{Value: c.Credentials}, nil
}

// Client makes a client for the address.
func (a *Address) Client(ctx context.Context) (*s3.Client, error) {
	if _, _, _, err := a.Keys(ctx); err != nil {
		return nil, err
	}
	cfg, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		if a.Endpoint != "" {
			o.BaseEndpoint = aws.String(a.Endpoint)
		}
		o.UsePathStyle = !a.HostStyle && o.BaseEndpoint != nil
		// Older stores know no checksums in headers; the signature covers what we send.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}), nil
}

// web is an HTTP client whose connections fail when nothing moves on them.
func web() *awshttp.BuildableClient {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return impatient{c}, nil
		}
		t.TLSHandshakeTimeout, t.ResponseHeaderTimeout, t.ExpectContinueTimeout = 10*time.Second, patience, time.Second
		t.MaxIdleConns, t.MaxIdleConnsPerHost, t.IdleConnTimeout = connections, connections, patience
		t.ReadBufferSize, t.WriteBufferSize = 64<<10, 64<<10
		t.DisableCompression, t.ForceAttemptHTTP2 = true, false
	})
}

// trust makes the configuration's client trust the address's own authorities.
func (a *Address) trust(cfg *aws.Config) error {
	if a.CA == "" {
		return nil
	}
	roots, err := certs.Roots(a.CA)
	if err != nil {
		return err
	}
	cfg.HTTPClient = cfg.HTTPClient.(*awshttp.BuildableClient).WithTransportOptions(func(t *http.Transport) { // it is the one of web
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	})
	return nil
}

// impatient is a connection that fails when nothing moves on it.
type impatient struct{ net.Conn }

func (c impatient) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c impatient) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Explain says what is wrong with the place when a call failed for a reason that concerns
// all calls: as a fault that clients may try again after. Other errors stay as they are.
func (a *Address) Explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	unavailable := func(format string, args ...any) error {
		return fault.Wrap(err, fault.Unavailable, "ServiceUnavailable", format, args...)
	}
	api, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return unavailable("The certificate of %s cannot be trusted; name its authority with ca=FILE in the address.", a.host())
		}
		if _, ok := errors.AsType[*smithy.OperationError](err); ok {
			return unavailable("%s does not answer; it holds the bucket %s. Retry when it is back.", a.host(), a.Bucket)
		}
		return err
	}
	var status interface{ HTTPStatusCode() int }
	code := 0
	if errors.As(err, &status) {
		code = status.HTTPStatusCode()
	}
	switch name := api.ErrorCode(); {
	case name == "NoSuchBucket":
		return unavailable("The bucket %s does not exist at %s; make it there, or correct the address.", a.Bucket, a.host())
	case code == http.StatusForbidden || code == http.StatusUnauthorized || slices.Contains(denials(), name):
		return unavailable("%s refuses the credentials for bucket %s (%s); correct them, or what they may do there.", a.host(), a.Bucket, name)
	case code == http.StatusMovedPermanently || name == "PermanentRedirect" || name == "AuthorizationHeaderMalformed":
		return unavailable("The bucket %s is in another region; name it with region= in the address.", a.Bucket)
	case code >= 500 || code == http.StatusTooManyRequests:
		return unavailable("%s cannot do it now (%s); it holds the bucket %s. Retry later.", a.host(), name, a.Bucket)
	}
	return err
}

func denials() []string {
	return []string{"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId", "Forbidden"}
}

func (a *Address) host() string {
	if a.Endpoint != "" {
		return a.Endpoint
	}
	return "Amazon S3"
}

// HTTP is a client for requests that the caller signs.
func (a *Address) HTTP() (*http.Client, error) {
	t := web().GetTransport()
	file := a.CA
	if file == "" {
		file = os.Getenv("AWS_CA_BUNDLE")
	}
	if file != "" {
		roots, err := certs.Roots(file)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// SigningRegion is the region that requests are signed for.
func (a *Address) SigningRegion() string {
	if a.Region != "" {
		return a.Region
	}
	return "us-east-1"
}

// Root is the URL of the bucket, without a slash at its end.
func (a *Address) Root() string {
	if a.Endpoint == "" {
		return "https://" + a.Bucket + ".s3." + a.SigningRegion() + ".amazonaws.com"
	}
	if scheme, host, ok := strings.Cut(a.Endpoint, "://"); ok && a.HostStyle {
		return scheme + "://" + a.Bucket + "." + host
	}
	return a.Endpoint + "/" + a.Bucket
}
