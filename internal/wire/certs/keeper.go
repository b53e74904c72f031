package certs

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often handshakes look whether the files have changed.
const lookEvery = time.Second

// Keeper serves the certificate that lies in two files, and the new one soon after they
// are replaced.
type Keeper struct {
	cert, key string
	log       *slog.Logger
	now       func() time.Time

	mu     sync.Mutex // guards the rest
	pair   *tls.Certificate
	state  string // of the files that pair was read from, or that failed last
	looked time.Time
}

// Keep reads the pair; log is told when a later one cannot be used.
func Keep(cert, key string, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{cert: cert, key: key, log: log, now: time.Now}
	k.state, k.looked = k.look(), k.now()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", cert, key, err)
	}
	k.pair = &pair
	return k, nil
}

// Config is a TLS server's configuration: HTTP/1.1, as S3's own, and TLS 1.2 or later.
func (k *Keeper) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: k.certificate}
}

func (k *Keeper) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.now(); now.Sub(k.looked) >= lookEvery {
		k.looked = now
		if state := k.look(); state != k.state {
			k.state = state
			if pair, err := tls.LoadX509KeyPair(k.cert, k.key); err != nil {
				k.log.Error("the new certificate cannot be used; the one before is served on", "certificate", k.cert, "key", k.key, "error", err)
			} else {
				k.pair = &pair
				k.log.Info("a new certificate is served", "certificate", k.cert, "expires", pair.Leaf.NotAfter)
			}
		}
	}
	return k.pair, nil
}

// look tells apart what the files were and are; files that are gone are a state too.
func (k *Keeper) look() string {
	state := ""
	for _, path := range []string{k.cert, k.key} {
		if st, err := os.Stat(path); err == nil {
			state += fmt.Sprint(st.Size(), " ", st.ModTime().UnixNano(), ";")
		} else {
			state += "gone;"
		}
	}
	return state
}
