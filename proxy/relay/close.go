package relay

import (
	"errors"
	"io"
	"time"

	"weir/pool"
	"weir/proxy/exchange"
	"weir/proxy/pgerror"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

const (
	// lingerTime is how long a client that was told why it is closed may take to read that. Closing earlier, with bytes of
	// its own unread, would reset the connection and lose the message.
	lingerTime = int64(2 * time.Second)
	// settleTimeout is how long a backend may take to finish what a client that has left asked for.
	settleTimeout = int64(60 * time.Second)
)

// fail tells the client why it is disconnected, and disconnects it.
func (c *Client) fail(err *pgerror.Error) {
	if c.doomed {
		return
	}
	c.lane.totals.WeirErrors++
	io := &c.lane.engine.io
	p := wire.AppendErrorResponse(io.Borrow(512), err)
	c.write(p)
	io.Return(p)
	c.finish()
}

// finish lets the client have what is parked for it and then closes it.
func (c *Client) finish() { c.condemn(false) }

// doom closes the client without another byte.
func (c *Client) doom() { c.condemn(true) }

// broken is for a connection that the system has given up. Nobody waits for what its backend is doing, so that is cancelled.
func (c *Client) broken(error) {
	b := c.backend
	c.condemn(true)
	if b == nil || b.account.Due() == 0 {
		return
	}
	c.lane.engine.loop.Condemn(func() {
		if b.state == backendSettling {
			b.cancel(func() {})
		}
	})
}

// condemn marks the client now and takes it away at the end of the iteration, when nobody who knows it is active any more.
func (c *Client) condemn(abrupt bool) {
	c.abrupt = c.abrupt || abrupt
	if c.doomed {
		return
	}
	c.doomed = true
	c.lane.engine.loop.Condemn(c.leave)
}

// terminated is for a client that has said goodbye. What it asked for before is still carried out and answered, as PostgreSQL
// does.
func (c *Client) terminated() {
	c.noMore = true
	if (c.backend == nil || c.backend.lastWord()) && !c.sock.Parked() {
		c.doom()
		return
	}
	c.ended()
}

// ended is for a client that has sent its FIN. It may still be reading: what is due is delivered first.
func (c *Client) ended() {
	c.noMore = true
	if c.backend == nil || c.backend.lastWord() || c.skip > 0 || len(c.carry) > 0 {
		c.finish()
	}
}

// violation is for bytes that PostgreSQL would not take either.
func (c *Client) violation(f wire.Frame, verdict wire.Verdict) {
	if e := c.lane.engine; e.mayLog() {
		e.env.Log.Warn("client closed: protocol violation", "peer", c.peer, "pool", c.lane.Name(),
			"type", f.Type, "length", f.Len, "lines_left_out", e.leftOut)
		e.leftOut = 0
	}
	err := pgerror.InvalidMessageLength(f.Type, f.Len)
	if verdict == wire.FrameUnknown {
		err = pgerror.InvalidMessageType(f.Type)
	}
	if c.backend != nil && !c.backend.lastWord() {
		c.noMore, c.lastWord = true, err // what it asked for before comes first, as from PostgreSQL
		return
	}
	c.fail(err)
}

// part ends a client that sends no more and has had all that it can get.
func (c *Client) part() {
	if c.lastWord != nil {
		c.fail(c.lastWord)
		return
	}
	c.finish()
}

// leave parts the client from the pool or its backend and closes it, or begins to.
func (c *Client) leave() {
	if c.state == clientClosed {
		return
	}
	l := c.lane
	if c.state == clientWaiting && l.pool.Waiting(c.id) {
		l.pool.Forget(l.now(), c.id)
		l.decided()
	}
	if b := c.backend; b != nil {
		half := c.skip > 0 && !c.discard
		b.client, c.backend, c.scan = nil, nil, nil
		b.orphaned(half)
	}
	if c.abrupt {
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
			c.abrupt = true
			e.loop.Condemn(c.leave)
			return
		}
	}
	e.loop.Again(c.token)
}

// close ends the client.
func (c *Client) close() {
	l, e := c.lane, c.lane.engine
	c.doomed = true
	c.move(clientClosed)
	l.counts.clients[clientClosed]--
	e.loop.Close(c.token)
	c.sock.Close(&e.io)
	e.io.Return(c.carry)
	c.carry = nil
	e.clients.remove(c.slot)
	l.clients.remove(uint32(c.id))
	e.env.Settings.Release(c.set)
	c.names.Clear()
	c.onGone()
	e.drain.oneLess(e)
}

// orphaned is for a backend whose client is gone. half: a message has been sent in part.
func (b *Backend) orphaned(half bool) {
	b.client = nil
	if b.unread {
		b.lane.engine.loop.Again(b.token)
	}
	switch {
	case b.state == backendInternal || b.doomed:
		// Its errand goes on; errandDone finds no client.
	case half || b.doubtful() || b.account.Unended() || b.wantsData():
		b.retire()
	case b.account.Settled():
		b.release()
	default:
		b.settle()
	}
}

// wantsData reports that the server waits for COPY data, which only its client could send.
func (b *Backend) wantsData() bool {
	return b.account.Copying() == exchange.CopyIn || b.account.Copying() == exchange.CopyBoth
}

// settle throws away what is still due, so that the backend can be used again.
func (b *Backend) settle() {
	b.move(backendSettling)
	b.until = b.lane.engine.loop.Now() + settleTimeout
	b.settleOn()
}

