package prelogin

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
)

// Host receives the connections. All methods are called on the loop's goroutine, unless they say otherwise.
type Host interface {
	// Arrive is called with a connection that has just been accepted. If it returns false, the connection is closed. It must not block.
	Arrive(c *Conn) bool
	// Serve begins once the connection has said something, was closed by its peer, or has met its deadline. It may block on c, and
	// in Conn.Apart. Before it returns it closes c or takes it away with Leave.
	Serve(c *Conn)
	// Answered is called after the code has written to c and before Write returns. Apart that is not on the loop's goroutine.
	Answered(c *Conn)
	// AcceptFailed is called when the system could give no descriptor. Accepting goes on after a pause.
	AcceptFailed(err error)
}

const (
	// acceptsPerTurn bounds how many connections are taken before clients and backends get their turn.
	acceptsPerTurn = 16
	// acceptPause is how long accepting rests after the system could not give a descriptor. Connections wait in the backlog
	// meanwhile; asking again at once would take the processor from those that could free one.
	acceptPause = 20 * time.Millisecond
)

// Door accepts the connections of one listener, on all loops of a Crowd.
type Door struct {
	crowd     *Crowd
	acceptors []*acceptor // by loop
}

// Open begins to accept on all loops of a crowd, which must be running. Any goroutine but the loops' own.
func Open(crowd *Crowd, l *socket.Listener, host Host) (*Door, error) {
	door := &Door{crowd: crowd}
	for i := range crowd.loops {
		d := &acceptor{door: door, index: i, loop: crowd.loops[i].loop, listener: l, host: host}
		d.pause.Func = func() { d.loop.Again(d.token) }
		door.acceptors = append(door.acceptors, d)
	}
	for _, d := range door.acceptors { // all are there before the first accepts
		err := errors.New("the loop has ended")
		d.loop.Call(func() { d.token, err = d.loop.RegisterShared(l.FD(), d, eventloop.Third) })
		if err != nil {
			door.Close()
			return nil, fmt.Errorf("listen on %s: %w", l.Addr(), err)
		}
	}
	return door, nil
}

// Close ends accepting. The listener stays open. What was accepted has arrived when Close returns. Any goroutine but the loops' own.
func (door *Door) Close() {
	for _, d := range door.acceptors {
		d.loop.Call(d.stop)
	}
}

// AcceptWaiting accepts the connections that wait, up to a backlog's worth: when the socket is closed, those that still wait are reset.
// Any goroutine but the loops' own.
func (door *Door) AcceptWaiting() {
	d := door.acceptors[0]
	d.loop.Call(func() {
		for range unix.SOMAXCONN {
			if !d.accept() {
				return
			}
		}
	})
}

// acceptor is a Door's part on one loop.
type acceptor struct {
	door     *Door
	index    int // of the loop, in the crowd
	loop     *eventloop.Loop
	listener *socket.Listener
	host     Host
	token    eventloop.Token
	pause    eventloop.Timer
	idle     []*coroutine
	closed   bool
}

func (d *acceptor) stop() {
	_ = d.loop.Forget(d.token)
	d.loop.Unset(&d.pause)
	d.closed = true
	for _, code := range d.idle {
		code.stop()
	}
	d.idle = nil
}

// OnReady is called by the loop when connections wait.
func (d *acceptor) OnReady(eventloop.Event) {
	for range acceptsPerTurn {
		if !d.accept() {
			return
		}
	}
	d.loop.Again(d.token)
}

// accept takes one connection. False: none waits, or none can be taken for now.
func (d *acceptor) accept() bool {
	fd, remote, err := d.listener.Accept()
	switch {
	case err == nil:
		d.enter(fd, remote)
		return true
	case errors.Is(err, socket.ErrWouldBlock):
	default:
		d.host.AcceptFailed(err)
		d.loop.Set(&d.pause, acceptPause)
	}
	return false
}

func (d *acceptor) enter(fd int, remote net.Addr) {
	seat := d.door.crowd.take(d.index)
	c := &Conn{listener: d, loop: d.loop, fd: fd, remote: remote, seat: seat}
	c.timer.Func = c.expire
	c.waits.Store(true)
	if !d.host.Arrive(c) {
		seat.Leave()
		_ = unix.Close(fd)
		return
	}
	token, err := d.loop.Register(fd, c, eventloop.Third)
	if err != nil {
		d.host.AcceptFailed(err)
		c.over.Store(aborted)
		c.begin() // which learns that it is over, and ends what has arrived
		return
	}
	c.token = token
}
