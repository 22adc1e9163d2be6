package console

import (
	"net/netip"

	"weir/proxy/logline"
	"weir/proxy/status"
)

// peer is a client or a backend as PgBouncer shows either.
type peer struct {
	kind, user, database, replication, state string
	local, remote                            netip.AddrPort
	unixPort                                 int // where these are not valid
	connected, requested                     any // time.Time
	wait, waitMicroseconds                   int
	closing                                  bool
	id, link, pid                            uint32
	tls, app                                 string
	prepared, parked                         int
	socket                                   string // the state in SOCKETS
}

var connectionColumns = []column[peer]{
	{"type", Text, func(p peer) any { return p.kind }},
	{"user", Text, func(p peer) any { return p.user }},
	{"database", Text, func(p peer) any { return p.database }},
	{"replication", Text, func(p peer) any { return p.replication }},
	{"state", Text, func(p peer) any { return p.state }},
	{"addr", Text, func(p peer) any { return host(p.remote) }},
	{"port", Int, func(p peer) any { return p.port(p.remote) }},
	{"local_addr", Text, func(p peer) any { return host(p.local) }},
	{"local_port", Int, func(p peer) any { return p.port(p.local) }},
	{"connect_time", Text, func(p peer) any { return p.connected }},
	{"request_time", Text, func(p peer) any { return p.requested }},
	{"wait", Int, func(p peer) any { return p.wait }},
	{"wait_us", Int, func(p peer) any { return p.waitMicroseconds }},
	{"close_needed", Int, func(p peer) any { return p.closing }},
	{"ptr", Text, func(p peer) any { return pointer(p.id) }},
	{"link", Text, func(p peer) any { return link(p.link) }},
	{"remote_pid", Int, func(p peer) any { return clamp(int64(p.pid)) }},
	{"tls", Text, func(p peer) any { return p.tls }},
	{"application_name", Text, func(p peer) any { return p.app }},
	{"prepared_statements", Int, func(p peer) any { return p.prepared }},
	{"id", Int, func(p peer) any { return clamp(int64(p.id)) }},
}

// socketColumns say what is buffered. weir has one number for that.
var socketColumns = append(inSockets(connectionColumns),
	column[peer]{"recv_pos", Int, zero[peer]}, column[peer]{"pkt_pos", Int, zero[peer]}, column[peer]{"pkt_remain", Int, zero[peer]},
	column[peer]{"send_pos", Int, zero[peer]}, column[peer]{"send_remain", Int, zero[peer]}, column[peer]{"pkt_avail", Int, zero[peer]},
	column[peer]{"send_avail", Int, func(p peer) any { return p.parked }},
)

func inSockets(columns []column[peer]) []column[peer] {
	changed := append([]column[peer](nil), columns...)
	for i := range changed {
		if changed[i].name == "state" {
			changed[i].value = func(p peer) any { return p.socket }
		}
	}
	return changed
}

func zero[T any](T) any { return 0 }

var connectionTables = []Table{
	newTable("CLIENTS", "A row for each client that is logged in.", clientPeers, connectionColumns),
	newTable("SERVERS", "A row for each backend.", serverPeers, connectionColumns),
	newTable("SOCKETS", "Clients and backends, with what is buffered: send_avail is what weir holds for or of the connection, in bytes; the other six are "+
		"PgBouncer's own and 0.", allPeers, socketColumns),
	newTable("ACTIVE_SOCKETS", "Those of SOCKETS for which something is buffered.", activePeers, socketColumns),
}

func allPeers(v *View) []peer { return append(clientPeers(v), serverPeers(v)...) }

func activePeers(v *View) (active []peer) {
	for _, p := range allPeers(v) {
		if p.parked > 0 {
			active = append(active, p)
		}
	}
	return active
}

func host(a netip.AddrPort) string {
	if !a.IsValid() {
		return "unix"
	}
	return a.Addr().String()
}

// port is an address's, and on a unix socket the number in its name.
func (p peer) port(a netip.AddrPort) int {
	if !a.IsValid() {
		return p.unixPort
	}
	return int(a.Port())
}

func pointer(id uint32) string { return logline.Pointer(uint64(id)) }

func link(id uint32) string {
	if id == 0 {
		return ""
	}
	return pointer(id)
}

func clientPeers(v *View) (all []peer) {
	for _, c := range v.Clients() {
		p := peer{
			kind: "C", user: c.User, database: c.Database, replication: c.Replication, local: c.Local, remote: c.Remote, unixPort: v.look().UnixPort,
			connected: v.ago(c.Age), requested: v.ago(c.Since), closing: c.Ending, id: c.ID, link: c.Backend, pid: c.PID,
			tls: c.TLS, app: c.App, prepared: c.Prepared, parked: c.Parked,
		}
		if p.replication == "" {
			p.replication = "none"
		}
		p.state, p.socket = clientStates(c.State)
		if c.State == status.ClientWaiting {
			p.wait, p.waitMicroseconds = seconds(c.Since), microseconds(c.Since)
		}
		all = append(all, p)
	}
	return all
}

// clientStates are PgBouncer's words in CLIENTS and in SOCKETS.
func clientStates(s status.ClientState) (state, socket string) {
	switch s {
	case status.ClientWaiting, status.ClientLogin:
		return "waiting", "cl_waiting"
	case status.ClientActive, status.ClientClosing:
		return "active", "cl_active"
	default:
		return "idle", "cl_active"
	}
}

func serverPeers(v *View) (all []peer) {
	for _, b := range v.Backends() {
		p := peer{
			kind: "S", user: b.User, database: b.Database, replication: "none", local: b.Local, remote: b.Remote,
			connected: v.ago(b.Age), requested: v.ago(b.Since), closing: b.Ending, id: b.ID, link: b.Client, pid: b.PID,
			tls: b.TLS, app: b.App, prepared: b.Prepared, parked: b.Parked,
		}
		p.state, p.socket = serverStates(b)
		all = append(all, p)
	}
	return all
}

func serverStates(b status.Backend) (state, socket string) {
	switch b.State {
	case status.BackendActive:
		return "active", "sv_active"
	case status.BackendCleaning:
		return "tested", "sv_tested"
	case status.BackendHeld:
		return "being_canceled", "sv_active"
	case status.BackendDialling:
		return "new", "sv_login"
	default:
		return "idle", "sv_idle"
	}
}
