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

	"weir/proxy/scram"
)

// Kind says what a failed dial means for the next one.
type Kind uint8

const (
	// Unreachable: no connection, no PostgreSQL at its end, or a server that is
	// starting, stopping or short of something. It may work in a moment.
	Unreachable Kind = iota
	// Refused: the server said no, and will until something is changed: a
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
	Target string         // database at address
	Addr   string         // of the server
	Server *ServerMessage // what the server said; nil if it said nothing
	Err    error
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

// Unwrap gives the cause.
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

// Cause is the server's message, or the word of the network or the system. It names no password.
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
	if brief, ok := errors.AsType[silenceError](e.Err); ok {
		return brief.Error()
	}
	if e.Kind == Timeout {
		return "timed out (server_connect_timeout)"
	}
	if errors.Is(e.Err, context.Canceled) {
		return "given up"
	}
	if op, ok := errors.AsType[*net.OpError](e.Err); ok {
		return op.Err.Error()
	}
	if errors.Is(e.Err, io.ErrUnexpectedEOF) || errors.Is(e.Err, io.EOF) {
		return "the server closed the connection"
	}
	return e.Err.Error()
}

// fail makes a DialError.
func (t Target) fail(err error) *DialError {
	e := &DialError{Target: t.String(), Addr: t.Address(), Err: err}
	switch server, ok := errors.AsType[*ServerMessage](err); {
	case ok:
		e.Server, e.Kind = server, kindOf(server.Code)
	case ofEncryption(err), e.Lacking() != nil, asksTooMuch(err):
		e.Kind = Refused
	case isTimeout(err):
		e.Kind = Timeout
	}
	return e
}

// ofEncryption reports whether one side refuses the TLS of the other, which
// lasts until a certificate or a setting is changed.
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
	return errors.Is(err, errDeclined)
}

// asksTooMuch tells whether the server's verifier costs more than weir computes.
func asksTooMuch(err error) bool {
	_, ok := errors.AsType[scram.TooManyIterations](err)
	return ok
}

// isTimeout tells whether the time was up: weir's own, or the kernel's.
func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}

// kindOf sorts what a server may say at a login. It refuses for good with
// classes 08 and 0A (protocol), 22, 28, 3D, 42 and 55 (the database does not
// accept connections); whatever else it has (57 starting or stopping, 53 no
// memory or disk, 58 and XX trouble of its own) may pass, as may what a pooler
// says of a server that it cannot reach, and what comes without a code.
func kindOf(code string) Kind {
	switch code {
	case "53300":
		return Full
	case codeNone, "08000", "08006":
		return Unreachable
	}
	for _, class := range [...]string{"08", "0A", "22", "28", "3D", "42", "55"} {
		if strings.HasPrefix(code, class) {
			return Refused
		}
	}
	return Unreachable
}
