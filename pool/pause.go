package pool

// Pause closes the idle backends now, leased ones when they are freed, abandons
// those being dialled, and dials no more until Resume. Clients that want a
// backend wait; QueryWaitTimeout counts.
func (p *Pool) Pause(now Instant) {
	now = p.begin(now)
	p.paused = true
	p.abandonDials()
	p.closeAllIdle(CausePaused)
	p.settle(now)
}

// Resume ends a Pause.
func (p *Pool) Resume(now Instant) {
	now = p.begin(now)
	p.paused = false
	p.settle(now)
}

// abandonDials says of the dials under way that they are of no use: a server that
// does not answer would hold up others for as long as a dial may take. One that
// succeeds all the same is closed, and one that fails proves nothing.
func (p *Pool) abandonDials() {
	for b := range p.backends {
		if be := &p.backends[b]; be.state == Dialling && !be.stale {
			be.stale = true
			p.decide(Decision{Kind: Abandon, Backend: BackendID(b)})
		}
	}
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
