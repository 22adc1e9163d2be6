package proxy

import (
	"net"

	"weir/proxy/backend"
	"weir/proxy/dial"
	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
)

// Lines that PgBouncer's log has, where a file of PgBouncer's is served. Those of clients and backends are in package relay.

// sayOfClient writes a line about a connection that logs in. kind is a fixed text, by which lines are bounded.
func (p *Proxy) sayOfClient(kind, text string, nc net.Conn, user, database string) {
	p.lines.Say("client: "+kind, text, "peer", peerOf(nc), "user", user, "db", database)
}

// logRefusal tells why a login is refused: first what the client is not told, where there is such, and then what it is.
func (p *Proxy) logRefusal(nc net.Conn, failure *login.Failure) {
	if cause := failure.Cause(); cause != "" || failure.Rule != nil {
		p.warnOfLogin(nc, failure, cause)
	}
	p.sayOfClient("closing because", "closing because: "+failure.Err.Message+" (age=0s)", nc, failure.User, failure.Database)
}

// logAttempt tells that a client wants to log in.
func (p *Proxy) logAttempt(nc net.Conn, c login.Claim, tls string, replication login.Replication) {
	if tls == "" {
		tls = "no"
	}
	kind := [...]string{"no", "physical", "logical"}[replication]
	p.sayOfClient("login attempt", "login attempt: db="+c.Database+" user="+c.User+" tls="+tls+" replication="+kind, nc, c.User, c.Database)
}

// logPassedHost tells of a server that fails where another one is tried in its place.
func (p *Proxy) logPassedHost(t backend.Target, err error) {
	e := dial.ErrorOf(t.Address(), err)
	if e.Closing != "" {
		p.lines.Say("passed host", "closing because: "+e.Closing+" (age=0s)", "server", t.Address(), "db", t.Database, "user", t.User)
	}
}

// logReplicationRefused tells that a server does not let a client for replication in, and gives what that client is told.
func (p *Proxy) logReplicationRefused(key generation.PoolKey, failure *relay.DialError) *pgerror.Error {
	p.lines.Say("replication refused", "closing because: login failed (age=0s)", "server", failure.Addr, "db", key.Database, "user", key.User)
	return failure.Client.AsPgBouncer("login failed")
}

// logAutoDatabase tells of the first pool of a database that has no section of its own.
func (p *Proxy) logAutoDatabase(database string) {
	p.lines.Say("auto-database", "registered new auto-database: db="+database, "db", database)
}
