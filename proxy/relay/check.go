package relay

import "weir/proxy/conversation"

// server_check_query: a backend that has not been used for a while answers a query before its next client gets it. One that does not is
// closed, and the client, of whose request it has seen nothing, gets another.

// checkDue reports whether the backend, which is idle, has to be checked. One that has been dialled or released at this very moment has
// just answered: a query that always fails must not have every new backend closed.
func (b *Backend) checkDue() bool {
	l := b.lane
	idle := l.engine.since(b.freed)
	return l.config.CheckQuery != "" && idle > 0 && idle >= l.config.CheckDelay
}

// check asks the backend, which is leased to c.
func (b *Backend) check(c *Client) {
	b.client, c.backend = c, b
	c.move(clientSwitching)
	b.start(conversation.Check)
}

// checked goes on after the answer. Not amid a handler: the pool may close the backend.
func (b *Backend) checked() {
	if b.doomed() || b.state != backendInternal {
		return
	}
	b.freed = b.lane.engine.loop.Now()
	c := b.client
	if c == nil { // it has left meanwhile
		b.clean()
		return
	}
	b.move(backendLeased)
	b.notifier.lease(c.pid, b.leased)
	b.lane.join(c, b)
}
