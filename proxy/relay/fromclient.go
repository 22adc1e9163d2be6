package relay

import (
	"encoding/binary"
	"errors"
	"io"

	"weir/proxy/eventloop"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/sqlscan"
	"weir/proxy/wire"
)

// OnReady is called by the loop when the client's socket has something to say.
func (c *Client) OnReady(e eventloop.Event) {
	if e&eventloop.HangUp != 0 {
		c.hungUp = true
	}
	if e&eventloop.Writable != 0 {
		c.drain()
	}
	if e&eventloop.Readable != 0 {
		c.read()
	}
}

// mayRead reports whether more of the client's bytes can be taken: there is a place for them to go.
func (c *Client) mayRead() bool {
	if c.doomed {
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
			if c.hungUp && c.state == clientWaiting {
				c.doom() // nobody is left to answer to
			}
			return
		}
		c.unread = false
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
		if n < eventloop.ReadBufferLen && !c.hungUp {
			return // the socket is empty: what comes next is a new edge
		}
	}
	c.unread = true
	e.loop.Again(c.token)
}

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
		c.sock.CloseWrite()
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
	from, pos := 0, c.skipped(p)
	if c.discard {
		from = pos
		c.discard = c.skip > 0
	}
	for pos < len(p) {
		rest := p[pos:]
		if len(rest) < wire.HeaderLen {
			break
		}
		f := wire.PeekFrame(rest)
		if verdict := f.CheckClient(); verdict != wire.FrameOK {
			c.forward(p[from:pos])
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
				from = pos
				continue
			}
			if f.Type != wire.ClientTerminate && !c.want() {
				break
			}
		}
		if f.Type == wire.ClientTerminate {
			if c.forward(p[from:pos]) {
				c.terminated()
			} else {
				c.doom()
			}
			return
		}
		body, whole := rest[wire.HeaderLen:n], n == f.Total()
		if c.strays(f.Type, body, whole) {
			if !c.forward(p[from:pos]) || !c.forward(strayMessages[f.Type]) {
				break
			}
			c.backend.parses.sent(f.Type)
			c.backend.begin()
			c.backend.account.Client(f.Type)
			c.skip = uint32(f.Total() - n)
			c.discard = c.skip > 0
			pos += n
			from = pos
			continue
		}
		c.admitMessage(f, body, whole)
		c.skip = uint32(f.Total() - n)
		pos += n
	}
	switch {
	case c.forward(p[from:pos]):
		c.keep(p[pos:])
	case c.backend != nil && !c.backend.sent && !c.doomed:
		// Nothing of this lease has reached the server, so another backend may have it all.
		c.skip, c.scan = 0, nil
		c.keep(p[from:])
	}
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

// strays reports whether a message is about the unnamed statement, and that may be another client's.
func (c *Client) strays(t byte, body []byte, whole bool) bool {
	if c.backend.parses.mayUse() {
		return false
	}
	switch t {
	case wire.ClientBind:
		_, statement, err := wire.PeekBind(body)
		return err == nil && len(statement) == 0 || err != nil && !whole // behind a portal's name that is too long to look at
	case wire.ClientDescribe:
		kind, name, err := wire.PeekTarget(body)
		return err == nil && kind == 'S' && len(name) == 0
	}
	return false
}

// strayMessages are sent in place of messages that stray: the server answers with the error that the client would get from a
// session of its own, and throws away what follows as it would then.
var strayMessages = map[byte][]byte{
	wire.ClientBind:     strayMessage(wire.ClientBind, "\x00"+strayName+"\x00\x00\x00\x00\x00\x00\x00"),
	wire.ClientDescribe: strayMessage(wire.ClientDescribe, "S"+strayName+"\x00"),
}

// strayName is nobody's statement.
const strayName = "the unnamed statement of an earlier transaction"

func strayMessage(t byte, body string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{t}, uint32(4+len(body))), body...)
}

// admitMessage enters one message into the backend's account and into what is known of the session. The body is whole or
// the first inspectLen bytes of it at least.
func (c *Client) admitMessage(f wire.Frame, body []byte, whole bool) {
	b := c.backend
	switch f.Type {
	case wire.ClientCopyData:
		return
	case wire.ClientQuery:
		b.parses.used()
		c.scanText(wire.PeekQuery(body), whole)
		c.lane.totals.Queries++
	case wire.ClientParse:
		name, text, err := wire.PeekParse(body)
		switch {
		case err != nil && whole: // the server will refuse it
		case err != nil: // the name is longer than what is looked at
			b.parses.sentNamed()
			b.noteText(sqlscan.Opaque)
		case len(name) > 0:
			b.parses.sentNamed()
		default:
			b.parses.sentUnnamed()
		}
		c.scanText(text, whole)
	case wire.ClientBind:
		if _, statement, err := wire.PeekBind(body); err == nil && len(statement) == 0 {
			b.parses.used()
		}
	case wire.ClientFunctionCall:
		if !wire.CallsLargeObject(body) {
			b.pins |= session.Opaque
		}
	case wire.ClientExecute:
		c.lane.totals.Queries++
	}
	b.parses.sent(f.Type)
	b.begin()
	b.account.Client(f.Type)
}

// scanText looks for what a statement does to the session.
func (c *Client) scanText(text []byte, whole bool) {
	if whole {
		c.backend.noteText(sqlscan.Scan(text, c.backend.mode))
		return
	}
	scanner := sqlscan.NewScanner(c.backend.mode)
	c.scan = &scanner
	c.scan.Feed(text)
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

// resume goes on with what was carried, once the client has its backend.
func (c *Client) resume() {
	p := c.carry
	c.carry = nil
	if p != nil {
		c.consume(p)
		c.lane.engine.io.Return(p)
	}
	c.readOn()
}
