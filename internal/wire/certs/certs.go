// Package certs keeps the certificates of servers: a small certificate authority of
// drover's own, and a keeper that serves whatever certificate lies in two files now.
//
// It promises that keys are readable by their owner only and never leave their files; that a
// certificate made here is one that strict clients take (names, key identifiers, at most 397
// days); that renewing keeps the authority, so that clients which trust it go on; and that a
// keeper never serves half of a replaced pair: it goes on with the old one, and says why.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Files in the folder of an Authority.
const (
	caFile     = "ca.pem"
	caKeyFile  = "ca.key"
	leafFile   = "server.pem"
	leafKey    = "server.key"
	caLife     = 10 * 365 * 24 * time.Hour
	leafLife   = 397 * 24 * time.Hour
	renewSpare = leafLife / 3 // what is left when a certificate is renewed
	backdate   = time.Hour    // for clients whose clocks are behind
)

// Authority is drover's own certificate authority in a folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// Open reads the authority of a folder, and makes both if they are absent.
func Open(dir string, now time.Time) (*Authority, error) {
	a := &Authority{dir: dir}
	cert, err := readCert(a.CAFile())
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.Replace(now)
	}
	if err != nil {
		return nil, err
	}
	a.cert = cert
	if a.key, err = readKey(filepath.Join(dir, caKeyFile)); err != nil {
		return nil, err
	}
	if public, ok := a.key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s; restore both from one backup, or remove the folder %s and make clients trust the new authority", caKeyFile, caFile, dir)
	}
	return a, nil
}

// Replace makes a new authority: clients must be given its certificate anew.
func (a *Authority) Replace(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial := newSerial()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "drover CA " + serial.Text(16)[:8]},
		NotBefore:    now.Add(-backdate), NotAfter: now.Add(caLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	return writePair(a.dir, caFile, caKeyFile, der, key)
}

// CAFile is the certificate that clients must trust.
func (a *Authority) CAFile() string { return filepath.Join(a.dir, caFile) }

// Server gives the files of the server's certificate and its key.
func (a *Authority) Server() (cert, key string) {
	return filepath.Join(a.dir, leafFile), filepath.Join(a.dir, leafKey)
}

// Ensure sees to it that there is a server certificate of this authority that names all
// hosts and is good for months. A renewed one keeps the names of the one before.
func (a *Authority) Ensure(hosts []string, now time.Time) error {
	old, err := readCert(filepath.Join(a.dir, leafFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a.Issue(hosts, now)
	case err != nil:
		return err
	}
	all := union(namesOf(old), hosts)
	if len(all) == len(namesOf(old)) && old.CheckSignatureFrom(a.cert) == nil && now.Add(renewSpare).Before(old.NotAfter) {
		return nil
	}
	return a.Issue(all, now)
}

// Issue makes a new server certificate for hosts, names or addresses.
func (a *Authority) Issue(hosts []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	end := now.Add(leafLife)
	if end.After(a.cert.NotAfter) {
		end = a.cert.NotAfter
	}
	t := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "drover"}, NotBefore: now.Add(-backdate), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("make a certificate for %s: %w", strings.Join(hosts, ", "), err)
	}
	return writePair(a.dir, leafFile, leafKey, der, key)
}

// Hosts are the names and addresses that a server certificate should have: this host's
// own, those given, and below each given name all names, which are buckets in S3's
// virtual-host addresses.
func Hosts(given ...string) []string {
	list := []string{"localhost", "*.localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "" {
		given = append(given, name)
	}
	for _, h := range given {
		switch ip := net.ParseIP(h); {
		case h == "" || ip != nil && ip.IsUnspecified():
		case ip != nil, h == "localhost", strings.HasPrefix(h, "*."):
			list = append(list, h)
		default:
			list = append(list, h, "*."+h)
		}
	}
	return union(nil, list)
}

// Shown is what people are told of a certificate.
type Shown struct {
	File        string    `json:"file"`
	Subject     string    `json:"subject"`
	Names       []string  `json:"names,omitempty"`
	Expires     time.Time `json:"expires"`
	Fingerprint string    `json:"sha256"`
}

// Show describes the certificate in a file.
func Show(path string) (Shown, error) {
	c, err := readCert(path)
	if err != nil {
		return Shown{}, err
	}
	sum := sha256.Sum256(c.Raw)
	return Shown{File: path, Subject: c.Subject.CommonName, Names: namesOf(c), Expires: c.NotAfter.UTC(), Fingerprint: hex.EncodeToString(sum[:])}, nil
}

// Roots are the system's certificate authorities and those in a file.
func Roots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authorities to trust: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", path)
	}
	return pool, nil
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// union appends those of b that a lacks.
func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// newSerial draws 120 random bits; the first is set, so that all have the same length.
func newSerial() *big.Int {
	var b [15]byte
	rand.Read(b[:])
	b[0] |= 0x40
	return new(big.Int).SetBytes(b[:])
}

// writePair writes the key first: who finds the certificate finds its key too.
func writePair(dir, certName, keyName string, der []byte, key *ecdsa.PrivateKey) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of certificates: %w", err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, keyName), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, certName), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func writeFile(path string, text []byte, mode fs.FileMode) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, text, mode); err != nil {
		return fmt.Errorf("write a certificate: %w", err)
	}
	return os.Rename(fresh, path)
}

func readCert(path string) (*x509.Certificate, error) {
	der, err := readPEM(path, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s holds a certificate that cannot be read: %w", path, err)
	}
	return c, nil
}

func readKey(path string) (crypto.Signer, error) {
	der, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no private key that can be read", path)
	}
	return signer, nil
}

func readPEM(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	b, _ := pem.Decode(text)
	if b == nil || b.Type != kind {
		return nil, fmt.Errorf("%s does not begin with a %s in PEM form", path, kind)
	}
	return b.Bytes, nil
}
