package relay

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/notify"
	"weir/proxy/pgerror"
	"weir/proxy/socket"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// listener is a lane's connection that listens for its clients: it does what the Hub says. It is made when the first client needs it.
type listener struct {
	lane    *Lane
	hub     *notify.Hub
	conn    *listening // nil: there is none
	dialing bool
	timer   eventloop.Timer
	next    int64 // when timer fires; 0 while it is not set
}

// listening is a listener's connection as the loop knows it.
type listening struct {
	listener *listener
	token    eventloop.Token
	sock     socket.Conn
	carry    []byte
	pid      uint32
	gone     func() // Dialled.Gone
	doomed   bool
}

func (x *listener) begin(l *Lane) {
	x.lane, x.hub = l, notify.New("weir_"+rand.Text())
	x.hub.LostChannel, x.hub.Pid = l.config.ListenLostChannel, l.clientPID
	x.timer.Func = func() {
		x.next = 0
		x.act()
	}
	if l.config.Mode != Session {
		l.talk.Marker = x.hub.Marker
	}
}

func (x *listener) now() int64 { return max(x.lane.engine.loop.Now(), 1) }

// act does what the hub says, until that is nothing.
func (x *listener) act() {
	for {
		do, text := x.hub.Next(x.now())
		switch do {
		case notify.Dial:
			x.dial()
		case notify.Send:
			x.conn.send(wire.AppendQueryBytes(nil, text))
		case notify.Close:
			x.close()
		case notify.Nothing:
			x.deliver()
			x.schedule()
			return
		}
	}
}

func (x *listener) schedule() {
	if until := x.hub.Until(); until != 0 && (x.next == 0 || until < x.next) {
		x.next = until
		x.lane.engine.loop.Set(&x.timer, time.Duration(max(until-x.now(), 0)))
	}
}

// dial makes the connection, which counts under the limits over pools like a backend. Where they leave no place, the pool gives one of
// its backends up, on whichever lane one is idle, or else as soon as one is released.
func (x *listener) dial() {
	l, pool := x.lane, x.lane.config.Lanes
	if !l.config.Places.Take(pool) {
		x.hub.Failed(x.now())
		limit, _, _ := l.config.Places.Bound(pool)
		pool.Reclaim(limit, func() { pool.yields.Store(true) })
		return
	}
	x.dialing = true
	go func() {
		d, failure := l.config.Dial(l.ctx)
		if !l.engine.loop.Post(func() { x.dialled(d, failure) }) {
			l.abandonDialled(d)
		}
	}()
}

func (x *listener) dialled(d *Dialled, failure *DialError) {
	l := x.lane
	x.dialing = false
	if failure == nil && l.ctx.Err() != nil {
		l.abandonDialled(d)
		return
	}
	var token eventloop.Token
	c := &listening{listener: x}
	if failure == nil {
		var err error
		c.sock, c.pid, c.gone = socket.NewTLS(d.FD, d.TLS), d.PID, d.gone
		if token, err = l.engine.loop.Register(d.FD, c, eventloop.First); err != nil {
			c.sock.Close(&l.engine.io)
			c.gone()
			failure = &DialError{Err: err}
		}
	}
	if failure != nil {
		l.config.Places.Give(l.config.Lanes)
		l.warnDial(failure)
		x.hub.Failed(x.now())
		x.act()
		return
	}
	if c.token, x.conn = token, c; c.sock.Pending() {
		l.engine.loop.Again(token)
	}
	l.addr = d.Addr
	l.talk.ListenerEncoding = conversation.EncodingOf(d.Params)
	x.hub.Dialled()
	x.act()
}

// close ends the connection.
func (x *listener) close() {
	c, l := x.conn, x.lane
	if c == nil {
		return
	}
	x.conn, c.doomed = nil, true
	_ = c.sock.Write(&l.engine.io, wire.AppendTerminate(nil))
	l.engine.loop.Close(c.token)
	c.sock.Close(&l.engine.io)
	l.engine.io.Return(c.carry)
	c.carry = nil
	c.gone()
	l.config.Places.Give(l.config.Lanes)
}

// move has the connection made again: it listens to the server that the clients have left.
func (x *listener) move() {
	if x.conn != nil {
		x.lost(x.conn, errMoved)
	}
}

// shut gives the connection up that no client needs, and reports whether there is none, nor one being made.
func (x *listener) shut() bool {
	if x.hub.Shut() {
		x.close()
	}
	return x.conn == nil && !x.dialing
}

