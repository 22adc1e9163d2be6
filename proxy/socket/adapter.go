package socket

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Adapter is the net.Conn under a tls.Conn, first for a login and then on a loop. During handshake and login it blocks: it passes
// everything on to the connection that it was made of, in that login's code. From NewTLS on it belongs to a loop, and works only within
// a call of its Conn, without blocking.
//
// crypto/tls allows that, within rules (conn.go: readRecordOrCCS, Write): a read may fail with an error whose Temporary is
// true, and is taken up where it stopped; an error of Write is final, so a write takes everything.
type Adapter struct {
	conn *tls.Conn // on top; nil until Server or Client

	// Of the login's code; dropped at the take-over.
	blocking net.Conn
	ahead    []byte // read from blocking before TLS began, still to be read by it

	// Owned by the loop.
	sock     *Conn
	io       *IO
	empty    bool   // the socket has been read empty in this call
	short    bool   // the last read of the socket in this call gave less than it could: the end may be behind that
	fetched  bool   // this call has read the socket into the lent buffer: there is no more for now
	failure  error  // of that read, the end included
	produced bool   // this call has plaintext to give already, so the socket is not read once more
	holds    bool   // the tls.Conn may have plaintext that did not fit
	err      error  // what ended reading for good
	rested   bool   // the last read found the end of what there was: what comes later is a new edge
	said     bool   // the end of the stream has been sent
	out      []byte // borrowed; ciphertext that has not been handed to the socket
	kept     []byte // borrowed; the tls.Conn's input buffer stands on it between two calls
}

// NewAdapter makes an Adapter that blocks on nc.
func NewAdapter(nc net.Conn) *Adapter { return &Adapter{blocking: nc, holds: true} }

// Server puts the server's side of TLS on top of the adapter; ahead was read from the connection already.
func (a *Adapter) Server(config *tls.Config, ahead []byte) *tls.Conn {
	a.ahead = ahead
	a.conn = tls.Server(a, config)
	return a.conn
}

// Client puts the client's side of TLS on top of the adapter.
func (a *Adapter) Client(config *tls.Config) *tls.Conn {
	a.conn = tls.Client(a, config)
	return a.conn
}

// TLS is what is on top of the adapter.
func (a *Adapter) TLS() *tls.Conn { return a.conn }

// errLater is how a read says that nothing is there now. crypto/tls asks an error only whether it is temporary.
var errLater net.Error = laterError{}

type laterError struct{}

func (laterError) Error() string   { return ErrWouldBlock.Error() }
func (laterError) Timeout() bool   { return false }
func (laterError) Temporary() bool { return true }

func (laterError) Unwrap() error { return ErrWouldBlock }

// Read implements net.Conn for crypto/tls.
func (a *Adapter) Read(p []byte) (int, error) {
	if a.blocking != nil {
		return a.readBlocking(p)
	}
	switch {
	case a.failure != nil:
		return 0, a.failure
	case a.fetched || a.empty || a.produced:
		return 0, errLater
	}
	n, err := a.sock.recv(a.io, p)
	switch {
	case errors.Is(err, ErrWouldBlock):
		a.empty = true
		return 0, errLater
	case err == nil && n < len(p):
		a.empty, a.short = true, true
	}
	return n, err
}

func (a *Adapter) readBlocking(p []byte) (int, error) {
	if len(a.ahead) > 0 {
		n := copy(p, a.ahead)
		a.ahead = a.ahead[n:]
		return n, nil
	}
	return a.blocking.Read(p)
}

// Write implements net.Conn for crypto/tls. On a loop it cannot fail: what the socket says is found out at the end of the call.
func (a *Adapter) Write(p []byte) (int, error) {
	if a.blocking != nil {
		return a.blocking.Write(p)
	}
	a.reserve(len(p))
	a.out = append(a.out, p...)
	return len(p), nil
}

// Close implements net.Conn for crypto/tls, which is never asked to close a connection of a loop.
func (a *Adapter) Close() error {
	if a.blocking != nil {
		return a.blocking.Close()
	}
	return nil
}

// CloseWrite ends the stream of a connection that still blocks.
func (a *Adapter) CloseWrite() error {
	if half, ok := a.blocking.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LocalAddr implements net.Conn.
func (a *Adapter) LocalAddr() net.Addr {
	if a.blocking != nil {
		return a.blocking.LocalAddr()
	}
	return nil
}

// RemoteAddr implements net.Conn.
func (a *Adapter) RemoteAddr() net.Addr {
	if a.blocking != nil {
		return a.blocking.RemoteAddr()
	}
	return nil
}

// SetDeadline implements net.Conn. On a loop there are none, and crypto/tls sets one when it says the end.
func (a *Adapter) SetDeadline(t time.Time) error {
	if a.blocking != nil {
		return a.blocking.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (a *Adapter) SetReadDeadline(t time.Time) error {
	if a.blocking != nil {
		return a.blocking.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (a *Adapter) SetWriteDeadline(t time.Time) error {
	if a.blocking != nil {
		return a.blocking.SetWriteDeadline(t)
	}
	return nil
}