// settleOn does for a client that is gone what it would have had to do: end the skipping behind an error with a Sync. A COPY that
// waits for its data ends with the backend only, and so does an account in doubt: what it counts as due may never come.
func (b *Backend) settleOn() {
	switch {
	case b.wantsData(), b.doubtful(), b.account.Unended(): // the last: a COPY has swallowed the Sync
		b.retire()
	case b.account.Skipping():
		b.account.Client(wire.ClientSync)
		if err := b.sock.Write(&b.lane.engine.io, wire.AppendSync(nil)); err != nil {
			b.doom(err)
		}
	}
}

// errandDone takes up what the errand was for.
func (b *Backend) errandDone(status wire.TxStatus) {
	done, refused := b.errand, b.refused
	b.errand, b.refused, b.until = errandNone, nil, 0
	if done == errandProbe {
		b.probeDone(status)
		return
	}
	if status != wire.TxIdle || refused != nil && done != errandSwitch {
		b.doom(errors.New("a command of weir's own was refused: " + string(wire.PeekErrorField(refused, wire.FieldMessage))))
		return
	}
	switch done {
	case errandNone, errandProbe: // ready asks only when there is one; a probe is done with
	case errandSwitch:
		b.switched(refused)
	case errandRollback:
		b.account.Reset()
		b.freed = true
	case errandReset:
		b.account.Reset()
		b.pins, b.effects, b.sent = 0, 0, false
		b.book.Deallocated(nil)
		b.applied(nil)
		b.freed = true
	}
}

// switched lets the client go on that waited for its settings, or tells it what the server said about them.
func (b *Backend) switched(refused []byte) {
	c := b.client
	b.move(backendLeased)
	b.tells = false
	if refused == nil && c != nil {
		b.applied(c.set)
		c.move(clientLeased)
		b.shareParams()
		c.tell(b.params)
		c.proceed()
		b.lane.engine.loop.Condemn(b.reconsider)
		return
	}
	if c != nil {
		c.fail(settingsRefused(refused))
		return
	}
	// Nobody knows which settings a client that left would have had; a reset does not need to.
	b.pins |= session.SettingChanged
	b.freed = true
}

// settingsRefused passes on what the server said about a client's settings, as it would have said at a login of the client's
// own.
func settingsRefused(body []byte) *pgerror.Error {
	field := func(code byte) string { return string(wire.PeekErrorField(body, code)) }
	return pgerror.SettingsRefused(field(wire.FieldCode), field(wire.FieldMessage), field(wire.FieldDetail), field(wire.FieldHint))
}

// applied notes which settings the backend is in.
func (b *Backend) applied(set *session.Set) {
	table := b.lane.engine.env.Settings
	table.Retain(set)
	table.Release(b.set)
	b.set = set
}

// doubt retires a backend whose stream has ceased to make sense. Its client is told; nobody else notices.
func (b *Backend) doubt(what string, f wire.Frame) {
	b.confused = true
	b.lane.totals.Doubts++
	b.lane.engine.env.Log.Warn("backend closed: "+what, "pool", b.lane.Name(), "backend", b.pid, "type", f.Type, "length", f.Len)
	b.doom(errors.New(what))
}

// retire closes a backend that must not serve anybody else.
func (b *Backend) retire() {
	if b.account.Taint() != 0 {
		b.lane.totals.Doubts++
	}
	b.doom(nil)
}

// doom closes the backend at the end of the iteration. A cause makes the present client's end an error; nil is weir's own
// wish.
func (b *Backend) doom(cause error) {
	if b.doomed {
		return
	}
	b.doomed = true
	if cause != nil {
		b.lane.totals.BackendsLost++
	}
	b.lane.engine.loop.Condemn(func() { b.bury(cause) })
}

// dismiss carries out the pool's wish to close an idle backend.
func (b *Backend) dismiss() {
	b.doomed = true
	b.goodbye()
	b.gone()
}

// goodbye says Terminate where that can still be understood.
func (b *Backend) goodbye() {
	if b.account.Settled() && b.errand == errandNone {
		_ = b.sock.Write(&b.lane.engine.io, wire.AppendTerminate(nil))
	}
}

// bury takes a doomed backend from the pool and tells its client.
func (b *Backend) bury(cause error) {
	if b.state == backendGone {
		return
	}
	l, c := b.lane, b.client
	if cause == nil {
		b.goodbye()
	}
	wasInternal := b.state == backendInternal
	b.book.Abandon(b.names())
	b.gone()
	l.pool.Lost(l.now(), b.id)
	l.decided() // the client may bring about the next event, which has decisions of its own
	if c != nil {
		c.backend, b.client = nil, nil
		c.lostBackend(b, wasInternal)
	}
}

// gone closes the connection and forgets the backend.
func (b *Backend) gone() {
	l, e := b.lane, b.lane.engine
	e.loop.Close(b.token)
	b.sock.Close(&e.io)
	e.io.Return(b.carry)
	b.carry = nil
	b.book.Discard()
	b.applied(nil)
	l.totals.BackendsClosed++
	b.forget()
	l.config.Places.Give(l)
}

// forget takes the backend out of the lane's books.
func (b *Backend) forget() {
	b.move(backendGone)
	b.lane.counts.backends[backendGone]--
	b.lane.backends[b.id] = nil
}

// lostBackend tells a client that its backend is gone. A client of whose request nothing has been sent does not hear of it.
func (c *Client) lostBackend(b *Backend, wasInternal bool) {
	l := c.lane
	switch {
	case c.doomed:
	case wasInternal || !b.sent:
		c.move(clientWaiting)
		l.pool.Want(l.now(), c.id, pool.SettingsID(c.set.ID()))
		l.decided()
	case b.fatal:
		c.finish() // it has the server's own words
	case b.account.Copying() != exchange.CopyNone:
		c.fail(pgerror.BackendLostInCopy)
	case b.confused:
		c.fail(pgerror.InDoubt)
	default:
		c.fail(pgerror.BackendLost)
	}
}
