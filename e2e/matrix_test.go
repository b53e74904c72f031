package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// TestObjectMatrix has each S3 client put, get, list, read ranges, upload in parts, copy,
// presign, delete many, and use conditions and versions where it can, over HTTP and HTTPS.
func TestObjectMatrix(t *testing.T) {
	s := serve(t, "--tls-listen=127.0.0.1:0")
	var at struct{ TLS, CA string }
	text, err := os.ReadFile(filepath.Join(s.data, "server.json"))
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil || at.TLS == "" || at.CA == "" {
		t.Fatalf("server.json names no TLS address: %s, %v", text, err)
	}
	for _, w := range []struct{ name, endpoint string }{{"http", s.endpoint}, {"https", at.TLS}} {
		env := append(s.env(), "AWS_ENDPOINT_URL="+w.endpoint, "AWS_CA_BUNDLE="+at.CA, "NODE_EXTRA_CA_CERTS="+at.CA, "SSL_CERT_FILE="+at.CA)
		for _, c := range []struct {
			name string
			run  func(t *testing.T, m *matrix)
		}{
			{"aws", matrixCLI}, {"boto3", matrixBoto}, {"go", matrixGo}, {"java", matrixJava}, {"javascript", matrixJS}, {"s3cmd", matrixS3cmd}, {"rclone", matrixRclone},
		} {
			t.Run(c.name+"-"+w.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, &matrix{s: s, endpoint: w.endpoint, ca: at.CA, env: slices.Clone(env), bucket: "matrix-" + c.name + "-" + w.name})
			})
		}
	}
}

// matrix is one client at one address.
type matrix struct {
	s                    *server
	endpoint, ca, bucket string
	env                  []string
}

