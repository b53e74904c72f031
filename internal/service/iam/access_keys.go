package iam

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"drover/internal/store"
	"drover/internal/wire"
	"drover/internal/wire/authz"
	"drover/internal/wire/keys"
	"drover/internal/wire/sigv4"
)

var (
	_ = wire.Op(ops, "CreateAccessKey", (*Service).CreateAccessKey)
	_ = wire.Op(ops, "ListAccessKeys", (*Service).ListAccessKeys)
	_ = wire.Op(ops, "UpdateAccessKey", (*Service).UpdateAccessKey, wire.Required("AccessKeyId", "Status"), wire.Enum("Status", "Active", "Inactive"))
	_ = wire.Op(ops, "DeleteAccessKey", (*Service).DeleteAccessKey, wire.Required("AccessKeyId"))
)

// keyring holds every access key of the users, so that a request with an unknown key
// costs no look into the store. A secret is opened at its first use.
type keyring struct {
	writes sync.Mutex   // held from a key's transaction until byID shows it
	mu     sync.RWMutex // guards byID
	byID   map[string]*heldKey
}

type heldKey struct {
	active    bool
	sealed    []byte
	opened    sync.Once
	secret    string
	err       error
	principal authz.Principal
}

// loadKeys reads the keys of all users; there are at most two of each.
func (s *Service) loadKeys(ctx context.Context) error {
	found := map[string]*heldKey{}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		for after := ""; ; {
			list, err := keyTable.Scan(tx, "", after, maxPage)
			if err != nil {
				return err
			}
			for _, e := range list {
				u, _, err := users.Get(tx, key(e.Value.User))
				if err != nil {
					return err
				}
				found[e.Value.ID] = s.held(&u, &e.Value)
			}
			if len(list) < maxPage {
				return nil
			}
			after = list[len(list)-1].Key
		}
	})
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.byID = found
	return err
}

func (s *Service) held(u *user, k *accessKey) *heldKey {
	return &heldKey{active: k.Active, sealed: k.Sealed, principal: authz.Principal{Account: s.account, AccessKey: k.ID,
		ARN: s.userARN(u), Kind: authz.User, User: u.Name, ID: u.ID}}
}

func (k *keyring) set(id string, h *heldKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h == nil {
		delete(k.byID, id)
		return
	}
	k.byID[id] = h
}

// Secret implements sigv4.KeySource for the access keys of users.
func (s *Service) Secret(id, token string, _ time.Time) (sigv4.Key, error) {
	s.keys.mu.RLock()
	h := s.keys.byID[id]
	s.keys.mu.RUnlock()
	if h == nil || !h.active || token != "" {
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	h.opened.Do(func() { h.secret, h.err = s.vault.Open(id, h.sealed) })
	if h.err != nil {
		s.log.Error("an access key cannot be used", "key", id, "error", h.err)
		return sigv4.Key{}, sigv4.ErrUnknownKey()
	}
	return sigv4.Key{Secret: h.secret, Principal: h.principal}, nil
}

// CreateAccessKey gives a user a key; the secret is in this answer only.
func (s *Service) CreateAccessKey(ctx context.Context, in *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	s.keys.writes.Lock()
	defer s.keys.writes.Unlock()
	name, err := userOrCaller(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	c := keys.New()
	k := accessKey{ID: c.AccessKey, Active: true, Created: stamp(s.now()), Sealed: s.vault.Seal(c.AccessKey, c.Secret)}
	var of user
	err = change(ctx, s, users, name, noUser(name), func(tx *store.Tx, u *user) error {
		if len(u.Keys) >= maxKeys {
			return tooMany("Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
		}
		u.Keys = append(u.Keys, k.ID)
		slices.Sort(u.Keys)
		of, k.User, k.UserID = *u, u.Name, u.ID
		_, err := keyTable.Put(tx, k.ID, k, store.Absent)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.keys.set(k.ID, s.held(&of, &k))
	return &iam.CreateAccessKeyOutput{AccessKey: &types.AccessKey{AccessKeyId: &c.AccessKey, SecretAccessKey: &c.Secret,
		Status: types.StatusTypeActive, UserName: &of.Name, CreateDate: date(k.Created)}}, nil
}

// ListAccessKeys lists a user's keys, without their secrets.
func (s *Service) ListAccessKeys(ctx context.Context, in *iam.ListAccessKeysInput) (*iam.ListAccessKeysOutput, error) {
	w, err := readWindow(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	name, err := userOrCaller(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var found []accessKey
	err = s.db.View(ctx, func(tx *store.Tx) error {
		found = nil
		u, _, err := get(tx, users, name, noUser(name))
		if err != nil {
			return err
		}
		for _, id := range u.Keys {
			k, _, err := keyTable.Get(tx, id)
			if err != nil {
				return err
			}
			found = append(found, k)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, more, next := slice(found, w, func(k accessKey) string { return k.ID })
	out := &iam.ListAccessKeysOutput{IsTruncated: more, Marker: next}
	for _, k := range page {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, types.AccessKeyMetadata{AccessKeyId: aws.String(k.ID),
			UserName: aws.String(k.User), Status: status(k.Active), CreateDate: date(k.Created)})
	}
	return out, nil
}

func status(active bool) types.StatusType {
	if active {
		return types.StatusTypeActive
	}
	return types.StatusTypeInactive
}

// UpdateAccessKey switches a key on or off; one that is off is as good as unknown.
func (s *Service) UpdateAccessKey(ctx context.Context, in *iam.UpdateAccessKeyInput) (*iam.UpdateAccessKeyOutput, error) {
	s.keys.writes.Lock()
	defer s.keys.writes.Unlock()
	var of user
	var k accessKey
	err := s.changeKey(ctx, in.UserName, *in.AccessKeyId, func(tx *store.Tx, u *user, found accessKey, rev int64) error {
		of, k = *u, found
		k.Active = in.Status == types.StatusTypeActive
		_, err := keyTable.Put(tx, k.ID, k, rev)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.keys.set(k.ID, s.held(&of, &k))
	return &iam.UpdateAccessKeyOutput{}, nil
}

// DeleteAccessKey removes a key.
func (s *Service) DeleteAccessKey(ctx context.Context, in *iam.DeleteAccessKeyInput) (*iam.DeleteAccessKeyOutput, error) {
	s.keys.writes.Lock()
	defer s.keys.writes.Unlock()
	err := s.changeKey(ctx, in.UserName, *in.AccessKeyId, func(tx *store.Tx, u *user, k accessKey, _ int64) error {
		u.Keys = slices.DeleteFunc(u.Keys, func(id string) bool { return id == k.ID })
		return keyTable.Delete(tx, k.ID)
	})
	if err != nil {
		return nil, err
	}
	s.keys.set(*in.AccessKeyId, nil)
	return &iam.DeleteAccessKeyOutput{}, nil
}

// changeKey finds a key of the user that is named, or of the caller.
func (s *Service) changeKey(ctx context.Context, owner *string, id string, f func(*store.Tx, *user, accessKey, int64) error) error {
	name, err := userOrCaller(ctx, owner)
	if err != nil {
		return err
	}
	absent := noSuch("The Access Key with id %s cannot be found.", id)
	return change(ctx, s, users, name, noUser(name), func(tx *store.Tx, u *user) error {
		if !slices.Contains(u.Keys, id) {
			return absent
		}
		k, rev, err := keyTable.Get(tx, id)
		if err != nil {
			return missing(err, absent)
		}
		return f(tx, u, k, rev)
	})
}