// deliver sends clients what is due to them, and has the backends go on of those whose switch has come further.
func (x *listener) deliver() {
	for _, sub := range x.hub.TakeDue() {
		p := sub.TakeDue()
		if c := x.client(sub); c != nil {
			c.notified(p)
		}
	}
	for _, sub := range x.hub.TakeStirred() {
		if c := x.client(sub); c != nil && c.backend != nil {
			x.lane.engine.loop.Later(c.backend, c.backend.reconsider)
			x.lane.engine.loop.Later(c, c.resumeHeld)
		}
	}
}

func (x *listener) client(sub *notify.Subscriber) *Client {
	if c := x.lane.clients.at(sub.Client); c != nil && c.talk.Sub == sub {
		return c
	}
	return nil
}

// forget is for a client that listens no longer, because it leaves.
func (x *listener) forget(c *Client) {
	if c.talk.Sub != nil {
		x.hub.Remove(c.talk.Sub)
		c.talk.Sub = nil
		x.act()
	}
}

// notified sends a client notifications. One that does not take them is closed before they fill weir's memory.
func (c *Client) notified(p []byte) {
	limit := c.lane.config.MaxNotificationBytes
	if waits := c.sock.ParkedLen() + c.talk.Outlet().Queued(); limit > 0 && waits > 0 && waits+len(p) > limit && c.ending < endBoundary {
		c.lane.engine.warn("client closed: it does not read its notifications", "peer", c.peer, "pool", c.lane.Name(), "bytes", waits)
		c.failWith(pgerror.NotificationsNotTaken(limit))
		return
	}
	c.say(p)
}

// OnReady is called by the loop when the connection has something to say.
func (c *listening) OnReady(e eventloop.Event) {
	if e&eventloop.Writable != 0 {
		c.drain()
	}
	if e&eventloop.Readable != 0 {
		c.read(e&eventloop.HangUp != 0)
	}
}

func (c *listening) read(hungUp bool) {
	e := c.listener.lane.engine
	for range readsPerTurn {
		if c.doomed {
			return
		}
		p, n, err := e.receive(&c.sock, &c.carry)
		if err != nil {
			if !errors.Is(err, socket.ErrWouldBlock) {
				c.doom(err)
			}
			return
		}
		took, err := c.listener.hub.FromServer(c.listener.now(), p)
		if err != nil {
			c.doom(err)
		} else if took < len(p) {
			c.carry = append(e.io.Borrow(len(p)-took), p[took:]...)
		}
		c.listener.act()
		if n < eventloop.ReadBufferLen && !hungUp && !c.sock.Pending() {
			return
		}
	}
	e.loop.Again(c.token)
}

func (c *listening) send(p []byte) {
	l := c.listener.lane
	was := c.sock.Parked()
	if err := c.sock.Write(&l.engine.io, p); err != nil {
		c.doom(err)
	} else if c.sock.Parked() && !was {
		c.watchWrite(true)
	}
}

func (c *listening) watchWrite(on bool) {
	if err := c.listener.lane.engine.loop.WatchWrite(c.token, on); err != nil {
		c.doom(err)
	}
}

func (c *listening) drain() {
	if err := c.sock.Drain(&c.listener.lane.engine.io); err != nil {
		c.doom(err)
	} else if !c.sock.Parked() {
		c.watchWrite(false)
	}
}

// doom ends the connection at the end of the iteration.
func (c *listening) doom(cause error) {
	if c.doomed {
		return
	}
	c.doomed = true
	c.listener.lane.engine.loop.Condemn(c, func() { c.listener.lost(c, cause) })
}

// lost has the connection made again.
func (x *listener) lost(c *listening, cause error) {
	if x.conn != c {
		return
	}
	x.lane.engine.warn("listener connection lost: clients may miss notifications", "pool", x.lane.Name(), "backend", c.pid,
		"channels", x.hub.Channels(), "clients", x.hub.Clients(), "error", cause)
	x.close()
	x.hub.Lost(x.now())
	x.act()
}

// snapshot is what clients listen to by way of the connection.
func (x *listener) snapshot() status.Listen {
	h := x.hub
	s := status.Listen{Connected: x.conn != nil, Clients: h.Clients(), Delivered: h.Delivered, Reconnections: h.Reconnections}
	h.EachChannel(func(name string, clients int) bool {
		s.Channels = append(s.Channels, status.Channel{Name: name, Clients: clients})
		return len(s.Channels) < status.ListenChannelsMax
	})
	s.More = h.Channels() - len(s.Channels)
	slices.SortFunc(s.Channels, func(a, b status.Channel) int { return strings.Compare(a.Name, b.Name) })
	return s
}
