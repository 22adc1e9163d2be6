package proxy

import (
	"strings"
	"time"

	"weir/config"
	"weir/proxy/places"
	"weir/proxy/relay"
)

// clientLimits are the times that a client may take.
func (g *generation) clientLimits(database, user string) *relay.Limits {
	s := g.config.PoolSettings(database, user)
	limits := relay.Limits{
		Query: time.Duration(s.QueryTimeout), Transaction: time.Duration(s.TransactionTimeout),
		IdleTransaction: time.Duration(s.IdleTransactionTimeout), Idle: time.Duration(s.ClientIdleTimeout), Stall: time.Duration(s.ClientStallTimeout),
		SlowWait: time.Duration(s.SlowWait), SlowTransaction: time.Duration(s.SlowTransaction),
		WaitNotice: time.Duration(g.config.Clients.QueryWaitNotify), PgBouncer: g.config.PgBouncer,
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

// scope names what counts together against a limit on a database. A limit of the database's own section counts what that section leads
// to. A limit of [limits] counts what leads to one database of one server, under any name: a second name for a database does not get
// past its limit.
func (g *generation) scope(setting, database string) string {
	d, _ := g.config.Database(database)
	return g.scopeBefore(setting, g.entry(database)) + "/" + d.DBName
}

// scopeKey is what a scope depends on, beside the name that the server knows: there are as many as the configuration distinguishes.
type scopeKey struct{ setting, entry string }

// scopeBefore is what stands before the database's name in a scope. It is asked at the begin and the end of each client, so it is kept.
func (g *generation) scopeBefore(setting, entry string) string {
	key := scopeKey{setting, entry}
	g.mu.Lock()
	defer g.mu.Unlock()
	before, known := g.scopes[key]
	if !known {
		before = g.config.SetIn(setting, entry, "")
		if !strings.HasPrefix(before, "[databases.") {
			d, _ := g.config.Database(entry)
			before = d.Addresses()
		}
		g.scopes[key] = before
	}
	return before
}

// address is where a database is, whatever clients call it.
func address(d config.Database) string {
	return d.Addresses() + "/" + d.DBName
}

// claim is what the limits over pools hold against a pool, or one connection for replication.
func (g *generation) claim(key poolKey) places.Claim {
	s := g.config.PoolSettings(key.database, key.user)
	d, _ := g.config.Database(key.database)
	c := places.Claim{
		Database: key.database, User: key.user, Server: d.Addresses(), DBName: d.DBName, Scope: g.scope("max_db_connections", key.database),
		MaxDB: s.MaxDBConnections, MaxUser: s.MaxUserConnections,
		DBSection: g.section("max_db_connections", key), UserSection: g.section("max_user_connections", key),
	}
	if g.config.PgBouncer && s.MaxDBConnections == 0 { // connections for replication count against the size of their pool there
		c.Scope, c.MaxDB, c.DBSetting = "pool "+key.String(), s.PoolSize+s.ReservePoolSize, "pool_size"
	}
	return c
}

// entry is the section of [databases] that a database is found in.
func (g *generation) entry(database string) string {
	if _, own := g.config.Databases[database]; own {
		return database
	}
	return config.AnyDatabase
}
