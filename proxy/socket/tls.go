package socket

import (
	"errors"
)

const (
	// recordMax is how much plaintext goes into one record, in bytes. libpq's asynchronous reader hangs on larger ones: it waits
	// for the socket to become readable while the rest of a record that OpenSSL has taken already waits for libpq.
	recordMax = 8 << 10
	// recordOverhead is more than a record has beside its plaintext: a header of 5 bytes, and at most (CBC with SHA-384 in TLS
	// 1.2) an IV of 16, a MAC of 48 and a padding of 16.
	recordOverhead = 128
	// plaintextMax is the longest plaintext of a record that comes in (RFC 8446, section 5.1).
	plaintextMax = 16 << 10
	// unsentMax bounds what a peer can make TLS itself owe, by asking for new keys over and over and reading no answer.
	unsentMax = 4 << 10
)

var errDeaf = errors.New("socket: the peer asks for new TLS keys and reads no answer")

// NewTLS takes ownership of fd, which must be non-blocking, and of the adapter whose blocking connection fd was taken from.
// With a nil adapter it is New.
func NewTLS(fd int, a *Adapter) Conn {
	if a != nil {
		a.takeOver()
	}
	return Conn{fd: int32(fd), tls: a}
}

// Pending reports whether there may be more to read that no event will tell: TLS has it already, or has not looked. Ask behind
// a read that was not full, and behind a take-over.
func (c *Conn) Pending() bool { return c.tls != nil && !c.tls.rested }

// readTLS reads the socket once and decrypts what came, as far as there is room for whole records in p.
func (c *Conn) readTLS(shared *IO, p []byte) (int, error) {
	a := c.tls
	a.begin(c, shared)
	if len(a.unread) > 0 {
		a.rested = false
		n := copy(p, a.unread)
		a.unread = a.unread[n:]
		return n, nil
	}
	lent := len(p) >= plaintextMax
	if lent {
		a.lendInput()
	} else {
		a.ownInput() // what does not fit into p stays in there
	}
	n := 0
	var err error
	for err == nil {
		var m int
		m, err = a.conn.Read(p[n:])
		n += m
		if len(p)-n < plaintextMax {
			break
		}
		a.produced = n > 0
		if err == nil && a.spent() {
			err = errLater // crypto/tls would find that out at the price of an allocation
		}
	}
	if lent {
		a.takeInput()
	}
	c.sendUnsent(shared)
	return n, a.outcome(n, err)
}

// outcome is what Read says at its end, and whether it is worth another try. An error of crypto/tls comes again with the next
// read, so one behind bytes can wait until then.
func (a *Adapter) outcome(n int, err error) error {
	later := errors.Is(err, ErrWouldBlock)
	a.rested = later && a.empty || err != nil && n == 0
	switch {
	case len(a.out) > unsentMax:
		return errDeaf
	case n > 0 || err == nil:
		return nil
	case later:
		return ErrWouldBlock
	default:
		return err
	}
}

// writeTLS encrypts p and sends or parks the ciphertext.
func (c *Conn) writeTLS(shared *IO, p []byte) error {
	a := c.tls
	a.begin(c, shared)
	a.reserve(len(p) + (len(p)/recordMax+1)*recordOverhead)
	for len(p) > 0 {
		n := min(len(p), recordMax)
		if _, err := a.conn.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	out := a.out
	a.out = nil
	if len(c.parked) > 0 {
		c.park(shared, out)
		shared.Return(out)
		return nil
	}
	n, err := c.send(shared, out)
	if err == nil && n < len(out) {
		c.parked, c.sent = out, n // it is borrowed, as what is parked must be
		return nil
	}
	shared.Return(out)
	return err
}

// sendUnsent sends what TLS itself had to say in a read, answers to new keys and alerts, if that is possible now. It is not
// parked, for nobody would watch the socket on its account: what is left goes with the next read or write.
func (c *Conn) sendUnsent(shared *IO) {
	a := c.tls
	if len(a.out) == 0 || len(c.parked) > 0 {
		return
	}
	n, err := c.send(shared, a.out)
	if err != nil {
		n = len(a.out) // nobody will hear it; the next read or write says why
	}
	a.out = a.out[:copy(a.out, a.out[n:])]
	if len(a.out) == 0 {
		a.drop()
	}
}

// goodbye says the end of the stream (close_notify), so that the peer can tell it from a cut. It is best effort: where bytes are
// parked, or the socket is full to the last of these few, the peer finds a cut.
func (c *Conn) goodbye(shared *IO) {
	a := c.tls
	if a.said || len(c.parked) > 0 {
		return
	}
	a.said = true
	a.begin(c, shared)
	_ = a.conn.CloseWrite() // it cannot fail: the adapter takes everything
	c.sendUnsent(shared)
	a.drop()
}

// takeOver lets go of what the blocking half needed.
func (a *Adapter) takeOver() {
	a.blocking, a.ahead = nil, nil
	dropHandshake(a.conn)
}

// begin is called first in each call of a loop.
func (a *Adapter) begin(c *Conn, shared *IO) {
	a.sock, a.io = c, shared
	a.empty, a.produced = false, false
}

// reserve makes room for n more bytes of ciphertext.
func (a *Adapter) reserve(n int) {
	if cap(a.out)-len(a.out) >= n {
		return
	}
	out := append(a.io.Borrow(len(a.out)+n), a.out...)
	a.drop()
	a.out = out
}

func (a *Adapter) drop() {
	if a.out != nil {
		a.io.Return(a.out)
	}
	a.out = nil
}

// close gives back what is borrowed.
func (a *Adapter) close(shared *IO) {
	a.io = shared
	a.drop()
	if a.kept != nil {
		shared.Return(a.kept)
	}
	a.kept = nil
}
