package keys

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

var now = time.Unix(1_800_000_000, 0)

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestRootKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "credentials")
	var wg sync.WaitGroup
	made := make([]sigv4.Credentials, 8)
	for i := range made { // several servers may start on one folder: all must see one key
		wg.Go(func() {
			var err error
			if made[i], err = LoadOrCreate(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, c := range made {
		if c != made[0] {
			t.Fatalf("two keys: %+v %+v", c, made[0])
		}
	}
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(made[0].AccessKey) || len(made[0].Secret) != 40 {
		t.Errorf("%+v", made[0])
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if other, _ := LoadOrCreate(filepath.Join(t.TempDir(), "credentials")); other == made[0] {
		t.Error("two folders have the same key")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreate(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a readable key file: %v", err)
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"other profile": "[dev]\naws_access_key_id = a\naws_secret_access_key = b\n",
		"no secret":     "[default]\naws_access_key_id = a\n",
		"too large":     strings.Repeat("x", 1<<17),
	} {
		path := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := LoadOrCreate(path); err == nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
	path := filepath.Join(t.TempDir(), "credentials")
	text := "[other]\naws_access_key_id=no\n\n# mine\n[default]\n  aws_access_key_id=AKIA1\naws_secret_access_key = a=b/c+d\nregion = x\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := LoadOrCreate(path); err != nil || c.AccessKey != "AKIA1" || c.Secret != "a=b/c+d" {
		t.Errorf("%+v %v", c, err)
	}
}

func TestRootSource(t *testing.T) {
	s := Root(sigv4.Credentials{AccessKey: "AKIA1", Secret: "x"}, "123456789012")
	k, err := s.Secret("AKIA1", "", now)
	if err != nil || k.Secret != "x" || k.Principal.ARN != "arn:aws:iam::123456789012:root" || k.Principal.Kind != authz.Root {
		t.Errorf("%+v %v", k, err)
	}
	for _, c := range [][2]string{{"AKIA2", ""}, {"AKIA1", "token"}, {"", ""}} {
		if _, err := s.Secret(c[0], c[1], now); code(err) != sigv4.CodeUnknownKey {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestSessions(t *testing.T) {
	alive := map[string]bool{"job:0#1": true}
	m := NewMinter([32]byte{1})
	m.Alive = func(a string) bool { return alive[a] }
	claims := Claims{Account: "000000000000", ARN: "arn:aws:sts::000000000000:assumed-role/job/x", Kind: authz.Session, Services: []string{"s3", "logs"}, Attempt: "job:0#1"}
	c, err := m.Mint(claims, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	k, err := m.Secret(c.AccessKey, c.SessionToken, now)
	if err != nil || k.Secret != c.Secret || k.Principal.Attempt != claims.Attempt || k.Principal.ARN != claims.ARN ||
		k.Principal.Kind != authz.Session || len(k.Principal.Services) != 2 || k.Principal.AccessKey != c.AccessKey {
		t.Fatalf("%+v %v", k, err)
	}
	d, _ := m.Mint(claims, time.Hour, now)
	if d.AccessKey == c.AccessKey || d.Secret == c.Secret || d.SessionToken == c.SessionToken {
		t.Error("two sessions share something")
	}
	if !strings.HasPrefix(c.AccessKey, "ASIA") || len(c.AccessKey) != 20 || len(c.Secret) != 40 || !c.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("%+v", c)
	}
	if _, err := NewMinter([32]byte{2}).Secret(c.AccessKey, c.SessionToken, now); code(err) != sigv4.CodeUnknownKey {
		t.Errorf("another server's secret: %v", err)
	}
	for _, k := range []struct {
		name, access, token, code string
		now                       time.Time
	}{
		{"last second", c.AccessKey, c.SessionToken, "", now.Add(time.Hour - time.Second)},
		{"expired", c.AccessKey, c.SessionToken, sigv4.CodeExpiredToken, now.Add(time.Hour)},
		{"foreign token", c.AccessKey, d.SessionToken, sigv4.CodeUnknownKey, now},
		{"no token", c.AccessKey, "", sigv4.CodeUnknownKey, now},
		{"root key with a token", "AKIAXXXXXXXXXXXXXXXX", c.SessionToken, sigv4.CodeUnknownKey, now},
		{"other version", c.AccessKey, "v2" + c.SessionToken[2:], sigv4.CodeUnknownKey, now},
	} {
		if _, err := m.Secret(k.access, k.token, k.now); code(err) != k.code {
			t.Errorf("%s: %v", k.name, err)
		}
	}
	alive["job:0#1"] = false
	if _, err := m.Secret(c.AccessKey, c.SessionToken, now); code(err) != sigv4.CodeExpiredToken {
		t.Errorf("a settled attempt's credentials live on: %v", err)
	}
}

func TestNoBitOfATokenCanChange(t *testing.T) {
	m := NewMinter([32]byte{1})
	c, err := m.Mint(Claims{Account: "1", ARN: "arn", Kind: authz.Session}, time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.SessionToken {
		for _, bit := range []byte{1, 2, 32} {
			b := []byte(c.SessionToken)
			b[i] ^= bit
			k, err := m.Secret(c.AccessKey, string(b), now)
			if err == nil && k.Secret != c.Secret {
				t.Fatalf("bit %d of byte %d makes another session", bit, i)
			}
			// The last character of base64 has bits that say nothing; all others must count.
			if err == nil && i < len(b)-1 {
				t.Fatalf("bit %d of byte %d may change", bit, i)
			}
		}
	}
	// Claims that somebody else wrote, under no MAC of ours.
	forged := "v1." + base64.RawURLEncoding.EncodeToString([]byte(`{"k":"ASIAX","e":9999999999,"t":1}`)) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	if _, err := m.Secret("ASIAX", forged, now); code(err) != sigv4.CodeUnknownKey {
		t.Error(err)
	}
}

func TestMinterRefusesRootAndLargeClaims(t *testing.T) {
	m := NewMinter([32]byte{1})
	if _, err := m.Mint(Claims{Kind: authz.Root}, time.Hour, now); err == nil {
		t.Error("minted a root session")
	}
	if _, err := m.Mint(Claims{Kind: authz.Session, Attempt: strings.Repeat("x", 9000)}, time.Hour, now); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}

func TestMinterFileOutlivesTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.key")
	a, err := LoadMinter(path)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := a.Mint(Claims{Kind: authz.Worker}, time.Hour, now)
	b, err := LoadMinter(path)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := b.Secret(c.AccessKey, c.SessionToken, now); err != nil || k.Principal.Kind != authz.Worker {
		t.Errorf("%+v %v", k, err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMinter(path); err == nil {
		t.Error("a damaged secret is used")
	}
}

type failing struct{ err error }

func (f failing) Secret(string, string, time.Time) (sigv4.Key, error) { return sigv4.Key{}, f.err }

func TestAny(t *testing.T) {
	root := Root(sigv4.Credentials{AccessKey: "AKIA1", Secret: "x"}, "1")
	broken := failing{errors.New("disk")}
	if _, err := Any(failing{sigv4.ErrUnknownKey()}, root).Secret("AKIA1", "", now); err != nil {
		t.Error(err)
	}
	if _, err := Any().Secret("AKIA1", "", now); code(err) != sigv4.CodeUnknownKey {
		t.Error(err)
	}
	if _, err := Any(failing{sigv4.ErrExpiredToken()}, root).Secret("AKIA1", "", now); code(err) != sigv4.CodeExpiredToken {
		t.Error("a definite refusal is asked over:", err)
	}
	if _, err := Any(broken, root).Secret("AKIA1", "", now); !errors.Is(err, broken.err) {
		t.Error("a source that fails is passed over:", err)
	}
}
