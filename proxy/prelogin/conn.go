package prelogin

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
)

// state is what a connection's code is doing. It changes in Conn.move only.
type state uint8

const (
	silent  state = iota // it has not begun → running
	running              // it has the loop's goroutine → reading, writing, apart, left
	reading              // it waits until there is something to read, or the deadline → running
	writing              // it waits until the socket takes more, or the deadline → running
	apart                // it runs a function on a goroutine of its own → running
	left                 // the connection is closed, or handed over
	states
)

func (s state) String() string {
	return [...]string{"silent", "running", "reading", "writing", "apart", "left"}[s]
}

// moves holds the states that may follow each state.
var moves = [states]uint8{
	silent: 1 << running, reading: 1 << running, writing: 1 << running, apart: 1 << running,
	running: 1<<reading | 1<<writing | 1<<apart | 1<<left,
}

// What Conn.over may be.
const (
	late    = 1 // the deadline is over; there may be another one
	aborted = 2
)

// readAhead is how much is read where less is asked for, in bytes: a login's messages are short and are asked for in pieces.
const readAhead = 512

// Conn is a connection that is no client yet, and a net.Conn for the code that serves it. That code alone calls its methods, in Serve
// or apart, unless they say otherwise.
type Conn struct {
	Entry any // the host's

	acceptor *loopAcceptor
	loop     *eventloop.Loop
	fd       int
	remote   net.Addr
	seat     Seat
	token    eventloop.Token
	timer    eventloop.Timer // the deadline

	state state
	code  *coroutine // that serves it; nil before and after

	ahead  []byte        // of the coroutine's buffer: read, and not asked for yet
	dry    bool          // the socket has been read empty: what comes later is a new edge
	missed bool          // there may be something to read that is no new edge
	hungUp atomic.Bool   // the peer has sent its FIN, or is gone
	waits  atomic.Bool   // for the peer to send something
	over   atomic.Uint32 // why nothing is waited for any more; 0: it is
	edge   chan struct{} // tells a function apart that the connection, or the deadline, has something for it
}

func (c *Conn) move(to state) {
	if moves[c.state]&(1<<to) == 0 {
		panic(fmt.Sprintf("prelogin: a connection that is %s cannot become %s", c.state, to))
	}
	c.state = to
}

// Loop is the loop on which the connection is served.
func (c *Conn) Loop() *eventloop.Loop { return c.loop }

// OnReady is called by the loop.
func (c *Conn) OnReady(e eventloop.Event) {
	c.dry = false
	if e&eventloop.HangUp != 0 {
		c.hungUp.Store(true)
	}
	c.missed = c.missed || e&eventloop.HangUp != 0 || c.state == writing || c.state == apart
	switch {
	case c.state == reading && e&eventloop.Readable == 0:
	case c.state == writing && e&(eventloop.Writable|eventloop.HangUp) == 0:
	default:
		c.wake()
	}
}

// wake lets the code look again at what it waits for. On the loop.
func (c *Conn) wake() {
	switch c.state {
	case silent:
		c.begin()
	case reading, writing:
		c.resume()
	case apart:
		select {
		case c.edge <- struct{}{}:
		default:
		}
	default: // it does not wait
	}
}

func (c *Conn) begin() {
	c.waits.Store(false)
	c.code = c.acceptor.takeCoroutine(c)
	c.resume()
}

// resume runs the code until it gives way or ends.
func (c *Conn) resume() {
	c.missed = c.missed || c.state == apart
	c.move(running)
	work, ended := c.code.run()
	switch {
	case ended:
		if c.state != left {
			c.close()
		}
		c.acceptor.putCoroutine(c.code)
		c.code, c.ahead = nil, nil
	case work != nil:
		go func() {
			work()
			c.loop.Post(c.resume)
		}()
	}
}

// expire is called by the loop when the deadline is over.
func (c *Conn) expire() {
	c.over.CompareAndSwap(0, late)
	c.wake()
}

// Abort ends whatever the code waits for, now and later: it learns that the connection is closed. Any goroutine.
func (c *Conn) Abort() {
	c.over.Store(aborted)
	c.loop.Post(c.wake)
}

// ended is why nothing is waited for any more, or nil.
func (c *Conn) ended() error {
	switch c.over.Load() {
	case late:
		return os.ErrDeadlineExceeded
	case aborted:
		return net.ErrClosed
	}
	return nil
}

// Apart runs f on a goroutine of its own while the loop goes on, and returns when f has. Within f the connection may be used.
func (c *Conn) Apart(f func()) {
	if c.state == apart {
		f()
		return
	}
	if c.edge == nil {
		c.edge = make(chan struct{}, 1)
	}
	c.move(apart)
	c.code.giveWay(f)
}

