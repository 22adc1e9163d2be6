package proxy

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"weir/proxy/relay"
)

// places counts backends over all pools against max_db_connections and max_user_connections. When a pool is refused a place, an idle
// backend of a rival is closed at once (PgBouncer waits for the idle timeout), and where all are busy the rival that has the most
// gives up the one that is released next. As long as a pool waits that has none, its rivals keep no idle backend for long. A place that comes free is kept for the
// pool that has waited longest, of those that have none if there are such: else each that wants one more would be served before one that cannot work at all.
//
// There may be thousands of pools, and each asks again once a second, so nothing here looks at more of them than hold places under one limit.
type places struct {
	mu       sync.Mutex
	holders  map[holder]*claim
	byDB     map[string]*group // by claim.scope
	byUser   map[string]*group
	byServer map[string]*group // by claim.server; no claim waits in these
	turns    uint64            // see claim.turn
	now      func() time.Time
}

// group is what counts together under a limit. There is one for as long as it holds something or a claim waits for it.
type group struct {
	held    int
	holding []*claim // that hold some of them, in the order in which they began to
	waiting []*claim // that it has refused, in the order of byNeed
	without int      // of those that wait: that hold nothing
	refused []*claim // to which the server itself had no place to give, in the order in which it refused them, until it lets them in
}

// holder may hold places: a *relay.Lanes, or a *ownPlace. Its methods may be called on any goroutine and do not block.
type holder interface {
	// Nudge says that there is a place, after one was refused.
	Nudge()
	// Reclaim asks for a place that is not in use; refused is called where there is none.
	Reclaim(limit string, refused func())
	// Yield asks for the place that is the next to be out of use.
	Yield(limit string)
	// Contest says that others, which have none, wait for places under that limit from now on, or, with an empty one, that none does any more.
	Contest(limit string)
}

// claim is what places knows of a holder.
type claim struct {
	pool                 poolKey
	server, dbName       string // where its backends are, and in which database
	scope                string // of maxDB
	maxDB, maxUser       int
	dbSection, usSection string
	dbSetting            string // whose value maxDB is; empty: max_db_connections

	holder      holder
	forGood     bool // it never gives a place up before its end
	held        int  // places, kept ones included
	kept        bool // one of them was given up by a rival and not yet taken
	boundByUser bool // which limit refused it last

	turn      uint64 // those that are as needy are served in the order of their turns
	queue     *group // that it waits for; nil: it does not
	contested string // what the holder was last told

	lack    relay.Full // of what the server had none left, where it is among group.refused
	owed    time.Time  // until when a place that another has given up there is for it
	offered bool       // it has been told so, and has not taken it
}

func newPlaces() *places {
	return &places{holders: map[holder]*claim{}, byDB: map[string]*group{}, byUser: map[string]*group{}, byServer: map[string]*group{}, now: time.Now}
}

// enter makes a holder known before it asks.
func (p *places) enter(h holder, t *claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.holder = h
	p.holders[h] = t
}

// leave gives up all that a holder has, and forgets it.
func (p *places) leave(h holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	delete(p.holders, h)
	p.unqueue(t)
	p.admitted(t)
	for t.held > 0 {
		p.release(t)
	}
}

