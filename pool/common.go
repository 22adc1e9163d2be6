package pool

import (
	"math"
	"sync/atomic"
)

// Common is what the lanes of one pool have in common: how many backends there
// are, so that together they keep to the pool's size, and on which lanes clients
// wait or backends idle, so that the one comes to the other. Lanes read and write
// it at any time, without locks; everything else between them are messages.
type Common struct {
	places atomic.Uint64 // backends that are logged in, in the upper half, and those being dialled
	open   atomic.Int32  // lanes that there are
	boards []board       // by lane
}

// board is where a lane tells the others how it stands. It has a cache line of its own: the lane writes it with each transaction for which a
// client has waited.
type board struct {
	head atomic.Int64 // since when its oldest waiter waits; Never if none does, or if another lane has promised to send it a backend
	idle atomic.Int32

	waiting  atomic.Int32
	backends atomic.Int32
	_        [64 - 20]byte
}

// NewCommon is for a pool that may have so many lanes.
func NewCommon(lanes int) *Common {
	c := &Common{boards: make([]board, lanes)}
	for i := range c.boards {
		c.boards[i].head.Store(int64(Never))
	}
	return c
}

// alone reports whether there is but one lane, which has nobody to look for.
func (c *Common) alone() bool { return len(c.boards) == 1 || c.open.Load() == 1 }

const onePlace = 1 << 32

func split(places uint64) (live, dialling int) {
	return int(places >> 32), int(places & math.MaxUint32)
}

// Live is how many backends of all lanes are logged in, those on their way from one lane to another included. Any goroutine.
func (c *Common) Live() int {
	live, _ := split(c.places.Load())
	return live
}

func (c *Common) total() int {
	live, dialling := split(c.places.Load())
	return live + dialling
}

func (c *Common) dialling() int {
	_, dialling := split(c.places.Load())
	return dialling
}

// beginDial takes a place for a backend that is about to be dialled, if there are fewer than size in all and fewer than dials under way.
func (c *Common) beginDial(size, dials int) bool {
	for {
		was := c.places.Load()
		if live, dialling := split(was); live+dialling >= size || dialling >= dials {
			return false
		}
		if c.places.CompareAndSwap(was, was+1) {
			return true
		}
	}
}

// endDial is for a dial that has ended, with a backend or without.
func (c *Common) endDial(succeeded bool) {
	if succeeded {
		c.places.Add(onePlace - 1)
	} else {
		c.places.Add(math.MaxUint64)
	}
}

// shed gives up the place of a backend that is logged in, if there are more of them than room.
func (c *Common) shed(room int) bool {
	for {
		was := c.places.Load()
		if live, _ := split(was); live <= room {
			return false
		}
		if c.places.CompareAndSwap(was, was-onePlace) {
			return true
		}
	}
}

// hungriest returns the lane whose oldest waiter has waited longest, and since when; Never if no client waits on any but this one.
func (c *Common) hungriest(but int) (lane int, since Instant) {
	since = Never
	for i := range c.boards {
		if head := Instant(c.boards[i].head.Load()); i != but && head < since {
			lane, since = i, head
		}
	}
	return lane, since
}

// promise reports whether the caller is the one that sends the lane a backend for the waiter of that moment.
func (c *Common) promise(lane int, since Instant) bool {
	return c.boards[lane].head.CompareAndSwap(int64(since), int64(Never))
}

// idlest returns the lane with the most idle backends but this one, and how many are idle in all of the others.
func (c *Common) idlest(but int) (lane, all int) {
	most := int32(0)
	for i := range c.boards {
		if idle := c.boards[i].idle.Load(); i != but && idle > 0 {
			all += int(idle)
			if idle > most {
				lane, most = i, idle
			}
		}
	}
	return lane, all
}
