package proxy

import (
	"cmp"
	"slices"
	"time"

	"weir/proxy/logline"
	"weir/proxy/status"
)

// Snapshot implements status.Source: it asks each loop for a copy of what it knows.
func (p *Proxy) Snapshot() status.Snapshot {
	s := status.Snapshot{
		At: time.Now(), Started: p.started,
		Logins:       p.logins.snapshot(),
		Lookups:      status.Lookups(p.accounts.directory.Totals()),
		Dropped:      logline.Dropped(p.log),
		UnixPort:     p.unixPort(),
		Tracing:      p.tracer.Totals(),
		Peers:        p.peers.Snapshot(),
		Replications: p.replications.snapshot(),
		Servers:      p.router.dialer.targets.hosts.snapshot(),
		Limits:       status.Limits{MaxClients: p.current.Load().config.Limits.MaxClientConn, Clients: p.clients.count()},
	}
	var past []status.Pool
	for _, e := range p.engines {
		if pools, ended, loop, ok := e.Snapshot(); ok {
			s.Pools = joined(s.Pools, pools)
			s.Loops = append(s.Loops, loop)
			past = append(past, ended...)
		}
	}
	addPast(s.Pools, past)
	c := p.current.Load().config
	for i := range s.Pools {
		settings := c.PoolSettings(s.Pools[i].Database, s.Pools[i].User)
		s.Pools[i].Shared = status.SharedLimits{
			DBBackends: settings.MaxDBConnections, UserBackends: settings.MaxUserConnections,
			DBClients: settings.MaxDBClientConnections, UserClients: settings.MaxUserClientConnections,
		}
	}
	slices.SortFunc(s.Pools, func(a, b status.Pool) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User))
	})
	return s
}

// joined adds what a loop has of pools to what others have.
func joined(all, lanes []status.Pool) []status.Pool {
	for i := range lanes {
		at := slices.IndexFunc(all, func(p status.Pool) bool { return p.Number == lanes[i].Number })
		if at < 0 {
			all = append(all, lanes[i])
		} else {
			all[at].AddLane(&lanes[i])
		}
	}
	return all
}

// addPast adds what lanes have counted that have ended to their pools, as far as these are there still.
func addPast(pools, past []status.Pool) {
	for i := range past {
		if at := slices.IndexFunc(pools, func(p status.Pool) bool { return p.Number == past[i].Number }); at >= 0 {
			pools[at].AddLane(&past[i])
		}
	}
}
