// Package router finds the pool and the lane of each client. It opens pools when the first client comes, has them follow reloads and the
// orders of operators, and forgets them when they have neither clients nor backends.
//
// Its methods may be called on any goroutine. It may import what pools are made of (generation, relay, places); who dials is told to it.
package router

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"

	"weir/config"
	"weir/proxy/bounded"
	"weir/proxy/eventloop"
	"weir/proxy/generation"
	"weir/proxy/places"
	"weir/proxy/prelogin"
	"weir/proxy/relay"
	"weir/proxy/status"
)

// Router finds the pool of a client, makes it when the first client comes, and forgets it when it has neither clients nor backends.
// Its methods may be called on any goroutine.
type Router struct {
	current *generation.Current
	engines []*relay.Engine
	Places  *places.Places
	dialer  Dialer
	Spread  Spread
	// autoDatabase is told of a database without a section of its own for which a pool is opened; nil: nothing is. It must not block.
	AutoDatabase func(database string)
	// forgotten is told how many pools have ended. It must not block.
	Forgotten func(pools int)

	telling sync.Mutex // of orders; before mu

	mu     sync.Mutex
	pools  map[generation.PoolKey]*livePool
	closed map[*livePool]struct{} // those that admit no client any more
	loads  []int                  // lanes on each engine
	opened uint64
	apart  int // pools that are not others
	turn   int // see spread.inTurn
	orders Orders

	recalling map[generation.PoolKey]bool // pools that are forgotten, whose clients ask for what sequences gave: their first one is not to find that out anew
	bygone    bygone
}

// recallingMost bounds the names in Router.recalling, which strangers may choose.
const recallingMost = 4096

// Dialer makes backends. Its methods block, and may be called on any goroutine.
type Dialer interface {
	// Dial makes a backend for a pool.
	Dial(ctx context.Context, key generation.PoolKey) (*relay.Dialled, *relay.DialError)
	// Writable reports whether a new connection would lead to a server that is no standby.
	Writable(ctx context.Context, key generation.PoolKey) bool
}

// livePool is a pool with the clients that it is to outlive. Guarded by Router.mu.
type livePool struct {
	key      generation.PoolKey
	number   uint64
	others   bool         // see status.Pool
	home     int          // the engine of its first lane, which ends last
	lanes    []liveLane   // by engine
	common   *relay.Lanes // what they have in common
	settings relay.LaneSettings
	origin   origin
	route    route
	users    map[string]*liveUser
}

// liveLane is a pool's lane on an engine, if there is one.
type liveLane struct {
	lane    *relay.Lane
	clients int // that are there, or on their way
}

// each calls f with each lane. Under the lock.
func (p *livePool) each(f func(*relay.Lane)) {
	for _, l := range p.lanes {
		if l.lane != nil {
			f(l.lane)
		}
	}
}

// liveUser is a user of whom clients are in a pool.
type liveUser struct {
	name    string
	clients int
	limits  relay.LiveLimits
	leaving []departure // in no order; the first maxDepartures that were asked for
}

// clientOrigin is what clients of one user in one pool may differ in, as far as it matters when they are gone.
type clientOrigin struct {
	seat     prelogin.Seat
	at       uint32 // the engine of the lane
	database string // that the client has named
}

// departure is what is done when a client of such an origin is gone.
type departure struct {
	clientOrigin
	leave func()
}

// maxDepartures is how many functions a user's clients share: all that there are with eight loops. Looking for one among them is a matter of
// nanoseconds.
const maxDepartures = 64

// New opens pools on the engines. Spread, AutoDatabase and Forgotten are set before the first client comes.
func New(current *generation.Current, engines []*relay.Engine, dialer Dialer) *Router {
	return &Router{
		current: current, engines: engines, Places: places.New(), dialer: dialer, Spread: UsualSpread,
		pools: map[generation.PoolKey]*livePool{}, closed: map[*livePool]struct{}{}, loads: make([]int, len(engines)), Forgotten: func(int) {},
		bygone: newBygone(), recalling: map[generation.PoolKey]bool{}, orders: Orders{PausedDBs: map[string]bool{}, Disabled: map[string]bool{}},
	}
}

