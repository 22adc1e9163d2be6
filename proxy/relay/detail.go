package relay

import (
	"net/netip"
	"time"

	"weir/proxy/status"
)

// rowsPerVisit bounds what one visit to the loop copies. Each row costs a few system calls; the loop's clients and backends have their turn
// between two visits.
const rowsPerVisit = 128

// Clients are the logged-in clients of the engine, as they are while it looks: it looks in several visits. Any goroutine but the loop's.
func (e *Engine) Clients() (rows []status.Client) {
	e.visitClients(rowsPerVisit, func(c *Client) {
		if c.here() {
			rows = append(rows, c.detail())
		}
	})
	return rows
}

// Backends are the backends of the engine, likewise.
func (e *Engine) Backends() (rows []status.Backend) {
	next := 0
	e.visitLanes(func(l *Lane) (more bool) {
		end := min(next+rowsPerVisit, len(l.backends))
		for _, b := range l.backends[min(next, end):end] {
			if b != nil {
				rows = append(rows, b.detail())
			}
		}
		if next = end; next == len(l.backends) {
			next = 0
		}
		return next > 0
	})
	return rows
}

// identity is how the client has logged in.
func (c *Client) identity() Identity {
	if c.login != nil {
		return *c.login
	}
	return Identity{c.lane.config.Database, c.lane.config.User}
}

func (c *Client) detail() status.Client {
	e, who := c.lane.engine, c.identity()
	d := status.Client{
		ID: c.number, Database: who.Database, User: who.User, PoolDatabase: c.lane.config.Database, PoolUser: c.lane.config.User,
		State: c.state.statusState(),
		Age:   time.Duration(e.loop.Now() - int64(c.born)*int64(time.Second)), Since: e.since(c.active),
		Ending: c.ending != endNot, TLS: c.sock.Protection(), Prepared: c.talk.Prepared(), Parked: c.sock.ParkedLen() + len(c.carry),
	}
	if c.state == clientLogin {
		d.State = status.ClientLogin
	}
	d.Remote, _ = netip.ParseAddrPort(c.peer)
	d.Local = c.sock.LocalEndpoint()
	if !d.Remote.IsValid() {
		d.PID = c.sock.PeerPID()
	}
	d.App = c.app()
	if b := c.backend; b != nil {
		d.Backend = b.number
		if b.asked != 0 {
			d.Since = e.since(b.asked)
		}
	}
	return d
}

func (b *Backend) detail() status.Backend {
	e := b.lane.engine
	d := status.Backend{
		ID: b.number, Database: b.lane.config.Database, User: b.lane.config.User, State: b.state.statusState(), Addr: b.addr,
		PID: b.pid, Age: e.since(b.born), Since: e.since(max(b.leased, b.born)), Cancels: b.cancels,
		Ending: b.outlook != outlookGood || b.lane.pool.Stale(b.id),
	}
	if b.state == backendDialling {
		return d
	}
	d.TLS, d.Prepared, d.Parked = b.sock.Protection(), b.talk.Statements(), b.sock.ParkedLen()+len(b.carry)
	d.Local, d.Remote = b.sock.Endpoints()
	d.App, _ = b.talk.Set().Value(applicationName)
	if c := b.client; c != nil {
		d.Client, d.ClientApp, d.ClientPeer = c.number, c.app(), c.peer
		d.Held = e.since(b.leased)
		d.InTx, d.Rested = b.rested != 0, b.talk.Due() == 0
		if pins := b.talk.Pins(); pins != 0 {
			d.Pins = pins.String()
		}
	}
	return d
}