// await gives way until something has happened.
func (c *Conn) await(s state) error {
	if err := c.ended(); err != nil {
		return err
	}
	c.waits.Store(s == reading)
	defer c.waits.Store(false)
	if c.state == apart {
		<-c.edge
		return c.ended()
	}
	c.move(s)
	c.code.giveWay(nil)
	return c.ended()
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.ended(); err != nil {
		return 0, err
	}
	switch {
	case len(c.ahead) > 0 || len(p) == 0:
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	case len(p) >= readAhead:
		return c.recv(p)
	}
	n, err := c.recv(c.code.buffer[:])
	if err != nil {
		return 0, err
	}
	c.ahead = c.code.buffer[:n]
	n = copy(p, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

func (c *Conn) recv(p []byte) (int, error) {
	for {
		n, err := 0, socket.ErrWouldBlock
		if c.state == apart || c.missed || !c.dry {
			n, err = socket.Recv(c.fd, p)
		}
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err == nil:
			c.received(n < len(p))
			return n, nil
		case !errors.Is(err, socket.ErrWouldBlock):
			return 0, c.failed("read", err)
		}
		if err := c.await(reading); err != nil {
			return 0, err
		}
	}
}

// received notes whether the socket has been read empty. Apart it notes nothing: edges tell what comes there.
func (c *Conn) received(all bool) {
	if c.state != apart {
		c.dry, c.missed = all, c.missed || !all
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	sent := 0
	for watched := false; ; {
		if err := c.ended(); err != nil {
			return sent, err
		}
		n, err := socket.Send(c.fd, p[sent:])
		if err != nil && !errors.Is(err, socket.ErrWouldBlock) {
			return sent, c.failed("write", err)
		}
		sent += n
		if sent == len(p) {
			if watched {
				c.watchWrite(false)
			}
			c.acceptor.host.Answered(c)
			return sent, nil
		}
		if !watched {
			c.watchWrite(true)
			watched = true
		}
		if err := c.await(writing); err != nil {
			return sent, err
		}
	}
}

func (c *Conn) watchWrite(on bool) {
	c.onLoop(func() { _ = c.loop.WatchWrite(c.token, on) }) // an error shows in the next write
}

func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.remote.Network(), Addr: c.remote, Err: err}
}

// onLoop runs f on the loop's goroutine: at once, unless the code is apart.
func (c *Conn) onLoop(f func()) {
	if c.state == apart {
		c.loop.Post(f)
		return
	}
	f()
}

// SetDeadline implements net.Conn. There is one deadline, for reading and writing. One that is over already may be set on any
// goroutine; that ends whatever the code waits for.
func (c *Conn) SetDeadline(t time.Time) error {
	d := time.Until(t)
	switch {
	case t.IsZero():
		c.over.CompareAndSwap(late, 0)
		if c.state == apart {
			c.loop.Post(func() { c.loop.Unset(&c.timer) })
			break
		}
		c.loop.Unset(&c.timer)
	case d > 0:
		c.over.CompareAndSwap(late, 0)
		if c.state == apart {
			c.loop.Post(func() { c.loop.Set(&c.timer, d) })
			break
		}
		c.loop.Set(&c.timer, d)
	default:
		c.over.CompareAndSwap(0, late)
		c.loop.Post(func() {
			if c.over.Load() != 0 { // else there is another deadline by now
				c.wake()
			}
		})
	}
	return nil
}

// SetReadDeadline implements net.Conn: SetDeadline.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.SetDeadline(t) }

// SetWriteDeadline implements net.Conn: SetDeadline.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.SetDeadline(t) }

// LocalAddr implements net.Conn. It is the listener's.
func (c *Conn) LocalAddr() net.Addr { return c.acceptor.listener.Addr() }

// RemoteAddr implements net.Conn. Any goroutine.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// HungUp reports whether the peer has said that it sends no more, or is gone. Any goroutine.
func (c *Conn) HungUp() bool { return c.hungUp.Load() }

// Descriptor is the connection's, which stays its own.
func (c *Conn) Descriptor() int { return c.fd }

// Buffered is how many bytes were read and not asked for yet: where less than readAhead is asked for, all that had come.
func (c *Conn) Buffered() int { return len(c.ahead) }

// CloseWrite sends the end of the stream and keeps reading possible.
func (c *Conn) CloseWrite() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(c.fd, unix.SHUT_WR))
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.onLoop(func() {
		if c.state != left {
			c.close()
		}
	})
	return nil
}

func (c *Conn) close() {
	c.loop.Unset(&c.timer)
	c.loop.Close(c.token)
	c.move(left)
	c.seat.Leave()
	_ = unix.Close(c.fd)
}

// Seat is the connection's. Where it has been given away with Leave, its new owner is to leave the seat in the end.
func (c *Conn) Seat() Seat { return c.seat }

// Suited is the loop on which the connection is served best, as far as numbers go: its own, unless another has clearly fewer. In Serve only.
func (c *Conn) Suited() *eventloop.Loop {
	loops := c.acceptor.loops
	return loops.all[loops.suited(c.acceptor.index)].loop
}

// sit takes a seat at loop to instead of the one it has.
func (c *Conn) sit(to *eventloop.Loop) {
	loops := c.acceptor.loops
	c.seat.Leave()
	c.seat = loops.take(loops.index(to))
}

// Leave gives the descriptor away, to an owner on loop to, where it has a seat then, and what was read ahead; that is valid until the code returns. Where
// to is the loop on which it was accepted, the registration stays: the new owner gets the token, and is to Rebind it before the code gives way
// or returns. In Serve only, not apart.
func (c *Conn) Leave(to *eventloop.Loop) (fd int, token eventloop.Token, ahead []byte) {
	c.loop.Unset(&c.timer)
	c.move(left)
	switch {
	case to != c.loop:
		c.sit(to)
		_ = c.loop.Forget(c.token)
		c.token = eventloop.Token{} // the other loop will see what there is
	case c.missed:
		c.loop.Again(c.token)
	}
	return c.fd, c.token, c.ahead
}

// SyscallConn implements syscall.Conn. The result has Control only.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c.fd}, nil }

type rawConn struct{ fd int }

func (r rawConn) Control(f func(fd uintptr)) error {
	f(uintptr(r.fd))
	return nil
}

func (rawConn) Read(func(uintptr) bool) error { return errors.ErrUnsupported }

func (rawConn) Write(func(uintptr) bool) error { return errors.ErrUnsupported }
