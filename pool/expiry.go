package pool

import "time"

// lifetimeSpread is the part of ServerLifetime by which backends' lifetimes
// differ. A tenth of an hour's default is six minutes for a pool to change its
// backends one by one.
const lifetimeSpread = 10

// contestedIdle is how long a backend may be idle that other pools wait for. A client that goes on at once finds it still: what it would cost to close
// and to dial between any two transactions is more than what those who wait lose. And where Reclaim finds them something, there is no contest by then.
const contestedIdle = 20 * time.Millisecond

// expiry returns the end of the life of a backend born at born.
func (p *Pool) expiry(born Instant) Instant {
	end := after(born, p.cfg.ServerLifetime)
	if end == Never {
		return Never
	}
	return end - Instant(p.jitter(p.cfg.ServerLifetime/lifetimeSpread))
}

// renewExpiries applies a changed ServerLifetime to the backends there are.
func (p *Pool) renewExpiries() {
	for b := range p.backends {
		if be := &p.backends[b]; be.state == Idle || be.state == Leased || be.state == Moving {
			be.expires = p.expiry(be.born)
		}
	}
}

// expire closes idle backends that are too old (MinSize or not: Tick dials their
// successors) and those above MinSize that are idle for too long.
func (p *Pool) expire(now Instant) {
	for b := p.longestIdle(); b != 0; {
		up := p.backends[b].prev
		if now >= p.backends[b].expires {
			p.close(b, CauseLifetime)
		}
		b = up
	}
	for p.idleTimeoutDue() <= now {
		why := CauseIdleTimeout
		if now < after(p.backends[p.longestIdle()].since, p.cfg.ServerIdleTimeout) {
			why = CauseReclaimed
		}
		p.close(p.longestIdle(), why)
	}
	if p.vacancyDue() <= now {
		p.closeIdle(CausePoolIdle)
	}
}

// idleTimeoutDue returns when the longest idle backend is idle for too long.
func (p *Pool) idleTimeoutDue() Instant {
	if p.count[Idle] == 0 || p.board.Live() <= p.floor() {
		return Never
	}
	return p.idleOver(p.backends[p.longestIdle()].since)
}

// idleOver returns when a backend is idle for too long that is idle since then.
func (p *Pool) idleOver(since Instant) Instant {
	over := after(since, p.cfg.ServerIdleTimeout)
	if p.contested == Never {
		return over
	}
	return min(over, max(since, p.contested).plus(contestedIdle))
}

// idleDue returns when expire has something to do. It looks at all idle
// backends, which is why Want and Freed lower Pool.next instead of planning.
func (p *Pool) idleDue() Instant {
	due := min(p.idleTimeoutDue(), p.vacancyDue())
	for b := p.longestIdle(); b != 0; b = p.backends[b].prev {
		due = min(due, p.backends[b].expires)
	}
	return due
}
