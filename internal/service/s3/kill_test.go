package s3

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"

	"drover/internal/blob/blobtest"
)

const killEnv = "DROVER_S3_CHILD"

// TestKill kills a process under mixed load, again and again over the same data: what was
// acknowledged is there, what was begun is there whole or not at all, nothing is damaged,
// and after a sweep no file is left that nothing names. DROVER_S3_KILLS asks for more kills.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killEnv); dir != "" {
		loadUntilKilled(dir)
	}
	kills := 20
	if n, err := strconv.Atoi(os.Getenv("DROVER_S3_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	h := history{}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range kills {
		h.run(t, dir, time.Duration(100+r.IntN(300))*time.Millisecond)
		v := openVaultOn(t, nil, func(o *Options) { o.Dir = dir })
		h.check(t, v, round)
		v.Shutdown()
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	t.Logf("%d kills, %d acknowledged operations, %d cut ones of which %d had taken effect; %d orphans swept", kills, h.acked, h.cut, h.effects, h.swept)
}

// history knows what each key may hold: its last acknowledged content, or that of the one
// operation that was cut. Contents are seeds; 0 is "nothing".
type history struct {
	held, begun                map[string]uint64
	acked, cut, effects, swept int
}

// run starts a child, kills it after some time of load, and takes down what it said.
func (h *history) run(t *testing.T, dir string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), killEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if h.held == nil {
		h.held = map[string]uint64{}
	}
	h.begun = map[string]uint64{}
	var timer *time.Timer
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a cut last line is no acknowledgement
		}
		var what, key string
		var seed uint64
		if _, err := fmt.Sscan(line, &what, &key, &seed); err != nil {
			t.Fatalf("the child said %q", line)
		}
		if timer == nil { // the load has begun
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		if what == "begin" {
			h.begun[key] = seed
			continue
		}
		h.acked++
		h.held[key] = seed
		delete(h.begun, key)
	}
	_ = cmd.Wait()
	if timer == nil {
		t.Fatal("the child did nothing")
	}
}

func (h *history) check(t *testing.T, v *vault, round int) {
	t.Helper()
	h.cut += len(h.begun)
	for key, seed := range h.begun {
		if _, ok := h.held[key]; !ok {
			h.held[key] = 0
		}
		if got := contentOf(t, v, key); got == contentBySeed(seed) && got != contentBySeed(h.held[key]) {
			h.held[key] = seed
			h.effects++
		}
	}
	for key, seed := range h.held {
		if got := contentOf(t, v, key); got != contentBySeed(seed) {
			t.Errorf("%s has %d bytes, want the %d of seed %d", key, len(got), len(contentBySeed(seed)), seed)
		}
	}
	s := &Service{vault: v}
	if _, err := s.Verify(ctx, func(d Damaged) { t.Errorf("damaged: %+v", d) }); err != nil {
		t.Error(err)
	}
	swept, err := v.sweep(ctx, v.now().Add(time.Hour))
	if err != nil {
		t.Error(err)
	}
	h.swept += int(swept.Removed)
	for _, u := range uploadsOf(t, v) { // cut uploads are no garbage, but the next round needs none
		if err := v.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: aws.String("kill"), Key: &u.Key, UploadId: &u.UploadID}); err != nil {
			t.Error(err)
		}
	}
	again, err := v.sweep(ctx, v.now().Add(time.Hour))
	if err != nil || again.Removed != 0 {
		t.Errorf("garbage after a sweep: %+v, %v", again, err)
	}
	named := 0
	for _, seed := range h.held {
		switch n := len(contentBySeed(seed)); {
		case n > minPart:
			named += 2
		case n > inlineSize:
			named++
		}
	}
	if again.Contents != int64(named) {
		t.Errorf("round %d: %d files, the objects have %d", round, again.Contents, named)
	}
}

func uploadsOf(t *testing.T, v *vault) []s3response.Upload {
	out, err := v.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: aws.String("kill")})
	if err != nil {
		t.Fatal(err)
	}
	return out.Uploads
}

// contentBySeed is small, large or of two parts.
func contentBySeed(seed uint64) string {
	switch {
	case seed == 0:
		return ""
	case seed%23 == 0:
		return string(blobtest.Content(seed, minPart+int(seed%1000)+1))
	case seed%3 == 0:
		return string(blobtest.Content(seed, inlineSize+1+int(seed*37%200_000)))
	}
	return string(blobtest.Content(seed, 1+int(seed*17%inlineSize)))
}

func contentOf(t *testing.T, v *vault, key string) string {
	out, err := v.GetObject(ctx, &awss3.GetObjectInput{Bucket: aws.String("kill"), Key: &key})
	if err != nil {
		if !strings.Contains(err.Error(), "NoSuchKey") {
			t.Errorf("%s: %v", key, err)
		}
		return ""
	}
	return read(t, out.Body)
}

// loadUntilKilled is the child: four clients that each put, replace, copy and delete keys of
// their own, and say so before and after.
func loadUntilKilled(dir string) {
	s, err := Open(ctx, Options{Dir: dir, Region: "drover-1", Account: testAccount})
	if err != nil {
		panic(err)
	}
	v := s.vault
	if _, err := v.bucket("kill"); err != nil {
		if err := v.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: aws.String("kill")}, nil); err != nil {
			panic(err)
		}
	}
	var mu sync.Mutex
	say := func(what, key string, seed uint64) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(os.Stdout, fmt.Sprintf("%s %s %d\n", what, key, seed))
	}
	start := uint64(time.Now().UnixMilli())
	for c := range uint64(4) {
		go func() {
			r := rand.New(rand.NewPCG(start, c))
			for {
				key := fmt.Sprintf("c%d/k%d", c, r.IntN(12))
				seed := 1 + r.Uint64N(60_000)
				if r.IntN(5) == 0 {
					seed = 0
				}
				say("begin", key, seed)
				if err := put(v, key, seed); err != nil {
					panic(err)
				}
				say("done", key, seed)
			}
		}()
	}
	select {}
}

func put(v *vault, key string, seed uint64) error {
	b, content := aws.String("kill"), contentBySeed(seed)
	switch {
	case seed == 0:
		_, err := v.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: b, Key: &key})
		return err
	case len(content) <= minPart:
		_, err := v.PutObject(ctx, s3response.PutObjectInput{Bucket: b, Key: &key, Body: strings.NewReader(content)})
		return err
	}
	up, err := v.CreateMultipartUpload(ctx, s3response.CreateMultipartUploadInput{Bucket: b, Key: &key})
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for i, p := range []string{content[:minPart], content[minPart:]} {
		n := int32(i + 1)
		out, err := v.UploadPart(ctx, &awss3.UploadPartInput{Bucket: b, Key: &key, UploadId: &up.UploadId, PartNumber: &n, Body: bytes.NewReader([]byte(p))})
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{PartNumber: &n, ETag: out.ETag})
	}
	_, _, err = v.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{Bucket: b, Key: &key, UploadId: &up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}
