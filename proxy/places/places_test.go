package places

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"weir/pool"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/session"
)

// laneOf makes a real lane whose dials are answered by dial, on an engine of its own.
func laneOf(t *testing.T, p *Places, database, user string, maxDB, maxUser int) *relay.Lanes {
	t.Helper()
	loop, err := relay.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	e := relay.NewEngine(&relay.Env{Log: slog.New(slog.DiscardHandler), Settings: new(session.Table)}, 0, loop)
	// The loop runs at the end only: what places asks of the lanes stays undone, so that the test alone decides.
	t.Cleanup(func() {
		go e.Run()
		e.Stop()
		<-e.Done()
	})
	l := relay.NewLanes(1)
	e.NewLane(relay.LaneConfig{
		Database: database, Lanes: l, Places: ForLanes{p},
		LaneSettings: relay.LaneSettings{User: user, Pool: pool.Config{Size: 5, MaxDials: 1, ServerLoginRetry: time.Second}, ResetQuery: "DISCARD ALL"},
		Dial: func(context.Context) (*relay.Dialled, *relay.DialError) {
			return nil, &relay.DialError{Client: pgerror.BackendLost, Err: context.Canceled}
		},
	})
	p.Enter(l, Claim{Database: database, User: user, Scope: database, MaxDB: maxDB, MaxUser: maxUser, DBSection: "databases." + database, UserSection: "users." + user})
	return l
}

func TestPlacesAreSharedAndNameTheLimit(t *testing.T) {
	p := New()
	a := laneOf(t, p, "shop", "app", 3, 2)
	b := laneOf(t, p, "shop", "ann", 3, 2)
	c := laneOf(t, p, "big", "app", 0, 2)
	take := func(l *relay.Lanes, want bool) {
		t.Helper()
		if got := p.Take(l); got != want {
			t.Fatalf("Take: %t", got)
		}
	}
	bound := func(l *relay.Lanes, want string) {
		t.Helper()
		setting, value, section := p.Bound(l)
		if got := setting + " " + section; got != want || value == 0 {
			t.Errorf("bound by %q (%d), want %q", got, value, want)
		}
	}
	take(a, true)
	take(a, true)
	take(a, false)
	bound(a, "max_user_connections users.app")
	take(b, true)
	take(b, false)
	bound(b, "max_db_connections databases.shop")
	take(c, false)
	bound(c, "max_user_connections users.app")
	p.Give(a)
	take(a, false) // there is one for c, which has none, and one for b; a has waited longest, but not for what is left
	take(b, true)
	take(c, true)
	take(a, false)
	p.Give(c)
	p.Give(b)    // kept for a
	p.Decline(a) // which does not want it any more
	take(b, true)
	p.Give(b)
	p.Give(b)
	p.Give(a)
	if len(p.byDB) != 0 || len(p.byUser) != 0 {
		t.Errorf("left: %v, %v", p.byDB, p.byUser)
	}
}

// A place that becomes free goes to the lane that has waited longest under a limit that it relieves.
func TestFreedPlaceIsOfferedToTheOldestInNeed(t *testing.T) {
	p := New()
	holder := laneOf(t, p, "shop", "app", 1, 0)
	elsewhere := laneOf(t, p, "big", "eve", 1, 0)
	first := laneOf(t, p, "shop", "ann", 1, 0)
	second := laneOf(t, p, "shop", "bob", 1, 0)
	for _, l := range []*relay.Lanes{holder, elsewhere} {
		if !p.Take(l) {
			t.Fatal("no place")
		}
	}
	for _, l := range []*relay.Lanes{elsewhere, first, second, first} { // asking again does not lose one's turn
		if p.Take(l) {
			t.Fatal("beyond the limit")
		}
	}
	p.Give(holder)
	for l, waits := range map[*relay.Lanes]bool{elsewhere: true, first: false, second: true} {
		if got := p.holders[l].queue != nil; got != waits {
			t.Errorf("%s still waits: %t, want elsewhere and second: it was first's turn", p.holders[l].Database+"/"+p.holders[l].User, got)
		}
	}
	if !p.Take(first) {
		t.Error("the place is gone")
	}
}

