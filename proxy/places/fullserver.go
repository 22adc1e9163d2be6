package places

import (
	"slices"
	"time"

	"weir/proxy/relay"
)

// This is what Places does where it is the server that has no place left, for a pool, a role or a database (53300). Limits of weir's own are in places.go.

// owedFor is how long a place at a full server is kept for the pool for which another has given it up: the server needs a moment to end a backend, so
// the first dial may come too early, and the second comes a tenth of a second later. A pool that is at work everywhere would have it back by then.
const owedFor = 500 * time.Millisecond

// helps reports whether a place that o gives up is what the server had none left of for t.
func (t *claim) helps(o *claim) bool {
	switch {
	case o == t:
		return false
	case t.lack == relay.FullDatabase:
		return o.DBName == t.DBName
	case t.lack == relay.FullRole:
		return o.User == t.User
	}
	return true
}

// Full says that the server has no place left for the holder, and asks for one as if that were a limit of weir's.
func (p *Places) Full(h Holder, where relay.Full) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.holders[h]; t != nil {
		p.refuse(t, where)
	}
}

func (p *Places) refuse(t *claim, where relay.Full) {
	g := p.groups(t)[ofServer]
	p.beg(t, false)
	t.lack = where
	if !slices.Contains(g.refused, t) {
		g.refused = append(g.refused, t)
	}
	if !p.isOwed(t) { // else what was given up for it has not ended yet
		p.beg(t, t.held == 0)
		found, mustYield := t.rivals(g, t.helps)
		askNext(where.String(), found, mustYield)
	}
	p.tidy(t)
}

func (p *Places) isOwed(t *claim) bool { return p.now().Before(t.owed) }

// Owed reports whether what h would take at the server is another's, which is owed it, and of what that had none left. So has h, then: it is to have a
// place of its own as if the server had refused it, for with so many others there would always be one that is owed something.
func (p *Places) Owed(h Holder) (where relay.Full, owed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	o := p.first(t)
	if o == nil {
		return 0, false
	}
	p.refuse(t, o.lack)
	return o.lack, true
}

// first is one that is owed what t would take at the server; nil: there is none.
func (p *Places) first(t *claim) *claim {
	g := p.byServer[t.Server]
	if g == nil || p.isOwed(t) {
		return nil
	}
	at := slices.IndexFunc(g.refused, func(o *claim) bool { return p.isOwed(o) && o.helps(t) })
	if at < 0 {
		return nil
	}
	return g.refused[at]
}

// handOn keeps what t has given up at the server for the one of those that it helps that the server has refused first, of those that have none if there
// are such.
func (p *Places) handOn(t *claim) {
	g := p.byServer[t.Server]
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
	p.beg(o, false)
	o.holder.Nudge()
}

// Admitted ends what Full has begun: the server has a place.
func (p *Places) Admitted(h Holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitted(p.holders[h])
}

// admitted notes that the server has a place for a claim, or that it wants none any more.
func (p *Places) admitted(t *claim) {
	t.owed, t.offered = time.Time{}, false
	p.beg(t, false)
	if g := p.byServer[t.Server]; g != nil {
		g.refused = slices.DeleteFunc(g.refused, func(o *claim) bool { return o == t })
		p.tidy(t)
	}
}

// lack is what a server has no place left for: all, or those of a role or a database, which has a name.
type lack struct {
	where relay.Full
	name  string
}

// lackOf is what t lacks, or would lack if there were no place for it there.
func (t *claim) lackOf(where relay.Full) lack {
	switch where {
	case relay.FullDatabase:
		return lack{where, t.DBName}
	case relay.FullRole:
		return lack{where, t.User}
	case relay.FullServer:
	}
	return lack{where: relay.FullServer}
}

// beg notes whether a claim is one of those that have nothing at a full server, and are owed nothing. As long as there are such, what would help them is
// contested: one rival was asked for a place when the server refused them, but all of these were busy then, perhaps.
func (p *Places) beg(t *claim, begs bool) {
	g := p.byServer[t.Server]
	if t.begs == begs {
		return
	}
	t.begs = begs
	what := t.lackOf(t.lack)
	if begs {
		g.beggars[what]++
	} else if g.beggars[what]--; g.beggars[what] == 0 {
		delete(g.beggars, what)
	}
	if g.beggars[what] > 1 || g.beggars[what] == 1 && !begs { // they know
		return
	}
	for _, o := range g.holding {
		p.tell(o)
	}
}

// begged is what others have none of that have nothing of what t holds; empty: none has.
func (g *group) begged(t *claim) string {
	for _, where := range [...]relay.Full{relay.FullServer, relay.FullDatabase, relay.FullRole} {
		if g.beggars[t.lackOf(where)] > 0 {
			return where.String()
		}
	}
	return ""
}
