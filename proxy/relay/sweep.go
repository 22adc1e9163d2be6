package relay

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"weir/pool"
	"weir/proxy/conversation"
	"weir/proxy/pgerror"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// sweep looks for what has taken too long. It runs about once a second, so every timeout is met up to a second late.
func (e *Engine) sweep() {
	e.lines.swept()
	for _, l := range e.lanes {
		l.waiting = nil
		l.shareRecalls()
		l.sweepBackends()
	}
	e.walk((*Client).sweep, e.swept)
}

// swept ends a sweep, when all clients have been looked at.
func (e *Engine) swept() {
	e.stalls.swept()
	e.sweepLanes()
	e.sweepClosing()
	e.drain.sweep(e)
	e.loop.Set(&e.sweeper, e.env.sweepEvery())
}

// over reports whether something that began at t has lasted longer than limit. Zeroes mean that nothing has begun, and that
// there is no limit.
func (e *Engine) over(t int64, limit time.Duration) bool {
	return t != 0 && limit > 0 && e.since(t) > limit
}

// seconds is the loop's clock in whole seconds.
func (e *Engine) seconds() uint32 { return uint32(e.loop.Now() / int64(time.Second)) }

var errTooLong = errors.New("it took too long to become free again")

// cancelGrace is for how long after its time a backend is asked to cancel what its client has left, before it is closed.
const cancelGrace = time.Minute

// killGrace is cancelGrace for a backend that an operator wants gone.
const killGrace = 5 * time.Second

// patience is how long the backend is asked to cancel what its client has left.
func (b *Backend) patience() time.Duration {
	if b.killed {
		return killGrace
	}
	return cancelGrace
}

// queryGrace is how long a query that was asked to cancel has to end where cancel_wait_timeout is off: query_timeout holds all the same.
const queryGrace = 10 * time.Second

func (l *Lane) sweepBackends() {
	now := l.engine.loop.Now()
	for _, b := range l.backends {
		switch {
		case b == nil || b.doomed():
		case b.until != 0 && now > b.until:
			if b.state == backendSettling && l.engine.since(b.until) < b.patience() {
				if b.cancels == 0 {
					b.cancel(func() {})
				}
				continue
			}
			l.gaveNoAnswer(b)
			b.doom(errTooLong)
		case b.client != nil && b.state == backendLeased:
			b.watch(b.client) // what is to be logged may have changed since its lease
			l.sweepLease(b, b.client)
			b.lookForPeer(b.client)
		}
	}
}

// sweepLease enforces the limits on queries and transactions.
func (l *Lane) sweepLease(b *Backend, c *Client) {
	e, limits := l.engine, c.limits.Load()
	switch {
	case c.ending >= endBoundary:
	case c.ending == endAnswered && b.talk.Doubtful() && e.since(c.active) > time.Duration(settleTimeout):
		c.part() // what it waits for may not be due at all
	case b.replaced(c):
	case b.sweepPin(c):
	case e.over(b.began, limits.Transaction):
		c.timedOut(status.TransactionTimeout, limits.Transaction, e.since(b.began))
		c.failWith(pgerror.TransactionTimeout(limits.Transaction))
	case e.over(b.rested, limits.IdleTransaction):
		c.timedOut(status.IdleTransactionTimeout, limits.IdleTransaction, e.since(b.rested))
		c.failWith(pgerror.IdleTransactionTimeout(limits.IdleTransaction))
	case e.over(b.kept, limits.Idle) && !b.talk.Owes():
		c.failWith(pgerror.ClientIdleTimeout(limits.Idle))
	case e.over(b.asked, limits.Query) && limits.PgBouncer:
		b.cancel(func() {})
		c.failWith(pgerror.QueryNotCanceled(limits.Query))
	case e.over(b.asked, limits.Query) && !b.warned:
		// The server is asked to cancel, so that the client gets an ordinary error and keeps its session.
		b.warned = true
		c.timedOut(status.QueryTimeout, limits.Query, e.since(b.asked))
		b.talk.Blame(pgerror.QueryTimeout(limits.Query))
		b.cancel(func() {})
	case e.over(b.asked, limits.Query+cmp.Or(l.config.CancelWaitTimeout, queryGrace)) && limits.Query > 0:
		e.warn("timeout: server did not cancel, client disconnected", "setting", "query_timeout", "limit", limits.Query,
			"lasted", rounded(e.since(b.asked)), "pool", l.Name(), "peer", c.peer, "app", c.app(), "backend", b.pid, "server", b.addr)
		b.stubborn = true
		c.failWith(pgerror.QueryNotCanceled(limits.Query))
	}
}

