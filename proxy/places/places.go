// Package places counts the backends of all pools against the limits that these share (max_db_connections, max_user_connections), and against what a
// PostgreSQL has places for, and has those that have many give some up to those that have none.
//
// It is one table under one lock, which any goroutine may use; nothing in it blocks. It may import relay, whose Places it implements by ForLanes. Where a
// holder's backends are, and what limits them, it is told in a Claim: it knows no configuration.
package places

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"weir/proxy/relay"
)

// Places counts backends over all pools against max_db_connections and max_user_connections. When a pool is refused a place, an idle
// backend of a rival is closed at once (PgBouncer waits for the idle timeout), and where all are busy the rival that has the most
// gives up the one that is released next. As long as a pool waits that has none, its rivals keep no idle backend for long. A place that comes free is kept for the
// pool that has waited longest, of those that have none if there are such: else each that wants one more would be served before one that cannot work at all.
//
// There may be thousands of pools, and each asks again once a second, so nothing here looks at more of them than hold places under one limit.
type Places struct {
	mu       sync.Mutex
	holders  map[Holder]*claim
	byDB     map[string]*group // by Claim.Scope
	byUser   map[string]*group // by Claim.User
	byServer map[string]*group // by Claim.Server; no claim waits in these
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
	beggars map[lack]int
}

// Holder may hold places: the lanes of a pool, or one connection for replication. Its methods may be called on any goroutine and do not block.
type Holder interface {
	// Nudge says that there is a place, after one was refused.
	Nudge()
	// Reclaim asks for a place that is not in use; refused is called where there is none.
	Reclaim(limit string, refused func())
	// Yield asks for the place that is the next to be out of use.
	Yield(limit string)
	// Contest says that others, which have none, wait for places under that limit from now on, or, with an empty one, that none does any more.
	Contest(limit string)
}

// Claim says where a holder's backends are, and which limits count them.
type Claim struct {
	Database, User         string // of the pool
	Server, DBName         string // where the backends are, and in which database
	Scope                  string // of MaxDB: claims of the same scope count together
	MaxDB, MaxUser         int    // 0: no limit
	DBSection, UserSection string // of the configuration, where these are set
	DBSetting              string // whose value MaxDB is; empty: max_db_connections
	ForGood                bool   // the holder never gives a place up before its end
}

// claim is what is known of a holder.
type claim struct {
	Claim

	holder      Holder
	held        int  // places, kept ones included
	kept        bool // one of them was given up by a rival and not yet taken
	boundByUser bool // which limit refused it last

	turn      uint64 // those that are as needy are served in the order of their turns
	queue     *group // that it waits for; nil: it does not
	contested string // what the holder was last told

	lack    relay.Full // of what the server had none left, where it is among group.refused
	begs    bool       // it is among group.beggars
	owed    time.Time  // until when a place that another has given up there is for it
	offered bool       // it has been told so, and has not taken it
}

// New knows no holder yet.
func New() *Places {
	return &Places{holders: map[Holder]*claim{}, byDB: map[string]*group{}, byUser: map[string]*group{}, byServer: map[string]*group{}, now: time.Now}
}

// Enter makes a holder known before it asks.
func (p *Places) Enter(h Holder, c Claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holders[h] = &claim{Claim: c, holder: h}
}

