package relay

import (
	"context"

	"weir/proxy/cancelkey"
	"weir/proxy/pgerror"
)

// Cancel carries out a cancel request that names a client by its slot in this engine, one of several, and its secret. done is called once, when
// the connection on which the request came may be closed: at once if there is nothing to cancel, otherwise when the server
// has had the request. Any goroutine.
//
// A cancel request reaches the query that its client is running and nothing else: the backend must be leased and owe an answer,
// and it is given to no other client until the server has closed the cancel connection, by which time the signal was sent.
func (e *Engine) Cancel(slots cancelkey.Slots, secret []byte, done func()) {
	if !e.loop.Post(func() { e.cancel(slots, secret, done) }) {
		done()
	}
}

func (e *Engine) cancel(slots cancelkey.Slots, secret []byte, done func()) {
	c := e.byKey(slots, secret)
	switch {
	case c == nil || c.ending.decided():
		done()
	case c.state == clientWaiting && c.greeted:
		c.cancelWait()
		done()
	case c.backend != nil && c.backend.talk.Due() > 0:
		c.lane.totals.Cancels++
		c.backend.cancel(done)
	default:
		done()
	}
}

// byKey finds a client by its cancel key. The comparison takes the same time for every wrong secret.
func (e *Engine) byKey(slots cancelkey.Slots, secret []byte) *Client {
	for slot := range slots.Below(e.clients.len()) {
		c, keys := e.clients.at(slot), e.env.Keys
		switch {
		case c == nil:
		case c.longKey:
			if pid, _ := keys.Pack(e.index, slot); keys.EqualLong(pid, c.secret, secret) {
				return c
			}
		case keys.Equal(c.secret, secret):
			return c
		}
	}
	return nil
}

// cancelWait cancels a request that still waits for a backend: it never reaches one.
func (c *Client) cancelWait() {
	if !c.lane.pool.Waiting(c.id) {
		return // a backend has just been found
	}
	c.lane.totals.Cancels++
	c.lane.pool.Forget(c.lane.now(), c.id)
	c.lane.decided()
	c.refuse(pgerror.Canceled)
}

// cancelsMax bounds the cancel requests under way for one backend. More would not cancel more.
const cancelsMax = 2

// cancel asks the server to cancel what b is running, and keeps b until the server has had the request.
func (b *Backend) cancel(done func()) {
	if b.cancels >= cancelsMax {
		done()
		return
	}
	b.cancels++
	l := b.lane
	ctx, stop := l.cancelContext()
	go func() {
		err := b.askToCancel(ctx)
		stop()
		done()
		l.engine.loop.Post(func() { b.cancelled(err) })
	}()
}

// cancelContext is that of one cancel request. Loop only: the loop may change the settings.
func (l *Lane) cancelContext() (context.Context, context.CancelFunc) {
	if l.config.CancelWaitTimeout == 0 {
		return context.WithCancel(l.ctx)
	}
	return context.WithTimeout(l.ctx, l.config.CancelWaitTimeout)
}

// cancelled lets b go on once the server has had the cancel request. If it is not known whether it has, the signal may come at any
// time, and b serves its present client only.
func (b *Backend) cancelled(err error) {
	b.cancels--
	if b.state == backendGone || b.doomed {
		return
	}
	if err != nil {
		b.suspect = true
		b.lane.engine.env.Log.Warn("cancel request did not get through", "pool", b.lane.Name(), "backend", b.pid, "error", err)
	}
	if b.state == backendHeld && b.cancels == 0 {
		b.clean()
	}
}
