package sealed

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

const keySize = 32

// Ring holds the keys of a key file. The first seals what is new, all of them open.
type Ring struct {
	path string
	keys []key
}

type key struct {
	id     keyID
	secret []byte
}

// keyID tells which key of a ring something was sealed with. It tells nothing of the key.
type keyID [8]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

// ReadKeys reads a key file: a key a line, 32 random bytes in base64 or hex; empty lines and
// those that begin with # are passed over.
func ReadKeys(path string) (*Ring, error) {
	const recipe = "make one with: (umask 077; head -c 32 /dev/urandom | base64 > FILE)"
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the key file: %w; %s", err, recipe)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key file %s can be read by others (mode %04o); run chmod 600 %s", path, st.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the key file: %w", err)
	}
	r := &Ring{path: path}
	number := 0
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		number++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(line)
		if len(line) == 2*keySize {
			secret, err = hex.DecodeString(line)
		}
		if err != nil || len(secret) != keySize {
			return nil, fmt.Errorf("line %d of the key file %s is no key of 32 bytes in base64 or hex; %s", number, path, recipe)
		}
		k, err := newKey(secret)
		if err != nil {
			return nil, err
		}
		if r.find(k.id) == nil {
			r.keys = append(r.keys, k)
		}
	}
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("the key file %s holds no key; %s", path, recipe)
	}
	return r, nil
}

func newKey(secret []byte) (key, error) {
	k := key{secret: secret}
	id, err := hkdf.Key(sha256.New, secret, nil, "drover key id", len(k.id))
	copy(k.id[:], id)
	return k, err
}

func (r *Ring) find(id keyID) *key {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// Path is the file that the keys are from.
func (r *Ring) Path() string { return r.path }

// Current names the key that seals what is new.
func (r *Ring) Current() string { return r.keys[0].id.String() }

// Lacks gives those of the named keys that the ring does not have.
func (r *Ring) Lacks(names []string) (missing []string) {
	for _, name := range names {
		var id keyID
		if n, err := hex.Decode(id[:], []byte(name)); err != nil || n != len(id) || r.find(id) == nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// aead is the cipher of one content: its key comes from the ring's key and the salt of its header.
func (k *key) aead(salt []byte) (cipher.AEAD, error) {
	secret, err := hkdf.Key(sha256.New, k.secret, salt, "drover sealed content 1", keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
