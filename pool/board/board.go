// Package board is what the lanes of one pool, each on an event loop of its own, tell each other without messages: how many backends there are, so that
// together they keep to the pool's size, and on which lanes clients wait or backends idle, so that the one comes to the other. Lanes read and write it at any
// time, without locks. Package pool decides with it; it decides nothing. It may import the standard library only.
package board

import (
	"math"
	"sync/atomic"
)

// Never is the time of what does not wait.
const Never int64 = math.MaxInt64

// Board is one pool's. Its methods may be called on any goroutine.
type Board struct {
	places atomic.Uint64 // backends that are logged in, in the upper half, and those being dialled
	open   atomic.Int32  // lanes that there are
	reach  atomic.Int32  // one more than the highest number that a lane has had

	inhabited atomic.Int32 // lanes that have clients
	vacated   atomic.Int64 // when a lane last lost its last client
	renewed   atomic.Int64 // backends whose dials began before are to be replaced
	reached   atomic.Int64 // when a dial last succeeded

	notes []note // by lane
}

// note is where a lane tells the others how it stands. It has a cache line of its own: the lane writes it with each transaction for which a
// client has waited.
type note struct {
	head atomic.Int64 // since when its oldest waiter waits; Never if none does, or if another lane has promised to send it a backend
	idle atomic.Int32

	waiting  atomic.Int32
	backends atomic.Int32
	coming   atomic.Int32 // backends that others have promised and that are not there
	_        [64 - 24]byte
}

// New is for a pool that may have so many lanes, numbered from 0.
func New(lanes int) *Board {
	b := &Board{notes: make([]note, lanes)}
	for i := range b.notes {
		b.notes[i].head.Store(Never)
	}
	return b
}

// Enter is for a lane that begins. It reports whether it is the first.
func (b *Board) Enter(lane int) bool {
	for {
		was := b.reach.Load()
		if int(was) > lane || b.reach.CompareAndSwap(was, int32(lane)+1) {
			return b.open.Add(1) == 1
		}
	}
}

// Leave is for a lane that ends. It has nothing any more, and nothing is promised to it.
func (b *Board) Leave(lane int) {
	n := &b.notes[lane]
	n.head.Store(Never)
	n.idle.Store(0)
	n.waiting.Store(0)
	n.backends.Store(0)
	b.open.Add(-1)
}

// Inhabit is for a lane that gets its first client.
func (b *Board) Inhabit() { b.inhabited.Add(1) }

// Vacate is for a lane that has lost its last client.
func (b *Board) Vacate(now int64) {
	raise(&b.vacated, now)
	b.inhabited.Add(-1)
}

// Inhabited reports whether any lane has clients.
func (b *Board) Inhabited() bool { return b.inhabited.Load() > 0 }

// Vacated is when the last lane was vacated that was.
func (b *Board) Vacated() int64 { return b.vacated.Load() }

// Renew says that backends whose dials began before now are to be replaced, also those that come to a lane which begins only after this.
func (b *Board) Renew(now int64) { raise(&b.renewed, now) }

// Renewed is when Renew was last called; 0: never.
func (b *Board) Renewed() int64 { return b.renewed.Load() }

// Reach says that a lane's dial has succeeded.
func (b *Board) Reach(now int64) { raise(&b.reached, now) }

// Reached is when a dial last succeeded; 0: never.
func (b *Board) Reached() int64 { return b.reached.Load() }

func raise(x *atomic.Int64, to int64) {
	for was := x.Load(); was < to && !x.CompareAndSwap(was, to); was = x.Load() {
	}
}

// Single reports whether there never is more than one lane, which needs no note.
func (b *Board) Single() bool { return len(b.notes) == 1 }

// Alone reports whether there is but one lane now, which has nobody to look for.
func (b *Board) Alone() bool { return b.Single() || b.open.Load() == 1 }

const onePlace = 1 << 32

func split(places uint64) (live, dialling int) {
	return int(places >> 32), int(places & math.MaxUint32)
}

