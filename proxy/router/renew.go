package router

import (
	"maps"
	"slices"
	"time"

	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
)

// origin is where a pool's backends come from. Backends of another origin do not serve clients any longer than they must.
type origin struct {
	servers        string
	attrs          config.TargetSession
	database, user string
	tls            config.TLS
}

func originOf(g *generation.Generation, key generation.PoolKey) origin {
	d, _ := g.Config.Database(key.Database)
	return origin{d.Addresses(), d.TargetSession, d.DBName, key.User, g.Config.ServerTLSOf(key.Database)}
}

// route is what leads clients to a pool beside their database's name.
type route struct {
	user   string // as whom weir logs in for all clients of the database; empty: as each client's own user
	shared bool   // all names that have no section lead to one database
}

func routeOf(g *generation.Generation, key generation.PoolKey) route {
	d, _ := g.Config.Database(key.Database)
	return route{d.User, key.Database == config.AnyDatabase && d.DBName != ""}
}

// successor is the key that the pool has under a generation, and why its clients cannot stay in it, if so.
func (p *livePool) successor(g *generation.Generation) (generation.PoolKey, *pgerror.Error) {
	key := p.key
	if _, ok := g.Config.Database(key.Database); !ok {
		return key, pgerror.DatabaseRemoved(key.Database)
	}
	now := routeOf(g, key)
	switch {
	case g.DatabaseName(key.Database) != key.Database, now.shared != p.route.shared:
		return key, pgerror.DatabaseChanged(key.Database)
	case now.user == p.route.user, now.user == key.User:
		return key, nil
	case now.user == "" || p.route.user == "":
		return key, pgerror.DatabaseChanged(key.Database)
	}
	key.User = now.user
	return key, nil
}

// Renew has all pools follow a new generation. A pool that cannot be what the generation says is closed, and those who come later get a
// new one. Its clients go on in it as they began, if they can: not where they would be at the wrong database, or there as the wrong user.
func (r *Router) Renew(g *generation.Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range slices.Concat(slices.Collect(maps.Values(r.pools)), slices.Collect(maps.Keys(r.closed))) {
		r.follow(g, p)
	}
}

// follow has a pool follow a new generation. Under the lock.
func (r *Router) follow(g *generation.Generation, p *livePool) {
	key, trouble := p.successor(g)
	if other := r.pools[key]; trouble == nil && key != p.key && other != nil {
		trouble = pgerror.DatabaseChanged(key.Database)
	}
	if trouble != nil {
		r.close(p)
		p.each(func(l *relay.Lane) { l.Dismiss(trouble) })
		return
	}
	if r.pools[p.key] == p {
		delete(r.pools, p.key)
		r.pools[key] = p
	}
	p.key, p.route = key, routeOf(g, key)
	settings := g.LaneSettings(key)
	if !p.settings.Reconfigurable(settings) {
		r.close(p)
		p.each((*relay.Lane).Close)
		settings.Mode, settings.MaxStatements = p.settings.Mode, p.settings.MaxStatements
	}
	r.Places.Renew(p.common, g.Claim(key))
	if originOf(g, key) != p.origin || settings.Login != p.settings.Login {
		p.common.Renew(time.Since(r.engines[p.home].Loop().Epoch()))
	}
	p.settings = settings
	p.each(func(l *relay.Lane) { l.Reconfigure(settings) })
	for user, u := range p.users {
		u.limits.Store(g.ClientLimits(key.Database, user))
	}
	if now := originOf(g, key); now != p.origin {
		p.origin = now
		p.each((*relay.Lane).Renew)
	}
	p.each((*relay.Lane).Pardon) // of what was refused with what was known before
}

// close has a pool admit no client any more. Under the lock.
func (r *Router) close(p *livePool) {
	if r.pools[p.key] == p {
		delete(r.pools, p.key)
	}
	r.closed[p] = struct{}{}
}
