package s3

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"drover/internal/link/objects"
)

// naughtyKeys are names that break what takes keys for paths, text, markup or commands.
func naughtyKeys() []string {
	keys := []string{
		".", "..", "...", "/", "//", "///", "./", "../", "/.", "/..", "a", "a/", "a//", "a///", "/a", "//a", "a/b", "a//b", "a/./b", "a/../b", "./a", "../a", "a/.", "a/..",
		"../../../etc/passwd", "..\\..\\windows", "C:\\con", "CON", "nul", "aux.txt", "lpt1", "a:b", ".sgwtmp/x", ".sgwtmp", "lost+found", "-rf", "--help", "~", "~root", "$HOME", "`id`", "$(id)", ";id", "|id", "&id", "a\\", "\\", "'", "\"", "''", "\"\"",
		"<script>alert(1)</script>", "<![CDATA[x]]>", "]]>", "&amp;", "&#0;", "&lt;", "<?xml?>", "<Key>", "</Key>", "%", "%%", "%2", "%2F", "%2f", "%00", "%0a", "%25", "%252F", "+", "++", " ", "  ", " a", "a ", "\t", "a\tb", "\n", "a\nb", "\r", "\r\n", "a\rb",
		"?", "??", "?a=b", "a?versionId=x", "?versionId=", "a?uploadId=1", "#", "a#b", "a;b", ";", "a=b", "=", "a&b", "&", "@", "a@b", ":", "a:b:c", "*", "**", "[", "]", "[]", "[a-z]", "{", "}", "{}", "{{.}}", "${x}", "%s", "%d%n", "|", "^", "!", "(", ")", ",", "a,b", "<", ">",
		"null", "NULL", "nil", "None", "undefined", "true", "0", "-1", "1e309", "NaN", "0x0", "Robert'); DROP TABLE s3_objects;--", "' OR 1=1 --", "\x01", "\x02", "\x020", "\x021", "\x022", "\x02\x02", "a\x02", "\x020a/\x020", "\x7f", "\x1b[31m", "a\x01b", "a/\x02/b", "\x0b", "\x0c",
		"é", "e\u0301", "ü", "Ü", "ß", "ẞ", "ı", "İ", "ﬀ", "日本語", "中文/路径", "русский", "العربية", "עברית", "ไทย", "हिन्दी", "한국어", "🐑", "👩‍👩‍👧‍👦", "🏳️‍🌈", "\u200b", "a\u200bb", "\u202e", "\ufeff", "\ufeffa", "\u2028", "\u2029", "\u00a0", "\u3000", "\ufffd", "\U0010ffff", "\ufffe", "\uffff", "Z̤̺a̬l̪g͍o",
		"K", "k", "key", "KEY", "Key", "key.", "key..", ".key", "..key", "key/.", "key/..x", "key/...", "dir", "dir/", "dir/x", "dir/x/", "dir/x/y", "dirx", "dir.", "dir-", "dir0", "dir/\u00ff", "soap", "probe-bsign", "favicon.ico", "robots.txt", "index.html", "admin", "_", "__proto__", "constructor", "a" + strings.Repeat("/b", 511), strings.Repeat("/", 1024), strings.Repeat("../", 341), strings.Repeat("a", 1024), strings.Repeat("ü", 512), strings.Repeat("%", 1024), strings.Repeat("\x02", 1024), strings.Repeat("./", 512), strings.Repeat("🐑", 256),
	}
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"/", "/", ".", "..", "\x02", "0", "1", "2", "?versionId=", "a", "%", "+", " ", "ü", "\U0001F411", "\n", "&", "<", "\\", "\x01", "\x7f"}
	for len(keys) < 420 {
		var b strings.Builder
		for range 1 + r.IntN(12) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		keys = append(keys, b.String())
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestSpelling(t *testing.T) {
	spelled := map[string]string{}
	for _, k := range naughtyKeys() {
		s := spellKey(k)
		if plainKey(s) != k {
			t.Errorf("%q became %q and came back as %q", k, s, plainKey(s))
		}
		if other, ok := spelled[s]; ok {
			t.Errorf("%q and %q are spelled the same", k, other)
		}
		spelled[s] = k
		if strings.Contains(s, "//") || strings.HasPrefix(s, "/") || strings.Contains("/"+s+"/", "/../") || strings.Contains("/"+s+"/", "/./") {
			t.Errorf("%q is spelled %q, which the library folds", k, s)
		}
	}
}

func FuzzSpelling(f *testing.F) {
	for _, k := range naughtyKeys() {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, k string) {
		if s := spellKey(k); k != "" && plainKey(s) != k || oddKey(k) != (s != k) {
			t.Errorf("%q became %q and came back as %q", k, s, plainKey(s))
		}
	})
}

