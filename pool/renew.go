package pool

// Renew says that what a login gives has changed: each backend that is logged in, or about to be, is closed as soon as no client has it.
// Its successors are dialled as usual.
func (p *Pool) Renew(now Instant) {
	now = p.begin(now)
	for b := range p.backends {
		p.backends[b].outdated = p.backends[b].state != Gone
	}
	for p.count[Idle] > 0 {
		p.close(p.longestIdle(), CauseOutdated)
	}
	p.settle(now)
}

// over returns why backend b must not be used again, NoCause if it may.
func (p *Pool) over(now Instant, b BackendID) Cause {
	switch be := &p.backends[b]; {
	case be.outdated:
		return CauseOutdated
	case now >= be.expires:
		return CauseLifetime
	}
	return NoCause
}
