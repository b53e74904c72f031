package keys_test

import (
	"bytes"
	"testing"

	"drover/internal/wire/keys"
)

func TestVault(t *testing.T) {
	v := keys.NewMinter([32]byte{1}).Vault()
	sealed := v.Seal("AKIA1", "very secret")
	if bytes.Contains(sealed, []byte("secret")) || bytes.Equal(sealed, v.Seal("AKIA1", "very secret")) {
		t.Error("a sealed secret shows, or two seals are the same")
	}
	if got, err := v.Open("AKIA1", sealed); err != nil || got != "very secret" {
		t.Error(got, err)
	}
	refused := func(what string, v *keys.Vault, name string, sealed []byte) {
		t.Helper()
		if got, err := v.Open(name, sealed); err == nil {
			t.Errorf("%s opened: %q", what, got)
		}
	}
	refused("another name's", v, "AKIA2", sealed)
	refused("another server's", keys.NewMinter([32]byte{2}).Vault(), "AKIA1", sealed)
	refused("nothing", v, "AKIA1", nil)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		refused("a changed one", v, "AKIA1", changed)
	}
}
