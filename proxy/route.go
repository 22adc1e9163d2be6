package proxy

import (
	"context"
	"sync"

	"weir/config"
	"weir/proxy/eventloop"
	"weir/proxy/generation"
	"weir/proxy/places"
	"weir/proxy/prelogin"
	"weir/proxy/relay"
)

// router finds the pool of a client, makes it when the first client comes, and forgets it when it has neither clients nor backends.
// Its methods may be called on any goroutine.
type router struct {
	current *generation.Current
	engines []*relay.Engine
	places  *places.Places
	dialer  *dialer
	spread  spread
	// autoDatabase is told of a database without a section of its own for which a pool is opened; nil: nothing is. It must not block.
	autoDatabase func(database string)
	// forgotten is told how many pools have ended. It must not block.
	forgotten func(pools int)

	telling sync.Mutex // of orders; before mu

	mu     sync.Mutex
	pools  map[generation.PoolKey]*livePool
	closed map[*livePool]struct{} // those that admit no client any more
	loads  []int                  // lanes on each engine
	opened uint64
	turn   int // see spread.inTurn
	orders orders

	buried bygone
}

// livePool is a pool with the clients that it is to outlive. Guarded by router.mu.
type livePool struct {
	key      generation.PoolKey
	number   uint64
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

func newRouter(current *generation.Current, engines []*relay.Engine, dialer *dialer) *router {
	return &router{
		current: current, engines: engines, places: places.New(), dialer: dialer, spread: usualSpread,
		pools: map[generation.PoolKey]*livePool{}, closed: map[*livePool]struct{}{}, loads: make([]int, len(engines)), forgotten: func(int) {},
		buried: newBygone(),
	}
}

// member is a client in its pool.
type member struct {
	router *router
	pool   *livePool
	user   *liveUser
	at     uint32 // the engine of its lane
	kills  uint32 // of the pool before it came
}

// leave counts the client out. It is called once, and does not block.
func (m member) leave() {
	m.router.mu.Lock()
	defer m.router.mu.Unlock()
	m.pool.lanes[m.at].clients--
	if m.user.clients--; m.user.clients == 0 {
		delete(m.pool.users, m.user.name)
	}
}

// departure is leave, or the one that the user has for that origin: thousands of clients then keep one function.
func (m member) departure(o clientOrigin, leave func()) func() {
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

// join returns the lane for a client that a loop suits, and the limits that hold for that client. The lane stays until the member leaves.
// There is no lane if the configuration does not have the database any more.
func (r *router) join(database, user string, suited *eventloop.Loop) (lane *relay.Lane, limits *relay.LiveLimits, m member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current.Load() // a generation that comes now finds this pool
	key := g.PoolOf(database, user)
	p := r.pools[key]
	if p == nil {
		if _, ok := g.Config.Database(key.Database); !ok {
			return nil, nil, member{}
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
	return p.lanes[at].lane, &u.limits, member{r, p, u, uint32(at), p.common.Kills()}
}

// knows reports whether the pool of such a client is open.
func (r *router) knows(database, user string) bool {
	key := r.current.Load().PoolOf(database, user)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[key] != nil
}

// pardon has the pool of that user, if there is one, try again with what is known of the user now.
func (r *router) pardon(key generation.PoolKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pools[key]; p != nil {
		p.each((*relay.Lane).Pardon)
	}
}

// laneFor is the engine on which a client of the pool is served, and where there is a lane now. Under the lock.
func (r *router) laneFor(p *livePool, suited *eventloop.Loop) int {
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
	if r.spread.inTurn {
		r.turn++
		from = r.turn % len(r.engines)
	}
	at := r.spread.laneFor(from, clients, r.spread.lanes(r.places.AtMost(p.common, p.settings.Pool.Size), len(r.engines)))
	if p.lanes[at].lane == nil {
		r.openLane(p, at)
	}
	return at
}

// eachPool calls f with each pool, those that admit no client any more included. Under the lock.
func (r *router) eachPool(f func(*livePool)) {
	for _, p := range r.pools {
		f(p)
	}
	for p := range r.closed {
		f(p)
	}
}

// place chooses the loop on which a new pool begins: the one with the fewest.
func (r *router) place() int {
	best := 0
	for i, n := range r.loads {
		if n < r.loads[best] {
			best = i
		}
	}
	return best
}

// open makes a pool. Under the lock.
func (r *router) open(g *generation.Generation, key generation.PoolKey) *livePool {
	r.opened++
	p := &livePool{
		key: key, number: r.opened, home: r.place(), lanes: make([]liveLane, len(r.engines)), common: relay.NewLanes(len(r.engines)),
		settings: g.LaneSettings(key), origin: originOf(g, key), route: routeOf(g, key), users: map[string]*liveUser{},
	}
	if _, own := g.Config.Databases[key.Database]; !own && r.autoDatabase != nil {
		r.autoDatabase(key.Database)
	}
	r.buried.opened(key.Database)
	r.places.Enter(p.common, g.Claim(key))
	r.openLane(p, p.home)
	r.pools[key] = p
	return p
}

// openLane makes a lane of a pool on an engine. Under the lock.
func (r *router) openLane(p *livePool, engine int) {
	lane := r.engines[engine].NewLane(relay.LaneConfig{
		LaneSettings: p.settings,
		Database:     p.key.Database, Number: p.number, Seed: seed(), Paused: r.orders.pauses(p.key.Database),
		Lanes: p.common, Places: places.ForLanes{Places: r.places},
		Dial: func(ctx context.Context) (*relay.Dialled, *relay.DialError) {
			return r.dialer.dial(ctx, r.keyOf(p))
		},
		Writable: func(ctx context.Context) bool { return r.dialer.writable(ctx, r.keyOf(p)) },
		Forget:   func() bool { return r.forget(p, engine) },
		Bury:     r.bury,
	})
	r.loads[engine]++
	p.lanes[engine].lane = lane
	lane.Open()
}

// keyOf is a pool's present key: a reload may change as whom it logs in.
func (r *router) keyOf(p *livePool) generation.PoolKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.key
}

// forget is asked by a lane that has neither clients nor backends. It refuses while a client is on its way, and the first lane while there are others.
func (r *router) forget(p *livePool, engine int) bool {
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
	r.buried.forgotten(p.key.Database)
	r.places.Leave(p.common)
	r.forgotten(1)
	return true
}

// openMinimal opens the pools that are to hold backends before any client comes: those with a min_pool_size whose user the
// configuration names.
func (r *router) openMinimal() {
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
