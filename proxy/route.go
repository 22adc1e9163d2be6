package proxy

import (
	"context"
	"sync"

	"weir/config"
	"weir/proxy/relay"
)

// router finds the pool of a client, makes it when the first client comes, and forgets it when it has neither clients nor backends.
// Its methods may be called on any goroutine.
type router struct {
	current *current
	engines []*relay.Engine
	places  *places
	dialer  *dialer
	// autoDatabase is told of a database without a section of its own for which a pool is opened; nil: nothing is. It must not block.
	autoDatabase func(database string)

	mu     sync.Mutex
	pools  map[poolKey]*livePool
	closed map[*livePool]struct{} // those that admit no client any more
	loads  []int                  // pools on each engine
	opened uint64
	orders orders
}

// livePool is a pool with the clients that it is to outlive. Guarded by router.mu.
type livePool struct {
	key      poolKey
	engine   int
	lane     *relay.Lane
	settings relay.LaneSettings
	origin   origin
	route    route
	clients  int // that are there, or on their way
	users    map[string]*liveUser
}

// liveUser is a user of whom clients are in a pool.
type liveUser struct {
	clients int
	limits  relay.LiveLimits
}

func newRouter(current *current, engines []*relay.Engine, dialer *dialer) *router {
	return &router{
		current: current, engines: engines, places: newPlaces(), dialer: dialer,
		pools: map[poolKey]*livePool{}, closed: map[*livePool]struct{}{}, loads: make([]int, len(engines)),
	}
}

// join returns the pool for a client, and the limits that hold for that client. The pool stays until leave is called, once; leave does
// not block. There is no lane if the configuration does not have the database any more.
func (r *router) join(database, user string) (lane *relay.Lane, limits *relay.LiveLimits, leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.current.Load() // a generation that comes now finds this pool
	key := g.poolOf(database, user)
	p := r.pools[key]
	if p == nil {
		if _, ok := g.config.Database(key.database); !ok {
			return nil, nil, nil
		}
		p = r.open(g, key)
	}
	u := p.users[user]
	if u == nil {
		u = new(liveUser)
		u.limits.Store(g.clientLimits(key.database, user))
		p.users[user] = u
	}
	p.clients++
	u.clients++
	return p.lane, &u.limits, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		p.clients--
		if u.clients--; u.clients == 0 {
			delete(p.users, user)
		}
	}
}

// knows reports whether the pool of such a client is open.
func (r *router) knows(database, user string) bool {
	key := r.current.Load().poolOf(database, user)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pools[key] != nil
}

// pardon has the pool of that user, if there is one, try again with what is known of the user now.
func (r *router) pardon(key poolKey) {
	r.mu.Lock()
	p := r.pools[key]
	r.mu.Unlock()
	if p != nil {
		p.lane.Pardon()
	}
}

// place chooses the loop on which a new pool will live, whole: the one with the fewest. It is the only place where that is
// decided.
func (r *router) place() int {
	best := 0
	for i, n := range r.loads {
		if n < r.loads[best] {
			best = i
		}
	}
	r.loads[best]++
	return best
}

// open makes a pool. Under the lock.
func (r *router) open(g *generation, key poolKey) *livePool {
	p := &livePool{
		key: key, engine: r.place(), settings: g.laneSettings(key), origin: g.origin(key), route: g.route(key), users: map[string]*liveUser{},
	}
	r.opened++
	if _, own := g.config.Databases[key.database]; !own && r.autoDatabase != nil {
		r.autoDatabase(key.database)
	}
	p.lane = r.engines[p.engine].NewLane(relay.LaneConfig{
		LaneSettings: p.settings,
		Database:     key.database, Number: r.opened, Seed: seed(), Paused: r.orders.pauses(key.database),
		Places: r.places,
		Dial: func(ctx context.Context) (*relay.Dialled, *relay.DialError) {
			return r.dialer.dial(ctx, r.keyOf(p))
		},
		Writable: func(ctx context.Context) bool { return r.dialer.writable(ctx, r.keyOf(p)) },
		Forget:   func() bool { return r.forget(p) },
	})
	r.places.enter(p.lane, g.claim(key))
	p.lane.Open()
	r.pools[key] = p
	return p
}

// keyOf is a pool's present key: a reload may change as whom it logs in.
func (r *router) keyOf(p *livePool) poolKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.key
}

// forget is asked by a pool that has neither clients nor backends. It refuses while a client is on its way.
func (r *router) forget(p *livePool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.clients > 0 {
		return false
	}
	if r.pools[p.key] == p {
		delete(r.pools, p.key)
	}
	delete(r.closed, p)
	r.loads[p.engine]--
	r.places.leave(p.lane)
	return true
}

// openMinimal opens the pools that are to hold backends before any client comes: those with a min_pool_size whose user the
// configuration names.
func (r *router) openMinimal() {
	g := r.current.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, d := range g.config.Databases {
		key := poolKey{name, d.User}
		if d.User == "" || name == config.AnyDatabase || r.pools[key] != nil {
			continue
		}
		if g.config.PoolSettings(name, d.User).MinPoolSize > 0 {
			r.open(g, key)
		}
	}
}
