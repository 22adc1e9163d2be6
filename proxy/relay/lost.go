package relay

import (
	"errors"
	"time"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/pgerror"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// The kinds of doubts, each of which costs a backend and its client.
const (
	doubtStream  = status.DoubtStream
	doubtAccount = status.DoubtAccount
	doubtPanic   = status.DoubtPanic
)

// doubt retires a backend whose stream has ceased to make sense. Its client is told; no other notices.
func (b *Backend) doubt(kind status.Doubt, what string, f wire.Frame) {
	b.lane.totals.Doubts[kind]++
	b.lane.engine.warn("backend closed: "+what, "pool", b.lane.Name(), "backend", b.pid, "type", f.Letter(), "length", f.Len,
		"recent", b.talk.Recent())
	b.condemn(outlookConfused, errors.New(what))
}

// retire closes a backend that must not serve another client.
func (b *Backend) retire() {
	if b.talk.Tainted() {
		b.lane.totals.Doubts[doubtAccount]++
	}
	if leak := b.talk.Leak(); leak != nil {
		b.lane.config.Lanes.others(b.lane, (*Lane).relearn)
		b.lane.engine.warn("session state was found that may have been seen by other clients; the backend is closed",
			"pool", b.lane.Name(), "backend", b.pid, "state", leak.Pins, "statement", leak.Text)
	}
	b.doom(nil)
}

// doom closes the backend at the end of the iteration. A cause makes the present client's end an error; nil is weir's own
// wish.
func (b *Backend) doom(cause error) { b.condemn(outlookDoomed, cause) }

// condemn is doom where it may be said that the backend's stream has ceased to make sense.
func (b *Backend) condemn(as outlook, cause error) {
	was := b.doomed()
	b.worsen(as)
	if was {
		return
	}
	end := b.endOf(cause)
	if cause != nil {
		b.lane.totals.BackendsLost++
		b.lost(end, cause, b.client)
	}
	b.lane.engine.loop.Condemn(b, func() { b.bury(cause, end) })
}

// dismiss carries out the pool's wish to close an idle backend.
func (b *Backend) dismiss(why pool.Cause) {
	b.worsen(outlookDoomed)
	b.dismissed = why
	b.goodbye()
	b.gone(dismissal(why))
}

// goodbye sends Terminate where the server can still understand it.
func (b *Backend) goodbye() {
	if !b.talk.Owes() && b.talk.Errand() == nil {
		_ = b.sock.Write(&b.lane.engine.io, wire.AppendTerminate(nil))
	}
}

// bury takes a doomed backend out of the pool, closes it, and tells its client.
func (b *Backend) bury(cause error, end status.BackendEnd) {
	if b.state == backendGone {
		return
	}
	l, c := b.lane, b.client
	if cause == nil {
		b.goodbye()
	}
	copying, idle := b.talk.Copying(), b.asking && b.talk.Errand() == conversation.Ask && b.talk.Pins() == 0
	b.transactionCut(status.TransactionLost)
	b.client = nil
	b.gone(end)
	if cause != nil {
		l.pool.Lost(l.now(), b.id)
	} else {
		l.pool.Discard(l.now(), b.id)
	}
	l.decided() // the client may bring about the next event, which has decisions of its own
	if c != nil {
		c.backend = nil
		l.listener.hub.Abandon(c.talk.Sub)
		l.listener.act()
		if idle { // it had been answered, and has left nothing there that is known of
			c.wantAgain()
			return
		}
		c.lostBackend(b, copying)
	}
}

// gone closes the connection and forgets the backend.
func (b *Backend) gone(end status.BackendEnd) {
	b.unpinned()
	l, e := b.lane, b.lane.engine
	e.loop.Close(b.token)
	b.sock.Close(&e.io)
	e.io.Return(b.carry)
	b.carry = nil
	b.talk.Lose()
	l.engine.env.Notifiers.remove(process{b.addr, b.pid})
	b.closed(end)
	if b.left != nil {
		b.left()
	}
	b.forget()
	l.config.Places.Give(l.config.Lanes)
}

// forget takes the backend out of the lane's books.
func (b *Backend) forget() {
	b.move(backendGone)
	b.lane.counts.backends[backendGone]--
	b.lane.backends[b.id] = nil
	b.lane.defaultsAsked(b)
}

// lostBackend tells a client that its backend is gone. A client of whose request nothing has been sent does not hear of it.
func (c *Client) lostBackend(b *Backend, copying bool) {
	switch {
	case c.ending.decided():
	case !b.reached:
		c.wantAgain()
	case b.talk.Fatal() && c.state != clientSwitching: // else an errand's answers were thrown away, and the server's last words with them
		c.because(status.ClientBackendLost)
		c.closeFlushed() // it has the server's own words
	case copying:
		c.failWith(pgerror.BackendLostInCopy)
	case b.outlook == outlookConfused:
		c.failWith(pgerror.InDoubt)
	default:
		c.failWith(pgerror.BackendLost)
	}
}

// wantAgain is for a client whose backend is gone before anything of its request has reached it.
func (c *Client) wantAgain() {
	if c.state == clientWaiting {
		return
	}
	c.talk.Rewind()
	c.wishAnew()
	if len(c.carry) == 0 && c.greeted {
		c.move(clientIdle)
		if c.wish != nil && !c.sock.Unread() {
			c.unwish()
		}
		c.readOn()
		return
	}
	l := c.lane
	c.move(clientWaiting)
	if c.waitsTooLong() {
		return
	}
	l.want(c)
}

// waitsTooLong is for a client that is to wait anew, because the backend that ended its wait has ended before it was of use. It reports
// whether query_wait_timeout has passed since that happened first: then the client has been told. A server that lets weir in and answers
// nothing would keep it for ever.
func (c *Client) waitsTooLong() bool {
	l := c.lane
	now := l.engine.seconds() + 1 // 0 is for none
	if c.again == 0 {
		c.again = now
	}
	waited, limit := time.Duration(now-c.again)*time.Second, l.config.Pool.QueryWaitTimeout
	if limit == 0 || waited <= limit {
		return false
	}
	err := pgerror.NoUse(waited)
	l.waitedInVain(c, pool.Decision{Waited: waited, Why: pool.CauseQueryWaitTimeout}, err)
	c.waitFailed(err)
	return true
}

// replaced ends a client that keeps a backend which is to be replaced, as soon as it is in no transaction, where server_fast_close wants
// that. True: it did.
func (b *Backend) replaced(c *Client) bool {
	l := b.lane
	if !l.config.FastClose || !l.pool.Stale(b.id) || !c.dispensable() {
		return false
	}
	c.failWith(pgerror.BackendReplaced(l.config.FastCloseSection))
	return true
}

// tooLong ends a client that would be sent a longer message than the operator lets through, and its backend, which is amid that.
func (b *Backend) tooLong(f wire.Frame) {
	if c := b.client; c != nil {
		limit := b.lane.config.PacketMax
		b.lane.engine.warn("client closed: a message of the server's is longer than max_packet_size", "peer", c.peer, "pool", b.lane.Name(),
			"type", f.Letter(), "length", f.Total(), "limit", limit)
		c.failWith(pgerror.ResultTooLong(f.Type, f.Total(), limit))
	}
	b.doom(nil)
}
