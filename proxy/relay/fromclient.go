package relay

import (
	"errors"
	"io"

	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/pgerror"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// OnReady is called by the loop when the client's socket has something to say.
func (c *Client) OnReady(e eventloop.Event) {
	news := e&eventloop.HangUp != 0 && c.other == peerThere
	if news {
		c.other = peerEnded
	}
	if e&eventloop.Broken != 0 {
		c.other = peerGone
	}
	if e&eventloop.Writable != 0 {
		c.drain()
	}
	if e&eventloop.Readable != 0 {
		c.read()
	}
	if c.other == peerGone && !c.polite && c.ending != endNow {
		// Reading may have found the FIN that came before the reset, and no error.
		c.broken(errReset)
	}
	if news && c.other == peerEnded && c.state == clientWaiting {
		c.askPeer() // it may have gone, and would keep its place in the queue
	}
}

// obstacle is why a client is not read: there is no place where its bytes could go.
type obstacle uint8

const (
	obstacleNone    obstacle = iota
	obstacleEnding           // its end has been decided
	obstacleAnswer           // what it sends next depends on an answer
	obstacleTaking           // it takes its answers before it may ask again
	obstacleWaiting          // it waits for a backend
	obstacleBackend          // its backend does not take more, or is about to be closed
	obstacleCancel           // a cancel request is on its way to its backend, and would hit what it sends next
)

// obstacle says why the client is not read now.
func (c *Client) obstacle() obstacle {
	switch {
	case c.ending >= endBoundary:
		return obstacleEnding
	case c.state == clientIdle && c.sock.Parked():
		return obstacleTaking
	case c.state == clientIdle:
		return obstacleNone
	case c.state != clientLeased:
		return obstacleWaiting
	case c.talk.Hold() != conversation.HoldNone || c.backend.talk.Probing():
		return obstacleAnswer
	case c.backend.doomed() || c.backend.sock.Parked() || c.backend.talk.Errand() != nil:
		return obstacleBackend
	case c.backend.exposed():
		return obstacleCancel
	}
	return obstacleNone
}

// read takes what the socket has, up to a turn's worth.
func (c *Client) read() {
	if c.state == clientClosing {
		c.linger()
		return
	}
	e := c.lane.engine
	for range readsPerTurn {
		if c.obstacle() != obstacleNone {
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
		most := c.readMost()
		p, n, err := e.receive(&c.sock, &c.carry, most)
		if err != nil {
			c.readFailed(err)
			return
		}
		c.lane.totals.ClientBytesIn += uint64(n)
		if c.copies() {
			c.backend.copied.took(n)
		}
		if c.ending != endNot {
			continue // what comes after a Terminate means nothing
		}
		c.consume(p)
		if n < most && c.other == peerThere && !c.sock.Pending() {
			c.readEmpty()
			return // what comes next is a new edge
		}
	}
	c.unread = true
	e.loop.Again(c.token)
}

// readMost is how much of what the client has sent is read at once. Where all backends are taken it would wait for one in weir's memory, as would
// what thousands of others have sent: so it is what is needed to judge a message, and the rest stays with the kernel. A TLS connection would keep the
// rest of its record itself.
func (c *Client) readMost() int {
	if c.state != clientIdle || c.sock.Encrypted() || c.lane.pool.Spare() || len(c.carry) >= inspectLen {
		return eventloop.ReadBufferLen
	}
	return inspectLen - len(c.carry)
}

// copies reports whether the client may be sending the data of a COPY.
func (c *Client) copies() bool { return c.backend != nil && c.backend.talk.Copying() }

// readEmpty lets more of a COPY pile up before the next read.
func (c *Client) readEmpty() {
	c.wishedInVain()
	if !c.copies() {
		return
	}
	c.lane.engine.wait(&c.backend.copied, &c.sock, c.token)
}

// missed is for a client that cannot be read now: it may have gone.
func (c *Client) missed() {
	switch {
	case c.other == peerGone && !c.polite:
		c.broken(errReset)
	case c.other == peerEnded && c.state == clientWaiting && !c.greeted:
		c.because(status.ClientClosed)
		c.closeNow()
	}
}

var errReset = errors.New("the client has reset the connection")

func (c *Client) readFailed(err error) {
	switch {
	case errors.Is(err, socket.ErrWouldBlock):
		c.readEmpty()
	case errors.Is(err, io.EOF) && (c.other != peerGone || c.polite): // a reset that comes after the FIN reads as one more end
		c.other = max(c.other, peerEnded)
		c.sentLast()
	default:
		c.broken(err)
	}
}

// drain goes on with what was parked for the client.
func (c *Client) drain() {
	c.lane.engine.stalls.taken(c)
	if err := c.sock.Drain(&c.lane.engine.io); err != nil {
		c.broken(err)
		return
	}
	if c.sock.Parked() {
		return
	}
	c.watchWrite(false)
	if c.state == clientClosing {
		c.sock.CloseWrite(&c.lane.engine.io)
	}
	if c.backend != nil {
		c.backend.readOn()
	}
	c.readOn()
}

// readOn resumes reading where an edge was left unread, as soon as that is possible again.
func (c *Client) readOn() {
	if c.unread && c.obstacle() == obstacleNone {
		c.lane.engine.loop.Again(c.token)
	}
}

// consume has p, the next bytes of the client's stream, judged, and forwards what may go. What cannot be judged yet, for want of
// bytes, of a backend or of an answer, is carried.
func (c *Client) consume(p []byte) {
	e := c.lane.engine
	for {
		if c.talk.Refusing() {
			p = c.refuseOn(p)
			if c.talk.Refusing() {
				c.keep(p)
				return
			}
		}
		if c.backend == nil && c.state == clientIdle && c.talk.Wants(p) && !c.want() {
			c.keep(p)
			return
		}
		var server *conversation.Server
		if c.backend != nil {
			server = &c.backend.talk
		}
		c.lane.heedDefinitions()
		step := c.talk.FromClient(server, p, &e.toServer)
		if step.Vacate {
			e.vacateAll()
		}
		if c.backend != nil && !c.forward(e.toServer.Bytes()) {
			c.takeBack(e.toServer.Judged(), p[step.Took:])
			return
		}
		p = p[step.Took:]
		if step.Need == conversation.NeedBackend && c.want() {
			continue // p is judged again, with the backend
		}
		c.stops(&step, p)
		return
	}
}

// stops does what the step needs that has judged all but p of what has come.
func (c *Client) stops(step *conversation.ClientStep, p []byte) {
	switch step.Need {
	case conversation.NeedEnd:
		c.terminated()
	case conversation.NeedRefusal:
		c.violation(step.Frame, step.Violation)
	case conversation.NeedSwitch:
		c.keep(p)
		if !c.backend.exposed() {
			c.backend.switchFirst()
		}
	case conversation.NeedAnswer:
		c.keep(p)
		if hold := c.talk.Hold(); hold == conversation.HoldRecall || hold == conversation.HoldListen { // Fate says what for
			c.lane.engine.loop.Later(c.backend, c.backend.reconsider)
		}
	case conversation.NeedBackend, conversation.NeedBytes:
		c.keep(p)
	}
}

// forward sends judged bytes to the backend. False: they did not reach it, and the caller must not go on.
func (c *Client) forward(p []byte) bool {
	b := c.backend
	if len(p) == 0 {
		return !b.doomed()
	}
	b.begin()
	if b.talk.Notifies() {
		b.notifier.mark()
	}
	c.pursueLater()
	return b.send(p)
}

// takeBack carries everything again if nothing of this lease has reached the server: another backend may have it all.
func (c *Client) takeBack(judged, rest []byte) {
	if c.ending.decided() || c.backend == nil || c.backend.reached {
		return
	}
	c.talk.Rewind()
	c.wishAnew()
	e := c.lane.engine
	if n := len(judged) + len(rest); n > 0 {
		c.carry = append(append(e.io.Borrow(n), judged...), rest...)
	}
}

// keep carries what has not been forwarded. What one client may carry is bounded by the read buffer's length and
// conversation.InspectLen, because nothing more is read until this is gone.
func (c *Client) keep(p []byte) {
	if len(p) > 0 {
		c.carry = append(c.lane.engine.io.Borrow(len(p)), p...)
	}
}

// resume goes on with what was carried, once the client has its backend or an answer.
func (c *Client) resume() {
	if c.ending.decided() {
		return
	}
	p := c.carry
	c.carry = nil
	if p != nil || c.talk.Hold() != conversation.HoldNone {
		c.consume(p)
		c.lane.engine.io.Return(p)
	}
	c.readOn()
}

// resumeHeld goes on with a client that waited for an answer, unless something else has happened to it meanwhile.
func (c *Client) resumeHeld() {
	if c.state != clientLeased || c.backend.talk.Probing() || c.backend.talk.Errand() != nil || c.backend.exposed() {
		return
	}
	c.resume()
	if c.backend != nil {
		c.backend.reconsider() // it was kept, in case there was more to do
	}
}

// readAgain goes on with bytes that the client has sent before.
func (c *Client) readAgain(p []byte) {
	c.carryAgain(p)
	c.lane.engine.loop.Later(c, c.resumeHeld)
}

// carryAgain puts bytes that the client has sent before in front of what is carried.
func (c *Client) carryAgain(p []byte) {
	e := c.lane.engine
	carry := append(append(e.io.Borrow(len(p)+len(c.carry)), p...), c.carry...)
	e.io.Return(c.carry)
	c.carry = carry
	c.wishAnew()
}

// waitFailed tells a client why it got no backend. One that is logged in stays so: the request that could not be served fails
// like any other statement, and the next one may succeed.
func (c *Client) waitFailed(err *pgerror.Error) {
	switch {
	case c.ending.decided() || c.state != clientWaiting:
	case !c.greeted || c.limits.Load().PgBouncer:
		c.failWith(err.WithSeverity(pgerror.SeverityFatal))
	default:
		c.refuse(err)
	}
}

// refuse answers the request that waits with an error in the server's stead, and makes the client idle again.
func (c *Client) refuse(cause *pgerror.Error) {
	e := c.lane.engine
	c.refuses(cause)
	c.move(clientIdle)
	p := c.carry
	c.carry = nil
	step := c.talk.Refuse(e.io.Borrow(512), p, cause)
	c.say(step.Answer)
	e.io.Return(step.Answer)
	if rest := p[step.Took:]; len(rest) > 0 {
		c.consume(rest)
	}
	e.io.Return(p)
	c.readOn()
}

// refuseFirst answers the first of the requests that wait, as refuse does. With those that come after it the client keeps its place.
func (c *Client) refuseFirst(cause *pgerror.Error) {
	e := c.lane.engine
	c.refuses(cause)
	p := c.carry
	step := c.talk.RefuseFirst(e.io.Borrow(512), p, cause)
	rest := p[step.Took:]
	waits := !c.talk.Refusing() && c.talk.Wants(rest)
	if !waits {
		c.lane.pool.Forget(c.lane.now(), c.id)
		c.lane.decided()
		c.move(clientIdle)
	}
	c.carry = nil
	c.say(step.Answer)
	e.io.Return(step.Answer)
	switch {
	case waits:
		c.keep(rest)
	case len(rest) > 0:
		c.consume(rest)
	}
	e.io.Return(p)
	c.readOn()
}

// refuses counts a request that weir answers in the server's stead, and ends the wish that it be cancelled.
func (c *Client) refuses(cause *pgerror.Error) {
	c.lane.totals.WeirErrors++
	c.failed(cause.Code, cause.Message, true)
	c.lane.own.Count(cause.Code)
	c.unwish()
}

// refuseOn goes on with a request that is being refused, and returns what comes after it.
func (c *Client) refuseOn(p []byte) []byte {
	e := c.lane.engine
	step := c.talk.Refuse(e.io.Borrow(512), p, nil)
	c.say(step.Answer)
	e.io.Return(step.Answer)
	return p[step.Took:]
}
