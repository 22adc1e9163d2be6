package proxy

import (
	"maps"
	"slices"
	"time"

	"weir/config"
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

func originOf(g *generation, key poolKey) origin {
	d, _ := g.config.Database(key.database)
	return origin{d.Addresses(), d.TargetSession, d.DBName, key.user, g.config.ServerTLSOf(key.database)}
}

// route is what leads clients to a pool beside their database's name.
type route struct {
	user   string // as whom weir logs in for all clients of the database; empty: as each client's own user
	shared bool   // all names that have no section lead to one database
}

func routeOf(g *generation, key poolKey) route {
	d, _ := g.config.Database(key.database)
	return route{d.User, key.database == config.AnyDatabase && d.DBName != ""}
}

// successor is the key that the pool has under a generation, and why its clients cannot stay in it, if so.
func (p *livePool) successor(g *generation) (poolKey, *pgerror.Error) {
	key := p.key
	if _, ok := g.config.Database(key.database); !ok {
		return key, pgerror.DatabaseRemoved(key.database)
	}
	now := routeOf(g, key)
	switch {
	case g.databaseName(key.database) != key.database, now.shared != p.route.shared:
		return key, pgerror.DatabaseChanged(key.database)
	case now.user == p.route.user, now.user == key.user:
		return key, nil
	case now.user == "" || p.route.user == "":
		return key, pgerror.DatabaseChanged(key.database)
	}
	key.user = now.user
	return key, nil
}

// renew has all pools follow a new generation. A pool that cannot be what the generation says is closed, and those who come later get a
// new one. Its clients go on in it as they began, if they can: not where they would be at the wrong database, or there as the wrong user.
func (r *router) renew(g *generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range slices.Concat(slices.Collect(maps.Values(r.pools)), slices.Collect(maps.Keys(r.closed))) {
		r.follow(g, p)
	}
}

// follow has a pool follow a new generation. Under the lock.
func (r *router) follow(g *generation, p *livePool) {
	key, trouble := p.successor(g)
	if other := r.pools[key]; trouble == nil && key != p.key && other != nil {
		trouble = pgerror.DatabaseChanged(key.database)
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
	settings := g.laneSettings(key)
	if !p.settings.Reconfigurable(settings) {
		r.close(p)
		p.each((*relay.Lane).Close)
		settings.Mode, settings.MaxStatements = p.settings.Mode, p.settings.MaxStatements
	}
	r.places.Renew(p.common, g.claim(key))
	if originOf(g, key) != p.origin || settings.Login != p.settings.Login {
		p.common.Renew(time.Since(r.engines[p.home].Loop().Epoch()))
	}
	p.settings = settings
	p.each(func(l *relay.Lane) { l.Reconfigure(settings) })
	for user, u := range p.users {
		u.limits.Store(g.clientLimits(key.database, user))
	}
	if now := originOf(g, key); now != p.origin {
		p.origin = now
		p.each((*relay.Lane).Renew)
	}
	p.each((*relay.Lane).Pardon) // of what was refused with what was known before
}

// close has a pool admit no client any more. Under the lock.
func (r *router) close(p *livePool) {
	if r.pools[p.key] == p {
		delete(r.pools, p.key)
	}
	r.closed[p] = struct{}{}
}
