package keys

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"drover/internal/core/fault"
	"drover/internal/wire/authz"
	"drover/internal/wire/sigv4"
)

// Claims say whom session credentials speak for and what they open.
type Claims struct {
	Account  string
	ARN      string     // the session's own name
	Kind     authz.Kind // Session, or Worker for a worker's credentials
	Services []string   // signing names; nil: all
	Attempt  string     // attempt scope; "" for a session that no attempt owns

	User, Role  string   // the IAM user or role that it stands for; "" for neither
	ID          string   // of the user or role
	SessionName string   // of a role's session
	Limits      []string // session policies: documents, or ARNs of managed policies
}

// Minter makes session credentials and recognises them again without keeping a list:
// secret and token are computed from the claims and the server's own secret, so any
// server that holds this secret knows them.
//
//	access key    ASIA + 16 random characters
//	session token "v1." claims "." MAC   (base64url; the claims name access key and expiry)
//	secret        MAC over the claims under another key
type Minter struct {
	// Alive says whether an attempt may still use its credentials; nil: only the expiry
	// ends them. It is asked on every request, so it must be quick.
	Alive func(attempt string) bool

	tokenKey, secretKey []byte
	vault               *Vault
}

const (
	tokenVersion = "v1."
	maxToken     = 8192 // a session policy of 2,048 characters, escaped and encoded, with the rest
	secretSize   = 32
)

// LoadMinter reads the server's secret (32 bytes, file mode 0600) and makes one when
// there is none.
func LoadMinter(path string) (*Minter, error) {
	secret, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret = make([]byte, secretSize)
		rand.Read(secret)
		if err = createSecret(path, secret); errors.Is(err, fs.ErrExist) {
			return LoadMinter(path)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(secret) != secretSize {
		return nil, fmt.Errorf("%s must hold exactly %d bytes; remove it to get a new one (sessions end then, and the access keys of IAM users must be made again)", path, secretSize)
	}
	return NewMinter([secretSize]byte(secret)), nil
}

// NewMinter is a minter over a secret that the caller keeps.
func NewMinter(secret [secretSize]byte) *Minter {
	return &Minter{
		tokenKey:  mac(secret[:], "drover session token"),
		secretKey: mac(secret[:], "drover session secret"),
		vault:     newVault(mac(secret[:], "drover secrets at rest")),
	}
}

// Vault seals what must be kept but not be read on the disk, under a key of its own that
// is derived from the same secret.
func (m *Minter) Vault() *Vault { return m.vault }

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// token is what a session token says.
type token struct {
	Key      string     `json:"k"`
	Expires  int64      `json:"e"` // unix seconds
	Account  string     `json:"a"`
	ARN      string     `json:"n"`
	Kind     authz.Kind `json:"t"`
	Services []string   `json:"s"`
	Attempt  string     `json:"u,omitempty"`

	User        string   `json:"iu,omitempty"`
	Role        string   `json:"ir,omitempty"`
	ID          string   `json:"ii,omitempty"`
	SessionName string   `json:"in,omitempty"`
	Limits      []string `json:"il,omitempty"`
	Issued      int64    `json:"it,omitempty"`
}

// Mint makes credentials for the claims that live for ttl from now on.
func (m *Minter) Mint(c Claims, ttl time.Duration, now time.Time) (sigv4.Credentials, error) {
	if c.Kind != authz.Session && c.Kind != authz.Worker {
		return sigv4.Credentials{}, fault.New(fault.Internal, "", "mint a session for %s: of kind %s", c.ARN, c.Kind)
	}
	expires := now.Add(ttl).Truncate(time.Second)
	access := newAccessKey("ASIA")
	body, err := json.Marshal(token{Key: access, Expires: expires.Unix(), Account: c.Account, ARN: c.ARN,
		Kind: c.Kind, Services: c.Services, Attempt: c.Attempt,
		User: c.User, Role: c.Role, ID: c.ID, SessionName: c.SessionName, Limits: c.Limits, Issued: now.Unix()})
	if err != nil {
		return sigv4.Credentials{}, err
	}
	claims := base64.RawURLEncoding.EncodeToString(body)
	text := tokenVersion + claims + "." + base64.RawURLEncoding.EncodeToString(mac(m.tokenKey, claims))
	if len(text) > maxToken {
		return sigv4.Credentials{}, fault.New(fault.TooLarge, "", "mint a session for %s: its claims need %d bytes, the limit is %d", c.ARN, len(text), maxToken)
	}
	return sigv4.Credentials{AccessKey: access, Secret: m.secret(claims), SessionToken: text, Expires: expires}, nil
}

func (m *Minter) secret(claims string) string {
	return base64.StdEncoding.EncodeToString(mac(m.secretKey, claims)[:30])
}

// Secret implements sigv4.KeySource.
func (m *Minter) Secret(accessKey, text string, now time.Time) (sigv4.Key, error) {
	rest, ok := strings.CutPrefix(text, tokenVersion)
	claims, sum, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || len(text) > maxToken || !strings.HasPrefix(accessKey, "ASIA") {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	given, err := base64.RawURLEncoding.DecodeString(sum)
	if err != nil || !hmac.Equal(given, mac(m.tokenKey, claims)) {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	body, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	var t token
	if err := json.Unmarshal(body, &t); err != nil || t.Key != accessKey {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	if now.Unix() >= t.Expires {
		return sigv4.Key{}, sigv4.ErrExpiredToken()
	}
	if t.Attempt != "" && m.Alive != nil && !m.Alive(t.Attempt) {
		return sigv4.Key{}, sigv4.ErrExpiredToken()
	}
	return sigv4.Key{Secret: m.secret(claims), Principal: authz.Principal{Account: t.Account, AccessKey: accessKey,
		ARN: t.ARN, Kind: t.Kind, Attempt: t.Attempt, Services: t.Services,
		User: t.User, Role: t.Role, ID: t.ID, SessionName: t.SessionName, Limits: t.Limits, Issued: t.Issued}}, nil
}
