// Package socket is a connection as the event loop wants it: a non-blocking descriptor that reads what is there, writes what
// fits and parks the rest. It also opens listeners with the options that net hides, and takes descriptors out of net.Conns.
// With TLS it is crypto/tls over an Adapter that does not block.
//
// A Conn belongs to one loop. Listen and Detach are for goroutines. The package knows no protocol and may import the
// standard library and golang.org/x/sys/unix only.
package socket

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrWouldBlock says that the socket has nothing to read now.
var ErrWouldBlock = errors.New("socket: nothing to read")

// Conn is one connection, in plain text or over TLS. The zero value is not usable; a closed one answers io.ErrClosedPipe.
type Conn struct {
	fd     int32
	tls    *Adapter // nil: plain text
	parked []byte   // what the socket has not taken yet, in order
	sent   int      // of parked
}

// New takes ownership of fd, which must be non-blocking.
func New(fd int) Conn { return Conn{fd: int32(fd)} }

// FD is the descriptor, -1 when closed.
func (c *Conn) FD() int { return int(c.fd) }

// Read reads once. It returns io.EOF when the peer has finished sending, ErrWouldBlock when nothing is there. A read that
// does not fill p has emptied the socket, unless Pending says otherwise: what comes later is a new edge.
func (c *Conn) Read(shared *IO, p []byte) (int, error) {
	if c.fd < 0 {
		return 0, io.ErrClosedPipe
	}
	if c.tls != nil {
		return c.readTLS(shared, p)
	}
	return c.recv(shared, p)
}

// recv reads the descriptor.
func (c *Conn) recv(shared *IO, p []byte) (int, error) {
	for {
		shared.Reads++
		n, errno := recv(int(c.fd), p)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return 0, ErrWouldBlock
		case errno != 0:
			return 0, errno
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			shared.BytesRead += uint64(n)
			return n, nil
		}
	}
}

// Write sends p or parks what the socket does not take; p is copied then. The caller must stop feeding a connection that
// has parked: what can be parked is bounded by what one call is given and the little that errors add.
func (c *Conn) Write(shared *IO, p []byte) error {
	if c.fd < 0 {
		return io.ErrClosedPipe
	}
	if c.tls != nil {
		return c.writeTLS(shared, p)
	}
	if len(c.parked) > 0 {
		c.park(shared, p)
		return nil
	}
	n, err := c.send(shared, p)
	if err != nil {
		return err
	}
	if n < len(p) {
		c.park(shared, p[n:])
	}
	return nil
}

// Parked reports whether something waits for the socket to become writable.
func (c *Conn) Parked() bool { return len(c.parked) > 0 }

// ParkedLen is the number of bytes that wait.
func (c *Conn) ParkedLen() int { return len(c.parked) - c.sent }

// Drain sends what is parked, as far as the socket takes it. The buffer is given up once it is empty.
func (c *Conn) Drain(shared *IO) error {
	if c.fd < 0 {
		return io.ErrClosedPipe
	}
	if len(c.parked) == 0 {
		return nil
	}
	n, err := c.send(shared, c.parked[c.sent:])
	if err != nil {
		return err
	}
	c.sent += n
	if c.sent == len(c.parked) {
		c.drop(shared)
	}
	return nil
}

// park adds p to what is parked already, in a buffer that has room for both.
func (c *Conn) park(shared *IO, p []byte) {
	if cap(c.parked)-len(c.parked) < len(p) {
		b := append(shared.Borrow(c.ParkedLen()+len(p)), c.parked[c.sent:]...)
		c.drop(shared)
		c.parked = b
	}
	c.parked = append(c.parked, p...)
}

func (c *Conn) drop(shared *IO) {
	if c.parked != nil {
		shared.Return(c.parked)
	}
	c.parked, c.sent = nil, 0
}

// send writes until p is sent or the socket is full. A short write means that it is full, so no second call asks.
func (c *Conn) send(shared *IO, p []byte) (int, error) {
	for {
		shared.Writes++
		n, errno := send(int(c.fd), p)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return 0, nil
		case errno != 0:
			return 0, errno
		default:
			shared.BytesWritten += uint64(n)
			return n, nil
		}
	}
}

// CloseWrite sends the end of the stream and keeps reading possible.
func (c *Conn) CloseWrite(shared *IO) {
	if c.fd < 0 {
		return
	}
	if c.tls != nil {
		c.goodbye(shared)
	}
	_ = unix.Shutdown(int(c.fd), unix.SHUT_WR)
}

// Close closes the descriptor and drops what is parked. Its registration with a loop must have ended.
func (c *Conn) Close(shared *IO) {
	if c.fd < 0 {
		return
	}
	if c.tls != nil {
		c.goodbye(shared)
		c.tls.close(shared)
	}
	_ = closeFD(int(c.fd))
	c.drop(shared)
	c.fd = -1
}

// Recv reads a non-blocking descriptor once. It returns 0 bytes at the end of the stream, ErrWouldBlock when nothing is there.
// Any goroutine.
func Recv(fd int, p []byte) (int, error) { return attempt(fd, p, recv) }

// Peek copies what a Recv would begin with, if anything has come. It reads nothing. Any goroutine.
func Peek(fd int, p []byte) int {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return 0
	}
	return n
}

// Readable reports whether a Recv would not say ErrWouldBlock. It reads nothing. Any goroutine.
func Readable(fd int) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return !errors.Is(err, unix.EAGAIN)
}

// Send writes to a non-blocking descriptor once and returns how much it took. ErrWouldBlock: nothing. Any goroutine.
func Send(fd int, p []byte) (int, error) { return attempt(fd, p, send) }

func attempt(fd int, p []byte, call func(int, []byte) (int, syscall.Errno)) (int, error) {
	for {
		n, errno := call(fd, p)
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, ErrWouldBlock
		default:
			return 0, errno
		}
	}
}
