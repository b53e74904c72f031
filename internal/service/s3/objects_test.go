package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"drover/internal/core/fault"
	"drover/internal/link/objects"
	"drover/internal/wire/sigv4"
)

func (r *rig) objects() *objects.Client {
	c := &objects.Client{Endpoint: r.url, Attempts: 1, Credentials: objects.Static(sigv4.Credentials{AccessKey: testKey, Secret: testSecret})}
	r.t.Cleanup(c.Close)
	return c
}

// drover's own client against drover's own front.
func TestOwnClient(t *testing.T) {
	r := open(t, nil)
	c := r.objects()
	for range 2 { // the second time is no error
		if err := c.CreateBucket(ctx, "own"); err != nil {
			t.Fatal(err)
		}
	}
	naughty := []string{"a", "a b", "a+b", "a%20b", "100%", "ü/日本.txt", "q?x=1&y=2#z", "semi;colon", "quote\"'<>&", "tab\tkey", "line\nbreak", "cr\rkey", "\x01", "emoji🐑", "~t", "dots..", "=eq", "\\back",
		" space ", "nonutf8\xff", "{brace}", "$@!*()", "[x]", "^`|", "a,b"}
	for _, k := range naughty {
		if err := c.Put(ctx, "own", "n/"+k, []byte(k)); err != nil {
			t.Fatalf("put %q: %v", k, err)
		}
		got, err := c.GetAll(ctx, "own", "n/"+k, 100)
		if err != nil || string(got) != k {
			t.Fatalf("get %q = %q, %v", k, got, err)
		}
	}
	if err := c.Put(ctx, "own", "other", nil); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for o, err := range c.List(ctx, "own", "n/", "") {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, strings.TrimPrefix(o.Key, "n/"))
		if o.Size != int64(len(o.Key)-2) || o.Modified.IsZero() || o.ETag == "" {
			t.Errorf("listed %+v", o)
		}
	}
	slices.Sort(naughty)
	slices.Sort(listed)
	if !slices.Equal(listed, naughty) {
		t.Errorf("listed %q\nwant   %q", listed, naughty)
	}
	var keys []string
	for _, k := range naughty {
		keys = append(keys, "n/"+k)
	}
	if err := c.DeleteMany(ctx, "own", append(keys, "n/never was")); err != nil {
		t.Fatal(err)
	}
	for o, err := range c.List(ctx, "own", "n/", "") {
		t.Errorf("still there: %q, %v", o.Key, err)
	}
	if info, err := c.Head(ctx, "own", "other"); err != nil || info.Size != 0 {
		t.Errorf("head = %+v, %v", info, err)
	}
	if err := c.Delete(ctx, "own", "other"); err != nil {
		t.Error(err)
	}
	if _, err := c.Head(ctx, "own", "other"); !objects.IsNotFound(err) {
		t.Errorf("head of a deleted object: %v", err)
	}
	_, _, err := c.Get(ctx, "own", "other")
	if f := fault.From(err); f.Code != "NoSuchKey" || f.Kind != fault.NotFound || f.Status != 404 {
		t.Errorf("get of a deleted object: %#v", f)
	}
	for range 2 {
		if err := c.DeleteBucket(ctx, "own"); err != nil {
			t.Error(err)
		}
	}
	wrong := &objects.Client{Endpoint: r.url, Credentials: objects.Static(sigv4.Credentials{AccessKey: testKey, Secret: "wrong"})}
	defer wrong.Close()
	if err := wrong.CreateBucket(ctx, "own"); fault.From(err).Code != "SignatureDoesNotMatch" {
		t.Errorf("wrong secret: %v", err)
	}
}

func TestOwnClientLargeObjectsAndPages(t *testing.T) {
	r := open(t, func(o *Options) { o.NoFsync = true })
	c := r.objects()
	if err := c.CreateBucket(ctx, "large"); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 3<<20+17)
	rand.Read(data)
	if err := c.PutFrom(ctx, "large", "big", bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	body, size, err := c.Get(ctx, "large", "big")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	body.Close()
	if err != nil || size != int64(len(data)) || !bytes.Equal(got, data) {
		t.Errorf("large object: %d bytes, %v", size, err)
	}
	if err := c.PutFrom(ctx, "large", "short", bytes.NewReader(data), int64(len(data))+1); err == nil {
		t.Error("a source that is shorter than its size was stored")
	}
	if _, err := c.GetAll(ctx, "large", "big", 1000); !fault.Is(err, fault.TooLarge) {
		t.Errorf("GetAll over its limit: %v", err)
	}
	var want []string
	for i := range 1100 {
		k := fmt.Sprintf("p/%05d", i)
		want = append(want, k)
		if err := c.Put(ctx, "large", k, nil); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	for o, err := range c.List(ctx, "large", "p/", "p/00009") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	if !slices.Equal(keys, want[10:]) {
		t.Errorf("listed %d keys after p/00009", len(keys))
	}
	if err := c.DeleteMany(ctx, "large", want); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Put(gone, "large", "k", nil); err == nil {
		t.Error("put with an ended context")
	}
}
