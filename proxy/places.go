package proxy

import (
	"cmp"
	"slices"
	"sync"

	"weir/proxy/relay"
)

// places counts backends over all pools against max_db_connections and max_user_connections. A pool that is refused a place does
// not wait for another's idle timeout, as with PgBouncer: an idle backend of a rival is closed at once, and where all are busy
// the rival that has the most gives up one when it is next released. A place that comes free is kept for the pool that has
// waited longest.
type places struct {
	mu      sync.Mutex
	lanes   map[*relay.Lane]*tenant
	order   []*relay.Lane // of lanes, as they came
	byDB    map[string]int
	byUser  map[string]int
	waiting []*relay.Lane // refused, oldest first
}

// tenant is what places knows of a lane.
type tenant struct {
	database, user       string
	maxDB, maxUser       int
	dbSection, usSection string

	held        int  // places, kept ones included
	kept        bool // one of them was given up by a rival and not yet taken
	boundByUser bool // which limit refused it last
}

func newPlaces() *places {
	return &places{lanes: map[*relay.Lane]*tenant{}, byDB: map[string]int{}, byUser: map[string]int{}}
}

// enter makes a lane known before it dials.
func (p *places) enter(l *relay.Lane, t *tenant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[l] = t
	p.order = append(p.order, l)
}

// Take implements relay.Places.
func (p *places) Take(l *relay.Lane) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.lanes[l]
	if t.kept {
		t.kept = false
		return true
	}
	if p.room(t) {
		p.hold(t)
		p.forget(l)
		return true
	}
	if !slices.Contains(p.waiting, l) {
		p.waiting = append(p.waiting, l)
	}
	askNext(p.rivals(l, t))
	return false
}

// room reports whether neither limit is reached, and notes which one is.
func (p *places) room(t *tenant) bool {
	dbFull := reached(p.byDB[t.database], t.maxDB)
	t.boundByUser = !dbFull
	return !dbFull && !reached(p.byUser[t.user], t.maxUser)
}

func (p *places) hold(t *tenant) {
	t.held++
	p.byDB[t.database]++
	p.byUser[t.user]++
}

func (p *places) forget(l *relay.Lane) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w *relay.Lane) bool { return w == l })
}

// rivals are the other lanes that hold places under the limit that binds t, those that hold the most first, and whether the
// first of them has so many that it must give one up although it is busy: t has none, or fewer even after that.
func (p *places) rivals(l *relay.Lane, t *tenant) (found []*relay.Lane, mustYield bool) {
	for _, other := range p.order {
		o := p.lanes[other]
		same := o.database == t.database
		if t.boundByUser {
			same = o.user == t.user
		}
		if other != l && same && o.held > 0 {
			found = append(found, other)
		}
	}
	slices.SortStableFunc(found, func(a, b *relay.Lane) int { return cmp.Compare(p.lanes[b].held, p.lanes[a].held) })
	return found, len(found) > 0 && (t.held == 0 || p.lanes[found[0]].held > t.held+1)
}

// askNext asks the lanes in turn to close an idle backend, until one does. If none has any, the first must give up a busy one.
func askNext(lanes []*relay.Lane, mustYield bool) {
	var ask func(i int)
	ask = func(i int) {
		switch {
		case i < len(lanes):
			lanes[i].Reclaim(func() { ask(i + 1) })
		case mustYield:
			lanes[0].Yield()
		}
	}
	ask(0)
}

// Give implements relay.Places.
func (p *places) Give(l *relay.Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(p.lanes[l])
}

// release frees a place and keeps it for the lane that has waited longest, of those that can use it.
func (p *places) release(t *tenant) {
	t.held--
	decrement(p.byDB, t.database)
	decrement(p.byUser, t.user)
	for _, w := range p.waiting {
		if o := p.lanes[w]; p.room(o) {
			p.hold(o)
			o.kept = true
			p.forget(w)
			w.Nudge()
			return
		}
	}
}

// Decline implements relay.Places.
func (p *places) Decline(l *relay.Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.lanes[l]; t.kept {
		t.kept = false
		p.release(t)
	}
}

// Bound implements relay.Places.
func (p *places) Bound(l *relay.Lane) (setting string, value int, section string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.lanes[l]
	if t.boundByUser {
		return "max_user_connections", t.maxUser, t.usSection
	}
	return "max_db_connections", t.maxDB, t.dbSection
}
