package proxy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"weir/config"
	"weir/proxy/backend"
	"weir/proxy/console"
	"weir/proxy/relay"
	"weir/proxy/status"
)

// source is what the console shows. It implements console.Source.
type source struct{ *Proxy }

// gather asks each engine.
func gather[T any](engines []*relay.Engine, rows func(*relay.Engine) []T) (all []T) {
	for _, e := range engines {
		all = append(all, rows(e)...)
	}
	return all
}

// Clients implements console.Source.
func (s source) Clients() []status.Client {
	return slices.Concat(gather(s.engines, (*relay.Engine).Clients), s.replications.Clients(), s.consoles.clients())
}

// Backends implements console.Source.
func (s source) Backends() []status.Backend { return gather(s.engines, (*relay.Engine).Backends) }

// Failures implements console.Source.
func (s source) Failures() []status.Failure { return gather(s.engines, (*relay.Engine).Failures) }

// Statements implements console.Source.
func (s source) Statements() []status.Statement {
	all := oncePerPool(gather(s.engines, (*relay.Engine).Statements))
	slices.SortFunc(all, func(a, b status.Statement) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User), cmp.Compare(b.Clients, a.Clients), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// oncePerPool adds up what the lanes of a pool have of the same statement.
func oncePerPool(rows []status.Statement) (all []status.Statement) {
	type key struct {
		pool uint64
		name string
	}
	at := map[key]int{}
	for _, r := range rows {
		k := key{r.Pool, r.Name}
		if i, ok := at[k]; ok {
			all[i].Clients += r.Clients
			all[i].Backends += r.Backends
			continue
		}
		at[k] = len(all)
		all = append(all, r)
	}
	return all
}

// Settings implements console.Source.
func (s source) Settings() []config.Shown { return s.current.Load().Config.Shown() }

// Memory implements console.Source.
func (s source) Memory() []status.Memory { return console.MemoryNow() }

// Databases implements console.Source.
func (s source) Databases() []status.Database {
	g := s.current.Load()
	rows := map[string]*status.Database{}
	row := func(name string) *status.Database {
		if rows[name] == nil {
			rows[name] = shownDatabase(g.Config, name)
		}
		return rows[name]
	}
	for name := range g.Config.Databases {
		if name != config.AnyDatabase {
			row(name)
		}
	}
	snapshot := s.Snapshot()
	for i := range snapshot.Pools {
		p := &snapshot.Pools[i]
		d := row(p.Database)
		for _, n := range p.Clients {
			d.Clients += n
		}
		for _, n := range p.Backends {
			d.Connections += n
		}
	}
	now := s.router.Standing()
	for db := range now.Disabled {
		row(db).Disabled = true
	}
	for db := range now.PausedDBs {
		row(db).Paused = true
	}
	all := make([]status.Database, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		all = append(all, *rows[name])
	}
	return all
}

// shownDatabase is what the configuration says of a database.
func shownDatabase(c *config.Config, name string) *status.Database {
	d, _ := c.Database(name)
	p := c.PoolSettings(name, "")
	shown := &status.Database{
		Name: name, Host: d.Host, Port: d.Port, DBName: d.DBName, ForceUser: d.User,
		PoolSize: p.PoolSize, MinPoolSize: p.MinPoolSize, ReservePoolSize: p.ReservePoolSize,
		ServerLifetime: wholeSeconds(p.ServerLifetime), MaxConnections: p.MaxDBConnections, MaxClients: p.MaxDBClientConnections,
	}
	if d.Mode != nil {
		shown.Mode = d.Mode.String()
	}
	if len(d.Servers()) > 1 {
		shown.LoadBalance = d.LoadBalance.String()
		if c.PgBouncer && d.LoadBalance == config.BalanceRandom {
			shown.LoadBalance = "round-robin"
		}
	}
	return shown
}

// Users implements console.Source.
func (s source) Users() []status.User {
	g := s.current.Load()
	clients, backends := s.clients.Users(), s.router.Places.Users()
	names := map[string]bool{}
	for name := range g.Config.Users {
		names[name] = true
	}
	for name := range g.Config.Accounts {
		names[name] = true
	}
	for name := range clients {
		names[name] = true
	}
	for name := range backends {
		names[name] = true
	}
	all := make([]status.User, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		u := g.Config.Users[name]
		p := g.Config.PoolSettings("", name)
		shown := status.User{
			Name: name, PoolSize: u.PoolSize, ReservePoolSize: u.ReservePoolSize, MaxConnections: p.MaxUserConnections,
			Connections: backends[name], MaxClients: p.MaxUserClientConnections, Clients: clients[name],
		}
		if u.Mode != nil {
			shown.Mode = u.Mode.String()
		}
		all = append(all, shown)
	}
	return all
}

// Hosts implements console.Source.
func (s source) Hosts() []status.Host {
	g := s.current.Load()
	rows, addresses := map[string]*status.Host{}, map[string]map[string]bool{}
	for name, d := range g.Config.Databases {
		rows[name] = &status.Host{Database: name, Host: d.Host, Port: d.Port}
		addresses[name] = map[string]bool{}
	}
	for _, b := range s.Backends() {
		entry := g.Entry(b.Database)
		h := rows[entry]
		switch {
		case h == nil: // of a database that the configuration has no more
		case b.State == status.BackendDialling:
			h.Dialling++
		default:
			h.Backends++
			if b.Remote.IsValid() {
				addresses[entry][b.Remote.String()] = true
			}
		}
	}
	snapshot := s.Snapshot()
	for i := range snapshot.Pools {
		if h := rows[g.Entry(snapshot.Pools[i].Database)]; h != nil {
			h.Trouble = cmp.Or(h.Trouble, snapshot.Pools[i].ServerError)
		}
	}
	for name, d := range g.Config.Databases { // a pool that could not be filled ends with its last client, and what was met there is known yet
		var failure string
		rows[name].Tried, failure = triedOf(d.Servers(), snapshot.Servers)
		rows[name].Trouble = cmp.Or(rows[name].Trouble, failure)
	}
	all := make([]status.Host, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		rows[name].Addresses = strings.Join(slices.Sorted(maps.Keys(addresses[name])), ", ")
		all = append(all, *rows[name])
	}
	return all
}

// triedOf says of a database's servers whether any was tried, and what the last one met if none of those that were is up.
func triedOf(servers []config.Server, known []status.Server) (tried bool, failure string) {
	for _, server := range servers {
		name := backend.Target{Host: server.Host, Port: server.Port}.Address()
		for i := range known {
			switch s := &known[i]; {
			case s.Name != name:
			case s.Up:
				return true, ""
			default:
				tried, failure = true, s.Failure
			}
		}
	}
	return tried, failure
}

// Peers implements console.Source.
func (s source) Peers() (all []status.PeerAddress) {
	for _, p := range s.current.Load().Config.AllPeers() {
		all = append(all, status.PeerAddress{ID: p.ID, Host: p.Host, Port: p.Port, PoolSize: p.PoolSize})
	}
	return all
}

func wholeSeconds(d config.Duration) int { return int(int64(d) / 1e9) }
