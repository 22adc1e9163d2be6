package pool

import (
	"slices"
	"time"
)

// comingMost is for how long a waiter waits for a backend that is said to come free, before it gets a dial: a question of weir's takes a
// server a few milliseconds, a dial no fewer.
const comingMost = 100 * time.Millisecond

// awaitsComing is comingMost, or less where a dial that begins then would come too late for the waiter.
func (p *Pool) awaitsComing() time.Duration {
	if limit := p.cfg.QueryWaitTimeout; limit > 0 {
		return min(comingMost, limit/2)
	}
	return comingMost
}

// Coming says that leased backend b does nothing for a client any more, and will be Freed after a command of the caller's own, if that does
// not turn out otherwise. For a while it counts as a dial under way does: one waiter is not dialled for. Saying it again changes nothing.
func (p *Pool) Coming(now Instant, b BackendID) {
	now = p.begin(now)
	p.expect("Coming", b, Leased)
	if be := &p.backends[b]; be.coming == 0 {
		be.coming = now.plus(p.awaitsComing())
		p.coming = append(p.coming, b)
		p.next = min(p.next, p.dialDue(now))
	}
	p.check()
}

// Busy says that leased backend b does not come free after all. It need not be Coming.
func (p *Pool) Busy(now Instant, b BackendID) {
	now = p.begin(now)
	p.expect("Busy", b, Leased)
	if p.backends[b].coming == 0 {
		p.check()
		return
	}
	p.comes(b)
	p.settle(now)
}

// comes forgets that b is coming.
func (p *Pool) comes(b BackendID) {
	if p.backends[b].coming != 0 {
		p.backends[b].coming = 0
		p.coming = slices.DeleteFunc(p.coming, func(o BackendID) bool { return o == b })
	}
}

// missing returns from when on the oldest waiters that no dial under way serves, nor a backend that was asked of another lane, are more than the
// backends that are coming; Never if there are no such waiters.
func (p *Pool) missing() Instant {
	left := p.waiting - p.count[Dialling] - p.asked
	switch n := len(p.coming) - left; {
	case left <= 0:
		return Never
	case n < 0:
		return 0
	default:
		return p.backends[p.coming[n]].coming // the earlier ones are overdue by then
	}
}
