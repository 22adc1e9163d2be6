package relay

import (
	"errors"
	"slices"
	"sync/atomic"

	"weir/proxy/conversation"
	"weir/proxy/notify"
	"weir/proxy/wire"
)

// line is a pool's listener connection, on which each lane has a seat whose clients listen. It is made for the first one that needs it, lives
// on that lane's loop, and is never used again once it has ended. Its methods belong to that loop.
type line struct {
	home       *Lane
	talk       *notify.Line
	seats      []*seat
	conn       *listening // nil: it is being dialled, or the line has ended
	ended      bool
	giveUpDial func() // nil: it is not dialled yet
	moved      bool   // the clients have left the server to which it is being dialled

	addr     string // of the server
	encoding string // client_encoding
}

// seat is a lane's part of a line. The lane drops it with what it has learnt of the line's end; what comes for it after that finds nobody.
// Its methods, but those that say otherwise, belong to the lane's loop.
type seat struct {
	line    *line
	lane    *Lane
	member  notify.Member // belongs to the line's loop
	dialled bool
}

// lineBoard is what all lanes of a pool know of its lines. Any goroutine.
type lineBoard struct {
	present atomic.Pointer[line]
	lost    atomic.Bool // the last one was, and none has been made since
}

// join takes a seat on the pool's line, which is made if there is none.
func (x *listener) join() {
	l := x.lane
	present := &l.config.Lanes.line.present
	for {
		n := present.Load()
		if n != nil {
			s := &seat{line: n, lane: l}
			if x.seat = s; !s.post(func() { n.seat(s) }) {
				x.failed()
			}
			return
		}
		n = &line{home: l, talk: notify.NewLine()}
		if present.CompareAndSwap(nil, n) {
			x.hosts, x.seat = n, &seat{line: n, lane: l}
			n.seat(x.seat)
			n.dial()
			return
		}
	}
}

// post has f called on the line's loop, at once if that is the lane's. False: that loop has ended.
func (s *seat) post(f func()) bool {
	if s.lane == s.line.home {
		f()
		return true
	}
	return s.line.home.post(f)
}

func (s *seat) ask(changes []notify.Change) {
	s.post(func() {
		if n := s.line; !n.ended {
			n.talk.Ask(&s.member, changes)
			n.act()
		}
	})
}

func (s *seat) leave() { s.post(func() { s.line.leave(s) }) }

// giveUp ends the line for all lanes.
func (s *seat) giveUp() { s.post(func() { s.line.lost(errSilent) }) }

// tell has f called on the lane's loop, at once if that is the line's, unless the lane has another seat by then. For the line's loop.
func (s *seat) tell(f func(*listener)) {
	do := func() {
		if x := &s.lane.listener; x.seat == s && !s.lane.ended {
			f(x)
		}
	}
	if s.lane == s.line.home {
		do()
		return
	}
	s.lane.post(do)
}

// seat gives a lane a seat.
func (n *line) seat(s *seat) {
	if n.ended {
		s.tell((*listener).missed)
		return
	}
	n.seats = append(n.seats, s)
	n.talk.Join(&s.member)
	if n.conn != nil {
		n.welcome(s)
	}
}

// welcome tells a lane that the line listens.
func (n *line) welcome(s *seat) {
	s.tell(func(x *listener) { x.dialled(n.addr, n.encoding) })
}

// leave is for a lane that needs the line no longer. With the last one it ends.
func (n *line) leave(s *seat) {
	if n.ended {
		return
	}
	n.talk.Leave(&s.member)
	n.seats = slices.DeleteFunc(n.seats, func(o *seat) bool { return o == s })
	if n.act(); len(n.seats) == 0 && n.conn != nil {
		n.end(nil)
	}
}

// act sends what the line has to say, to the server and to the lanes.
func (n *line) act() {
	if n.conn == nil {
		return
	}
	if text := n.talk.Next(); text != nil {
		n.conn.send(wire.AppendQueryBytes(nil, text))
	}
	for _, s := range slices.Clone(n.seats) { // telling one may change them
		if p := s.member.TakeHeard(); p != nil {
			s.tell(func(x *listener) { x.heard(p) })
		}
	}
}

// dial makes the connection, which counts under the limits over pools like a backend. Where they leave no place, the pool gives up one of
// its backends as soon as it can.
func (n *line) dial() {
	l := n.home
	if !l.config.Places.Take(l.config.Lanes) {
		n.end((*listener).failed)
		setting, _, _ := l.config.Places.Bound(l.config.Lanes)
		l.config.Lanes.Reclaim(setting, func() { l.config.Lanes.Yield(setting) })
		return
	}
	n.giveUpDial = l.startDial(n.dialled)
}

func (n *line) dialled(d *Dialled, failure *DialError) {
	l := n.home
	if failure == nil && l.ctx.Err() != nil {
		l.abandonDialled(d)
		return
	}
	if n.moved { // that it cannot be had says nothing of where the clients are now
		l.abandonDialled(d)
		n.end((*listener).missed)
		return
	}
	var c *listening
	if failure == nil {
		c, failure = n.register(d)
	}
	if failure != nil {
		l.config.Places.Unused(l.config.Lanes)
		l.warnDial(failure)
		n.end((*listener).failed)
		return
	}
	n.connected(c, d)
}

// connected has the line listen on a connection that is new.
func (n *line) connected(c *listening, d *Dialled) {
	l := n.home
	if n.conn = c; c.sock.Pending() {
		l.engine.loop.Again(c.token)
	}
	n.addr, n.encoding = d.Addr, conversation.EncodingOf(d.Params)
	if l.config.Lanes.line.lost.Swap(false) {
		l.listener.reconnections++
	}
	for _, s := range slices.Clone(n.seats) {
		n.welcome(s)
	}
	l.config.Lanes.others(l, func(other *Lane) { other.listener.nudge() })
}

// move has the line made again: it listens to the server that the clients have left, or is about to.
func (n *line) move() {
	if n.conn == nil {
		n.moved = true
		if n.giveUpDial != nil {
			n.giveUpDial()
		}
		return
	}
	n.lost(errMoved)
}

var errSilent = errors.New("it does not answer")

// lost ends the line, which the lanes make again.
func (n *line) lost(cause error) {
	if n.ended {
		return
	}
	l := n.home
	l.engine.warn("listener connection lost: clients may miss notifications", "pool", l.Name(), "backend", n.conn.pid,
		"channels", n.talk.Channels()-len(n.seats), "error", cause)
	l.config.Lanes.line.lost.Store(true)
	n.end((*listener).lost)
}

// end closes the connection and tells each lane that has a seat. nil: there is none.
func (n *line) end(tell func(*listener)) {
	n.close()
	seats := n.seats
	n.seats = nil
	for _, s := range seats {
		s.tell(tell)
	}
}

// close ends the line without telling the lanes.
func (n *line) close() {
	l := n.home
	n.ended = true
	l.listener.hosts = nil
	l.config.Lanes.line.present.CompareAndSwap(n, nil)
	c := n.conn
	if c == nil {
		return
	}
	n.conn = nil
	c.close()
	l.config.Places.Give(l.config.Lanes)
}
