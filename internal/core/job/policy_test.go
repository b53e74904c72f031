package job

import (
	"fmt"
	"strings"
	"testing"
)

func TestFairShareCheck(t *testing.T) {
	weights := func(names ...string) (list []ShareWeight) {
		for _, n := range names {
			list = append(list, ShareWeight{n, WeightOne})
		}
		return list
	}
	for _, k := range []struct {
		f    FairShare
		want string // "" = accepted
	}{
		{FairShare{}, ""},
		{FairShare{DecaySeconds: 604_800, Reservation: 99, Weights: []ShareWeight{{"a", 1}, {"b", 9_999_999}}}, ""},
		{FairShare{DecaySeconds: 604_801}, "between 0 and 604800"},
		{FairShare{DecaySeconds: -1}, "between 0 and 604800"},
		{FairShare{Reservation: 100}, "between 0 and 99"},
		{FairShare{Weights: []ShareWeight{{"a", 0}}}, "weightFactor of a"},
		{FairShare{Weights: []ShareWeight{{"a", 10_000_000}}}, "weightFactor of a"},
		{FairShare{Weights: weights("UserA*", "UserB", "UserC1", "userA1")}, ""},
		{FairShare{Weights: weights("UserA*", "UserA1")}, "overlap"},
		{FairShare{Weights: weights("UserA1", "UserA*")}, "overlap"},
		{FairShare{Weights: weights("U*", "UserA*")}, "overlap"},
		{FairShare{Weights: weights("a", "a")}, "overlap"},
		{FairShare{Weights: weights("*")}, "letters and digits"},
		{FairShare{Weights: weights("a*b")}, "letters and digits"},
		{FairShare{Weights: weights("a-b")}, "letters and digits"},
		{FairShare{Weights: weights(strings.Repeat("a", 255) + "*")}, ""},
		{FairShare{Weights: weights(strings.Repeat("a", 256))}, "letters and digits"},
		{FairShare{Weights: make([]ShareWeight, 501)}, "at most 500"},
	} {
		switch err := k.f.Check(); {
		case k.want == "" && err != nil:
			t.Errorf("%+v: %v", k.f, err)
		case k.want != "" && (err == nil || !strings.Contains(err.Error(), k.want)):
			t.Errorf("%+v: %v, want an error with %q", k.f, err, k.want)
		}
	}
}

// A client token makes repeated updates one for eight hours, and no longer.
func TestConsumableTokens(t *testing.T) {
	const hour = int64(3600 * 1e6)
	c := Consumable{Name: "r", Total: 10}
	add := func(token string, n, now int64) error {
		return c.Update(ConsumableUpdate{Token: token, Operation: "ADD", Quantity: n}, now)
	}
	for _, k := range []struct {
		token string
		n     int64
		now   int64
		want  int64
	}{{"t", 1, 0, 11}, {"t", 1, 7 * hour, 11}, {"", 1, 7 * hour, 12}, {"", 1, 7 * hour, 13}, {"u", 1, 8*hour - 1, 14}, {"t", 1, 8*hour - 1, 14}, {"t", 1, 8 * hour, 15}} {
		if err := add(k.token, k.n, k.now); err != nil || c.Total != k.want {
			t.Errorf("%+v: total %d, %v", k, c.Total, err)
		}
	}
	if err := add("t", 2, 9*hour); err == nil || c.Total != 15 {
		t.Errorf("a token used for another update: total %d, %v", c.Total, err)
	}
	if err := add("", 1<<63-1, 9*hour); err == nil || c.Total != 15 {
		t.Errorf("a total that overflows: %d, %v", c.Total, err)
	}
	for i := range int64(2 * maxClientTokens) {
		if err := add(fmt.Sprint(i), 0, 9*hour+i); err != nil || len(c.Updates) > maxClientTokens {
			t.Fatalf("%d tokens are kept: %v", len(c.Updates), err)
		}
	}
}
