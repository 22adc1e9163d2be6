package relay

import (
	"errors"
	"io"
	"time"

	"weir/proxy/pgerror"
	"weir/proxy/socket"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// ending is how a client's connection comes to its end. It only grows; Client.endBy changes it.
type ending uint8

const (
	endNot      ending = iota // → any other
	endAnswered               // it sends no more: it gets what is due and its last word first → any later
	endBoundary               // a message is under way, and what it is told comes after that → endFlushed, endNow
	endFlushed                // it leaves at the end of this iteration, and is sent what is parked for it → endNow
	endNow                    // it leaves at the end of this iteration, or has left, without another byte
)

// decided reports that nothing more is sent to the client, and nothing of it is read.
func (e ending) decided() bool { return e >= endFlushed }

const (
	// lingerTime is how long a client that was told why it is closed may take to read that, and to take the rest of a message before
	// it is told. Closing earlier, with bytes of its own unread, would reset the connection and lose the message.
	lingerTime = 2 * time.Second
)

// endBy makes the client's end come in that way, unless one that is closer has been decided.
func (c *Client) endBy(e ending) {
	if e <= c.ending {
		return
	}
	was := c.ending
	c.ending = e
	c.active = c.lane.engine.loop.Now()
	if e.decided() && !was.decided() {
		c.lane.engine.loop.Condemn(c, c.leave)
	}
}

// closeFlushed lets the client have what is parked for it and then closes it.
func (c *Client) closeFlushed() { c.endBy(endFlushed) }

// closeNow closes the client without another byte.
func (c *Client) closeNow() { c.endBy(endNow) }

// closeAnswered lets the client have what is due to it, and its last word, and then closes it.
func (c *Client) closeAnswered() { c.endBy(endAnswered) }

// failWith tells the client why it is disconnected, as soon as no message is under way to it, and disconnects it.
func (c *Client) failWith(err *pgerror.Error) {
	if c.ending >= endBoundary {
		return
	}
	c.because(c.endBecause(err))
	c.lane.totals.WeirErrors++
	c.failed(err.Code, err.Message, true)
	c.lane.own.Count(err.Code)
	if c.limits.Load().PgBouncer {
		err = err.InPgBouncersWords()
		c.logClosing(err.Message)
	}
	io := &c.lane.engine.io
	p := wire.AppendErrorResponse(io.Borrow(512), err)
	if c.talk.Outlet().Inside() && c.backend != nil {
		c.talk.Outlet().Queue(p)
		c.talk.Outlet().End()
		c.endBy(endBoundary)
		c.backend.readOn()
	} else {
		if !c.talk.Outlet().Inside() { // a message that cannot be made whole any more must not be made to look whole
			c.write(p)
		}
		c.closeFlushed()
	}
	io.Return(p)
}

// logClosing tells the log in PgBouncer's words why a client is disconnected.
func (c *Client) logClosing(reason string) {
	e := c.lane.engine
	if _, ok := e.lines.allow("closing because"); ok {
		who := c.identity()
		e.env.Log.Info(closingBecause(reason, e.loop.Now()-int64(c.born)*int64(time.Second)), "peer", c.peer, "db", who.Database, "user", who.User)
	}
}

// say sends the client a message of weir's own, as soon as no other is under way.
func (c *Client) say(message []byte) {
	if len(message) == 0 || c.ending >= endBoundary {
		return
	}
	if c.talk.Outlet().Inside() {
		c.talk.Outlet().Queue(message)
		return
	}
	c.write(message)
}

// sayQueued sends what has waited for the end of a message.
func (c *Client) sayQueued() {
	queued, last := c.talk.Outlet().Take()
	c.write(queued)
	if last {
		c.closeFlushed()
	}
}

// broken is for a connection that the system has given up. What its backend is doing is of no use any more: leave cancels that.
func (c *Client) broken(error) {
	c.other = peerGone
	c.because(status.ClientReset)
	c.closeNow()
}

// terminated is for a client that has sent Terminate. What it asked for before is still carried out and answered, as PostgreSQL
// does.
func (c *Client) terminated() {
	c.polite = true
	c.because(status.ClientTerminated)
	if (c.backend == nil || c.backend.talk.Said()) && !c.sock.Parked() {
		c.closeNow()
		return
	}
	c.sentLast()
}

// sentLast is for a client that has sent its last byte. It may still be reading: what is due is delivered first.
func (c *Client) sentLast() {
	c.because(status.ClientClosed)
	c.closeAnswered()
	c.lane.engine.io.Return(c.carry) // half a message
	c.carry = nil
	if c.backend == nil || c.backend.talk.Said() || c.talk.Amid() {
		c.part()
	}
}

// violation is for bytes that PostgreSQL would not take either.
func (c *Client) violation(f wire.Frame, verdict wire.Verdict) {
	c.because(status.ClientViolation)
	message, length := "client closed: protocol violation", int(f.Len) // as the client's error has it
	if verdict == wire.FrameBeyond || verdict == wire.FrameUnwanted {
		message, length = "client closed: it has sent what the operator does not let through", f.Total()
	}
	c.lane.engine.warn(message, "peer", c.peer, "pool", c.lane.Name(), "type", f.Letter(), "length", length)
	err := c.objection(f, verdict)
	if c.backend != nil && !c.backend.talk.Said() {
		c.lastWord = err // what it asked for before comes first, as from PostgreSQL
		c.closeAnswered()
		return
	}
	c.failWith(err)
}

// objection is what a client is told of a message that is not let through.
func (c *Client) objection(f wire.Frame, verdict wire.Verdict) *pgerror.Error {
	switch verdict {
	case wire.FrameUnknown:
		return pgerror.InvalidMessageType(f.Type)
	case wire.FrameBeyond:
		return pgerror.PacketTooLong(f.Type, f.Total(), c.lane.config.PacketMax)
	case wire.FrameUnwanted:
		return pgerror.SimpleQueryRefused
	case wire.FrameOK, wire.FrameLength:
	}
	return pgerror.InvalidMessageLength(f.Type, f.Len)
}

// part ends a client that sends no more and has had all that it can get.
func (c *Client) part() {
	if c.lastWord != nil {
		c.failWith(c.lastWord)
		return
	}
	c.closeFlushed()
}

// leave parts the client from the pool or its backend and closes it, or begins to.
func (c *Client) leave() {
	if c.state == clientClosed || c.state == clientClosing && c.ending != endNow {
		return
	}
	l := c.lane
	if l.pool.Waiting(c.id) {
		l.pool.Forget(l.now(), c.id)
		l.decided()
	}
	if b := c.backend; b != nil {
		c.backend = nil
		b.orphaned()
		if c.other == peerGone && !c.polite {
			b.stopWork()
		}
	}
	l.listener.forget(c)
	if c.ending == endNow {
		c.close()
		return
	}
	c.move(clientClosing)
	l.engine.closing = append(l.engine.closing, c)
	if !c.sock.Parked() {
		c.sock.CloseWrite(&c.lane.engine.io)
	}
	l.engine.loop.Again(c.token)
}

// linger reads until the peer has closed its side, and throws it away.
func (c *Client) linger() {
	e := c.lane.engine
	for range readsPerTurn {
		_, err := c.sock.Read(&e.io, e.loop.Buffer())
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && c.sock.Parked():
			return // it does not send, but it may read
		case errors.Is(err, socket.ErrWouldBlock):
			return
		default:
			c.ending = endNow
			e.loop.Condemn(c, c.leave)
			return
		}
	}
	e.loop.Again(c.token)
}

// close ends the client.
func (c *Client) close() {
	l, e := c.lane, c.lane.engine
	c.ending = endNow
	c.unwish()
	c.move(clientClosed)
	c.left()
	l.counts.clients[clientClosed]--
	e.loop.Close(c.token)
	c.sock.Close(&e.io)
	e.io.Return(c.carry)
	c.carry = nil
	e.clients.remove(c.slot)
	l.clients.remove(uint32(c.id))
	l.listener.forget(c)
	c.talk.Leave(e.env.Settings)
	c.onGone()
	e.drain.oneLess(e)
}
