package proxy

import (
	"cmp"
	"slices"
	"sync"

	"weir/proxy/relay"
)

// places counts backends over all pools against max_db_connections and max_user_connections. When a pool is refused a place, an idle
// backend of a rival is closed at once (PgBouncer waits for the idle timeout), and where all are busy the rival that has the most
// gives up the one that is released next. A place that comes free is kept for the pool that has waited longest.
type places struct {
	mu      sync.Mutex
	holders map[holder]*claim
	order   []holder // of holders, as they came
	byDB    map[string]int
	byUser  map[string]int
	waiting []holder // refused, oldest first
}

// holder may hold places: a *relay.Lanes, or a *ownPlace. Its methods may be called on any goroutine and do not block.
type holder interface {
	// Nudge says that there is a place, after one was refused.
	Nudge()
	// Reclaim asks for a place that is not in use; refused is called where there is none.
	Reclaim(limit string, refused func())
	// Yield asks for the place that is the next to be out of use.
	Yield(limit string)
}

// claim is what places knows of a holder.
type claim struct {
	pool                 poolKey
	scope                string // of maxDB
	maxDB, maxUser       int
	dbSection, usSection string
	dbSetting            string // whose value maxDB is; empty: max_db_connections

	forGood     bool // it never gives a place up before its end
	held        int  // places, kept ones included
	kept        bool // one of them was given up by a rival and not yet taken
	boundByUser bool // which limit refused it last
}

func newPlaces() *places {
	return &places{holders: map[holder]*claim{}, byDB: map[string]int{}, byUser: map[string]int{}}
}

// enter makes a holder known before it asks.
func (p *places) enter(h holder, t *claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holders[h] = t
	p.order = append(p.order, h)
}

// leave gives up all that a holder has, and forgets it.
func (p *places) leave(h holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	delete(p.holders, h)
	p.order = slices.DeleteFunc(p.order, func(o holder) bool { return o == h })
	p.forget(h)
	for t.held > 0 {
		p.release(t)
	}
}

// renew gives a holder other limits. What it holds it keeps.
func (p *places) renew(h holder, now *claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	for range t.held {
		decrement(p.byDB, t.scope)
		decrement(p.byUser, t.pool.user)
	}
	t.pool, t.scope, t.maxDB, t.maxUser, t.dbSection, t.usSection = now.pool, now.scope, now.maxDB, now.maxUser, now.dbSection, now.usSection
	t.dbSetting = now.dbSetting
	if t.held > 0 {
		p.byDB[t.scope] += t.held
		p.byUser[t.pool.user] += t.held
	}
	for p.offer() {
	}
}

// atMost is how many backends a holder that wants so many can have, if it has its limits for itself.
func (p *places) atMost(h holder, want int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, limit := range []int{p.holders[h].maxDB, p.holders[h].maxUser} {
		if limit > 0 {
			want = min(want, limit)
		}
	}
	return want
}

// Take implements relay.Places.
func (p *places) Take(l *relay.Lanes) bool { return p.take(l) }

// take asks for one more place.
func (p *places) take(h holder) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	if t.kept {
		t.kept = false
		return true
	}
	if p.room(t) {
		p.hold(t)
		p.forget(h)
		return true
	}
	if !slices.Contains(p.waiting, h) {
		p.waiting = append(p.waiting, h)
	}
	found, mustYield := p.rivals(h, t)
	askNext(t.limit(), found, mustYield)
	return false
}

// room reports whether neither limit is reached, and notes which one is.
func (p *places) room(t *claim) bool {
	dbFull := reached(p.byDB[t.scope], t.maxDB)
	t.boundByUser = !dbFull
	return !dbFull && !reached(p.byUser[t.pool.user], t.maxUser)
}

// limit names the one that refused the holder last.
func (t *claim) limit() string {
	if t.boundByUser {
		return "max_user_connections"
	}
	return cmp.Or(t.dbSetting, "max_db_connections")
}

func (p *places) hold(t *claim) {
	t.held++
	p.byDB[t.scope]++
	p.byUser[t.pool.user]++
}

func (p *places) forget(h holder) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w holder) bool { return w == h })
}

// rivals are the other holders of places under the limit that binds t, those that hold the most first, and whether the
// first of them has so many that it must give one up although it is busy: t has none, or fewer even after that.
func (p *places) rivals(h holder, t *claim) (found []holder, mustYield bool) {
	for _, other := range p.order {
		o := p.holders[other]
		same := o.scope == t.scope
		if t.boundByUser {
			same = o.pool.user == t.pool.user
		}
		if other != h && same && o.held > 0 && !o.forGood {
			found = append(found, other)
		}
	}
	slices.SortStableFunc(found, func(a, b holder) int { return cmp.Compare(p.holders[b].held, p.holders[a].held) })
	return found, len(found) > 0 && (t.held == 0 || p.holders[found[0]].held > t.held+1)
}

// askNext asks holders in turn to close an idle backend, until one does. If none has any, the first must give up a busy one.
func askNext(limit string, holders []holder, mustYield bool) {
	var ask func(i int)
	ask = func(i int) {
		switch {
		case i < len(holders):
			holders[i].Reclaim(limit, func() { ask(i + 1) })
		case mustYield:
			holders[0].Yield(limit)
		}
	}
	ask(0)
}

// Give implements relay.Places.
func (p *places) Give(l *relay.Lanes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(p.holders[l])
}

// release frees a place and offers it.
func (p *places) release(t *claim) {
	t.held--
	decrement(p.byDB, t.scope)
	decrement(p.byUser, t.pool.user)
	p.offer()
}

// offer keeps a place, if there is one, for the holder that has waited longest, of those that can use it. False: there is none.
func (p *places) offer() bool {
	for _, w := range p.waiting {
		if o := p.holders[w]; p.room(o) {
			p.hold(o)
			o.kept = true
			p.forget(w)
			w.Nudge()
			return true
		}
	}
	return false
}

// Decline implements relay.Places. The lane may have been forgotten since it was nudged.
func (p *places) Decline(l *relay.Lanes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.holders[l]; t != nil && t.kept {
		t.kept = false
		p.release(t)
	}
}

// Bound implements relay.Places.
func (p *places) Bound(l *relay.Lanes) (setting string, value int, section string) { return p.bound(l) }

func (p *places) bound(h holder) (setting string, value int, section string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	if t.boundByUser {
		return t.limit(), t.maxUser, t.usSection
	}
	return t.limit(), t.maxDB, t.dbSection
}
