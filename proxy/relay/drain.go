package relay

import (
	"time"

	"weir/proxy/pgerror"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// phase is how far an engine has come in shutting down.
type phase uint8

const (
	serving     phase = iota // → draining
	draining                 // clients may go on until the deadline; none is added → sendingAway
	sendingAway              // each client is sent away as soon as it is in no transaction
)

// drain is an engine's way to its end. It belongs to the loop.
type drain struct {
	phase    phase
	deadline int64  // loop time at which draining becomes sendingAway
	empty    func() // called once, when the last client is gone
}

// refusing reports whether clients that come now are sent away.
func (d *drain) refusing() bool { return d.phase != serving }

// Drain lets clients go on for grace; after that each gets an error and is closed as soon as it is in no transaction. empty is
// called, on the loop, once there is no client left. Any goroutine.
func (e *Engine) Drain(grace time.Duration, empty func()) {
	posted := e.loop.Post(func() {
		e.drain = drain{phase: draining, deadline: e.loop.Now() + int64(grace), empty: empty}
		e.drain.sweep(e)
	})
	if !posted {
		empty()
	}
}

// Cut ends all clients at once, as Kill does, and those that come after it. What they have asked for is cancelled; what clients have asked for that have
// left before is not, beyond what is under way for that. Any goroutine but the loop's.
func (e *Engine) Cut() {
	e.loop.Call(e.sendAway)
	e.visitClients(killsPerVisit, func(c *Client) { c.kill(pgerror.AdminShutdown) })
}

// Left is how many backends are at work on what a client has asked for that is gone. Any goroutine but the loop's.
func (e *Engine) Left() (n int) {
	e.loop.Call(func() {
		e.eachLane(func(l *Lane) { n += l.counts.backends[backendSettling] })
	})
	return n
}

// sendAway has clients sent away from now on.
func (e *Engine) sendAway() {
	e.drain.phase = sendingAway
	e.eachLane(func(l *Lane) { l.farewell = pgerror.AdminShutdown }) // from then on the sweeps send them away
}

// sweep begins to send away the clients that are in no transaction, once it is time.
func (d *drain) sweep(e *Engine) {
	if d.phase == draining && e.loop.Now() >= d.deadline {
		e.sendAway()
		e.walk((*Client).dismiss, func() {})
	}
	d.oneLess(e)
}

// dispensable reports whether a client can be sent away without cutting anything short.
func (c *Client) dispensable() bool {
	switch c.state {
	case clientLeased:
		return c.backend.talk.Free()
	case clientSwitching, clientClosing, clientClosed:
		return false
	default:
		return true
	}
}

// keepsSession reports whether a client has a backend in session mode, and so is waited for as PgBouncer waits for its servers.
func (c *Client) keepsSession() bool {
	return c.lane.engine.env.PgBouncer && c.lane.config.Mode == Session && c.backend != nil
}

// oneLess notices when the last client has gone.
func (d *drain) oneLess(e *Engine) {
	if d.empty == nil || !e.clients.empty() {
		return
	}
	d.empty()
	d.empty = nil
}

// abandon closes everything at once. The pools do not hear of it, so it is the last that happens on the loop.
func (e *Engine) abandon() {
	for _, c := range e.clients.items {
		if c != nil && c.state != clientClosed {
			c.farewell(pgerror.AdminShutdown)
		}
	}
	for _, l := range e.lanes {
		l.stop()
		if n := l.listener.hosts; n != nil {
			n.close()
		}
		for _, b := range l.backends {
			if b != nil && b.state != backendDialling {
				b.goodbye()
				b.gone(status.BackendShutdown)
			}
		}
		l.forgetKnown()
	}
}

// farewell sends a last error, if the socket takes it now and no message is under way, and closes the client where it stands.
func (c *Client) farewell(err *pgerror.Error) {
	c.because(c.endBecause(err))
	if !c.sock.Parked() && !c.talk.Outlet().Inside() {
		_ = c.sock.Write(&c.lane.engine.io, wire.AppendErrorResponse(nil, err))
	}
	if b := c.backend; b != nil {
		b.talk.Part()
		b.client, c.backend = nil, nil
	}
	c.close()
}
