package pool

import "fmt"

// Limit is what keeps the pool from dialling one more backend.
type Limit uint8

const (
	// NoLimit is the zero value: nothing does.
	NoLimit Limit = iota
	// LimitPaused: the pool is paused.
	LimitPaused
	// LimitSize: Size is reached, and the reserve is used up or not yet open.
	LimitSize
	// LimitTrouble: the server is away, refuses, or closes what it has just let in;
	// the back-off runs, or a probe is under way.
	LimitTrouble
	// LimitFull: the server has no place left; likewise.
	LimitFull
	// LimitShared: a limit over several pools; likewise.
	LimitShared
	// LimitDials: MaxDials are under way.
	LimitDials
)

// String returns the word that scripts and metrics use.
func (l Limit) String() string {
	switch l {
	case NoLimit:
		return "none"
	case LimitPaused:
		return "paused"
	case LimitSize:
		return "size"
	case LimitDials:
		return "dials"
	case LimitTrouble:
		return "server_trouble"
	case LimitFull:
		return "server_full"
	case LimitShared:
		return "shared_limit"
	}
	return fmt.Sprintf("limit(%d)", uint8(l))
}

// limit returns what forbids one more dial, the most ordinary reason first.
func (p *Pool) limit(now Instant) Limit {
	dialling := p.count[Dialling]
	switch {
	case p.paused:
		return LimitPaused
	case now < p.sizeDue():
		return LimitSize
	case p.trouble.holds(now, dialling), now < p.flapsDue():
		return LimitTrouble
	case p.full.holds(now, dialling):
		return LimitFull
	case p.limited.holds(now, dialling):
		return LimitShared
	case p.board.Dialling() >= p.cfg.MaxDials:
		return LimitDials
	}
	return NoLimit
}

// Counts is a pool as it stands after the latest event.
type Counts struct {
	Idle     int
	Leased   int
	Moving   int // to another lane
	Dialling int
	Waiting  int
	Stale    int // leased or being dialled, and to be closed since Renew
	Paused   bool
	Oldest   Instant // since when the oldest waiter waits; Never if there is none
	Bound    Limit   // what holds back a dial that is wanted; NoLimit if none is
	Full     bool    // the server has had no place for one more, and the pool has not reached its size since
	Failures int     // dials that failed in a row because the server was away or refused
}

// Counts returns the pool's figures.
func (p *Pool) Counts() Counts {
	c := Counts{
		Idle:     p.count[Idle],
		Leased:   p.count[Leased],
		Moving:   p.count[Moving],
		Dialling: p.count[Dialling],
		Waiting:  p.waiting,
		Stale:    p.staleOnes(),
		Paused:   p.paused,
		Oldest:   Never,
		Failures: p.trouble.strikes,
		Full:     p.full.strikes > 0,
	}
	if p.waiting > 0 {
		c.Oldest = p.waiters[p.waiters[0].next].since
	}
	if p.need() {
		c.Bound = p.limit(p.now)
	}
	return c
}

// Spare reports whether a client that wants a backend now gets one at once. It costs nothing to ask.
func (p *Pool) Spare() bool { return p.count[Idle] > 0 }
