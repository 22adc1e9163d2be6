package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Kind says what a failed dial means for the next one.
type Kind uint8

const (
	// Unreachable: no connection, no PostgreSQL behind it, or a server that is
	// starting, stopping or short of something. It may work in a moment.
	Unreachable Kind = iota
	// Refused: the server said no, and will until somebody changes something: a
	// password, a database, a right.
	Refused
	// Full: the server has no place left (53300), or the database or the role.
	Full
	// Timeout: the time was up before the login was done. It may work in a moment.
	Timeout
)

var kindNames = [...]string{"unreachable", "refused", "full", "timeout"}

// String is the kind's name, for logs and metrics.
func (k Kind) String() string { return kindNames[k] }

// DialError is why a dial failed. Nothing was asked of the server but the login,
// so retrying is safe; whether it is of use, Kind says. A dial that the caller
// has given up wraps context.Canceled and says nothing about the server.
type DialError struct {
	Kind   Kind
	Target string          // database at address
	Addr   string          // of the server
	Server *pgconn.PgError // what the server said; nil if it said nothing
	Err    error           // pgconn's
}

// Error is one line for operators: dial shop at 10.0.0.5:5432: login: password
// rejected (28P01).
func (e *DialError) Error() string {
	if e.Server == nil {
		return fmt.Sprintf("dial %s: %s", e.Target, e.Cause())
	}
	what := e.Server.Message
	if e.Server.Code == "28P01" {
		what = "password rejected"
	}
	return fmt.Sprintf("dial %s: login: %s (%s)", e.Target, what, e.Server.Code)
}

// Unwrap gives pgconn's error.
func (e *DialError) Unwrap() error { return e.Err }

// Lacking is set where the server asks for what weir does not have.
func (e *DialError) Lacking() *CredentialError {
	lacking, _ := errors.AsType[*CredentialError](e.Err)
	return lacking
}

// SQLState is the server's code, or 08001 if it has none to give.
func (e *DialError) SQLState() string {
	if e.Server != nil {
		return e.Server.Code
	}
	return "08001"
}

// Cause is the server's message, or the word of the network or the system,
// without pgconn's account of what it tried. It names no password.
func (e *DialError) Cause() string {
	if e.Server != nil {
		return e.Server.Message
	}
	if lacking := e.Lacking(); lacking != nil {
		return lacking.Error()
	}
	if own, ok := errors.AsType[*loginError](e.Err); ok {
		return own.Error()
	}
	if e.Kind == Timeout {
		return "timed out (server_connect_timeout)"
	}
	if errors.Is(e.Err, context.Canceled) {
		return "given up"
	}
	if strings.Contains(e.Err.Error(), noTLS) {
		return "the server offers no TLS, and sslmode in [server_tls] demands it"
	}
	if op, ok := errors.AsType[*net.OpError](e.Err); ok {
		return op.Err.Error()
	}
	if errors.Is(e.Err, io.ErrUnexpectedEOF) || errors.Is(e.Err, io.EOF) {
		return "the server closed the connection"
	}
	return plain(e.Err).Error()
}

// plain takes off the layers that pgconn puts around an error: which server and
// user it was, all attempts joined (here one), and the address again.
func plain(err error) error {
	outer, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	inner := outer.Unwrap()
	if attempts, ok := inner.(interface{ Unwrap() []error }); ok && len(attempts.Unwrap()) > 0 {
		inner = attempts.Unwrap()[0]
	}
	if innermost := errors.Unwrap(inner); innermost != nil {
		return innermost
	}
	return inner
}

// fail makes a DialError.
func (t Target) fail(err error) *DialError {
	e := &DialError{Target: t.String(), Addr: t.Address(), Err: err}
	switch server, ok := errors.AsType[*pgconn.PgError](err); {
	case ok:
		e.Server, e.Kind = server, kindOf(server.Code)
	case ofEncryption(err), e.Lacking() != nil:
		e.Kind = Refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		e.Kind = Timeout
	}
	return e
}

// ofEncryption tells whether one side does not want the other as its TLS is, which
// lasts until somebody changes something.
func ofEncryption(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true // what crypto/tls makes of an alert
	}
	return strings.Contains(err.Error(), noTLS)
}

// noTLS is what pgconn says where a server has no TLS and the target wants it. It has no
// error of its own for that.
const noTLS = "server refused TLS connection"

// kindOf sorts what a server may say at a login. It refuses for good with
// classes 08 and 0A (protocol), 22, 28, 3D, 42 and 55 (the database does not
// accept connections); whatever else it has (57 starting or stopping, 53 no
// memory or disk, 58 and XX trouble of its own) may pass.
func kindOf(code string) Kind {
	if code == "53300" {
		return Full
	}
	for _, class := range [...]string{"08", "0A", "22", "28", "3D", "42", "55"} {
		if strings.HasPrefix(code, class) {
			return Refused
		}
	}
	return Unreachable
}
