package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// signingKey derives the key of one day, region and service from a secret.
func signingKey(secret, date, region, service string) [32]byte {
	k := mac([]byte("AWS4"+secret), date)
	k = mac(k, region)
	k = mac(k, service)
	return [32]byte(mac(k, terminator))
}

// stringToSign hashes the canonical request into the text that is signed.
func appendStringToSign(b []byte, stamp, scope string, canonical []byte) []byte {
	sum := sha256.Sum256(canonical)
	b = append(b, algorithm...)
	b = append(b, '\n')
	b = append(b, stamp...)
	b = append(b, '\n')
	b = append(b, scope...)
	b = append(b, '\n')
	return hex.AppendEncode(b, sum[:])
}

// sign is the last step: the signature in hex.
func sign(key *[32]byte, text []byte) [64]byte {
	h := hmac.New(sha256.New, key[:])
	h.Write(text)
	var sum [32]byte
	h.Sum(sum[:0])
	var out [64]byte
	hex.Encode(out[:], sum[:])
	return out
}

type cacheKey struct{ accessKey, date, region, service string }

type cacheEntry struct {
	secret string
	key    [32]byte
}

// keyCacheSize bounds the cache of derived keys: two generations of this many.
const keyCacheSize = 2048

// keyCache remembers derived keys. Only keys that have verified a signature are put in,
// so that a stranger can neither fill nor flush it. It keeps two generations and forgets
// the older when the younger is full.
type keyCache struct {
	mu         sync.RWMutex // guards both generations
	young, old map[cacheKey]cacheEntry
}

func (c *keyCache) get(k cacheKey, secret string) (key [32]byte, ok bool) {
	c.mu.RLock()
	e, ok := c.young[k]
	if !ok {
		e, ok = c.old[k]
	}
	c.mu.RUnlock()
	// The secret of an access key may have been replaced: the entry is then of no use.
	if !ok || !hmac.Equal([]byte(e.secret), []byte(secret)) {
		return key, false
	}
	return e.key, true
}

func (c *keyCache) put(k cacheKey, secret string, key [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= keyCacheSize {
		c.old, c.young = c.young, make(map[cacheKey]cacheEntry)
	}
	c.young[k] = cacheEntry{secret: secret, key: key}
}
