package relay

import (
	"errors"
	"time"

	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/socket"
	"weir/proxy/status"
	"weir/proxy/wire"
)

var errServerQuits = errors.New("the server has ended the connection")

// OnReady is called by the loop when the backend's socket has something to say.
func (b *Backend) OnReady(e eventloop.Event) {
	if e&eventloop.Writable != 0 {
		b.drain()
	}
	if e&eventloop.Readable != 0 {
		b.read(e&eventloop.HangUp != 0)
	}
}

// read takes what the socket has, up to a turn's worth.
func (b *Backend) read(hungUp bool) {
	e := b.lane.engine
	for range readsPerTurn {
		if b.doomed() {
			return
		}
		if b.client != nil && b.client.sock.Parked() {
			b.unread = true // the client drains first, then reads on
			return
		}
		b.unread = false
		p, n, err := e.receive(&b.sock, &b.carry, eventloop.ReadBufferLen)
		if err != nil {
			if !errors.Is(err, socket.ErrWouldBlock) {
				b.doom(err)
				return
			}
			b.readEmpty()
			return
		}
		b.results.took(n)
		b.consume(p)
		if n < eventloop.ReadBufferLen && !hungUp && !b.sock.Pending() {
			b.readEmpty()
			return
		}
	}
	b.unread = true
	e.loop.Again(b.token)
}

// readEmpty lets more of a large result pile up before the next read.
func (b *Backend) readEmpty() {
	if b.client == nil || b.doomed() || b.talk.Due() == 0 {
		b.results.over()
		return
	}
	b.lane.engine.wait(&b.results, &b.sock, b.token)
}

// asks is for a request that is sent: its answer is not to wait.
func (b *Backend) asks() {
	if b.results.over() {
		b.lane.engine.loop.Rouse(b.token)
	}
}

// answers is for a ReadyForQuery: what the client sends next is not to wait.
func (b *Backend) answers() {
	b.results.over()
	if b.copied.over() && b.client != nil {
		b.lane.engine.loop.Rouse(b.client.token)
	}
}

// drain goes on with what was parked for the backend, and then lets its client be read again.
func (b *Backend) drain() {
	if err := b.sock.Drain(&b.lane.engine.io); err != nil {
		b.doom(err)
		return
	}
	if b.sock.Parked() {
		return
	}
	b.watchWrite(false)
	if b.client != nil {
		b.client.readOn()
	}
}

// consume has p, the next bytes of the server's stream, judged, and forwards what is the client's. The backend is released once all of
// the read has been judged: what comes with the last ReadyForQuery is not for the next client.
func (b *Backend) consume(p []byte) {
	e := b.lane.engine
	released := false
	for first := true; !b.doomed() && (first || len(p) > 0); first = false {
		ours := p
		if c := b.client; c != nil && c.ending == endBoundary {
			ours = p[:min(len(p), c.lacks())]
		}
		step := b.talk.FromServer(ours, &e.toClient)
		b.heed(&step)
		b.toClient(e.toClient.Bytes())
		p = p[step.Took:]
		if step.Resume && b.client != nil {
			e.loop.Later(b.client, b.client.resumeHeld)
		}
		released = b.react(&step) || released
		if step.Event == conversation.EventNone && step.Took < len(ours) {
			break // the rest has to be judged together with what comes after it
		}
	}
	if b.doomed() {
		return
	}
	if len(p) > 0 {
		b.carry = append(e.io.Borrow(len(p)), p...)
	}
	b.consumed(released)
}

// heed takes note of what a step has shown, before the client knows of it: its next login, for one, is after that.
func (b *Backend) heed(step *conversation.ServerStep) {
	e := b.lane.engine
	if step.Failed != nil {
		b.clientFailed(step.Failed, step.Told)
	}
	if changes := b.talk.Changes(); changes != 0 {
		e.env.changed(changes)
	}
	if b.talk.HasRoleNews() {
		e.loop.Later(b, b.hearRole)
	}
}

// react does what a step's event is for. True: the backend has left its client, and is to be cleaned once the whole read has been judged.
func (b *Backend) react(step *conversation.ServerStep) (released bool) {
	switch step.Event {
	case conversation.EventNone:
	case conversation.EventReady:
		if step.Answered && b.client != nil {
			b.client.unwish()
		}
		return b.ready()
	case conversation.EventErrand:
		return b.errandEnded(step.Outcome)
	case conversation.EventSync:
		b.sendSync()
	case conversation.EventRetry:
		b.measure(b.talk.Status())
		b.reached = false // it has all been undone, or has not been done
		b.client.readAgain(b.talk.Again())
	case conversation.EventNonsense:
		b.doubt(doubtStream, step.Doubt, step.Frame)
	case conversation.EventBeyond:
		b.tooLong(step.Frame)
	}
	return false
}

// unsend takes back from the backend, which is about to be closed, all that its client has sent it.
func (b *Backend) unsend(c *Client) {
	b.reached, b.began = false, 0
	c.carryAgain(b.talk.Again())
}

// consumed does what had to wait until the whole read was judged.
func (b *Backend) consumed(released bool) {
	c := b.client
	switch {
	case b.talk.Fatal(): // nothing comes after that, and a server that does not close the connection would keep the client
		if b.talk.Unheard() && c != nil {
			b.unsend(c)
		}
		b.doom(errServerQuits)
	case released && b.state != backendIdle:
		b.clean()
	case b.state == backendSettling:
		b.clean()
	case c == nil:
		if b.state == backendIdle {
			b.compareParams()
		}
	case c.ending == endAnswered && b.talk.Said() && len(c.carry) == 0:
		c.part()
	default:
		c.readOn()
	}
}

// toClient forwards to the present client, if there is one, and adds what weir has to say where no message is under way.
func (b *Backend) toClient(p []byte) {
	if c := b.client; c != nil {
		c.write(p)
		c.sayQueued()
		if b.lane.listener.hub.Pending() {
			b.lane.listener.deliver()
		}
	}
}

// lacks is how much the message under way to the client lacks.
func (c *Client) lacks() int {
	return int(c.talk.Outlet().Lacks())
}

// ready does what follows from a ReadyForQuery, and reports whether the backend has left its client.
func (b *Backend) ready() bool {
	b.answers()
	if b.watched != nil && b.talk.Status() == wire.TxIdle {
		b.transactionOver(b.client, status.TransactionEnded)
	}
	b.measure(b.talk.Status())
	if b.client == nil {
		return false
	}
	return b.follow()
}

// measure times queries and transactions.
func (b *Backend) measure(tx wire.TxStatus) {
	now := b.lane.engine.loop.Now()
	if b.asked != 0 {
		b.lane.query.Observe(time.Duration(now - b.asked))
	}
	b.asked, b.warned = 0, false
	if b.cancels == 0 {
		b.talk.Blame(nil)
	}
	if b.talk.Due() > 0 {
		b.asked = now
	}
	if tx == wire.TxIdle {
		if b.began != 0 {
			b.lane.totals.Transactions++
			took := time.Duration(now - b.began)
			b.lane.transact.Observe(took)
			b.lane.talk.Earn(took)
		}
		b.began, b.rested, b.kept = 0, 0, now
		if b.asked != 0 {
			b.began, b.kept = now, 0
		}
		return
	}
	b.rested = now
}
