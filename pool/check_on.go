//go:build invariants

package pool

import "fmt"

// invariants tells tests which build this is.
const invariants = true

// checker is what the invariants need to remember between events.
type checker struct {
	total int  // backends after the latest event
	taken bool // the caller has asked what that decided
}

// begin panics if an event comes before the caller has taken what the one before it decided: that would be lost.
func (c *checker) begin(p *Pool) {
	if len(p.decisions) > 0 && !c.taken {
		panic(fmt.Sprintf("pool: an event before the decisions of the one before were taken: %v", p.decisions))
	}
	c.taken = false
}

// take is called when the caller asks what was decided.
func (c *checker) take() { c.taken = true }

// check panics if an invariant of p does not hold. Each line is a promise of the
// package.
func (c *checker) check(p *Pool) {
	p.checkBackends()
	p.checkWaiters()

	must := func(ok bool, format string, args ...any) {
		if !ok {
			panic(fmt.Sprintf("pool: invariant broken: %s; counts %+v", fmt.Sprintf(format, args...), p.Counts()))
		}
	}
	total, room := p.board.Total(), p.cfg.Size+p.cfg.ReserveSize
	must(p.waiting == 0 || p.count[Idle] == 0, "clients wait while backends are idle")
	must(!p.paused || p.count[Idle] == 0, "a paused pool keeps idle backends")
	if !p.board.Alone() {
		return // what follows may change at any time by what another lane does
	}
	must(p.count[Idle] == 0 || p.board.Live() <= p.cfg.Size, "backends above Size are idle")
	// Above the room only what Configure left there, and it only sinks.
	must(total <= room || total <= c.total, "%d backends, were %d, room for %d", total, c.total, room)
	c.total = total

	// No lost wake-up. A wanted dial that nothing forbids can exist only when a
	// time has come after the latest look, and then a Tick must be due.
	must(!p.need() || p.limit(p.now) != NoLimit || p.next <= p.now, "a dial is wanted, allowed and forgotten")
	// Waiters have something to hope for: a dial, a lease, or a time.
	must(p.waiting == 0 || p.count[Dialling] > 0 || p.count[Leased] > 0 || p.next < Never || p.paused, "waiters are forgotten")
	must(p.next <= p.plan(p.now), "the next tick is set to %d, %d is due", p.next, p.plan(p.now))
}

func (p *Pool) checkBackends() {
	var count [backendStates]int
	for b := 1; b < len(p.backends); b++ {
		count[p.backends[b].state]++
	}
	for _, s := range []BackendState{Dialling, Idle, Leased, Moving} {
		if count[s] != p.count[s] {
			panic(fmt.Sprintf("pool: invariant broken: %d backends are %s, counted %d", count[s], s, p.count[s]))
		}
	}
	if len(p.free)+len(p.gone) != count[Gone] {
		panic(fmt.Sprintf("pool: invariant broken: %d numbers are free, %d listed", count[Gone], len(p.free)+len(p.gone)))
	}
	idle, later := 0, Never
	for prev, b := BackendID(0), p.backends[0].next; b != 0; prev, b = b, p.backends[b].next {
		be := &p.backends[b]
		if be.state != Idle || be.prev != prev || be.since > later || idle > len(p.backends) {
			panic(fmt.Sprintf("pool: invariant broken: b%d is out of place among the idle: %+v", b, *be))
		}
		idle, later = idle+1, be.since
	}
	if idle != count[Idle] {
		panic(fmt.Sprintf("pool: invariant broken: %d backends are idle, %d listed", count[Idle], idle))
	}
}

func (p *Pool) checkWaiters() {
	listed, earlier := 0, Instant(0)
	for prev, i := uint32(0), p.waiters[0].next; i != 0; prev, i = i, p.waiters[i].next {
		w := &p.waiters[i]
		if !w.waiting || w.prev != prev || listed > 0 && w.since < earlier || listed > len(p.waiters) {
			panic(fmt.Sprintf("pool: invariant broken: c%d is out of place among the waiters: %+v", i-1, *w))
		}
		listed, earlier = listed+1, w.since
	}
	waiting := 0
	for i := range p.waiters {
		if p.waiters[i].waiting {
			waiting++
		}
	}
	if waiting != p.waiting || listed != p.waiting {
		panic(fmt.Sprintf("pool: invariant broken: %d wait, %d listed, counted %d", waiting, listed, p.waiting))
	}
}
