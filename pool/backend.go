package pool

import (
	"fmt"
	"strings"
)

// settingsLookahead is how many idle backends, most recently used first, are
// looked at for one that has the client's settings already. A miss costs the
// client one pipelined batch of SETs, not a round trip, so a longer search
// would not pay, and reaching deep into the stack would keep backends alive
// that server_idle_timeout should end.
const settingsLookahead = 4

// BackendState is a backend's state.
type BackendState uint8

const (
	// Gone: no backend has this number. Followed by Dialling.
	Gone BackendState = iota
	// Dialling: the caller connects and logs in. Followed by Leased, Idle, or
	// Gone (failed, or not needed any more).
	Dialling
	// Idle: logged in, clean, unused. Followed by Leased or Gone.
	Idle
	// Leased: a client's. Followed by Leased (the next client's), Idle, Moving or
	// Gone.
	Leased
	// Moving: on its way to another lane, or just come from one. Followed by Leased,
	// Idle, Moving (on to a third lane) or Gone.
	Moving
	backendStates = iota
)

// String returns the state's name in lower case.
func (s BackendState) String() string {
	switch s {
	case Gone:
		return "gone"
	case Dialling:
		return "dialling"
	case Idle:
		return "idle"
	case Leased:
		return "leased"
	case Moving:
		return "moving"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// moves holds the legal moves, [from][to]. testdata/states.txt prints it.
var moves = [backendStates][backendStates]bool{
	Gone:     {Dialling: true, Moving: true},
	Dialling: {Idle: true, Leased: true, Gone: true, Moving: true},
	Idle:     {Leased: true, Gone: true, Moving: true},
	Leased:   {Idle: true, Leased: true, Gone: true, Moving: true},
	Moving:   {Idle: true, Leased: true, Gone: true, Moving: true},
}

// backend is one slot of Pool.backends. Idle ones form a ring through slot 0,
// from the most recently used (slot 0's next) to the longest idle (its prev).
type backend struct {
	since    Instant // start of the dial, or of being idle
	began    Instant // start of the dial
	born     Instant // when it was Dialled
	expires  Instant // end of its lifetime
	prev     BackendID
	next     BackendID
	settings SettingsID
	state    BackendState
	proven   bool    // it has been Freed once
	stale    bool    // since Renew: closed as soon as it is free
	asked    bool    // Moving to a lane that has asked for it
	to       int     // that lane, while it is Moving
	coming   Instant // until when it is expected to be Freed, while it is Leased; 0: it is not
}

// move is the only place where a backend's state changes; the counts and the
// ring of idle backends follow it.
func (p *Pool) move(b BackendID, to BackendState) {
	be := &p.backends[b]
	from := be.state
	if !moves[from][to] {
		panic(fmt.Sprintf("pool: b%d cannot go from %s to %s", b, from, to))
	}
	p.count[from]--
	p.count[to]++
	be.state = to
	if from == Leased {
		p.comes(b)
	}
	if from == Idle {
		p.backends[be.prev].next = be.next
		p.backends[be.next].prev = be.prev
		be.prev, be.next = 0, 0
	}
	switch to {
	case Idle:
		be.next = p.backends[0].next
		p.backends[be.next].prev = b
		p.backends[0].next = b
	case Gone:
		be.stale = false
		p.gone = append(p.gone, b)
	case Dialling, Leased, Moving:
	}
}

// expect panics unless b is in one of the states.
func (p *Pool) expect(event string, b BackendID, states ...BackendState) {
	state := Gone
	if b > 0 && int(b) < len(p.backends) {
		state = p.backends[b].state
	}
	for _, s := range states {
		if s == state {
			return
		}
	}
	p.misuse(event, b, state, states)
}

func (p *Pool) misuse(event string, b BackendID, state BackendState, states []BackendState) {
	var want []string
	for _, s := range states {
		want = append(want, s.String())
	}
	panic(fmt.Sprintf("pool: %s of b%d, which is %s, not %s", event, b, state, strings.Join(want, " or ")))
}

// own returns how many backends the lane has.
func (p *Pool) own() int {
	return p.count[Idle] + p.count[Leased] + p.count[Moving] + p.count[Dialling]
}

// newBackend returns the number of a Gone slot.
func (p *Pool) newBackend() BackendID {
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	p.backends = append(p.backends, backend{})
	return BackendID(len(p.backends) - 1)
}

// pickIdle returns the most recently used idle backend, or one near it that has
// settings s; with RoundRobin the longest idle. There must be an idle one.
func (p *Pool) pickIdle(s SettingsID) BackendID {
	if p.cfg.RoundRobin {
		return p.longestIdle()
	}
	top := p.backends[0].next
	for b, n := top, 0; b != 0 && n < settingsLookahead; n++ {
		if p.backends[b].settings == s {
			return b
		}
		b = p.backends[b].next
	}
	return top
}

// longestIdle returns the bottom of the stack. There must be an idle backend.
func (p *Pool) longestIdle() BackendID { return p.backends[0].prev }

func (p *Pool) close(b BackendID, why Cause) {
	p.drop(b)
	p.decide(Decision{Kind: Close, Backend: b, Why: why})
}

// drop gives up a backend that is logged in, and its place.
func (p *Pool) drop(b BackendID) {
	p.move(b, Gone)
	p.board.Drop()
	p.vacated = true
}

// shed closes a backend whose place has been given up.
func (p *Pool) shed(b BackendID) {
	p.move(b, Gone)
	p.vacated = true // there may be room in the reserve
	p.decide(Decision{Kind: Close, Backend: b, Why: CauseSurplus})
}
