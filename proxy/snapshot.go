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
		Logins:       p.logins.Snapshot(),
		Lookups:      status.Lookups(p.accounts.Totals()),
		Dropped:      logline.Dropped(p.log),
		UnixPort:     p.ports.UnixPort(p.current.Load().Config.Listen),
		Tracing:      p.tracer.Totals(),
		Peers:        p.peers.Snapshot(),
		Replications: p.replications.Snapshot(),
		Servers:      p.targets.Hosts.Snapshot(),
		Limits:       status.Limits{MaxClients: p.current.Load().Config.Limits.MaxClientConn, Clients: p.clients.Count()},
	}
	p.lookAtPools(&s)
	g := p.current.Load()
	for _, e := range slices.Concat(g.ClientTLS.Expiries(), g.ServerTLS.Expiries()) {
		s.Certificates = append(s.Certificates, status.Certificate(e))
	}
	c := g.Config
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

// looks is how often pools are looked at anew where one was forgotten meanwhile, which would count twice or not at all.
const looks = 3

func (p *Proxy) lookAtPools(s *status.Snapshot) {
	for range looks {
		_, _, before := p.router.Bygone()
		var past []status.Pool
		all := lanesJoined{at: map[uint64]int{}}
		s.Loops = nil
		for _, e := range p.engines {
			if pools, ended, loop, ok := e.Snapshot(); ok {
				all.join(pools)
				s.Loops = append(s.Loops, loop)
				past = append(past, ended...)
			}
		}
		s.Bygone = all.addPast(past)
		s.Pools = all.pools
		counted, others, after := p.router.Bygone()
		s.Bygone, s.Others = append(s.Bygone, counted...), others
		if before == after {
			return
		}
	}
}

// lanesJoined are pools, each put together of its lanes.
type lanesJoined struct {
	pools []status.Pool
	at    map[uint64]int // where each is, by its number
}

// join adds what a loop has of pools.
func (j *lanesJoined) join(lanes []status.Pool) {
	j.pools = slices.Grow(j.pools, len(lanes))
	for i := range lanes {
		if at, ok := j.at[lanes[i].Number]; ok {
			j.pools[at].AddLane(&lanes[i])
			continue
		}
		j.at[lanes[i].Number] = len(j.pools)
		j.pools = append(j.pools, lanes[i])
	}
}

// addPast adds what lanes have counted that have ended, and returns that of pools that are not there any more.
func (j *lanesJoined) addPast(past []status.Pool) (rest []status.Pool) {
	for i := range past {
		if at, ok := j.at[past[i].Number]; ok {
			j.pools[at].AddLane(&past[i])
		} else {
			rest = append(rest, past[i])
		}
	}
	return rest
}
