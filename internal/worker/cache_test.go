package worker

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func put(t *testing.T, c *cache, name, etag, text string) {
	t.Helper()
	d := c.draft(int64(len(text)))
	if d == nil {
		t.Fatalf("no place for %d bytes", len(text))
	}
	if _, err := d.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	d.keep(name, etag)
}

func read(t *testing.T, c *cache, name string) (text, etag string) {
	t.Helper()
	f, etag, sum := c.find(name)
	if f == nil {
		return "", ""
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := copyOut(&b, f, sum); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return b.String(), etag
}

func files(t *testing.T, c *cache) int {
	t.Helper()
	n := 0
	for _, d := range []string{contentsFolder, namesFolder, newFolder} {
		list, err := os.ReadDir(filepath.Join(c.dir, d))
		if err != nil {
			t.Fatal(err)
		}
		n += len(list)
	}
	return n
}

func TestCacheIsBounded(t *testing.T) {
	c, err := openCache(t.TempDir(), 100<<10)
	if err != nil {
		t.Fatal(err)
	}
	text := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 10<<10) + fmt.Sprint(i) }
	for i := range 50 {
		put(t, c, fmt.Sprint("s3://b/", i), "e", text(i))
		if _, size := c.contents(); size > c.limit {
			t.Fatalf("%d bytes after %d objects, the limit is %d", size, i+1, c.limit)
		}
		read(t, c, "s3://b/0") // stays: it is used all the time
	}
	if got, _ := read(t, c, "s3://b/0"); got != text(0) {
		t.Error("the content that is used most is gone")
	}
	if got, _ := read(t, c, "s3://b/40"); got != "" {
		t.Error("an old content is still there")
	}
	if c.draft(60<<10) != nil {
		t.Error("a content of more than half of the cache has a place")
	}
	n, size := c.contents()
	if files(t, c) != 2*n {
		t.Errorf("%d contents and %d files", n, files(t, c))
	}
	again, err := openCache(c.dir, c.limit)
	if err != nil {
		t.Fatal(err)
	}
	if m, s := again.contents(); m != n || s != size {
		t.Errorf("opened again: %d contents of %d bytes, before %d of %d", m, s, n, size)
	}
	if got, etag := read(t, again, "s3://b/49"); got != text(49) || etag != "e" {
		t.Error("a content is lost with the process")
	}
}

// Objects with the same bytes are one content; it stays as long as one of them has it.
func TestCacheKeepsContentsOnce(t *testing.T) {
	c, err := openCache(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "s3://b/x", "1", "same")
	put(t, c, "s3://b/y", "2", "same")
	if n, _ := c.contents(); n != 1 {
		t.Errorf("%d contents", n)
	}
	put(t, c, "s3://b/x", "3", "other")
	if a, e := read(t, c, "s3://b/x"); a != "other" || e != "3" {
		t.Errorf("x is %q %q", a, e)
	}
	if b, e := read(t, c, "s3://b/y"); b != "same" || e != "2" {
		t.Errorf("y is %q %q", b, e)
	}
	put(t, c, "s3://b/y", "4", "other")
	if n, size := c.contents(); n != 1 || size != 5+2*nameCost {
		t.Errorf("%d contents of %d bytes", n, size)
	}
}

// Whatever a killed worker left half done is cleared away, and nothing torn is used.
func TestCacheAfterAKill(t *testing.T) {
	dir := t.TempDir()
	c, err := openCache(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "s3://b/good", "1", "good")
	put(t, c, "s3://b/torn", "1", "torn")
	put(t, c, "s3://b/gone", "1", "gone")
	d := c.draft(4) // being written
	_, _ = d.Write([]byte("half"))
	_, _, torn := c.find("s3://b/torn")
	_, _, gone := c.find("s3://b/gone")
	for path, text := range map[string]string{
		filepath.Join(dir, contentsFolder, torn):                       "",
		filepath.Join(dir, namesFolder, hashName("s3://b/x")):          `{"name":"s3://b/x`,
		filepath.Join(dir, namesFolder, hashName("s3://b/y")+".new"):   `{}`,
		filepath.Join(dir, contentsFolder, "a stray file of somebody"): "stray",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, contentsFolder, gone)); err != nil {
		t.Fatal(err)
	}
	c, err = openCache(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, c, "s3://b/good"); got != "good" {
		t.Errorf("good is %q", got)
	}
	if f, _, _ := c.find("s3://b/gone"); f != nil {
		t.Error("a content that is gone was found")
	}
	f, _, sum := c.find("s3://b/torn")
	if _, err := copyOut(&bytes.Buffer{}, f, sum); err != errSpoilt {
		t.Errorf("a torn content gave %v", err)
	}
	c.spoilt(sum)
	if f, _, _ := c.find("s3://b/torn"); f != nil {
		t.Error("a spoilt content was found again")
	}
	if n := files(t, c); n != 3 { // good, its name, the stray file
		t.Errorf("%d files are left", n)
	}
}

func TestCacheUnderManyHands(t *testing.T) {
	c, err := openCache(t.TempDir(), 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for hand := range 8 {
		all.Go(func() {
			for i := range 60 {
				name := fmt.Sprint("s3://b/", (i+hand)%9)
				done, _ := c.claim(name, nil)
				want := strings.Repeat(name, 500)
				if got, _ := read(t, c, name); got != "" && got != want {
					t.Errorf("%s has another's content", name)
				} else if got == "" {
					put(t, c, name, "e", want)
				}
				done()
			}
		})
	}
	all.Wait()
	if n, size := c.contents(); size > c.limit || files(t, c) != 2*n {
		t.Errorf("%d contents of %d bytes, %d files", n, size, files(t, c))
	}
}