// Member is a client in its pool.
type Member struct {
	router *Router
	pool   *livePool
	user   *liveUser
	at     uint32 // the engine of its lane
	Kills  uint32 // of the pool before it came
}

// Leave counts the client out. It is called once, and does not block.
func (m Member) Leave() {
	m.router.mu.Lock()
	defer m.router.mu.Unlock()
	m.pool.lanes[m.at].clients--
	if m.user.clients--; m.user.clients == 0 {
		delete(m.pool.users, m.user.name)
	}
}

// Departure is what is to be done when the client is gone: leave, or the function that an earlier client of the same user, lane, seat and
// database came with. So thousands of clients keep one function.
func (m Member) Departure(seat prelogin.Seat, database string, leave func()) func() {
	o := clientOrigin{seat, m.at, database}
	m.router.mu.Lock()
	defer m.router.mu.Unlock()
	for i := range m.user.leaving {
		if m.user.leaving[i].clientOrigin == o {
			return m.user.leaving[i].leave
		}
	}
	if len(m.user.leaving) < maxDepartures {
		m.user.leaving = append(m.user.leaving, departure{o, leave})
	}
	return leave
}

// Join returns the lane for a client that a loop suits, and the limits that hold for that client. The lane stays until the member leaves.
// There is no lane if the configuration does not have the database any more.
func (r *Router) Join(database, user string, suited *eventloop.Loop) (lane *relay.Lane, limits *relay.LiveLimits, m Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current.Load() // a generation that comes now finds this pool
	key := g.PoolOf(database, user)
	p := r.pools[key]
	if p == nil {
		if _, ok := g.Config.Database(key.Database); !ok {
			return nil, nil, Member{}
		}
		p = r.open(g, key)
	}
	u := p.users[user]
	if u == nil {
		u = &liveUser{name: user}
		u.limits.Store(g.ClientLimits(key.Database, user))
		p.users[user] = u
	}
	at := r.laneFor(p, suited)
	p.lanes[at].clients++
	u.clients++
	return p.lanes[at].lane, &u.limits, Member{r, p, u, uint32(at), p.common.Kills()}
}

// Knows reports whether the pool of such a client is open.
func (r *Router) Knows(database, user string) bool {
	key := r.current.Load().PoolOf(database, user)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[key] != nil
}

// Pardon has the pool of that user, if there is one, try again with what is known of the user now.
func (r *Router) Pardon(key generation.PoolKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pools[key]; p != nil {
		p.each((*relay.Lane).Pardon)
	}
}

// laneFor is the engine on which a client of the pool is served, and where there is a lane now. Under the lock.
func (r *Router) laneFor(p *livePool, suited *eventloop.Loop) int {
	if len(r.engines) == 1 {
		return 0
	}
	clients, from := make([]int, len(r.engines)), -1
	for i, l := range p.lanes {
		if clients[i] = l.clients; l.lane == nil {
			clients[i] = -1
		}
		if r.engines[i].Loop() == suited {
			from = i
		}
	}
	if r.Spread.InTurn {
		r.turn++
		from = r.turn % len(r.engines)
	}
	at := r.Spread.laneFor(from, clients, r.Spread.lanes(r.Places.AtMost(p.common, p.settings.Pool.Size), len(r.engines)))
	if p.lanes[at].lane == nil {
		r.openLane(p, at)
	}
	return at
}

// eachPool calls f with each pool, those that admit no client any more included. Under the lock.
func (r *Router) eachPool(f func(*livePool)) {
	for _, p := range r.pools {
		f(p)
	}
	for p := range r.closed {
		f(p)
	}
}

