package console

import (
	"fmt"
	"runtime"
	"strconv"

	"weir/proxy/status"
)

// consolePool is the name under which the console shows itself.
const consolePool = "pgbouncer"

var poolTables = []Table{
	newTable("POOLS", "A row for each pool, and one for the console. cl_active counts idle clients, too. sv_tested are backends that are made fit for the "+
		"next client, sv_being_canceled those that a cancel request is on its way to. sv_used is 0: weir looks at each backend before it gives it out.",
		pools, []column[status.Pool]{
			{"database", Text, func(p status.Pool) any { return p.Database }},
			{"user", Text, func(p status.Pool) any { return p.User }},
			{"cl_active", Int, func(p status.Pool) any {
				return p.Clients[status.ClientIdle] + p.Clients[status.ClientActive]
			}},
			{"cl_waiting", Int, func(p status.Pool) any { return p.Clients[status.ClientWaiting] + p.Clients[status.ClientLogin] }},
			{"cl_active_cancel_req", Int, zero[status.Pool]},
			{"cl_waiting_cancel_req", Int, zero[status.Pool]},
			{"sv_active", Int, func(p status.Pool) any { return p.Backends[status.BackendActive] }},
			{"sv_active_cancel", Int, zero[status.Pool]},
			{"sv_being_canceled", Int, func(p status.Pool) any { return p.Backends[status.BackendHeld] }},
			{"sv_idle", Int, func(p status.Pool) any { return p.Backends[status.BackendIdle] }},
			{"sv_used", Int, zero[status.Pool]},
			{"sv_tested", Int, func(p status.Pool) any { return p.Backends[status.BackendCleaning] }},
			{"sv_login", Int, func(p status.Pool) any { return p.Backends[status.BackendDialling] }},
			{"maxwait", Int, func(p status.Pool) any { return seconds(p.OldestWait) }},
			{"maxwait_us", Int, func(p status.Pool) any { return microseconds(p.OldestWait) }},
			{"pool_mode", Text, func(p status.Pool) any { return p.Mode }},
			{"load_balance_hosts", Text, func(p status.Pool) any { return nil }},
		}),
	newTable("PEER_POOLS", "A row for each peer that a cancel request was for: the requests that are passed on, wait for a connection, and the connections.",
		peerPools, []column[status.PeerPool]{
			{"peer_id", Int, func(p status.PeerPool) any { return p.ID }},
			{"cl_active_cancel_req", Int, func(p status.PeerPool) any { return p.Active }},
			{"cl_waiting_cancel_req", Int, func(p status.PeerPool) any { return p.Waiting }},
			{"sv_active_cancel", Int, func(p status.PeerPool) any { return p.Active }},
			{"sv_login", Int, func(p status.PeerPool) any { return p.Dialling }},
		}),
	newTable("PEERS", "A row for each weir or PgBouncer to which cancel requests are passed on: each id of [peers], but for weir's own.",
		func(v *View) []status.PeerAddress { return v.Peers() }, []column[status.PeerAddress]{
			{"peer_id", Int, func(p status.PeerAddress) any { return p.ID }},
			{"host", Text, func(p status.PeerAddress) any { return p.Host }},
			{"port", Int, func(p status.PeerAddress) any { return p.Port }},
			{"pool_size", Int, func(p status.PeerAddress) any { return p.PoolSize }},
		}),
	newTable("DATABASES", "A row for each database of the configuration, for each that came by \"*\" and has a pool, and for the console.",
		databases, []column[status.Database]{
			{"name", Text, func(d status.Database) any { return d.Name }},
			{"host", Text, func(d status.Database) any { return orNil(d.Host) }},
			{"port", Int, func(d status.Database) any { return d.Port }},
			{"database", Text, func(d status.Database) any { return d.DBName }},
			{"force_user", Text, func(d status.Database) any { return orNil(d.ForceUser) }},
			{"pool_size", Int, func(d status.Database) any { return d.PoolSize }},
			{"min_pool_size", Int, func(d status.Database) any { return d.MinPoolSize }},
			{"reserve_pool_size", Int, func(d status.Database) any { return d.ReservePoolSize }},
			{"server_lifetime", Int, func(d status.Database) any { return d.ServerLifetime }},
			{"pool_mode", Text, func(d status.Database) any { return orNil(d.Mode) }},
			{"load_balance_hosts", Text, func(d status.Database) any { return orNil(d.LoadBalance) }},
			{"max_connections", Int, func(d status.Database) any { return d.MaxConnections }},
			{"current_connections", Int, func(d status.Database) any { return d.Connections }},
			{"max_client_connections", Int, func(d status.Database) any { return d.MaxClients }},
			{"current_client_connections", Int, func(d status.Database) any { return d.Clients }},
			{"paused", Int, func(d status.Database) any { return d.Paused }},
			{"disabled", Int, func(d status.Database) any { return d.Disabled }},
		}),
	newTable("USERS", "A row for each user that the configuration knows or that is connected.", (*View).Users, []column[status.User]{
		{"name", Text, func(u status.User) any { return u.Name }},
		{"pool_size", Text, func(u status.User) any { return padded(u.PoolSize) }},
		{"reserve_pool_size", Text, func(u status.User) any { return padded(u.ReservePoolSize) }},
		{"pool_mode", Text, func(u status.User) any { return orNil(u.Mode) }},
		{"max_user_connections", Int, func(u status.User) any { return u.MaxConnections }},
		{"current_connections", Int, func(u status.User) any { return u.Connections }},
		{"max_user_client_connections", Int, func(u status.User) any { return u.MaxClients }},
		{"current_client_connections", Int, func(u status.User) any { return u.Clients }},
	}),
	newTable("LISTS", "How many there are of what. free_clients and free_servers are 0: weir keeps no connections in stock.", lists, []column[counted]{
		{"list", Text, func(c counted) any { return c.name }},
		{"items", Int, func(c counted) any { return c.n }},
	}),
	newTable("MEM", "What weir's memory is used for, in bytes: of the Go runtime, not PgBouncer's object caches. used and free are the heap's.",
		(*View).Memory, []column[status.Memory]{
			{"name", Text, func(m status.Memory) any { return m.Name }},
			{"size", Int, func(m status.Memory) any { return clamp(int64(m.Size)) }},
			{"used", Int, func(m status.Memory) any { return clamp(int64(m.Used)) }},
			{"free", Int, func(m status.Memory) any { return clamp(int64(m.Free)) }},
			{"memtotal", Int, func(m status.Memory) any { return clamp(int64(m.Total)) }},
		}),
	newTable("DNS_HOSTS", "Names that were resolved. weir has the system do that for each dial, and lists none.", none[int], []column[int]{
		{"hostname", Text, zero[int]}, {"ttl", Big, zero[int]}, {"addrs", Text, zero[int]},
	}),
	newTable("DNS_ZONES", "Zones whose serial is watched: none.", none[int], []column[int]{
		{"zonename", Text, zero[int]}, {"serial", Big, zero[int]}, {"count", Int, zero[int]},
	}),
}

