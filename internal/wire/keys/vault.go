package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"drover/internal/core/fault"
)

// Vault seals small secrets with AES-256-GCM. A sealed secret is bound to the name that it
// was sealed for: under another name it does not open.
//
//	version (1 byte) | nonce (12 bytes) | ciphertext and tag
type Vault struct{ gcm cipher.AEAD }

const vaultVersion = 1

func newVault(key []byte) *Vault {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("keys: a vault's key has 32 bytes: " + err.Error())
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("keys: " + err.Error()) // AES has the block size that GCM needs
	}
	return &Vault{gcm}
}

// Seal encrypts a secret for a name.
func (v *Vault) Seal(name, secret string) []byte {
	out := make([]byte, 1+v.gcm.NonceSize(), 1+v.gcm.NonceSize()+len(secret)+v.gcm.Overhead())
	out[0] = vaultVersion
	rand.Read(out[1:])
	return v.gcm.Seal(out, out[1:], []byte(secret), bound(name))
}

// Open decrypts what was sealed for the name.
func (v *Vault) Open(name string, sealed []byte) (string, error) {
	n := v.gcm.NonceSize()
	if len(sealed) < 1+n || sealed[0] != vaultVersion {
		return "", fault.New(fault.Internal, "", "the stored secret of %s is in no form that this version of drover knows", name)
	}
	plain, err := v.gcm.Open(nil, sealed[1:1+n], sealed[1+n:], bound(name))
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "", "the stored secret of %s does not open: the server's session.key is not the one it was sealed with", name)
	}
	return string(plain), nil
}

func bound(name string) []byte { return append([]byte{vaultVersion}, name...) }
