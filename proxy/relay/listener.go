package relay

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"weir/proxy/eventloop"
	"weir/proxy/notify"
	"weir/proxy/pgerror"
	"weir/proxy/status"
)

// listener is a lane's part in its pool's listener connection: it does what the Hub says.
type listener struct {
	lane  *Lane
	hub   *notify.Hub
	seat  *seat // on the line; nil: the lane has none
	hosts *line // that lives on the lane's loop; nil: none does
	timer eventloop.Timer
	next  int64 // when timer fires; 0 while it is not set

	reconnections uint64 // of lines that this lane has made
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
		do, changes := x.hub.Next(x.now())
		switch do {
		case notify.Dial:
			x.join()
		case notify.Send:
			x.seat.ask(changes)
		case notify.Leave:
			x.leave()
		case notify.GiveUp:
			s := x.seat
			x.seat = nil
			s.giveUp()
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

// leave gives up the lane's seat, which no client needs.
func (x *listener) leave() {
	s := x.seat
	x.seat = nil
	s.leave()
}

// dialled takes note that the line listens.
func (x *listener) dialled(addr, encoding string) {
	x.seat.dialled = true
	x.lane.addr = addr
	x.lane.talk.ListenerEncoding = encoding
	x.hub.Dialled()
	x.act()
}

// failed takes note that there is no line to be had now.
func (x *listener) failed() {
	x.seat = nil
	x.hub.Failed(x.now())
	x.act()
}

// missed takes note that the line had ended when the lane's wish to join arrived: there may be another one.
func (x *listener) missed() {
	x.seat = nil
	x.hub.Missed(x.now())
	x.act()
}

// lost takes note that the line has ended: it is made again.
func (x *listener) lost() {
	x.seat = nil
	x.hub.Lost(x.now())
	x.act()
}

func (x *listener) heard(p []byte) {
	x.hub.Heard(x.now(), p)
	x.act()
}

// nudge has the lane try again for a line now, if it waits before it does.
func (x *listener) nudge() {
	x.hub.Nudge(x.now())
	x.act()
}

// connected reports whether the lane has a seat on a line that listens.
func (x *listener) connected() bool { return x.seat != nil && x.seat.dialled }

// move has the connection made again, if it lives here: it listens to the server that the clients have left.
func (x *listener) move() {
	if x.hosts != nil {
		x.hosts.move()
	}
}

// shut gives up the seat that no client needs, and reports whether there is none, nor a line that lives here.
func (x *listener) shut() bool {
	if x.hub.Shut() {
		x.leave()
	}
	return x.seat == nil && x.hosts == nil
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

// snapshot is what clients listen to by way of the connection.
func (x *listener) snapshot() status.Listen {
	h := x.hub
	s := status.Listen{Connected: x.connected(), Clients: h.Clients(), Delivered: h.Delivered, Reconnections: x.reconnections}
	h.EachChannel(func(name string, clients int) bool {
		s.Channels = append(s.Channels, status.Channel{Name: name, Clients: clients})
		return len(s.Channels) < status.ListenChannelsMax
	})
	s.More = h.Channels() - len(s.Channels)
	slices.SortFunc(s.Channels, func(a, b status.Channel) int { return strings.Compare(a.Name, b.Name) })
	return s
}
