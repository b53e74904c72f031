package authz

import (
	"fmt"
	"testing"
)

func TestDenialsKeepTheNewest(t *testing.T) {
	d := NewDenials(3)
	for i := range 5 {
		d.Add(Denial{RequestID: fmt.Sprint(i / 2), Action: fmt.Sprint(i)})
	}
	if got := d.Of("0"); got != nil {
		t.Errorf("the oldest are still there: %+v", got)
	}
	if got := d.Of("1"); len(got) != 2 || got[0].Action != "2" || got[1].Action != "3" {
		t.Errorf("%+v", got)
	}
	if got := d.Of("2"); len(got) != 1 || got[0].Action != "4" {
		t.Errorf("%+v", got)
	}
	for _, none := range []*Denials{nil, {}} {
		none.Add(Denial{RequestID: "x"})
		if none.Of("x") != nil {
			t.Error("kept nowhere and found")
		}
	}
}
