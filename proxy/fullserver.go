package proxy

import (
	"slices"
	"time"

	"weir/proxy/relay"
)

// This is what places does where it is the server that has no place left, for a pool, a role or a database (53300). Limits of weir's own are in places.go.

// owedFor is how long a place at a full server is kept for the pool for which another has given it up: the server needs a moment to end a backend, so
// the first dial may come too early, and the second comes a tenth of a second later. A pool that is at work everywhere would have it back by then.
const owedFor = 500 * time.Millisecond

// helps reports whether a place that o gives up is what the server had none left of for t.
func (t *claim) helps(o *claim) bool {
	switch {
	case o == t:
		return false
	case t.lack == relay.FullDatabase:
		return o.dbName == t.dbName
	case t.lack == relay.FullRole:
		return o.pool.user == t.pool.user
	}
	return true
}

// Full implements relay.Places: it asks for a place as if what is full at the server were a limit of weir's.
func (p *places) Full(l *relay.Lanes, where relay.Full) { p.full(l, where) }

func (p *places) full(h holder, where relay.Full) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	if t == nil {
		return
	}
	g := p.groups(t)[ofServer]
	t.lack = where
	if !slices.Contains(g.refused, t) {
		g.refused = append(g.refused, t)
	}
	if !p.isOwed(t) { // else what was given up for it has not ended yet
		found, mustYield := t.rivals(g, t.helps)
		askNext(where.String(), found, mustYield)
	}
	p.tidy(t)
}

func (p *places) isOwed(t *claim) bool { return p.now().Before(t.owed) }

// Owed implements relay.Places.
func (p *places) Owed(l *relay.Lanes) bool { return p.owes(l) }

// owes reports whether what h would take at the server is another's, which is owed it.
func (p *places) owes(h holder) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	g := p.byServer[t.server]
	return g != nil && !p.isOwed(t) && slices.ContainsFunc(g.refused, func(o *claim) bool { return p.isOwed(o) && o.helps(t) })
}

// handOn keeps what t has given up at the server for the one of those that it helps that the server has refused first, of those that have none if there
// are such.
func (p *places) handOn(t *claim) {
	g := p.byServer[t.server]
	if g == nil {
		return
	}
	var o *claim
	for _, r := range g.refused {
		if !p.isOwed(r) && r.helps(t) && (o == nil || r.held == 0 && o.held > 0) {
			o = r
		}
	}
	if o == nil {
		return
	}
	o.owed, o.offered = p.now().Add(owedFor), true
	o.holder.Nudge()
}

// Admitted implements relay.Places.
func (p *places) Admitted(l *relay.Lanes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitted(p.holders[l])
}

// admitted notes that the server has a place for a claim, or that it wants none any more.
func (p *places) admitted(t *claim) {
	t.owed, t.offered = time.Time{}, false
	if g := p.byServer[t.server]; g != nil {
		g.refused = slices.DeleteFunc(g.refused, func(o *claim) bool { return o == t })
		p.tidy(t)
	}
}