// A pool that has nothing is not served after all those that wait for one more, each time one of them is asked to give something up.
func TestFreedPlaceIsOfferedToThoseThatHaveNone(t *testing.T) {
	p := New()
	var all []*told
	for i := range 5 {
		h := &told{}
		p.Enter(h, Claim{Database: "shop", User: string(rune('a' + i)), Scope: "shop", MaxDB: 3})
		all = append(all, h)
	}
	late, later := all[3], all[4]
	for range 2 { // the first time there is room
		for _, h := range all[:3] {
			p.Take(h)
		}
	}
	p.Take(late)
	p.Take(later)
	expect := func(when string, nudges ...int) {
		t.Helper()
		for i, h := range all {
			if h.nudges != nudges[i] {
				t.Errorf("%s: %d has been told of %d places, want %d", when, i, h.nudges, nudges[i])
			}
		}
	}
	p.Give(all[0]) // which waits for one more, and has none now
	expect("it is for the one that has had none for longest", 0, 0, 0, 1, 0)
	p.Take(late)
	p.Give(all[1])
	p.Take(later)
	expect("and for the next such", 0, 0, 0, 1, 1)
	p.Give(all[2])
	expect("those that have given one up follow", 1, 0, 0, 1, 1)
}

// told is a holder that remembers what it was told last.
type told struct {
	contested string
	nudges    int
	asked     []string // to give up an idle place: for what
}

func (h *told) Contest(limit string) { h.contested = limit }

func (h *told) Nudge() { h.nudges++ }

func (*told) Yield(string) {}

func (h *told) Reclaim(limit string, refused func()) {
	h.asked = append(h.asked, limit)
	refused()
}

// Those who hold places know whether others wait for them that have none, and under which limit.
func TestHoldersKnowWhetherOthersWait(t *testing.T) {
	p := New()
	enter := func(database, user string, maxDB, maxUser int) *told {
		h := &told{}
		p.Enter(h, Claim{Database: database, User: user, Scope: database, MaxDB: maxDB, MaxUser: maxUser})
		return h
	}
	a, b, c, late := enter("shop", "app", 3, 3), enter("shop", "ann", 3, 3), enter("big", "app", 0, 3), enter("big", "eve", 0, 0)
	expect := func(when, ofA, ofB, ofC string) {
		t.Helper()
		if a.contested != ofA || b.contested != ofB || c.contested != ofC || late.contested != "" {
			t.Errorf("%s: %q, %q, %q and %q, want %q, %q, %q and nothing", when, a.contested, b.contested, c.contested, late.contested, ofA, ofB, ofC)
		}
	}
	take := func(h *told, want bool) {
		t.Helper()
		if p.Take(h) != want {
			t.Fatalf("taken: %t", !want)
		}
	}
	give := func(h *told) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.release(p.holders[h])
	}
	const db, user = "max_db_connections", "max_user_connections"
	for range 3 {
		take(a, true)
	}
	take(late, true)
	expect("there was room", "", "", "")
	take(c, false)
	expect("c has none", user, "", "")
	take(b, false)
	expect("b has none, either", db, "", "")
	give(a) // which makes room under either limit
	expect("both have a place", "", "", "")
	take(b, true)
	take(c, true)
	take(c, false)
	expect("c has one already", "", "", "")
	give(a)
	if c.nudges != 2 || b.nudges != 1 || a.nudges != 0 {
		t.Errorf("c was nudged %d times, b %d and a %d, want 2, 1 and 0", c.nudges, b.nudges, a.nudges)
	}
	for _, h := range []*told{a, b, c, late} {
		p.Leave(h)
	}
	if len(p.byDB)+len(p.byUser)+len(p.byServer)+len(p.holders) != 0 {
		t.Errorf("left: %v, %v, %v, %v", p.byDB, p.byUser, p.byServer, p.holders)
	}
}

// Where the server has no place left, pools are asked whose backends would help: those at that server, in the same database or of the same role.
func TestFullServerHasRivalsGiveUpPlacesThatHelp(t *testing.T) {
	for where, want := range map[relay.Full][]string{
		relay.FullServer: {"shop/ann", "alias/ann", "big/app"}, relay.FullDatabase: {"shop/ann", "alias/ann"}, relay.FullRole: {"big/app"},
	} {
		p := New()
		holders := map[string]*told{}
		for _, c := range []Claim{
			{Database: "shop", User: "app", Server: "here", DBName: "shop"},
			{Database: "shop", User: "ann", Server: "here", DBName: "shop"},
			{Database: "alias", User: "ann", Server: "here", DBName: "shop"},
			{Database: "big", User: "app", Server: "here", DBName: "big"},
			{Database: "shop", User: "eve", Server: "elsewhere", DBName: "shop"},
		} {
			h := &told{}
			holders[c.Database+"/"+c.User] = h
			p.Enter(h, c)
			p.Take(h)
		}
		p.Full(holders["shop/app"], where)
		for name, h := range holders {
			if got := len(h.asked) == 1; got != slices.Contains(want, name) || len(h.asked) > 1 {
				t.Errorf("%d is full: %s is asked for %q, want those of %q asked once", where, name, h.asked, want)
			}
		}
	}
}

