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

// closeAllIdle closes the idle backends, those that MinSize keeps included.
func (p *Pool) closeAllIdle(why Cause) {
	for p.count[Idle] > 0 {
		p.close(p.longestIdle(), why)
	}
}

// staleOnes is how many of the backends of before Renew are still there.
func (p *Pool) staleOnes() (n int) {
	for b := range p.backends {
		if be := &p.backends[b]; be.stale && (be.state == Leased || be.state == Dialling || be.state == Moving) {
			n++
		}
	}
	return n
}

// Stale reports whether a backend is to be closed when it comes free, since
// Renew.
func (p *Pool) Stale(b BackendID) bool { return p.backends[b].stale }

// Unwanted reports whether a backend that is being dialled will be closed when it
// is there: it is stale, or the pool is paused.
func (p *Pool) Unwanted(b BackendID) bool { return p.paused || p.backends[b].stale }