// Leave gives up all that a holder has, and forgets it.
func (p *Places) Leave(h Holder) {
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

// Renew gives a holder other limits. What it holds it keeps, and its turn, too.
func (p *Places) Renew(h Holder, c Claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	waited, held, before := t.queue != nil, t.held, *t
	p.unqueue(t)
	p.admitted(t)
	for range held {
		p.drop(t)
	}
	t.Claim = c
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

// AtMost is how many backends a holder that wants so many can have, if it has its limits for itself.
func (p *Places) AtMost(h Holder, want int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, limit := range []int{p.holders[h].MaxDB, p.holders[h].MaxUser} {
		if limit > 0 {
			want = min(want, limit)
		}
	}
	return want
}

// Take asks for one more place. Where it is refused, the holder is nudged once there is one.
func (p *Places) Take(h Holder) bool {
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
func (p *Places) room(t *claim) bool {
	dbFull := full(p.byDB[t.Scope], t.MaxDB)
	t.boundByUser = !dbFull
	return !dbFull && !full(p.byUser[t.User], t.MaxUser)
}

// full reports whether a group holds as many places as it may; 0: there is no limit.
func full(g *group, most int) bool { return most > 0 && g != nil && g.held >= most }

// limit names the one that refused the holder last.
func (t *claim) limit() string {
	if t.boundByUser {
		return limitOfUser
	}
	return t.limitOfDB()
}

const limitOfUser = "max_user_connections"

func (t *claim) limitOfDB() string { return cmp.Or(t.DBSetting, "max_db_connections") }

// The groups that a claim's places count in.
const (
	ofDB = iota
	ofUser
	ofServer
	groupKinds
)

func (p *Places) groups(t *claim) [groupKinds]*group {
	return [...]*group{ofDB: groupIn(p.byDB, t.Scope), ofUser: groupIn(p.byUser, t.User), ofServer: groupIn(p.byServer, t.Server)}
}

func groupIn(m map[string]*group, key string) *group {
	g := m[key]
	if g == nil {
		g = &group{beggars: map[lack]int{}}
		m[key] = g
	}
	return g
}

// tidy forgets the groups of a claim that are not needed any more.
func (p *Places) tidy(t *claim) {
	p.tidyOne(p.byDB, t.Scope)
	p.tidyOne(p.byUser, t.User)
	p.tidyOne(p.byServer, t.Server)
}

func (p *Places) tidyOne(m map[string]*group, key string) {
	if g := m[key]; g != nil && g.held == 0 && len(g.waiting)+len(g.refused) == 0 {
		delete(m, key)
	}
}

func (p *Places) hold(t *claim) {
	p.beg(t, false)
	t.held++
	for _, g := range p.groups(t) {
		if g.held++; t.held == 1 {
			g.holding = append(g.holding, t)
		}
	}
	p.tell(t)
}

// drop counts one place less.
func (p *Places) drop(t *claim) {
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
func (p *Places) enqueue(t *claim) {
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

func (p *Places) lastTurn(t *claim) {
	p.turns++
	t.turn = p.turns
}

func (p *Places) queueIn(g *group, t *claim) {
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
func (p *Places) unqueue(t *claim) {
	p.dequeue(t)
	p.tidy(t)
}

func (p *Places) dequeue(t *claim) {
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
func (p *Places) tellAll(g *group) {
	if g.without > 1 { // they know
		return
	}
	for _, t := range g.holding {
		p.tell(t)
	}
}

// tell tells a holder whether others wait for its places, if it does not know.
func (p *Places) tell(t *claim) {
	if now := p.contested(t); now != t.contested {
		t.contested = now
		t.holder.Contest(now)
	}
}

// contested is the limit under which others wait that have nothing of what t holds; empty: none does.
func (p *Places) contested(t *claim) string {
	groups := p.groups(t)
	switch {
	case t.held == 0 || t.ForGood:
		return ""
	case groups[ofDB].without > 0:
		return t.limitOfDB()
	case groups[ofUser].without > 0:
		return limitOfUser
	}
	return groups[ofServer].begged(t)
}

// rivals are the other holders of a group's places whose places help, those that hold the most first, and whether the first of them has so many that
// it must give one up although it is busy: t has none, or fewer even after that.
func (t *claim) rivals(g *group, helps func(*claim) bool) (found []*claim, mustYield bool) {
	for _, o := range g.holding {
		if !o.ForGood && helps(o) {
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

// Give gives a place back, whose backend has ended.
func (p *Places) Give(h Holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	p.release(t)
	p.handOn(t)
}

// Unused gives a place back, whose backend has not come.
func (p *Places) Unused(h Holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(p.holders[h])
}

// release frees a place and offers it: under the one limit, and if that leaves something under the other one, there, too.
func (p *Places) release(t *claim) {
	p.drop(t)
	for p.offer(t) {
	}
}

// offer keeps a place, if there is one under the limits that hold for t, for the neediest holder that waits for it, of those that can use it.
// False: there is none.
func (p *Places) offer(t *claim) bool {
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

// Decline ends what Nudge has offered, if it was not taken. The holder may have been forgotten since.
func (p *Places) Decline(h Holder) {
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

// Bound names the limit that has refused the holder last: the setting, its value, and the section that sets it.
func (p *Places) Bound(h Holder) (setting string, value int, section string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.holders[h]
	if t.boundByUser {
		return t.limit(), t.MaxUser, t.UserSection
	}
	return t.limit(), t.MaxDB, t.DBSection
}

// Users are how many backends each user has.
func (p *Places) Users() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(map[string]int, len(p.byUser))
	for user, g := range p.byUser {
		if g.held > 0 {
			held[user] = g.held
		}
	}
	return held
}

// Size is how many things are kept of holders, and of what they count in: none once all have left.
func (p *Places) Size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.holders) + len(p.byDB) + len(p.byUser) + len(p.byServer)
}