// renew gives a holder other limits. What it holds it keeps, and its turn, too.
func (p *places) renew(h holder, now *claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	waited, held, before := t.queue != nil, t.held, *t
	p.unqueue(t)
	p.admitted(t)
	for range held {
		p.drop(t)
	}
	t.pool, t.scope, t.maxDB, t.maxUser, t.dbSection, t.usSection = now.pool, now.scope, now.maxDB, now.maxUser, now.dbSection, now.usSection
	t.server, t.dbName, t.dbSetting = now.server, now.dbName, now.dbSetting
	for range held {
		p.hold(t)
	}
	if waited {
		p.room(t) // which limit is it now
		p.enqueue(t)
	}
	for p.offer(&before) || p.offer(t) {
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
	t.offered = false
	if t.kept {
		t.kept = false
		return true
	}
	if p.room(t) {
		p.unqueue(t)
		p.hold(t)
		return true
	}
	if t.queue == nil {
		p.lastTurn(t)
	}
	p.enqueue(t)
	found, mustYield := t.rivals(t.queue, func(o *claim) bool { return o != t })
	askNext(t.limit(), found, mustYield)
	return false
}

// room reports whether neither limit is reached, and notes which one is.
func (p *places) room(t *claim) bool {
	dbFull := reached(heldOf(p.byDB[t.scope]), t.maxDB)
	t.boundByUser = !dbFull
	return !dbFull && !reached(heldOf(p.byUser[t.pool.user]), t.maxUser)
}

func heldOf(g *group) int {
	if g == nil {
		return 0
	}
	return g.held
}

// limit names the one that refused the holder last.
func (t *claim) limit() string {
	if t.boundByUser {
		return limitOfUser
	}
	return t.limitOfDB()
}

const limitOfUser = "max_user_connections"

func (t *claim) limitOfDB() string { return cmp.Or(t.dbSetting, "max_db_connections") }

// The groups that a claim's places count in.
const (
	ofDB = iota
	ofUser
	ofServer
	groupKinds
)

func (p *places) groups(t *claim) [groupKinds]*group {
	return [...]*group{ofDB: groupIn(p.byDB, t.scope), ofUser: groupIn(p.byUser, t.pool.user), ofServer: groupIn(p.byServer, t.server)}
}

func groupIn(m map[string]*group, key string) *group {
	g := m[key]
	if g == nil {
		g = &group{}
		m[key] = g
	}
	return g
}

// tidy forgets the groups of a claim that are not needed any more.
func (p *places) tidy(t *claim) {
	p.tidyOne(p.byDB, t.scope)
	p.tidyOne(p.byUser, t.pool.user)
	p.tidyOne(p.byServer, t.server)
}

func (p *places) tidyOne(m map[string]*group, key string) {
	if g := m[key]; g != nil && g.held == 0 && len(g.waiting)+len(g.refused) == 0 {
		delete(m, key)
	}
}

func (p *places) hold(t *claim) {
	t.held++
	for _, g := range p.groups(t) {
		if g.held++; t.held == 1 {
			g.holding = append(g.holding, t)
		}
	}
	p.tell(t)
}

// drop counts one place less.
func (p *places) drop(t *claim) {
	if g := t.queue; g != nil && t.held == 1 { // it is one of those that have none now
		p.dequeue(t)
		t.held = 0
		p.lastTurn(t) // not before those that had none all the while: it would get back what it has given up for them
		p.queueIn(g, t)
	} else {
		t.held--
	}
	for _, g := range p.groups(t) {
		if g.held--; t.held == 0 {
			g.holding = slices.DeleteFunc(g.holding, func(o *claim) bool { return o == t })
		}
	}
	p.tell(t)
	p.tidy(t)
}

// enqueue has a claim wait for the limit that has refused it.
func (p *places) enqueue(t *claim) {
	g := p.groups(t)[ofDB]
	if t.boundByUser {
		g = p.groups(t)[ofUser]
	}
	if t.queue != g {
		p.dequeue(t)
		p.queueIn(g, t)
	}
	p.tidy(t)
}

func (p *places) lastTurn(t *claim) {
	p.turns++
	t.turn = p.turns
}

func (p *places) queueIn(g *group, t *claim) {
	at, _ := slices.BinarySearchFunc(g.waiting, t, byNeed)
	g.waiting = slices.Insert(g.waiting, at, t)
	t.queue = g
	if t.held == 0 {
		g.without++
		p.tellAll(g)
	}
}

// byNeed is the order in which claims are served: those that hold nothing first, and otherwise by their turns.
func byNeed(a, b *claim) int {
	return cmp.Or(cmp.Compare(min(a.held, 1), min(b.held, 1)), cmp.Compare(a.turn, b.turn))
}

// unqueue ends the wait of a claim, if it waits.
func (p *places) unqueue(t *claim) {
	p.dequeue(t)
	p.tidy(t)
}

func (p *places) dequeue(t *claim) {
	g := t.queue
	if g == nil {
		return
	}
	at, _ := slices.BinarySearchFunc(g.waiting, t, byNeed)
	g.waiting = slices.Delete(g.waiting, at, at+1)
	t.queue = nil
	if t.held == 0 {
		g.without--
		p.tellAll(g)
	}
}

// tellAll tells all holders of a group's places, when one more or one less waits that has none.
func (p *places) tellAll(g *group) {
	if g.without > 1 { // they know
		return
	}
	for _, t := range g.holding {
		p.tell(t)
	}
}

// tell tells a holder whether others wait for its places, if it does not know.
func (p *places) tell(t *claim) {
	if now := p.contested(t); now != t.contested {
		t.contested = now
		t.holder.Contest(now)
	}
}

// contested is the limit under which others wait that have nothing of what t holds; empty: none does.
func (p *places) contested(t *claim) string {
	groups := p.groups(t)
	switch {
	case t.held == 0 || t.forGood:
	case groups[ofDB].without > 0:
		return t.limitOfDB()
	case groups[ofUser].without > 0:
		return limitOfUser
	}
	return ""
}

// rivals are the other holders of a group's places whose places help, those that hold the most first, and whether the first of them has so many that
// it must give one up although it is busy: t has none, or fewer even after that.
func (t *claim) rivals(g *group, helps func(*claim) bool) (found []*claim, mustYield bool) {
	for _, o := range g.holding {
		if !o.forGood && helps(o) {
			found = append(found, o)
		}
	}
	slices.SortStableFunc(found, func(a, b *claim) int { return cmp.Compare(b.held, a.held) })
	return found, len(found) > 0 && (t.held == 0 || found[0].held > t.held+1)
}

// askNext asks holders in turn to close an idle backend, until one does. If none has any, the first must give up a busy one.
func askNext(limit string, holders []*claim, mustYield bool) {
	var ask func(i int)
	ask = func(i int) {
		switch {
		case i < len(holders):
			holders[i].holder.Reclaim(limit, func() { ask(i + 1) })
		case mustYield:
			holders[0].holder.Yield(limit)
		}
	}
	ask(0)
}

// Give implements relay.Places.
func (p *places) Give(l *relay.Lanes) { p.give(l) }

func (p *places) give(h holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	p.release(t)
	p.handOn(t)
}

// Unused implements relay.Places.
func (p *places) Unused(l *relay.Lanes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(p.holders[l])
}

// release frees a place and offers it: under the one limit, and if that leaves something under the other one, there, too.
func (p *places) release(t *claim) {
	p.drop(t)
	for p.offer(t) {
	}
}

// offer keeps a place, if there is one under the limits that hold for t, for the neediest holder that waits for it, of those that can use it.
// False: there is none.
func (p *places) offer(t *claim) bool {
	defer p.tidy(t)
	groups := p.groups(t)
	for at := [groupKinds]int{}; ; {
		w, of := neediestOf(groups, at)
		switch {
		case w == nil:
			return false
		case p.room(w):
			p.unqueue(w)
			p.hold(w)
			w.kept = true
			w.holder.Nudge()
			return true
		}
		if p.enqueue(w); w.queue == groups[of] { // else the other limit binds it now
			at[of]++
		}
	}
}

// neediestOf is the first by need of those that wait in any of the groups, but for those that stand before at, and in which it waits; nil if there is none.
func neediestOf(groups [groupKinds]*group, at [groupKinds]int) (first *claim, of int) {
	for i, g := range groups {
		if at[i] < len(g.waiting) && (first == nil || byNeed(g.waiting[at[i]], first) < 0) {
			first, of = g.waiting[at[i]], i
		}
	}
	return first, of
}

// Decline implements relay.Places. The lane may have been forgotten since it was nudged.
func (p *places) Decline(l *relay.Lanes) { p.decline(l) }

func (p *places) decline(h holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	if t == nil {
		return
	}
	if t.offered {
		p.admitted(t)
		p.handOn(t)
	}
	if t.kept {
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
