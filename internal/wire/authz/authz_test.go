package authz

import (
	"strings"
	"testing"

	"drover/internal/core/fault"
)

func TestAllowed(t *testing.T) {
	for _, k := range []struct {
		name    string
		p       Principal
		service string
		ok      bool
	}{
		{"root", Principal{Kind: Root}, "batch", true},
		{"session for all", Principal{Kind: Session}, "batch", true},
		{"session for s3", Principal{Kind: Session, Services: []string{"s3"}}, "s3", true},
		{"session for s3 elsewhere", Principal{Kind: Session, Services: []string{"s3"}}, "batch", false},
		{"session for nothing", Principal{Kind: Session, Services: []string{}}, "s3", false},
		{"session at the worker protocol", Principal{Kind: Session, Services: []string{"s3"}}, WorkerService, false},
		{"session for all at the worker protocol", Principal{Kind: Session}, WorkerService, false},
		{"worker", Principal{Kind: Worker}, WorkerService, true},
		{"worker elsewhere", Principal{Kind: Worker, Services: []string{"s3"}}, "s3", false},
		{"user", Principal{Kind: User, User: "u"}, "s3", true},
		{"user at the worker protocol", Principal{Kind: User, User: "u"}, WorkerService, false},
		{"anonymous", Principal{}, "s3", false},
		{"unknown kind", Principal{Kind: 200}, "s3", false},
	} {
		k.p.ARN = "arn:aws:x"
		err := Allowed(k.p, k.service, "Op")
		if (err == nil) != k.ok {
			t.Errorf("%s: %v", k.name, err)
		}
		if err != nil && (!fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "arn:aws:x is not allowed to perform "+k.service+":Op")) {
			t.Errorf("%s: %v", k.name, err)
		}
	}
	if n := (Principal{}).Name(); n != "anonymous" {
		t.Error(n)
	}
}
