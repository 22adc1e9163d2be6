package pool

import "time"

// waiter is one slot of Pool.waiters. Those who wait form a ring through slot
// 0, from the oldest (slot 0's next) to the youngest (its prev).
type waiter struct {
	since   Instant
	prev    uint32
	next    uint32
	waiting bool
}

// Waiting reports whether client c waits.
func (p *Pool) Waiting(c ClientID) bool {
	i := int(c) + 1
	return i < len(p.waiters) && p.waiters[i].waiting
}

func (p *Pool) enqueue(now Instant, c ClientID) {
	i := uint32(c) + 1
	for int(i) >= len(p.waiters) {
		p.waiters = append(p.waiters, waiter{})
	}
	last := p.waiters[0].prev
	p.waiters[i] = waiter{since: now, prev: last, waiting: true}
	p.waiters[last].next = i
	p.waiters[0].prev = i
	p.waiting++
}

func (p *Pool) dequeue(c ClientID) {
	w := &p.waiters[uint32(c)+1]
	p.waiters[w.prev].next = w.next
	p.waiters[w.next].prev = w.prev
	*w = waiter{}
	p.waiting--
}

// oldest returns the oldest waiter and how long it has waited. There must be
// one.
func (p *Pool) oldest(now Instant) (ClientID, time.Duration) {
	i := p.waiters[0].next
	return ClientID(i - 1), time.Duration(now - p.waiters[i].since)
}

func (p *Pool) failOldest(now Instant, why Cause) {
	c, waited := p.oldest(now)
	p.dequeue(c)
	p.decide(Decision{Kind: Fail, Client: c, Waited: waited, Why: why})
}

// failOverdue fails those who have waited for QueryWaitTimeout. It is the same
// for all, so the oldest is due first.
func (p *Pool) failOverdue(now Instant) {
	for p.waitersDue() <= now {
		p.failOldest(now, CauseQueryWaitTimeout)
	}
}

func (p *Pool) waitersDue() Instant {
	if p.waiting == 0 {
		return Never
	}
	return after(p.waiters[p.waiters[0].next].since, p.cfg.QueryWaitTimeout)
}
