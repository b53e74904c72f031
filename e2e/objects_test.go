package e2e

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestObjectsCLI copies, synchronises, moves and removes with the stock aws CLI, over a
// restart of the server.
func TestObjectsCLI(t *testing.T) {
	need(t, "aws")
	s := serve(t)
	dir := t.TempDir()
	big := make([]byte, 20<<20)
	rand.Read(big)
	for name, content := range map[string][]byte{"big": big, "tree/a/b/c": []byte("x"), "tree/a/ü n.txt": []byte("y"), "tree/a+b%20c": []byte("z")} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.aws("s3", "mb", "s3://cli")
	s.aws("s3", "cp", filepath.Join(dir, "big"), "s3://cli/big", "--no-progress")
	s.aws("s3", "sync", filepath.Join(dir, "tree"), "s3://cli/tree", "--no-progress")
	s.kill()
	s.start()
	s.aws("s3", "cp", "s3://cli/big", filepath.Join(dir, "back"), "--no-progress")
	if got, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("20 MiB came back as %d bytes, %v", len(got), err)
	}
	if got := s.aws("s3", "sync", filepath.Join(dir, "tree"), "s3://cli/tree", "--no-progress"); got != "" {
		t.Errorf("a second sync did something: %s", got)
	}
	s.aws("s3", "mv", "s3://cli/tree/a/b/c", "s3://cli/moved", "--no-progress")
	want := "big moved tree/a+b%20c tree/a/ü n.txt"
	if got := s.aws("s3api", "list-objects-v2", "--bucket", "cli", "--query", "Contents[].Key", "--output", "text"); strings.Join(strings.Split(got, "\t"), " ") != want {
		t.Errorf("keys are %q, want %q", got, want)
	}
	s.aws("s3", "rm", "s3://cli", "--recursive")
	s.aws("s3", "rb", "s3://cli")
}
