package pool

// Populated says whether the pool has any client, whether or not that wants a
// backend. A new pool has one; and who says Want is one.
func (p *Pool) Populated(now Instant, some bool) {
	now = p.begin(now)
	switch {
	case some:
		p.vacant = Never
	case p.waiting > 0:
		panic("pool: Populated by none, but clients wait")
	case p.vacant == Never:
		p.vacant = now
	}
	p.settle(now)
}

// Vacate says that backends are in the way of something. If the pool has no
// client it closes those that are idle.
func (p *Pool) Vacate(now Instant) {
	now = p.begin(now)
	if p.vacant != Never {
		p.closeIdle(CauseVacated)
	}
	p.settle(now)
}

// Deserted reports whether the pool has neither clients nor backends and wants
// none: it may be forgotten.
func (p *Pool) Deserted() bool {
	return p.vacant != Never && p.own() == 0 && !p.promised() && (p.draining || !p.need())
}

// floor is how many backends are kept although they are idle.
func (p *Pool) floor() int {
	if p.vacant != Never && !p.cfg.KeepMin {
		return 0
	}
	return p.cfg.MinSize
}

// pointless reports whether a backend is sure to be refused, and missed by no
// client.
func (p *Pool) pointless() bool {
	return p.vacant != Never && p.trouble.strikes > 0 && p.refused
}

// vacancyDue returns when idle backends have been kept for long enough without
// a client.
func (p *Pool) vacancyDue() Instant {
	if p.vacant == Never || p.count[Idle] == 0 || p.board.Live() <= p.floor() {
		return Never
	}
	return after(p.vacant, p.cfg.PoolIdleTimeout)
}

// closeIdle closes the idle backends that no MinSize keeps.
func (p *Pool) closeIdle(why Cause) {
	for p.count[Idle] > 0 && p.board.Live() > p.floor() {
		p.close(p.longestIdle(), why)
	}
}
