package relay

import (
	"cmp"
	"context"
	"time"

	"weir/proxy/cancelkey"
	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/pgerror"
)

// Cancel carries out a cancel request that names a client by its slot in this engine, one of several, and its secret. done is called once, when
// the connection on which the request came may be closed: at once if there is nothing to cancel, or nothing that the server could be asked
// for yet, otherwise when the server has had the request. Any goroutine.
//
// A cancel request is for the request that its client has sent and that is not answered, wherever that is, and for nothing else:
//
//   - It waits for a backend: it is answered here, and reaches none.
//   - Its backend runs it: the server is asked. Until the server has closed that connection, by which time the signal was sent, the
//     backend gets nothing else to do, neither another client's nor its own client's next request nor a command of weir's own.
//   - It waits for anything else (weir has not read it yet, its backend is being checked, brought to its settings, asked something): it
//     stays wished until it runs.
//
// A server forgets a cancel request that comes before it has read the query, and a query may have to be sent again: after a switch that went
// ahead of it was cancelled in its place, for one. So the wish lasts until the request is answered, and the server is asked again.
func (e *Engine) Cancel(slots cancelkey.Slots, secret []byte, done func()) {
	if !e.loop.Post(func() { e.cancel(slots, secret, done) }) {
		done()
	}
}

func (e *Engine) cancel(slots cancelkey.Slots, secret []byte, done func()) {
	c := e.byKey(slots, secret)
	if c == nil || !c.greeted || !c.here() || !c.asks() && !c.sock.Unread() {
		done()
		return
	}
	c.unwish()
	c.wish = &wish{}
	c.wish.timer.Func = c.insist
	c.pursue(done)
}

// wish is a client's wish that the request that it has sent be cancelled. It ends with the answer, whatever that is.
type wish struct {
	state wishState
	asked int // how often the server has been asked since the request was sent to it
	timer eventloop.Timer
}

type wishState uint8

const (
	wishNew   wishState = iota // the server is asked as soon as it runs the request → wishAsked
	wishAsked                  // it has been asked, and is asked again if that was of no use → wishOver, wishNew if the request is sent anew
	wishOver                   // it has been asked when it had certainly begun → wishNew likewise
)

const (
	// insistAfter is how long after a cancel request the server is asked once more, at first; each time it is twice as long.
	insistAfter = 50 * time.Millisecond
	// insistMax bounds that. A process that does not react for so long has the signal, and is amid something that cannot be interrupted.
	insistMax = 6
	// begunAfter is how long after it was sent a server has certainly begun a request. Who is asked to cancel it later is asked once: a
	// function may catch the error, and what it does then must not be cancelled.
	begunAfter = time.Second
)

// asks reports whether the client has sent a request that is not answered, as far as it has been read.
func (c *Client) asks() bool {
	b := c.backend
	switch {
	case c.state == clientWaiting, b != nil && b.talk.Unanswered():
		return true
	case c.obstacle() == obstacleNone:
		return false // there would be no reason not to send it
	}
	return c.talk.Hold() != conversation.HoldNone || c.talk.Wants(c.carry)
}

// pursue does for the client's wish what can be done now. What does not go yet comes back here: a request that is sent or that begins to
// wait. done is as for Cancel.
func (c *Client) pursue(done func()) {
	b := c.backend
	switch {
	case c.wish == nil || c.ending.decided():
	case c.state == clientWaiting:
		c.cancelWait()
	case c.wish.state == wishNew && c.state == clientLeased && b.talk.Runs():
		c.wish.state = wishAsked
		c.lane.totals.Cancels++
		c.askServer(done)
		return
	}
	done()
}

// pursueLater is pursue for one whose caller is amid its work.
func (c *Client) pursueLater() {
	if c.wish != nil && c.wish.state == wishNew {
		c.lane.engine.loop.Later(c, func() { c.pursue(func() {}) })
	}
}

// askServer has the server asked. A request that has not gone out as a whole has not begun, whenever it was sent.
func (c *Client) askServer(done func()) {
	b, w := c.backend, c.wish
	if b.cancels < cancelsMax {
		w.asked++
		whole := !b.sock.Parked() && (!c.talk.Amid() || b.talk.Copying())
		if w.asked >= insistMax || whole && b.asked != 0 && c.lane.engine.since(b.asked) >= cmp.Or(c.lane.engine.env.BegunAfter, begunAfter) {
			w.state = wishOver
		}
	}
	b.cancel(done)
}

// insist asks the server once more.
func (c *Client) insist() {
	w := c.wish
	if w.state == wishAsked && c.state == clientLeased && c.backend.talk.Runs() && !c.ending.decided() {
		c.askServer(func() {})
	}
}

// wishAnew is for a request that is sent once more.
func (c *Client) wishAnew() {
	if w := c.wish; w != nil {
		w.state, w.asked = wishNew, 0
		c.lane.engine.loop.Unset(&w.timer)
	}
}

// unwish is for a request that is answered, or was none.
func (c *Client) unwish() {
	if c.wish != nil {
		c.lane.engine.loop.Unset(&c.wish.timer)
		c.wish = nil
	}
}

// wishedInVain ends a wish if all that the client has sent has been looked at, and there is no request.
func (c *Client) wishedInVain() {
	if c.wish != nil && !c.asks() {
		c.unwish()
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

// cancelWait cancels a request that still waits for a backend: it never reaches one. What its client has pipelined after it goes on waiting.
func (c *Client) cancelWait() {
	if !c.lane.pool.Waiting(c.id) {
		return // it is about to be told that there is none
	}
	c.lane.totals.Cancels++
	c.refuseFirst(pgerror.Canceled)
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
	if b.state == backendGone || b.doomed() {
		return
	}
	if err != nil {
		b.worsen(outlookSuspect)
		b.lane.engine.env.Log.Warn("cancel request did not get through", "pool", b.lane.Name(), "backend", b.pid, "error", err)
	}
	if b.cancels > 0 {
		return
	}
	if !b.talk.Runs() {
		b.talk.Blame(nil)
	}
	switch {
	case b.state == backendHeld:
		b.clean()
	case b.client != nil:
		b.client.askedServer(err)
	}
}

// askedServer lets the client go on whose backend was waiting for the end of a cancel request.
func (c *Client) askedServer(err error) {
	b, w, loop := c.backend, c.wish, c.lane.engine.loop
	if w != nil {
		if err != nil && w.state == wishOver && w.asked < insistMax {
			w.state = wishAsked // nobody knows whether it has been asked
		}
		if w.state == wishAsked {
			loop.Set(&w.timer, insistAfter<<max(w.asked-1, 0))
		}
	}
	if !b.talk.Runs() {
		loop.Later(b, b.reconsider)
		loop.Later(c, c.resumeHeld)
	}
}
