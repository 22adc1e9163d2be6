package relay

import (
	"weir/proxy/pgerror"
)

// What an operator asks for: of all pools for whose database which says yes. All may be called on any goroutine but the loop's, and return when
// the engine has begun with it.

// Pause has pools close their backends as they become free, and clients wait.
func (e *Engine) Pause(which func(database string) bool) {
	e.eachOf(which, func(l *Lane) { l.pool.Pause(l.now()) })
}

// Resume ends what Pause has begun.
func (e *Engine) Resume(which func(database string) bool) {
	e.eachOf(which, func(l *Lane) { l.pool.Resume(l.now()) })
}

// Reconnect has pools replace all their backends, those that are leased when they become free.
func (e *Engine) Reconnect(which func(database string) bool) {
	e.eachOf(which, func(l *Lane) {
		l.listener.move() // before Renew, whose decisions it must not replace
		l.pool.Renew(l.now())
	})
}

// eachOf reports an event to pools, and has what they decide carried out.
func (e *Engine) eachOf(which func(database string) bool, event func(*Lane)) {
	e.lanesOf(which, func(l *Lane) {
		event(l)
		l.decided()
	})
}

// lanesOf calls f on the loop with each of these pools.
func (e *Engine) lanesOf(which func(database string) bool, f func(*Lane)) {
	e.loop.Call(func() {
		for _, l := range e.lanes {
			if which(l.config.Database) {
				f(l)
			}
		}
	})
}

// Remaining is how many backends these pools have, and how many of them are to be replaced since Reconnect.
func (e *Engine) Remaining(which func(database string) bool) (all, stale int) {
	e.lanesOf(which, func(l *Lane) {
		stale += l.pool.Counts().Stale
		if l.pool.First() { // which speaks for all: backends that are on their way are on no lane
			all += l.config.Lanes.pool.Total()
		}
	})
	return all, stale
}

// killsPerVisit bounds how many clients one visit to the loop ends.
const killsPerVisit = 256

// Kill ends the clients of these pools, who are told why, and cancels what the backends are doing. Paused pools close them then.
func (e *Engine) Kill(which func(database string) bool, why *pgerror.Error) {
	e.visitClients(killsPerVisit, func(c *Client) {
		if which(c.lane.config.Database) {
			c.kill(why)
		}
	})
	e.lanesOf(which, (*Lane).stopAll)
}

// stopAll has the backends that are at work close as soon as that is cancelled. Until then weir keeps the connection and asks again: a request
// may come before the query that it is to cancel has begun, and a server notices only at the end of a query that its client is gone.
func (l *Lane) stopAll() {
	for _, b := range l.backends {
		if b != nil && b.state != backendDialling && b.state != backendIdle {
			b.killed = true
			b.stopWork()
		}
	}
}

// KillClient ends the client with that number, and reports whether there is one.
func (e *Engine) KillClient(number uint32, why *pgerror.Error) (found bool) {
	e.loop.Call(func() {
		for _, c := range e.clients.items {
			if c != nil && c.number == number && c.here() {
				c.kill(why)
				found = true
				return
			}
		}
	})
	return found
}

// here reports whether the client is served still.
func (c *Client) here() bool {
	return c.state != clientClosing && c.state != clientClosed && !c.ending.decided()
}

// kill ends a client now. It is told why, unless a message is under way to it, and what its backend is doing is cancelled.
func (c *Client) kill(why *pgerror.Error) {
	if !c.here() {
		return
	}
	c.failWith(why)
	c.closeFlushed()
	c.polite, c.other = false, peerGone
}
