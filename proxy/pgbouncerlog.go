package proxy

import (
	"net"

	"weir/proxy/backend"
	"weir/proxy/dial"
	"weir/proxy/login"
)

// Lines that PgBouncer's log has, where a file of PgBouncer's is served. Those of clients and backends are in packages relay and replication.

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

// logAutoDatabase tells of the first pool of a database that has no section of its own.
func (p *Proxy) logAutoDatabase(database string) {
	p.lines.Say("auto-database", "registered new auto-database: db="+database, "db", database)
}
