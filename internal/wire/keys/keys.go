// Package keys holds drover's own access keys: the account's root key in a file, and
// short-lived session credentials that are minted and checked without any storage.
//
// What it promises: keys are random (there is no default password); key files are
// readable by their owner only and are refused when they are not; a session's
// credentials die at their expiry, and at once when the attempt they were minted for is
// no longer alive.
package keys

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// LoadOrCreate reads the root key from a file in the AWS credentials-file form, profile
// [default], and makes file and key when there is none. The file is created with mode
// 0600; one that others can read is refused.
func LoadOrCreate(path string) (sigv4.Credentials, error) {
	data, err := readSecret(path)
	if err == nil {
		return parseCredentials(path, data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return sigv4.Credentials{}, err
	}
	c := New()
	text := "[default]\naws_access_key_id = " + c.AccessKey + "\naws_secret_access_key = " + c.Secret + "\n"
	if err := createSecret(path, []byte(text)); errors.Is(err, fs.ErrExist) {
		return LoadOrCreate(path) // somebody else was first: their key counts
	} else if err != nil {
		return sigv4.Credentials{}, err
	}
	return c, nil
}

func parseCredentials(path string, data []byte) (c sigv4.Credentials, err error) {
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSpace(strings.TrimSuffix(name, "]"))
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != "default" {
			continue
		}
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "aws_access_key_id":
			c.AccessKey = value
		case "aws_secret_access_key":
			c.Secret = value
		}
	}
	if c.AccessKey == "" || c.Secret == "" {
		return c, fmt.Errorf("%s has no [default] profile with aws_access_key_id and aws_secret_access_key; restore it, or remove it to get a new key", path)
	}
	return c, nil
}

// Root is the key source of the account's root key.
func Root(c sigv4.Credentials, account string) sigv4.KeySource {
	return &rootKey{c: c, key: sigv4.Key{Secret: c.Secret, Principal: authz.Principal{
		Account: account, Kind: authz.Root, ARN: "arn:aws:iam::" + account + ":root"}}}
}

type rootKey struct {
	c   sigv4.Credentials
	key sigv4.Key
}

func (k *rootKey) Secret(accessKey, token string, _ time.Time) (sigv4.Key, error) {
	if accessKey != k.c.AccessKey || token != "" {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	return k.key, nil
}

// Any asks several sources in turn; the first that knows the key answers.
func Any(sources ...sigv4.KeySource) sigv4.KeySource { return anyOf(sources) }

type anyOf []sigv4.KeySource

func (a anyOf) Secret(accessKey, token string, now time.Time) (sigv4.Key, error) {
	for _, s := range a {
		k, err := s.Secret(accessKey, token, now)
		if err == nil {
			return k, nil
		}
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != sigv4.CodeUnknownKey {
			return sigv4.Key{}, err
		}
	}
	return sigv4.Key{}, sigv4.ErrUnknownKey()
}

// New makes a long-lived access key.
func New() sigv4.Credentials {
	return sigv4.Credentials{AccessKey: newAccessKey("AKIA"), Secret: newSecret()}
}

// newAccessKey makes an id of the form that AWS uses: a prefix and 16 characters.
func newAccessKey(prefix string) string {
	var b [10]byte
	rand.Read(b[:])
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}

func newSecret() string {
	var b [30]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}

// readSecret reads a small file that only its owner may read.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	if info.Size() > 1<<16 {
		return nil, fmt.Errorf("%s is too large to hold a key", path)
	}
	return os.ReadFile(path)
}

// createSecret writes a file that only its owner may read, whole or not at all, and
// never over one that exists.
func createSecret(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
