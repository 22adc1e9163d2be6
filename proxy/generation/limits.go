package generation

import (
	"strings"
	"time"

	"weir/config"
	"weir/proxy/places"
	"weir/proxy/relay"
)

// ClientLimits are the times that a client may take.
func (g *Generation) ClientLimits(database, user string) *relay.Limits {
	s := g.Config.PoolSettings(database, user)
	limits := relay.Limits{
		Query: time.Duration(s.QueryTimeout), Transaction: time.Duration(s.TransactionTimeout),
		IdleTransaction: time.Duration(s.IdleTransactionTimeout), Idle: time.Duration(s.ClientIdleTimeout), Stall: time.Duration(s.ClientStallTimeout),
		SlowWait: time.Duration(s.SlowWait), SlowTransaction: time.Duration(s.SlowTransaction),
		WaitNotice: time.Duration(g.Config.Clients.QueryWaitNotify), PgBouncer: g.Config.PgBouncer,
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	shared := g.limits[limits]
	if shared == nil {
		shared = &limits
		g.limits[limits] = shared
	}
	return shared
}

// Scope names what counts together against a limit on a database. A limit of the database's own section counts what that section leads
// to. A limit of [limits] counts what leads to one database of one server, under any name: a second name for a database does not get
// past its limit.
func (g *Generation) Scope(setting, database string) string {
	d, _ := g.Config.Database(database)
	return g.scopeBefore(setting, g.Entry(database)) + "/" + d.DBName
}

// scopeKey is what a scope depends on, beside the name that the server knows: there are as many as the configuration distinguishes.
type scopeKey struct{ setting, entry string }

// scopeBefore is what stands before the database's name in a scope. It is asked at the begin and the end of each client, so it is kept.
func (g *Generation) scopeBefore(setting, entry string) string {
	key := scopeKey{setting, entry}
	g.mu.Lock()
	defer g.mu.Unlock()
	before, known := g.scopes[key]
	if !known {
		before = g.Config.SetIn(setting, entry, "")
		if !strings.HasPrefix(before, "[databases.") {
			d, _ := g.Config.Database(entry)
			before = d.Addresses()
		}
		g.scopes[key] = before
	}
	return before
}

// Address is where a database is, whatever clients call it.
func Address(d config.Database) string {
	return d.Addresses() + "/" + d.DBName
}

// Claim is what the limits over pools hold against a pool, or one connection for replication.
func (g *Generation) Claim(key PoolKey) places.Claim {
	s := g.Config.PoolSettings(key.Database, key.User)
	d, _ := g.Config.Database(key.Database)
	c := places.Claim{
		Database: key.Database, User: key.User, Server: d.Addresses(), DBName: d.DBName, Scope: g.Scope("max_db_connections", key.Database),
		MaxDB: s.MaxDBConnections, MaxUser: s.MaxUserConnections,
		DBSection: g.Section("max_db_connections", key), UserSection: g.Section("max_user_connections", key),
	}
	if g.Config.PgBouncer && s.MaxDBConnections == 0 { // connections for replication count against the size of their pool there
		c.Scope, c.MaxDB, c.DBSetting = "pool "+key.String(), s.PoolSize+s.ReservePoolSize, "pool_size"
	}
	return c
}

// Entry is the section of [databases] that a database is found in.
func (g *Generation) Entry(database string) string {
	if _, own := g.Config.Databases[database]; own {
		return database
	}
	return config.AnyDatabase
}