// Every key is put, listed, read, described, copied, tagged and deleted as itself, by
// drover's own client and through the SDK's.
func TestNaughtyKeys(t *testing.T) {
	keys := naughtyKeys()
	if len(keys) < 300 {
		t.Fatalf("only %d keys", len(keys))
	}
	r := open(t, func(o *Options) { o.NoFsync = true })
	c := r.objects()
	b := r.bucket("naughty")
	content := func(k string) string { return fmt.Sprintf("content of %q", k) }
	for i, k := range keys {
		if err := c.Put(ctx, b, k, []byte(content(k))); err != nil {
			t.Fatalf("put %q: %v", k, err)
		}
		if i%3 == 0 { // a large one in a blob
			if err := c.Put(ctx, b, k, []byte(content(k)+strings.Repeat(" ", inlineSize))); err != nil {
				t.Fatalf("put %q: %v", k, err)
			}
		}
	}
	for i, k := range keys {
		got, err := c.GetAll(ctx, b, k, 1<<20)
		if err != nil || strings.TrimRight(string(got), " ") != strings.TrimRight(content(k), " ") {
			t.Errorf("get %q = %.40q, %v", k, got, err)
		}
		out, err := r.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &b, Key: &k})
		if err != nil || *out.ContentLength != int64(len(got)) {
			t.Errorf("head %q: %v", k, err)
		}
		if i%10 != 0 {
			continue
		}
		to := k + "!"
		if len(to) > maxKey {
			continue
		}
		if _, err := r.client.CopyObject(ctx, &awss3.CopyObjectInput{Bucket: &b, Key: &to, CopySource: aws.String(b + "/" + escapeKey(k))}); err != nil {
			t.Errorf("copy %q: %v", k, err)
		} else if copied, err := c.GetAll(ctx, b, to, 1<<20); err != nil || string(copied) != string(got) {
			t.Errorf("copy of %q = %.40q, %v", k, copied, err)
		}
		if err := c.Delete(ctx, b, to); err != nil {
			t.Errorf("delete %q: %v", to, err)
		}
		if _, err := r.client.PutObjectTagging(ctx, &awss3.PutObjectTaggingInput{Bucket: &b, Key: &k, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("t"), Value: aws.String("v")}}}}); err != nil {
			t.Errorf("tag %q: %v", k, err)
		}
	}
	if got := listAll(t, c, b); !slices.Equal(got, keys) {
		t.Errorf("listed %d keys, want %d", len(got), len(keys))
		for i := range min(len(got), len(keys)) {
			if got[i] != keys[i] {
				t.Fatalf("first difference: %q, want %q", got[i], keys[i])
			}
		}
	}
	for i, k := range keys {
		if err := c.Delete(ctx, b, k); err != nil {
			t.Errorf("delete %q: %v", k, err)
		}
		if i%50 == 0 { // only this one is gone
			if got := listAll(t, c, b); !slices.Equal(got, keys[i+1:]) {
				t.Fatalf("after deleting %q: %d keys, want %d", k, len(got), len(keys)-i-1)
			}
		}
	}
	for e := range r.s.vault.blobs.Scan(ctx, "") {
		t.Errorf("a content is left: %+v", e)
	}
	long := strings.Repeat("x", maxKey+1)
	if _, err := r.client.PutObject(ctx, &awss3.PutObjectInput{Bucket: &b, Key: &long}); code(err) != "KeyTooLongError" {
		t.Errorf("a key of %d bytes: %v", len(long), err)
	}
}

func listAll(t *testing.T, c *objects.Client, b string) (keys []string) {
	t.Helper()
	for o, err := range c.List(ctx, b, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// Keys need not be UTF-8, although AWS asks for it.
func TestKeysOfAnyBytes(t *testing.T) {
	r := open(t, nil)
	c := r.objects()
	b := r.bucket("bytes")
	for i := range 64 {
		k := string([]byte{0xff - byte(i), 0x80 + byte(i), byte(3 + i)})
		if utf8.ValidString(k) {
			continue
		}
		if err := c.Put(ctx, b, k, []byte(k)); err != nil {
			t.Fatalf("put %q: %v", k, err)
		}
		if got, err := c.GetAll(ctx, b, k, 10); err != nil || string(got) != k {
			t.Errorf("get %q = %q, %v", k, got, err)
		}
	}
}
