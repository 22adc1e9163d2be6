package socket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"reflect"
	"unsafe"
)

// A tls.Conn reads ciphertext into a buffer of its own that only ever grows, to 18 or 40 KiB once a full record has come, and
// keeps what the handshake read, 2 KiB and more. Between two reads both are empty nearly always: thousands of idle clients
// would keep tens of megabytes for nothing. So on a loop the tls.Conn reads into a buffer that the loop lends for the call,
// which also lets one read of the socket take many records.
//
// The buffers are private to crypto/tls. This file is all that knows of them; where a Go version has them no longer as they
// are looked for here, everything works as before and idle clients cost more. TestIdleConnHoldsNoBuffer tells.
var (
	inputField     = bufferField("rawInput")
	handshakeField = bufferField("hand")
)

// noField says that there is no such buffer in this version of crypto/tls.
const noField = ^uintptr(0)

func bufferField(name string) uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return noField
	}
	return f.Offset
}

func bufferOf(c *tls.Conn, field uintptr) *bytes.Buffer {
	if field == noField {
		return nil
	}
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), field))
}

// inputLen is how much ciphertext one read of the socket can take, in bytes, what was left over from the read before included.
// Its plaintext fits into the loop's read buffer (eventloop.ReadBufferLen) with room for a whole record to spare, so none of it
// is ever left within the tls.Conn. It is more than twice the longest record, so that bytes.Buffer never has to grow.
const inputLen = 48 << 10

// recordHeader is the length of a record's header, whose last two bytes are that of the rest (RFC 8446, section 5.1).
const recordHeader = 5

// lendInput puts the loop's buffer under the tls.Conn, with what is left over from the last read in it, and reads the socket into
// that once. False: there is no such buffer.
func (a *Adapter) lendInput() bool {
	raw := bufferOf(a.conn, inputField)
	if raw == nil {
		return false
	}
	if a.io.input == nil {
		a.io.input = make([]byte, 0, inputLen)
	}
	lent := append(a.io.input[:0], raw.Bytes()...)
	a.returnKept()
	n, err := a.sock.recv(a.io, lent[len(lent):inputLen])
	a.empty = err != nil || n < inputLen-len(lent)
	a.fetched, a.short = true, a.empty && err == nil
	if !errors.Is(err, ErrWouldBlock) {
		a.failure = err
	}
	*raw = *bytes.NewBuffer(lent[:len(lent)+n])
	return true
}

// worthDecrypting reports whether the tls.Conn has something to say: a whole record to decrypt, plaintext that it holds, or the
// end. To ask it in vain costs allocations.
func (a *Adapter) worthDecrypting() bool {
	if a.holds || a.failure != nil {
		return true
	}
	b := bufferOf(a.conn, inputField).Bytes()
	return len(b) >= recordHeader && len(b) >= recordHeader+int(b[3])<<8+int(b[4])
}

// takeInput takes it back. What is left, a record of which a part has come, moves to a borrowed buffer of its own size.
func (a *Adapter) takeInput() {
	raw := bufferOf(a.conn, inputField)
	if raw == nil {
		return
	}
	if raw.Len() == 0 {
		*raw = bytes.Buffer{}
		return
	}
	a.kept = append(a.io.Borrow(raw.Len()), raw.Bytes()...)
	*raw = *bytes.NewBuffer(a.kept)
}

// ownInput lets the tls.Conn have its buffer for itself, for a read that may leave decrypted bytes in it.
func (a *Adapter) ownInput() {
	if raw := bufferOf(a.conn, inputField); raw != nil && a.kept != nil {
		*raw = *bytes.NewBuffer(bytes.Clone(raw.Bytes()))
		a.returnKept()
	}
}

func (a *Adapter) returnKept() {
	if a.kept != nil {
		a.io.Return(a.kept)
	}
	a.kept = nil
}

// dropHandshake drops the buffer of the handshake, which is over.
func dropHandshake(c *tls.Conn) {
	if hand := bufferOf(c, handshakeField); hand != nil && hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
}
