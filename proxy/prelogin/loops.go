package prelogin

import (
	"sync/atomic"

	"weir/proxy/eventloop"
)

// Loops are those on which connections are accepted. It counts the connections that each has, and says which suits one more. The kernel does not spread them: it wakes the
// loop that began to wait last, so that few loops, often one, get all clients that come one after the other. A hash of the addresses
// (SO_REUSEPORT) spreads many, not few: of 64 connections on 8 loops one loop gets 14 where another gets 3, and the unix socket has none.
//
// A connection stays on the loop that has accepted it until it is a client. The loop that has it then is chosen once, by what is known
// by then, so it changes loops once at most.
type Loops struct{ all []seats }

// seats are those that connections have taken on a loop. Each has cache lines of its own, for loops write to them all the time.
type seats struct {
	loop  *eventloop.Loop
	taken atomic.Int64
	_     [112]byte
}

// Seat is what a connection holds as long as it counts for its loop. Any goroutine.
type Seat struct{ of *seats }

// NewLoops takes loops that have no connection yet, for all listeners.
func NewLoops(loops []*eventloop.Loop) *Loops {
	l := &Loops{all: make([]seats, len(loops))}
	for i, loop := range loops {
		l.all[i].loop = loop
	}
	return l
}

// suited is the loop for a connection that has a seat at loop own.
func (l *Loops) suited(own int) int {
	return choose(len(l.all), own, func(i int) int64 {
		n := l.all[i].taken.Load()
		if i == own {
			n-- // itself
		}
		return n
	})
}

// index is the number of one of the loops.
func (l *Loops) index(loop *eventloop.Loop) int {
	for i := range l.all {
		if l.all[i].loop == loop {
			return i
		}
	}
	panic("prelogin: a loop that does not accept")
}

func (l *Loops) take(at int) Seat {
	l.all[at].taken.Add(1)
	return Seat{&l.all[at]}
}

// Leave gives the seat up. It is called once.
func (s Seat) Leave() { s.of.taken.Add(-1) }

// slack is by how many connections a loop may be ahead of the one that has the fewest before another suits new ones better: an eighth.
// A hand-over wakes another thread, so it is worth it only where the difference is.
const slack = 8

// Taken is how many seats are taken on all loops.
func (l *Loops) Taken() (n int64) {
	for i := range l.all {
		n += l.all[i].taken.Load()
	}
	return n
}

// choose says which of n loops suits a connection that loop own has accepted: own, unless another has clearly fewer.
func choose(n, own int, taken func(i int) int64) int {
	mine := taken(own)
	best, least := own, mine
	for i := range n {
		if t := taken(i); t < least {
			best, least = i, t
		}
	}
	if mine-least <= least/slack {
		return own
	}
	return best
}
