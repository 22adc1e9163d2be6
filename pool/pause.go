package pool

// Pause closes the idle backends now, leased ones when they are freed, and those
// being dialled when they arrive, and dials no more until Resume. Clients that
// want a backend wait; QueryWaitTimeout counts.
func (p *Pool) Pause(now Instant) {
	now = p.begin(now)
	p.paused = true
	p.closeAllIdle(CausePaused)
	p.settle(now)
}

// Resume ends a Pause.
func (p *Pool) Resume(now Instant) {
	now = p.begin(now)
	p.paused = false
	p.settle(now)
}

// Reconnect has every backend that is there replaced: idle ones are closed now,
// leased ones when they are freed, and those being dialled when they arrive.
func (p *Pool) Reconnect(now Instant) {
	now = p.begin(now)
	p.closeAllIdle(CauseReconnect)
	for b := range p.backends {
		if be := &p.backends[b]; be.state == Leased || be.state == Dialling {
			be.stale = true
		}
	}
	p.settle(now)
}

// closeAllIdle closes the idle backends, those that MinSize keeps included.
func (p *Pool) closeAllIdle(why Cause) {
	for p.count[Idle] > 0 {
		p.close(p.longestIdle(), why)
	}
}

// staleOnes is how many of the backends of before Reconnect are still there.
func (p *Pool) staleOnes() (n int) {
	for b := range p.backends {
		if be := &p.backends[b]; be.stale && (be.state == Leased || be.state == Dialling) {
			n++
		}
	}
	return n
}

// Stale reports whether a backend is to be closed when it comes free, since
// Reconnect.
func (p *Pool) Stale(b BackendID) bool { return p.backends[b].stale }
