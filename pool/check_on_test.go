//go:build invariants

package pool

import "testing"

// The decisions of an event end with the next one: a caller that has not taken them would lose them.
func TestEventBeforeDecisionsAreTakenPanics(t *testing.T) {
	p := newPool(scriptDefaults, 1)
	p.Want(0, 1, 0)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.Tick(0)
}
