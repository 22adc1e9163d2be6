package login

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// Limits of authentication messages, bodies only, in bytes: PG_MAX_AUTH_TOKEN_LENGTH in PostgreSQL's src/include/libpq/auth.h
// and PG_MAX_SASL_MESSAGE_LENGTH in src/backend/libpq/auth-sasl.c.
const (
	passwordBytesMax = 65535
	saslBytesMax     = 1024
)

// flush sends what was written.
func (a *attempt) flush() *Failure {
	_, err := a.nc.Write(a.out)
	a.out = a.out[:0]
	if err != nil {
		return a.broken(err)
	}
	return nil
}

// read fills p, and takes no byte more off the connection.
func (a *attempt) read(p []byte) *Failure {
	if _, err := io.ReadFull(a.nc, p); err != nil {
		return a.broken(err)
	}
	return nil
}

// readBody reads n bytes. It allocates as they arrive rather than on the peer's word: a stranger must not be able to claim
// memory with five bytes.
func (a *attempt) readBody(n int) ([]byte, *Failure) {
	const step = 1024
	body := make([]byte, 0, min(n, step))
	for len(body) < n {
		old := len(body)
		body = append(body, make([]byte, min(n-old, step))...)
		if f := a.read(body[old:]); f != nil {
			return nil, f
		}
	}
	return body, nil
}

// ask sends what was written and reads the answer, which must be an authentication message of at most limit bytes; expected
// names it in errors.
func (a *attempt) ask(expected string, limit int) ([]byte, *Failure) {
	if f := a.flush(); f != nil {
		return nil, f
	}
	var header [wire.HeaderLen]byte
	if f := a.read(header[:]); f != nil {
		return nil, f
	}
	kind, length := header[0], binary.BigEndian.Uint32(header[1:])
	switch {
	case kind == wire.ClientTerminate:
		return nil, a.fail(Gone, nil, "terminated instead of authenticating")
	case kind != wire.ClientPassword:
		return nil, a.fail(Malformed, pgerror.UnexpectedMessage(expected, kind), "")
	case length < 4:
		return nil, a.fail(Malformed, pgerror.InvalidMessageLength(kind, length), "")
	case length-4 > uint32(limit):
		return nil, a.fail(Malformed, pgerror.MessageTooLong(kind, length, uint32(limit)+4), "")
	}
	body, f := a.readBody(int(length - 4))
	a.heard = time.Now()
	return body, f
}

// readStartup reads a first packet, without its length word. At the very beginning of a connection (first) a TLS handshake may
// come before it.
func (a *attempt) readStartup(first bool) ([]byte, *Failure) {
	var word [4]byte
	if f := a.read(word[:]); f != nil {
		return nil, f
	}
	if first && word[0] == tlsRecord {
		if a.offers() {
			if f := a.encryptDirectly(word[:]); f != nil {
				return nil, f
			}
			if f := a.read(word[:]); f != nil {
				return nil, f
			}
		}
	}
	n := binary.BigEndian.Uint32(word[:])
	if !wire.ValidStartupLen(n) {
		return nil, a.fail(Malformed, nil, notStartup(word, n))
	}
	return a.readBody(int(n - 4))
}

// notStartup guesses from its first bytes who has connected, for the log.
func notStartup(word [4]byte, n uint32) string {
	switch {
	case string(word[:]) == "PROX", string(word[:]) == "\r\n\r\n": // versions 1 and 2
		return "a header of the PROXY protocol, which weir does not read; tell the load balancer not to send it"
	case word[0] == 0x16 && word[1] == 3:
		return "a TLS handshake, where a PostgreSQL startup packet was expected"
	case 'A' <= word[0] && word[0] <= 'Z' && 'A' <= word[1] && word[1] <= 'Z':
		return "text such as HTTP, where a PostgreSQL startup packet was expected"
	}
	return fmt.Sprintf("a startup packet of %d bytes", n)
}

// unread reports whether bytes have arrived that were not read yet. It leaves them where they are. Of a connection without a
// descriptor it knows nothing and says no.
func unread(nc net.Conn) bool {
	if ahead, ok := nc.(interface{ Buffered() int }); ok {
		return ahead.Buffered() > 0
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && n > 0
}