// What a pool gives up at a full server is for the one that was refused there, for a moment: those that are at work everywhere would have it back at once.
func TestPlaceGivenUpAtAFullServerIsForTheOneRefusedThere(t *testing.T) {
	p := New()
	now := time.Now()
	p.now = func() time.Time { return now }
	enter := func(database, user string) *told {
		h := &told{}
		p.Enter(h, Claim{Database: database, User: user, Server: "here", DBName: database})
		return h
	}
	busy, first, second, elsewhere := enter("shop", "app"), enter("shop", "ann"), enter("shop", "bob"), enter("big", "app")
	expect := func(when string, held ...*told) {
		t.Helper()
		for name, h := range map[string]*told{"busy": busy, "first": first, "second": second, "elsewhere": elsewhere} {
			if got := p.first(p.holders[h]) != nil; got != slices.Contains(held, h) {
				t.Errorf("%s: %s is held back: %t", when, name, got)
			}
		}
	}
	refused := func(h *told, asks bool) {
		t.Helper()
		p.Take(h)
		p.mu.Lock()
		p.release(p.holders[h])
		p.mu.Unlock()
		busy.asked = nil
		p.Full(h, relay.FullDatabase)
		if got := len(busy.asked) == 1; got != asks {
			t.Errorf("the busy one is asked for a place: %t", got)
		}
	}
	for range 4 {
		p.Take(busy)
	}
	p.Take(elsewhere)
	refused(first, true)
	refused(second, true)
	expect("nothing was given up")
	p.Give(elsewhere)
	expect("what was given up is in another database")
	p.Give(busy)
	expect("a place was given up", busy, second)
	refused(first, false) // the backend has not ended yet
	expect("the dial came too early", busy, second)
	now = now.Add(owedFor)
	expect("it was not to be had")
	refused(first, true)
	p.Give(busy)
	p.Give(busy)
	expect("two were given up", busy)
	p.mu.Lock()
	p.admitted(p.holders[first])
	p.mu.Unlock()
	expect("the first has come in", busy, first)
	p.Decline(second)
	expect("the second does not want it any more")
	p.Take(first)
	p.Full(first, relay.FullDatabase)
	p.Full(second, relay.FullDatabase)
	p.Give(busy)
	expect("the first, which was refused earlier, wants one more, and the second has none", busy, first)
	if first.nudges != 2 || second.nudges != 2 || busy.nudges+elsewhere.nudges != 0 {
		t.Errorf("told of a place: %d, %d, %d and %d times", first.nudges, second.nudges, busy.nudges, elsewhere.nudges)
	}
	for _, h := range []*told{busy, first, second, elsewhere} {
		p.Leave(h)
	}
	if len(p.byDB)+len(p.byUser)+len(p.byServer)+len(p.holders) != 0 {
		t.Errorf("left: %v, %v, %v, %v", p.byDB, p.byUser, p.byServer, p.holders)
	}
}

// A pool that is held back by what is owed to another waits for a place of its own, as if the server had refused it: it would not be told of one otherwise.
func TestPoolThatIsHeldBackGetsAPlaceOfItsOwn(t *testing.T) {
	p := New()
	enter := func(user string) *told {
		h := &told{}
		p.Enter(h, Claim{Database: "shop", User: user, Server: "here", DBName: "shop"})
		return h
	}
	idle, first, second := enter("app"), enter("ann"), enter("bob")
	p.Take(idle)
	p.Take(idle)
	p.Full(first, relay.FullServer)
	p.Give(idle)
	where, owed := p.Owed(second)
	if !owed || where != relay.FullServer {
		t.Fatalf("the second pool is held back: %t, by %v", owed, where)
	}
	p.Give(idle)
	if _, owed := p.Owed(second); owed || len(idle.asked) != 2 || first.nudges != 1 || second.nudges != 1 {
		t.Errorf("held back still: %t; asked for a place: %d times; told of one: %d and %d times", owed, len(idle.asked), first.nudges, second.nudges)
	}
}

// As long as a pool has nothing at a full server, those whose places would help it keep no idle backend for long: when it was refused, all were busy, perhaps.
func TestPlacesAtAFullServerAreContested(t *testing.T) {
	p := New()
	enter := func(database, user string) *told {
		h := &told{}
		p.Enter(h, Claim{Database: database, User: user, Server: "here", DBName: database})
		return h
	}
	many, one, elsewhere := enter("shop", "app"), enter("shop", "ann"), enter("big", "ann")
	for _, h := range []*told{many, many, one, elsewhere} {
		p.Take(h)
	}
	expect := func(when string, held ...*told) {
		t.Helper()
		for name, h := range map[string]*told{"many": many, "one": one, "elsewhere": elsewhere} {
			if got := h.contested == relay.FullDatabase.String(); got != slices.Contains(held, h) || !got && h.contested != "" {
				t.Errorf("%s: what %s has is contested: %q", when, name, h.contested)
			}
		}
	}
	p.Full(one, relay.FullDatabase)
	expect("one that has a place wants one more")
	first, second := enter("shop", "bob"), enter("shop", "eve")
	p.Full(first, relay.FullDatabase)
	expect("the first has none", many, one)
	p.Give(many)
	expect("the first is owed one")
	p.Owed(second)
	expect("the second has none, and none was given up for it", many, one)
	p.Take(first)
	p.Admitted(first)
	expect("the first has one", many, one)
	p.Give(one)
	expect("the second is owed one")
	p.Admitted(second)
	expect("there is room")
}