// Live is how many backends of all lanes are logged in, those on their way from one lane to another included.
func (b *Board) Live() int {
	live, _ := split(b.places.Load())
	return live
}

// Dialling is how many backends are being dialled.
func (b *Board) Dialling() int {
	_, dialling := split(b.places.Load())
	return dialling
}

// Total is both.
func (b *Board) Total() int {
	live, dialling := split(b.places.Load())
	return live + dialling
}

// BeginDial takes a place for a backend that is about to be dialled, if there are fewer than size in all and fewer than dials under way.
func (b *Board) BeginDial(size, dials int) bool {
	for {
		was := b.places.Load()
		if live, dialling := split(was); live+dialling >= size || dialling >= dials {
			return false
		}
		if b.places.CompareAndSwap(was, was+1) {
			return true
		}
	}
}

// EndDial is for a dial that has ended, with a backend or without.
func (b *Board) EndDial(succeeded bool) {
	if succeeded {
		b.places.Add(onePlace - 1)
	} else {
		b.places.Add(^uint64(0))
	}
}

// Drop gives up the place of a backend that is logged in.
func (b *Board) Drop() { b.places.Add(^uint64(onePlace - 1)) }

// Shed is Drop if there are more of them than room.
func (b *Board) Shed(room int) bool {
	for {
		was := b.places.Load()
		if live, _ := split(was); live <= room {
			return false
		}
		if b.places.CompareAndSwap(was, was-onePlace) {
			return true
		}
	}
}

// Waits notes since when a lane's oldest waiter waits, Never if none does, and how many do.
func (b *Board) Waits(lane int, since int64, waiting int) {
	b.notes[lane].waiting.Store(int32(waiting))
	b.notes[lane].head.Store(since)
}

// Has notes how many backends a lane has, and how many of them are idle.
func (b *Board) Has(lane, backends, idle int) {
	b.notes[lane].backends.Store(int32(backends))
	b.notes[lane].idle.Store(int32(idle))
}

// Hungriest returns the lane but one whose oldest waiter has waited longest, and since when; Never if no client waits there.
func (b *Board) Hungriest(but int) (lane int, since int64) {
	since = Never
	for i := range b.lanes() {
		if head := b.notes[i].head.Load(); i != but && head < since {
			lane, since = i, head
		}
	}
	return lane, since
}

// Hungry reports whether a client waits on the lane to which nothing is promised.
func (b *Board) Hungry(lane int) bool { return b.notes[lane].head.Load() != Never }

// Stands returns how many clients wait on a lane, and how many backends it has.
func (b *Board) Stands(lane int) (waiting, backends int) {
	return int(b.notes[lane].waiting.Load()), int(b.notes[lane].backends.Load())
}

// Promise has other lanes leave the waiter that Hungriest has found to the caller, which is to send a backend there. False: it is not the
// oldest any more, or another lane was faster.
func (b *Board) Promise(lane int, since int64) bool {
	n := &b.notes[lane]
	n.coming.Add(1) // before the lane can be told that nobody waits for it
	if n.head.CompareAndSwap(since, Never) {
		return true
	}
	n.coming.Add(-1)
	return false
}

// Kept is for a promise that is kept, or broken for good.
func (b *Board) Kept(lane int) { b.notes[lane].coming.Add(-1) }

// Promised reports whether backends are promised to the lane.
func (b *Board) Promised(lane int) bool { return b.notes[lane].coming.Load() > 0 }

// Idlest returns the lane but one with the most idle backends, and how many are idle on all but that one.
func (b *Board) Idlest(but int) (lane, all int) {
	most := int32(0)
	for i := range b.lanes() {
		if idle := b.notes[i].idle.Load(); i != but && idle > 0 {
			all += int(idle)
			if idle > most {
				lane, most = i, idle
			}
		}
	}
	return lane, all
}

// Lanes is one more than the highest number that a lane has.
func (b *Board) Lanes() int { return int(b.reach.Load()) }

func (b *Board) lanes() []note { return b.notes[:b.reach.Load()] }
