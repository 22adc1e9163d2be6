package relay

import (
	"errors"
	"io"

	"weir/proxy/eventloop"
	"weir/proxy/exchange"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// OnReady is called by the loop when the client's socket has something to say.
func (c *Client) OnReady(e eventloop.Event) {
	c.hungUp = c.hungUp || e&eventloop.HangUp != 0
	c.reset = c.reset || e&eventloop.Broken != 0
	if e&eventloop.Writable != 0 {
		c.drain()
	}
	if e&eventloop.Readable != 0 {
		c.read()
	}
}

// mayRead reports whether more of the client's bytes can be taken: there is a place for them to go.
func (c *Client) mayRead() bool {
	if c.doomed || c.held {
		return false
	}
	switch c.state {
	case clientIdle:
		return !c.sock.Parked() // it takes its answers before it may ask again
	case clientLeased:
		return !c.backend.doomed && !c.backend.probing && !c.backend.sock.Parked() && c.backend.account.Len() < accountMax
	default:
		return false
	}
}

// read takes what the socket has, up to a turn's worth.
func (c *Client) read() {
	if c.state == clientClosing {
		c.linger()
		return
	}
	e := c.lane.engine
	for range readsPerTurn {
		if !c.mayRead() {
			c.unread = true
			c.missed()
			return
		}
		c.unread = false
		if c.ahead {
			c.ahead = false
			c.consume(e.carried(&c.carry))
			continue
		}
		p, n, err := e.receive(&c.sock, &c.carry)
		if err != nil {
			c.readFailed(err)
			return
		}
		c.lane.totals.ClientBytesIn += uint64(n)
		if c.noMore {
			continue // what stands behind a Terminate means nothing
		}
		c.consume(p)
		if n < eventloop.ReadBufferLen && !c.hungUp && !c.sock.Pending() {
			return // the socket is empty: what comes next is a new edge
		}
	}
	c.unread = true
	e.loop.Again(c.token)
}

// missed is for a client that cannot be read now: nobody may be left to answer to.
func (c *Client) missed() {
	switch {
	case c.reset:
		c.broken(errReset)
	case c.hungUp && c.state == clientWaiting:
		c.doom()
	}
}

var errReset = errors.New("the client has reset the connection")

func (c *Client) readFailed(err error) {
	switch {
	case errors.Is(err, socket.ErrWouldBlock):
	case errors.Is(err, io.EOF):
		c.ended()
	default:
		c.broken(err)
	}
}

// drain goes on with what was parked for the client.
func (c *Client) drain() {
	if err := c.sock.Drain(&c.lane.engine.io); err != nil {
		c.broken(err)
		return
	}
	if c.sock.Parked() {
		return
	}
	c.watchWrite(false)
	switch {
	case c.state == clientClosing:
		c.sock.CloseWrite(&c.lane.engine.io)
	case c.backend != nil && c.backend.unread:
		c.lane.engine.loop.Again(c.backend.token)
	}
	c.readOn()
}

// readOn resumes reading where an edge was left unread, as soon as that is possible again.
func (c *Client) readOn() {
	if c.unread && c.mayRead() {
		c.lane.engine.loop.Again(c.token)
	}
}

// consume judges p, the next bytes of the client's stream, and forwards what may go. What cannot be judged yet, for want of
// bytes or of a backend, is carried.
func (c *Client) consume(p []byte) {
	pos := c.skipped(p)
	s := sending{p: p}
	if c.discard {
		s.from = pos
		c.discard = c.skip > 0
	}
	first := s.from
	for pos < len(p) {
		rest := p[pos:]
		if len(rest) < wire.HeaderLen {
			break
		}
		f := wire.PeekFrame(rest)
		if verdict := f.CheckClient(); verdict != wire.FrameOK {
			c.send(&s, pos)
			c.violation(f, verdict)
			return
		}
		if f.Type != wire.ClientCopyData && len(rest) < min(f.Total(), inspectLen) {
			break
		}
		n := min(f.Total(), len(rest))
		if c.backend == nil {
			if dropped(f.Type) {
				c.skip = uint32(f.Total() - n)
				c.discard = c.skip > 0
				pos += n
				s.from, first = pos, pos
				continue
			}
			if f.Type != wire.ClientTerminate && !c.want() {
				break
			}
		}
		if f.Type == wire.ClientTerminate {
			if c.send(&s, pos) {
				c.terminated()
			} else {
				c.doom()
			}
			return
		}
		m := message{f: f, at: pos, body: rest[wire.HeaderLen:n], whole: n == f.Total()}
		if c.undecided(&m) {
			c.backend.awaits = true
			c.held = true
			break
		}
		c.skip = uint32(f.Total() - n)
		c.admit(&s, &m)
		pos += n
		if c.held {
			break
		}
	}
	switch {
	case c.send(&s, pos):
		c.keep(p[pos:])
	case c.backend != nil && !c.backend.sent && !c.doomed:
		// Nothing of this lease has reached the server, so another backend may have it all.
		c.skip, c.scan, c.discard = 0, nil, false
		c.keep(p[first:])
	}
}

// send forwards what has become of the client's bytes up to pos. False: it did not reach the backend, and the caller must not go on.
func (c *Client) send(s *sending, pos int) bool {
	if s.out == nil {
		return c.forward(s.p[s.from:pos])
	}
	io := &c.lane.engine.io
	if s.from < pos {
		s.upTo(io, pos)
	}
	ok := c.forward(s.out)
	io.Return(s.out)
	s.out = nil
	return ok
}

// skipped passes over the rest of a message whose beginning has been judged.
func (c *Client) skipped(p []byte) int {
	if c.skip == 0 {
		return 0
	}
	n := min(int(c.skip), len(p))
	c.skip -= uint32(n)
	if c.scan != nil {
		c.scan.Feed(p[:n])
		if c.skip == 0 {
			c.backend.noteText(c.scan.Effects())
			c.scan = nil
		}
	}
	if c.skip == 0 && c.backend != nil && c.backend.account.Settled() {
		// The server answered before it had the whole message: a COPY that failed. Only now may the backend leave.
		c.lane.engine.loop.Condemn(c.backend.reconsider)
	}
	return n
}

// dropped reports whether a message means nothing to a server that has nothing under way: the tail of a COPY that has failed,
// and a Flush. PostgreSQL drops them too; they must not cost a lease that nothing would end.
func dropped(t byte) bool {
	switch t {
	case wire.ClientCopyData, wire.ClientCopyDone, wire.ClientCopyFail, wire.ClientFlush:
		return true
	}
	return false
}

// admit enters one message into the backend's account and into what is known of the session, and changes it where it must not
// go as it is.
func (c *Client) admit(s *sending, m *message) {
	b := c.backend
	if m.f.Type == wire.ClientCopyData {
		return
	}
	if b.unnamed.foreign {
		c.displace(s, m)
	}
	switch m.f.Type {
	case wire.ClientQuery:
		c.admitQuery(s, m)
	case wire.ClientParse:
		c.admitParse(s, m)
	case wire.ClientBind:
		c.admitBind(s, m)
	case wire.ClientDescribe, wire.ClientClose:
		c.admitTarget(s, m)
	case wire.ClientSync:
		c.pass(m.f.Type)
		b.book.Synced()
		c.held = b.mayDeallocate() && b.account.Copying() != exchange.CopyIn // amid COPY data nothing answers it
	case wire.ClientFunctionCall:
		if !wire.CallsLargeObject(m.body) {
			b.pins |= session.Opaque
		}
		c.pass(m.f.Type)
	case wire.ClientExecute:
		c.lane.totals.Queries++
		c.pass(m.f.Type)
	default:
		c.pass(m.f.Type)
	}
}

// pass enters a message that goes to the backend.
func (c *Client) pass(t byte) {
	c.backend.begin()
	c.backend.account.Client(t)
}

// admitQuery sends a Query.
func (c *Client) admitQuery(s *sending, m *message) {
	b := c.backend
	b.unnamed.used()
	c.lane.totals.Queries++
	text := wire.PeekQuery(m.body)
	if !c.deallocates(s, m, text) {
		c.scanText(text, m.whole)
		c.pass(m.f.Type)
	}
	c.held = b.mayDeallocate() && m.whole && !b.account.Skipping()
}

// scanText looks for what a statement does to the session. What it returns of one that has not come whole is anything.
func (c *Client) scanText(text []byte, whole bool) sqlscan.Effects {
	if whole {
		e := sqlscan.Scan(text, c.backend.mode)
		c.backend.noteText(e)
		return e
	}
	scanner := sqlscan.NewScanner(c.backend.mode)
	c.scan = &scanner
	c.scan.Feed(text)
	return sqlscan.Opaque
}

// forward sends judged bytes to the backend. False: the bytes did not reach it, and the caller must not go on.
func (c *Client) forward(p []byte) bool {
	if len(p) == 0 || c.backend == nil {
		return !c.doomed
	}
	b := c.backend
	if err := b.sock.Write(&c.lane.engine.io, p); err != nil {
		b.doom(err)
		return false
	}
	b.sent = true
	if b.sock.Parked() {
		b.watchWrite(true)
	}
	return true
}

// keep carries what has not been forwarded. The account of what one client may carry is the read buffer's length and
// inspectLen, because nothing more is read until this is gone.
func (c *Client) keep(p []byte) {
	if len(p) > 0 {
		c.carry = append(c.lane.engine.io.Borrow(len(p)), p...)
	}
}

// resumeHeld goes on with a client that was held, unless something else has happened to it meanwhile. Behind a probe nothing may be
// sent until it has been answered; then the client is resumed.
func (c *Client) resumeHeld() {
	b := c.backend
	if !c.held || c.state != clientLeased || b.probing {
		return
	}
	c.resume()
	b.reconsider() // it was kept, in case there was more to do
}

// resume goes on with what was carried, once the client has its backend.
func (c *Client) resume() {
	if c.doomed {
		return
	}
	p := c.carry
	c.carry, c.held = nil, false
	if p != nil {
		c.consume(p)
		c.lane.engine.io.Return(p)
	}
	c.readOn()
}
