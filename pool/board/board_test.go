package board

import (
	"sync"
	"sync/atomic"
	"testing"
)

// Lanes that dial, shed and drop at once never have more backends than the pool may, and count all that they have.
func TestPlacesAreNeverMoreThanTheSize(t *testing.T) {
	const lanes, rounds, size, dials = 8, 2000, 5, 3
	b := New(lanes)
	var all sync.WaitGroup
	for range lanes {
		all.Go(func() {
			for range rounds {
				if !b.BeginDial(size, dials) {
					continue
				}
				if total, dialling := b.Total(), b.Dialling(); total > size || dialling > dials {
					t.Errorf("%d backends, %d of them being dialled", total, dialling)
				}
				b.EndDial(true)
				if !b.Shed(size - 1) {
					b.Drop()
				}
			}
		})
	}
	all.Wait()
	if b.Total() != 0 || b.Live() != 0 {
		t.Errorf("%d backends are left", b.Total())
	}
}

// Of those who want to serve a waiter one does, and the lane knows that it will come.
func TestAWaiterIsPromisedOneBackend(t *testing.T) {
	const lanes = 4
	b := New(lanes)
	for lane := range lanes {
		if first := b.Enter(lane); first != (lane == 0) {
			t.Errorf("lane %d is the first: %t", lane, first)
		}
	}
	for since := range int64(500) {
		b.Waits(0, since, 1)
		var promises atomic.Int32
		var all sync.WaitGroup
		for lane := 1; lane < lanes; lane++ {
			all.Go(func() {
				if at, found := b.Hungriest(lane); found != Never && b.Promise(at, found) {
					promises.Add(1)
				}
			})
		}
		all.Wait()
		if promises.Load() != 1 || !b.Promised(0) || b.Hungry(0) {
			t.Fatalf("%d promises for one waiter; promised %t", promises.Load(), b.Promised(0))
		}
		b.Kept(0)
	}
	if b.Promised(0) {
		t.Error("what was kept is still promised")
	}
}

func TestLanesFindEachOther(t *testing.T) {
	b := New(3)
	for lane := range 3 {
		b.Enter(lane)
		b.Has(lane, 2+lane, lane)
	}
	if lane, all := b.Idlest(2); lane != 1 || all != 1 {
		t.Errorf("but for lane 2 %d are idle, most on lane %d", all, lane)
	}
	b.Waits(0, 20, 3)
	b.Waits(1, 10, 1)
	if lane, since := b.Hungriest(2); lane != 1 || since != 10 {
		t.Errorf("lane %d has waited since %d", lane, since)
	}
	if waiting, backends := b.Stands(0); waiting != 3 || backends != 2 {
		t.Errorf("%d wait for %d backends", waiting, backends)
	}
	b.Leave(1)
	if lane, since := b.Hungriest(2); lane != 0 || since != 20 || b.Alone() {
		t.Errorf("lane %d has waited since %d; alone %t", lane, since, b.Alone())
	}
}