// In whatever order things happen, the counts are those of what is held, everyone who waits is in one queue in its order, no place is free that somebody
// who waits could have, holders know what is contested, and nothing is left in the end.
func TestRandomPlacesAddUp(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := New()
		now := time.Now()
		p.now = func() time.Time { return now }
		some := func() Claim {
			db := string(rune('a' + r.IntN(3)))
			return Claim{
				Database: db, User: string(rune('p' + r.IntN(3))), Scope: db, DBName: string(db[0] & 'b'), Server: string(rune('s' + r.IntN(2))),
				MaxDB: r.IntN(4), MaxUser: r.IntN(4),
			}
		}
		all := map[*told]int{} // what each holds, as far as it knows
		var order []*told
		for range 6 {
			h := &told{}
			p.Enter(h, some())
			all[h], order = 0, append(order, h)
		}
		for step := range 200 {
			h := order[r.IntN(len(order))]
			switch r.IntN(8) {
			case 0, 1, 2:
				if p.Take(h) {
					all[h]++
				}
			case 3, 4:
				if all[h] > 0 {
					all[h]--
					p.Give(h)
				}
			case 5:
				p.Decline(h)
			case 6:
				p.Full(h, relay.Full(r.IntN(3)))
				p.Owed(h)
			case 7:
				now = now.Add(owedFor / 2)
				if r.IntN(4) == 0 {
					p.Renew(h, some())
				}
			}
			checkPlaces(t, p, all)
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, step)
			}
		}
		for h := range all {
			p.Leave(h)
		}
		if len(p.byDB)+len(p.byUser)+len(p.byServer)+len(p.holders) != 0 {
			t.Fatalf("seed %d: left: %v, %v, %v, %v", seed, p.byDB, p.byUser, p.byServer, p.holders)
		}
	}
}

func checkPlaces(t *testing.T, p *Places, all map[*told]int) {
	t.Helper()
	for h, n := range all {
		c := p.holders[h]
		if c.kept {
			n++
		}
		if c.held != n {
			t.Errorf("%s holds %d, want %d", c.Database+"/"+c.User, c.held, n)
		}
		if c.queue != nil && (p.room(c) || !slices.Contains(c.queue.waiting, c)) {
			t.Errorf("%s waits in vain", c.Database+"/"+c.User)
		}
		if h.contested != c.contested || p.contested(c) != c.contested {
			t.Errorf("%s was told %q, and it is %q", c.Database+"/"+c.User, h.contested, p.contested(c))
		}
	}
	for _, m := range []map[string]*group{p.byDB, p.byUser, p.byServer} {
		for name, g := range m {
			held, without := 0, 0
			beggars := map[lack]int{}
			for _, c := range g.refused {
				if c.begs {
					beggars[c.lackOf(c.lack)]++
				}
				if c.begs && c.held > 0 {
					t.Errorf("%s has a place and begs", c.Database+"/"+c.User)
				}
			}
			if !maps.Equal(beggars, g.beggars) {
				t.Errorf("%s: begging for %v, want %v", name, g.beggars, beggars)
			}
			for _, c := range g.holding {
				held += c.held
			}
			for _, c := range g.waiting {
				if c.held == 0 {
					without++
				}
			}
			if held != g.held || without != g.without || !slices.IsSortedFunc(g.waiting, byNeed) {
				t.Errorf("%s: held %d of %d, without %d of %d, waiting in the order %v", name, g.held, held, g.without, without, g.waiting)
			}
		}
	}
}

// A pool has lanes by the backends that it can have, not by its pool_size alone.
func TestLimitsKeepPoolsSmall(t *testing.T) {
	for _, c := range []struct{ maxDB, maxUser, want int }{{0, 0, 100}, {9, 0, 9}, {0, 8, 8}, {9, 8, 8}, {200, 0, 100}} {
		p, h := New(), &told{}
		p.Enter(h, Claim{MaxDB: c.maxDB, MaxUser: c.maxUser})
		if got := p.AtMost(h, 100); got != c.want {
			t.Errorf("a pool of 100 under limits of %d and %d has %d backends, want %d", c.maxDB, c.maxUser, got, c.want)
		}
	}
}
