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

// Acceptor accepts the connections of one listener, on all Loops.
type Acceptor struct{ byLoop []*loopAcceptor }

// Open begins to accept on all of the loops, which must be running. Any goroutine but the loops' own.
func Open(loops *Loops, l *socket.Listener, host Host) (*Acceptor, error) {
	a := new(Acceptor)
	for i := range loops.all {
		d := &loopAcceptor{loops: loops, index: i, loop: loops.all[i].loop, listener: l, host: host}
		d.pause.Func = func() { d.loop.Again(d.token) }
		a.byLoop = append(a.byLoop, d)
	}
	for _, d := range a.byLoop { // all are there before the first accepts
		err := errors.New("the loop has ended")
		d.loop.Call(func() { d.token, err = d.loop.RegisterShared(l.FD(), d, eventloop.Third) })
		if err != nil {
			a.Close()
			return nil, fmt.Errorf("listen on %s: %w", l.Addr(), err)
		}
	}
	return a, nil
}

// Close ends accepting. The listener stays open. What was accepted has arrived when Close returns. Any goroutine but the loops' own.
func (a *Acceptor) Close() {
	for _, d := range a.byLoop {
		d.loop.Call(d.stop)
	}
}

// AcceptWaiting accepts the connections that wait, up to a backlog's worth: when the socket is closed, those that still wait are reset.
// Any goroutine but the loops' own.
func (a *Acceptor) AcceptWaiting() {
	d := a.byLoop[0]
	d.loop.Call(func() {
		for range unix.SOMAXCONN {
			if !d.accept() {
				return
			}
		}
	})
}

// loopAcceptor is an Acceptor's part on one loop.
type loopAcceptor struct {
	loops    *Loops
	index    int // of the loop, among them
	loop     *eventloop.Loop
	listener *socket.Listener
	host     Host
	token    eventloop.Token
	pause    eventloop.Timer
	idle     []*coroutine
	closed   bool
}

func (d *loopAcceptor) stop() {
	_ = d.loop.Forget(d.token)
	d.loop.Unset(&d.pause)
	d.closed = true
	for _, code := range d.idle {
		code.stop()
	}
	d.idle = nil
}

// OnReady is called by the loop when connections wait.
func (d *loopAcceptor) OnReady(eventloop.Event) {
	for range acceptsPerTurn {
		if !d.accept() {
			return
		}
	}
	d.loop.Again(d.token)
}

// accept takes one connection. False: none waits, or none can be taken for now.
func (d *loopAcceptor) accept() bool {
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

func (d *loopAcceptor) enter(fd int, remote net.Addr) {
	seat := d.loops.take(d.index)
	c := &Conn{acceptor: d, loop: d.loop, fd: fd, remote: remote, seat: seat}
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
