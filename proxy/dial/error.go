package dial

import (
	"crypto/tls"
	"errors"
	"net"

	"weir/pool"
	"weir/proxy/backend"
	"weir/proxy/hosts"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
)

// closingWord is why PgBouncer would close the connection.
func closingWord(failure *backend.DialError) string {
	_, unresolved := errors.AsType[*net.DNSError](failure.Err)
	switch {
	case failure.Server != nil:
		return failure.Server.Message
	case failure.Lacking() != nil:
		return "login failed"
	case errors.As(failure.Err, new(*tls.CertificateVerificationError)):
		return "TLS handshake failed: certificate verify failed"
	case unresolved:
		return "server DNS lookup failed"
	case failure.Kind == backend.Timeout:
		return "connect timeout"
	}
	return "connect failed"
}

// whatIsFull tells what has no place left, by where in PostgreSQL's source the error comes from: src/backend/utils/init/miscinit.c for the role and
// postinit.c for the database. An error from elsewhere, a pooler's for instance, is taken for the whole server's.
func whatIsFull(m *backend.ServerMessage) relay.Full {
	switch {
	case m == nil:
	case m.Routine == "InitializeSessionUserId":
		return relay.FullRole
	case m.Routine == "CheckMyDatabase":
		return relay.FullDatabase
	}
	return relay.FullServer
}

// ErrorOf tells a failed dial to the pool, to the clients that wait for it, and to the log.
func ErrorOf(address string, err error) *relay.DialError {
	e := &relay.DialError{Failure: pool.Failure{Kind: pool.Unreachable}, Err: err}
	if unsuited, ok := errors.AsType[*hosts.Unsuited](err); ok {
		e.Client = pgerror.NoSuitableServer(unsuited.Attrs.String(), unsuited.Servers())
		return e
	}
	failure, ok := errors.AsType[*backend.DialError](err)
	if !ok {
		e.Client = pgerror.Unreachable(address, err.Error())
		return e
	}
	e.Closing, e.Addr = closingWord(failure), failure.Addr
	switch failure.Kind {
	case backend.Full:
		e.Failure.Kind, e.Full = pool.Full, whatIsFull(failure.Server)
	case backend.Refused:
		e.Failure.Kind = pool.Refused
	default: // unreachable, for whatever reason
	}
	if lacking := failure.Lacking(); lacking != nil {
		e.Client, e.Clients = pgerror.NothingToLogInWith(failure.Addr, lacking.Error()), true
		return e
	}
	switch {
	case failure.Server != nil && pgerror.IsWrongTarget(failure.Server.Code):
		e.Client, e.Clients = pgerror.WrongTarget(failure.Addr, failure.Server.Code, failure.Server.Message), true
	case failure.Kind == backend.Full && failure.Server != nil:
		e.Client = pgerror.ServerFull(failure.Addr, failure.Server.Message)
	case failure.Server != nil:
		e.Client = pgerror.ServerRefused(failure.Addr, failure.Server.Code, failure.Server.Message)
	default:
		e.Client = pgerror.Unreachable(failure.Addr, failure.Cause())
	}
	if none, ok := errors.AsType[*hosts.None](err); ok {
		e.Client = e.Client.Beside(none.Others())
	}
	return e
}