// run runs a client and gives what it says.
func (m *matrix) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := m.try(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func (m *matrix) try(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = m.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// files makes a tree: a large file, odd names, many small ones.
func (m *matrix) files(t *testing.T) (dir string, big []byte) {
	t.Helper()
	dir, big = t.TempDir(), make([]byte, 11<<20)
	rand.Read(big)
	content := map[string][]byte{"big": big, "tree/a/ü n.txt": []byte("odd"), "tree/a+b%20c": []byte("z"), "one": []byte("hello")}
	for i := range 12 {
		content[fmt.Sprintf("tree/many/%02d", i)] = []byte{byte('a' + i)}
	}
	for name, c := range content {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, c, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, big
}

// same checks that two trees hold the same files.
func same(t *testing.T, a, b string) {
	t.Helper()
	if out, err := exec.Command("diff", "-r", a, b).CombinedOutput(); err != nil {
		t.Errorf("the trees differ: %s", out)
	}
}

// fetch gets a URL without any credentials.
func (m *matrix) fetch(t *testing.T, url string) string {
	t.Helper()
	res, err := m.web(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s %s %v", url, res.Status, text, err)
	}
	return string(text)
}

func (m *matrix) web(t *testing.T) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(m.ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func matrixCLI(t *testing.T, m *matrix) {
	cli := need(t, "aws")
	aws := func(args ...string) string { t.Helper(); return m.run(t, cli, args...) }
	dir, _ := m.files(t)
	b := "s3://" + m.bucket
	aws("s3", "mb", b)
	aws("s3", "cp", dir+"/big", b+"/big", "--no-progress")
	aws("s3", "cp", b+"/big", b+"/copy", "--no-progress")
	aws("s3", "cp", b+"/copy", dir+"/back", "--no-progress")
	same(t, dir+"/big", dir+"/back")
	aws("s3", "sync", dir+"/tree", b+"/tree", "--no-progress")
	aws("s3", "sync", b+"/tree", dir+"/tree2", "--no-progress")
	same(t, dir+"/tree", dir+"/tree2")
	aws("s3api", "put-object", "--bucket", m.bucket, "--key", "k", "--body", dir+"/one", "--if-none-match", "*")
	if out, err := m.try(cli, "s3api", "put-object", "--bucket", m.bucket, "--key", "k", "--body", dir+"/one", "--if-none-match", "*"); err == nil || !strings.Contains(out, "PreconditionFailed") {
		t.Errorf("a second conditional write: %v %s", err, out)
	}
	aws("s3api", "get-object", "--bucket", m.bucket, "--key", "k", "--range", "bytes=1-3", dir+"/part")
	if got, err := os.ReadFile(dir + "/part"); string(got) != "ell" {
		t.Errorf("a range is %q, %v", got, err)
	}
	if got := m.fetch(t, aws("s3", "presign", b+"/k")); got != "hello" {
		t.Errorf("presigned: %q", got)
	}
	if got := aws("s3api", "list-objects-v2", "--bucket", m.bucket, "--prefix", "tree/many/", "--page-size", "5", "--query", "length(Contents)"); got != "12" {
		t.Errorf("%s keys in pages of 5", got)
	}
	aws("s3api", "put-bucket-versioning", "--bucket", m.bucket, "--versioning-configuration", "Status=Enabled")
	aws("s3", "cp", dir+"/one", b+"/v", "--no-progress")
	aws("s3", "rm", b+"/v")
	if got := aws("s3api", "list-object-versions", "--bucket", m.bucket, "--prefix", "v", "--query", "[length(Versions),length(DeleteMarkers)]", "--output", "text"); strings.Join(strings.Fields(got), " ") != "1 1" {
		t.Errorf("versions and markers: %s", got)
	}
	aws("s3", "rm", b, "--recursive", "--only-show-errors")
	if got := aws("s3", "ls", b, "--recursive"); got != "" {
		t.Errorf("left: %s", got)
	}
}

func matrixBoto(t *testing.T, m *matrix) {
	python := need(t, "python3")
	if exec.Command(python, "-c", "import boto3").Run() != nil {
		t.Skip("SKIP: no boto3 on this machine")
	}
	if got := m.run(t, python, "testdata/boto3_objects.py", m.bucket); got != "ok" {
		t.Error(got)
	}
}

func matrixJava(t *testing.T, m *matrix) {
	java, javac, mvn := need(t, "java"), need(t, "javac"), need(t, "mvn")
	dir := t.TempDir()
	if out, err := exec.Command(mvn, "-q", "-o", "-B", "-f", "testdata/javas3.xml", "dependency:build-classpath", "-Dmdep.outputFile="+dir+"/cp").CombinedOutput(); err != nil {
		t.Skipf("SKIP: Maven has not the AWS SDK for Java: %.200s", out)
	}
	jars, err := os.ReadFile(dir + "/cp")
	if err != nil {
		t.Fatal(err)
	}
	m.run(t, javac, "-cp", string(jars), "-d", dir, "testdata/Objects.java")
	m.run(t, need(t, "keytool"), "-importcert", "-noprompt", "-alias", "drover", "-file", m.ca, "-keystore", dir+"/trust", "-storepass", "drover")
	got := m.run(t, java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Djavax.net.ssl.trustStore="+dir+"/trust", "-Djavax.net.ssl.trustStorePassword=drover", "-cp", dir+":"+string(jars), "Objects", m.bucket)
	if lines := strings.Split(got, "\n"); lines[len(lines)-1] != "ok" { // before it, a warning about logging
		t.Error(got)
	}
}

func matrixJS(t *testing.T, m *matrix) {
	node := need(t, "node")
	out, err := exec.Command(need(t, "npm"), "root", "-g").Output()
	modules := strings.TrimSpace(string(out))
	for _, p := range []string{"client-s3", "lib-storage", "s3-request-presigner"} {
		if _, err2 := os.Stat(filepath.Join(modules, "@aws-sdk", p)); err != nil || err2 != nil {
			t.Skipf("SKIP: npm has no global @aws-sdk/%s", p)
		}
	}
	m.env = append(m.env, "NODE_PATH="+modules, "NODE_NO_WARNINGS=1")
	if got := m.run(t, node, "testdata/objects.js", m.bucket); !strings.HasSuffix(got, "ok") {
		t.Error(got)
	}
}

// variable reads one of the environment that a client gets.
func (m *matrix) variable(name string) string {
	for _, v := range slices.Backward(m.env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func matrixS3cmd(t *testing.T, m *matrix) {
	path := need(t, "s3cmd")
	dir, _ := m.files(t)
	scheme, host, _ := strings.Cut(m.endpoint, "://")
	conf := fmt.Sprintf("[default]\naccess_key = %s\nsecret_key = %s\nhost_base = %s\nhost_bucket = %s\nuse_https = %t\nca_certs_file = %s\nmultipart_chunk_size_mb = 5\nbucket_location = drover-1\nsignurl_use_https = %t\n",
		m.variable("AWS_ACCESS_KEY_ID"), m.variable("AWS_SECRET_ACCESS_KEY"), host, host, scheme == "https", m.ca, scheme == "https")
	if err := os.WriteFile(dir+"/conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s3cmd := func(args ...string) string {
		t.Helper()
		return m.run(t, path, append([]string{"-c", dir + "/conf", "--no-progress"}, args...)...)
	}
	b := "s3://" + m.bucket
	s3cmd("mb", b)
	s3cmd("put", dir+"/big", b+"/big")
	s3cmd("cp", b+"/big", b+"/copy")
	s3cmd("get", b+"/copy", dir+"/back")
	same(t, dir+"/big", dir+"/back")
	s3cmd("sync", dir+"/tree/", b+"/tree/")
	if err := os.Mkdir(dir+"/tree2", 0o700); err != nil {
		t.Fatal(err)
	}
	s3cmd("sync", b+"/tree/", dir+"/tree2/")
	same(t, dir+"/tree", dir+"/tree2")
	if got := s3cmd("ls", "--recursive", b+"/tree/many/"); strings.Count(got, "s3://") != 12 {
		t.Errorf("ls: %s", got)
	}
	if err := os.WriteFile(dir+"/start", []byte("hel"), 0o600); err != nil {
		t.Fatal(err)
	}
	s3cmd("put", dir+"/one", b+"/one")
	s3cmd("get", "--continue", b+"/one", dir+"/start") // reads a range
	same(t, dir+"/one", dir+"/start")
	if got := s3cmd("info", b+"/big"); !strings.Contains(got, "File size: 11534336") {
		t.Errorf("info: %s", got)
	}
	s3cmd("del", "--recursive", "--force", b) // many at a time
	s3cmd("rb", b)
}

func matrixRclone(t *testing.T, m *matrix) {
	path := need(t, "rclone")
	dir, _ := m.files(t)
	key, secret := m.variable("AWS_ACCESS_KEY_ID"), m.variable("AWS_SECRET_ACCESS_KEY")
	m.env = append(clean(m.env), "RCLONE_CONFIG=/nonexistent/rclone.conf", "RCLONE_CONFIG_D_TYPE=s3", "RCLONE_CONFIG_D_PROVIDER=Other", "RCLONE_CONFIG_D_ENV_AUTH=false", "RCLONE_CONFIG_D_REGION=drover-1",
		"RCLONE_CONFIG_D_ENDPOINT="+m.endpoint, "RCLONE_CONFIG_D_ACCESS_KEY_ID="+key, "RCLONE_CONFIG_D_SECRET_ACCESS_KEY="+secret,
		"RCLONE_CA_CERT="+m.ca, "RCLONE_S3_UPLOAD_CUTOFF=5M", "RCLONE_S3_CHUNK_SIZE=5M", "RCLONE_LOG_LEVEL=ERROR")
	rclone := func(args ...string) string { t.Helper(); return m.run(t, path, args...) }
	b := "d:" + m.bucket
	rclone("mkdir", b)
	rclone("copyto", dir+"/big", b+"/big")
	rclone("copyto", b+"/big", b+"/copy")
	rclone("copyto", b+"/copy", dir+"/back")
	same(t, dir+"/big", dir+"/back")
	rclone("sync", dir+"/tree", b+"/tree")
	rclone("check", dir+"/tree", b+"/tree", "--download")
	rclone("sync", b+"/tree", dir+"/tree2")
	same(t, dir+"/tree", dir+"/tree2")
	rclone("copyto", dir+"/one", b+"/one")
	if got := rclone("cat", "--offset", "1", "--count", "3", b+"/one"); got != "ell" {
		t.Errorf("a range is %q", got)
	}
	if got := rclone("lsf", b+"/tree/many"); len(strings.Fields(got)) != 12 {
		t.Errorf("lsf: %s", got)
	}
	if got := m.fetch(t, rclone("link", "--expire", "1h", b+"/one")); got != "hello" {
		t.Errorf("presigned: %q", got)
	}
	rclone("purge", b)
}

func matrixGo(t *testing.T, m *matrix) {
	c := m.s.s3(func(o *awss3.Options) { o.BaseEndpoint, o.HTTPClient = &m.endpoint, m.web(t) })
	ctx, b := t.Context(), aws.String(m.bucket)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	get := func(in *awss3.GetObjectInput) string {
		t.Helper()
		in.Bucket = b
		out, err := c.GetObject(ctx, in)
		must(out, err)
		defer out.Body.Close()
		text, err := io.ReadAll(out.Body)
		must(text, err)
		return string(text)
	}
	key := aws.String("dir//ü +%/k")
	must(c.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: b}))
	put, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("hello")})
	must(put, err)
	if got := get(&awss3.GetObjectInput{Key: key}) + get(&awss3.GetObjectInput{Key: key, Range: aws.String("bytes=1-3")}); got != "helloell" {
		t.Errorf("got %q", got)
	}
	big := make([]byte, 11<<20)
	rand.Read(big)
	up, err := c.CreateMultipartUpload(ctx, &awss3.CreateMultipartUploadInput{Bucket: b, Key: aws.String("big"), ChecksumAlgorithm: s3types.ChecksumAlgorithmCrc32})
	must(up, err)
	var done s3types.CompletedMultipartUpload
	for i, piece := range slices.Collect(slices.Chunk(big, 5<<20)) {
		p, err := c.UploadPart(ctx, &awss3.UploadPartInput{Bucket: b, Key: aws.String("big"), UploadId: up.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(piece), ChecksumAlgorithm: s3types.ChecksumAlgorithmCrc32})
		must(p, err)
		done.Parts = append(done.Parts, s3types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32})
	}
	must(c.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: b, Key: aws.String("big"), UploadId: up.UploadId, MultipartUpload: &done}))
	must(c.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String(m.bucket + "/big")}))
	if get(&awss3.GetObjectInput{Key: aws.String("copy")}) != string(big) {
		t.Error("a copy of an upload in parts is another")
	}
	signed, err := awss3.NewPresignClient(c).PresignGetObject(ctx, &awss3.GetObjectInput{Bucket: b, Key: key}, awss3.WithPresignExpires(time.Minute))
	must(signed, err)
	if got := m.fetch(t, signed.URL); got != "hello" {
		t.Errorf("presigned: %q", got)
	}
	refused := func(what string, err error) {
		t.Helper()
		if e, ok := errors.AsType[smithy.APIError](err); !ok || e.ErrorCode() != "PreconditionFailed" {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
	refused("If-None-Match", err)
	must(c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("again"), IfMatch: put.ETag}))
	_, err = c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: key, Body: strings.NewReader("x"), IfMatch: put.ETag})
	refused("If-Match", err)
	must(c.PutBucketVersioning(ctx, &awss3.PutBucketVersioningInput{Bucket: b, VersioningConfiguration: &s3types.VersioningConfiguration{Status: "Enabled"}}))
	one, err := c.PutObject(ctx, &awss3.PutObjectInput{Bucket: b, Key: aws.String("v"), Body: strings.NewReader("1")})
	must(one, err)
	must(c.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: b, Key: aws.String("v")}))
	if got := get(&awss3.GetObjectInput{Key: aws.String("v"), VersionId: one.VersionId}); got != "1" {
		t.Errorf("version: %q", got)
	}
	var gone []s3types.ObjectIdentifier
	all, err := c.ListObjectVersions(ctx, &awss3.ListObjectVersionsInput{Bucket: b})
	must(all, err)
	for _, v := range all.Versions {
		gone = append(gone, s3types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
	}
	for _, v := range all.DeleteMarkers {
		gone = append(gone, s3types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
	}
	out, err := c.DeleteObjects(ctx, &awss3.DeleteObjectsInput{Bucket: b, Delete: &s3types.Delete{Objects: gone}})
	must(out, err)
	if len(out.Deleted) != 5 || len(out.Errors) > 0 {
		t.Errorf("deleted %d, errors %v", len(out.Deleted), out.Errors)
	}
	must(c.DeleteBucket(ctx, &awss3.DeleteBucketInput{Bucket: b}))
}