// place chooses the loop on which a new pool begins: the one with the fewest.
func (r *Router) place() int {
	best := 0
	for i, n := range r.loads {
		if n < r.loads[best] {
			best = i
		}
	}
	return best
}

// open makes a pool. Under the lock.
func (r *Router) open(g *generation.Generation, key generation.PoolKey) *livePool {
	r.opened++
	p := &livePool{
		key: key, number: r.opened, others: r.amongOthers(key), home: r.place(), lanes: make([]liveLane, len(r.engines)), common: relay.NewLanes(len(r.engines)),
		settings: g.LaneSettings(key), origin: originOf(g, key), route: routeOf(g, key), users: map[string]*liveUser{},
	}
	if _, own := g.Config.Databases[key.Database]; !own && r.AutoDatabase != nil {
		r.AutoDatabase(key.Database)
	}
	if !p.others {
		r.apart++
	}
	if r.recalling[key] {
		p.common.Recall()
	}
	r.bygone.opened(key.Database)
	r.Places.Enter(p.common, g.Claim(key))
	r.openLane(p, p.home)
	r.pools[key] = p
	return p
}

// amongOthers says whether metrics show a new pool of these names among others. One that succeeds another one is where that is. Under the lock.
func (r *Router) amongOthers(key generation.PoolKey) bool {
	if p := r.find(key); p != nil {
		return p.others
	}
	return r.apart >= status.PoolsApart
}

// openLane makes a lane of a pool on an engine. Under the lock.
func (r *Router) openLane(p *livePool, engine int) {
	lane := r.engines[engine].NewLane(relay.LaneConfig{
		LaneSettings: p.settings,
		Database:     p.key.Database, Number: p.number, Others: p.others, Seed: seed(), Paused: r.orders.Pauses(p.key.Database),
		Lanes: p.common, Places: places.ForLanes{Places: r.Places},
		Dial: func(ctx context.Context) (*relay.Dialled, *relay.DialError) {
			return r.dialer.Dial(ctx, r.keyOf(p))
		},
		Writable: func(ctx context.Context) bool { return r.dialer.Writable(ctx, r.keyOf(p)) },
		Forget:   func() bool { return r.forget(p, engine) },
		Bury:     r.keepCounted,
	})
	r.loads[engine]++
	p.lanes[engine].lane = lane
	lane.Open()
}

// keyOf is a pool's present key: a reload may change as whom it logs in.
func (r *Router) keyOf(p *livePool) generation.PoolKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.key
}

// forget is asked by a lane that has neither clients nor backends. It refuses while a client is on its way, and the first lane while there are others.
func (r *Router) forget(p *livePool, engine int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	lanes := 0
	p.each(func(*relay.Lane) { lanes++ })
	if p.lanes[engine].clients > 0 || engine == p.home && lanes > 1 {
		return false
	}
	r.loads[engine]--
	p.lanes[engine] = liveLane{}
	if engine != p.home {
		return true
	}
	if r.pools[p.key] == p {
		delete(r.pools, p.key)
	}
	delete(r.closed, p)
	if !p.others {
		r.apart--
	}
	if p.common.Recalls() {
		bounded.Put(r.recalling, recallingMost, p.key, true)
	}
	r.bygone.forgotten(p.key.Database)
	r.Places.Leave(p.common)
	r.Forgotten(1)
	return true
}

// OpenMinimal opens the pools that are to hold backends before any client comes: those with a min_pool_size whose user the
// configuration names.
func (r *Router) OpenMinimal() {
	g := r.current.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, d := range g.Config.Databases {
		key := generation.PoolKey{Database: name, User: d.User}
		if d.User == "" || name == config.AnyDatabase || r.pools[key] != nil {
			continue
		}
		if g.Config.PoolSettings(name, d.User).MinPoolSize > 0 {
			r.open(g, key)
		}
	}
}

// seed is random, so that weirs that start together do not expire their backends together.
func seed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.NativeEndian.Uint64(b[:])
}
