package replication

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/status"
)

// Clients are those that are served, as the console shows them.
func (s *Connections) Clients() (all []status.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.bySlot {
		kind := "physical"
		if r.kind == login.LogicalReplication {
			kind = "logical"
		}
		remote, _ := netip.ParseAddrPort(r.peer)
		all = append(all, status.Client{
			ID: r.number, Database: r.key.Database, User: r.key.User, PoolDatabase: r.key.Database, PoolUser: r.key.User, Replication: kind,
			State: status.ClientActive, Remote: remote, Age: time.Since(r.began), Since: time.Since(r.began),
		})
	}
	slices.SortFunc(all, func(a, b status.Client) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Snapshot is what there is and was, by database and user as clients name them.
func (s *Connections) Snapshot() []status.Replication {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	now := map[generation.PoolKey]status.Replication{}
	for key, t := range s.totals {
		now[key] = t.Replication
	}
	for _, r := range s.bySlot {
		n := now[r.key]
		n.Clients++
		if r.tunnel != nil {
			in, out := r.tunnel.Bytes()
			n.BytesIn += in
			n.BytesOut += out
		}
		now[r.key] = n
	}
	all := slices.SortedFunc(maps.Values(now), func(a, b status.Replication) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User))
	})
	if s.others.Others {
		all = append(all, s.others)
	}
	return all
}