func none[T any](*View) []T { return nil }

// padded is how PgBouncer shows a number that a user may have.
func padded(n *int) any {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("%9d", *n)
}

func pools(v *View) []status.Pool {
	self := status.Pool{Database: consolePool, User: consolePool, Mode: "statement"}
	self.Clients[status.ClientIdle] = v.Console.Clients
	return append(append([]status.Pool(nil), v.look().Pools...), self)
}

func databases(v *View) []status.Database {
	most := 0
	if s, ok := settingOf(v.Settings(), "max_db_client_connections"); ok {
		most, _ = strconv.Atoi(s.Value)
	}
	return append(v.Databases(), status.Database{
		Name: consolePool, DBName: consolePool, ForceUser: consolePool, Port: v.port(), PoolSize: 2, Mode: "statement", Clients: v.Console.Clients,
		MaxClients: most,
	})
}

// port is that of the settings, which the console's own row has.
func (v *View) port() int {
	for _, s := range v.Settings() {
		if s.Section == "listen" && s.Name == "addresses" {
			return firstPort(s.Value)
		}
	}
	return 0
}

type counted struct {
	name string
	n    int
}

func peerPools(v *View) []status.PeerPool { return v.look().Peers.Pools }

func lists(v *View) []counted {
	s := v.look()
	clients, servers := v.Console.Clients, 0
	for i := range s.Pools {
		for _, n := range s.Pools[i].Clients {
			clients += n
		}
		for _, n := range s.Pools[i].Backends {
			servers += n
		}
	}
	return []counted{
		{"databases", len(v.Databases()) + 1},
		{"users", len(v.Users())},
		{"peers", len(v.Peers())},
		{"pools", len(s.Pools) + 1},
		{"peer_pools", len(s.Peers.Pools)},
		{"free_clients", 0},
		{"used_clients", clients},
		{"login_clients", s.Logins.Now},
		{"free_servers", 0},
		{"used_servers", servers},
		{"dns_names", 0},
		{"dns_zones", 0},
		{"dns_queries", 0},
		{"dns_pending", 0},
	}
}

// MemoryNow is what the Go runtime says of the process.
func MemoryNow() []status.Memory {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	row := func(name string, size, used, all uint64) status.Memory {
		return status.Memory{Name: name, Size: int(size), Used: int(used), Free: int(max(all, used) - used), Total: int(all)}
	}
	mean := uint64(0)
	if m.HeapObjects > 0 {
		mean = m.HeapAlloc / m.HeapObjects
	}
	return []status.Memory{
		row("heap", mean, m.HeapAlloc, m.HeapSys), row("stacks", 0, m.StackInuse, m.StackSys),
		row("runtime", 0, m.MSpanInuse+m.MCacheInuse, m.MSpanSys+m.MCacheSys+m.GCSys+m.OtherSys),
	}
}
