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

// Encrypted reports whether there is TLS on the connection.
func (c *Conn) Encrypted() bool { return c.tls != nil }

// Pending reports whether there may be more to read that no event will tell: TLS has it already, or has not looked. Ask after
// a read that was not full, and after a take-over.
func (c *Conn) Pending() bool { return c.tls != nil && !c.tls.rested }

// readTLS reads the socket once and decrypts what came, as far as there is room for whole records in p.
func (c *Conn) readTLS(shared *IO, p []byte) (int, error) {
	a := c.tls
	a.begin(c, shared)
	n := 0
	if a.err == nil {
		n = a.decrypt(p)
		if n == 0 && a.err == nil && a.short {
			// A part of a record is no news to the caller, who would wait for an event; but the end may be behind it already, and its
			// event was this one.
			a.empty, a.fetched, a.short = false, false, false
			n = a.decrypt(p)
		}
		c.sendUnsent(shared)
		if len(a.out) > unsentMax {
			n, a.err = 0, errDeaf
		}
	}
	return a.outcome(n)
}

// decrypt does the reading, and notes in err what ended it for good.
func (a *Adapter) decrypt(p []byte) (n int) {
	lent := len(p) >= plaintextMax && a.lendInput()
	if !lent {
		a.ownInput() // what does not fit into p stays in there
	}
	for !lent || a.worthDecrypting() {
		m, err := a.conn.Read(p[n:])
		n += m
		a.produced = n > 0
		a.holds = len(p)-n < plaintextMax && err == nil // plaintext that did not fit
		if err != nil && !errors.Is(err, ErrWouldBlock) {
			a.err = err
		}
		if err != nil || len(p)-n < plaintextMax {
			break
		}
	}
	if lent {
		a.takeInput()
	}
	return n
}

// outcome is what Read says at its end, and whether it is worth another try: not where the socket was read empty, and all of that
// decrypted. An error that comes after bytes waits for the next read.
func (a *Adapter) outcome(n int) (int, error) {
	a.rested = a.empty && !a.holds && (a.err == nil || n == 0)
	switch {
	case n > 0:
		return n, nil
	case a.err != nil:
		a.rested = true
		return 0, a.err
	case a.holds:
		return 0, nil // into no buffer
	}
	return 0, ErrWouldBlock
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
// parked, since no handler would watch the socket for it: what is left goes with the next read or write.
func (c *Conn) sendUnsent(shared *IO) {
	a := c.tls
	if len(a.out) == 0 || len(c.parked) > 0 {
		return
	}
	n, err := c.send(shared, a.out)
	if err != nil {
		n = len(a.out) // the peer will not read it; the next read or write says why
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
	a.empty, a.short, a.fetched, a.produced, a.failure = false, false, false, false, nil
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