func (c *Client) sweep() {
	c.dismiss()
	c.lookForStall()
	e := c.lane.engine
	if invariants && c.state == clientLeased && c.talk.Hold() != conversation.HoldNone {
		e.loop.Later(c, c.expectNews) // after what this iteration has put off for it
	}
	switch {
	case c.ending == endBoundary && e.since(c.active) > lingerTime:
		c.closeFlushed() // it does not take the rest of the message
	case c.state == clientWaiting && c.limits.Load().PgBouncer && e.over(c.active, c.limits.Load().Query):
		c.failWith(pgerror.QueryTimeoutInQueue(c.limits.Load().Query))
	case c.state == clientWaiting && c.greeted && !c.noticed && e.over(c.active, c.limits.Load().WaitNotice):
		c.noticed = true
		c.say(c.lane.waitNotice())
	case c.state == clientIdle && e.over(c.active, c.limits.Load().Idle):
		c.timedOut(status.IdleClientTimeout, c.limits.Load().Idle, e.since(c.active))
		c.failWith(pgerror.ClientIdleTimeout(c.limits.Load().Idle))
	}
}

// expectNews panics if the client is held and nothing is under way that would end that.
func (c *Client) expectNews() {
	b, hold := c.backend, c.talk.Hold()
	switch {
	case c.state != clientLeased || c.ending.decided() || b.doomed() || b.cancels > 0 || b.talk.Errand() != nil || b.talk.Probing() || b.talk.Owes():
	case hold == conversation.HoldNone || hold == conversation.HoldListen: // a mark of the listener connection's ends that
	case b.talk.Fate() == conversation.Stays:
		panic(fmt.Sprintf("relay: a client is held for ever (%s), pins %s, recent %s", hold, b.talk.Pins(), b.talk.Recent()))
	}
}

// pgbouncersWaitNotice tells a client why there is no answer yet, in PgBouncer's words.
var pgbouncersWaitNotice = wire.AppendNoticeResponse(nil, pgerror.Notice("No server connection available in postgres backend, client being queued", ""))

// waitNotice tells clients of the lane why there is no answer yet. It is written once in a sweep, however many wait.
func (l *Lane) waitNotice() []byte {
	if l.engine.env.PgBouncer {
		return pgbouncersWaitNotice
	}
	if l.waiting == nil {
		l.waiting = wire.AppendNoticeResponse(nil, pgerror.Waiting(l.waitError(pool.Decision{})))
	}
	return l.waiting
}

// sweepClosing ends the clients that do not take their last bytes.
func (e *Engine) sweepClosing() {
	kept := e.closing[:0]
	for _, c := range e.closing {
		switch {
		case c.state == clientClosed:
		case e.since(c.active) > lingerTime:
			c.close()
		default:
			kept = append(kept, c)
		}
	}
	clear(e.closing[len(kept):])
	e.closing = kept
}

// lookAfter is for how long a query lasts before that.
const lookAfter = time.Second

// lookEvery is how often a client that has sent its FIN amid a query is told something, to find out whether it is still there.
const lookEvery = 10 * time.Second

// lookForPeer finds out whether a client that has sent its FIN, and waits for an answer, is still there: the kernel of one that has
// been killed answers any byte with a reset, and its query is cancelled then. One that has only shut down its sending side learns once
// more what it knows.
func (b *Backend) lookForPeer(c *Client) {
	e := b.lane.engine
	if c.other != peerEnded || c.polite || b.talk.Said() || c.sock.Parked() || len(c.talk.Told) == 0 {
		return
	}
	if e.since(b.asked) < lookAfter || b.looked != 0 && e.since(b.looked) < lookEvery {
		return
	}
	b.looked = e.loop.Now()
	c.askPeer()
}

// askPeer tells a client that has sent its FIN once more what it knows. One that has only shut down its sending side, and reads still,
// takes no harm; the kernel of one that has gone answers with a reset, which ends the client.
func (c *Client) askPeer() {
	if len(c.talk.Told) == 0 || c.ending >= endBoundary {
		return
	}
	io := &c.lane.engine.io
	known := c.talk.Told[0]
	p := wire.AppendParameterStatus(io.Borrow(512), known.Name, known.Value)
	c.say(p)
	io.Return(p)
}
