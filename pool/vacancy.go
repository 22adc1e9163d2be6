package pool

// Populated says whether the pool, or this lane of it, has any client, whether or
// not that wants a backend. A new one has; and who says Want is one.
func (p *Pool) Populated(now Instant, some bool) {
	now = p.begin(now)
	switch {
	case some:
		p.inhabit()
	case p.waiting > 0:
		panic("pool: Populated by none, but clients wait")
	case p.vacant == Never:
		p.vacant = now
		p.board.Vacate(int64(now))
	}
	p.settle(now)
}

// inhabit notes that the lane has a client.
func (p *Pool) inhabit() {
	if p.vacant != Never {
		p.vacant = Never
		p.board.Inhabit()
	}
}

// empty reports whether no lane of the pool has a client.
func (p *Pool) empty() bool { return p.vacant != Never && !p.board.Inhabited() }

// Vacate says that backends are in the way of something. If the pool has no
// client it closes those that are idle.
func (p *Pool) Vacate(now Instant) {
	now = p.begin(now)
	if p.empty() {
		p.closeIdle(CauseVacated)
	}
	p.settle(now)
}

// Deserted reports whether the pool has neither clients nor backends and wants
// none: it may be forgotten.
func (p *Pool) Deserted() bool {
	return p.vacant != Never && p.own() == 0 && !p.promised() && !p.need()
}

// floor is how many backends are kept although they are idle.
func (p *Pool) floor() int {
	if p.empty() && !p.cfg.KeepMin {
		return 0
	}
	return p.cfg.MinSize
}

// pointless reports whether a backend is sure to be refused, and missed by no
// client.
func (p *Pool) pointless() bool {
	return p.empty() && p.trouble.strikes > 0 && p.refused
}

// vacancyDue returns when idle backends have been kept for long enough without
// a client.
func (p *Pool) vacancyDue() Instant {
	if !p.empty() || p.count[Idle] == 0 || p.board.Live() <= p.floor() {
		return Never
	}
	return after(Instant(p.board.Vacated()), p.cfg.PoolIdleTimeout)
}

// closeIdle closes the idle backends that no MinSize keeps.
func (p *Pool) closeIdle(why Cause) {
	for p.count[Idle] > 0 && p.board.Live() > p.floor() {
		p.close(p.longestIdle(), why)
	}
}
