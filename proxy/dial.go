package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"weir/config"
	"weir/pool"
	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/hosts"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/session"
	"weir/proxy/socket"
)

// targets finds where weir logs in to servers, and as whom.
type targets struct {
	current     *generation.Current
	credentials *credentials
	notices     *serverNotices
	hosts       *hosts.Hosts
}

// of is where and as whom a pool's backends log in. The password is the database's, or else what is known of the user; a server that
// asks for more says so in its error.
func (t *targets) of(key generation.PoolKey) hosts.Destination {
	g := t.current.Load()
	d, _ := g.Config.Database(key.Database)
	to := t.in(g, key, d)
	to.Settings = sessionDefaults(g.Config.PoolSettings(key.Database, key.User).Settings)
	return to
}

// sessionDefaults are the settings that a pool's backends begin with.
func sessionDefaults(d config.SessionDefaults) []session.Setting {
	var settings []session.Setting
	for _, name := range d.Names() {
		settings = append(settings, session.Setting{Name: name, Value: d[name]})
	}
	return settings
}

// know reports whether there still is such a database.
func (t *targets) know(key generation.PoolKey) bool {
	_, ok := t.current.Load().Config.Database(key.Database)
	return ok
}

var errNoDatabase = errors.New("the configuration does not have the database any more")

func (t *targets) in(g *generation.Generation, key generation.PoolKey, d config.Database) hosts.Destination {
	s := g.Config.PoolSettings(key.Database, key.User)
	to := hosts.Destination{Servers: d.Servers(), Attrs: d.TargetSession, Balance: d.LoadBalance}
	to.Target = backend.Target{
		Database: d.DBName, User: key.User, Password: d.Password.Reveal(),
		TLS: g.ServerTLS.Of(key.Database), ConnectTimeout: time.Duration(s.ServerConnectTimeout), Protocol32: s.MaxProtocol >= config.Protocol32,
		TCP: generation.ServerTCP(g.Config), Notify: t.notices.of(key),
	}
	if !d.Password.IsSet() {
		password, substitutes := t.credentials.of(g, key)
		to.Password, to.Substitutes = password.Reveal(), substitutes
	}
	return to
}

// toAsk is where auth_query finds users, and as whom. False: there is no such database.
func (t *targets) toAsk(database, user string) (hosts.Destination, bool) {
	g := t.current.Load()
	d, ok := g.Config.Database(database)
	if !ok {
		return hosts.Destination{}, false
	}
	if d.User != user {
		d.Password = config.Secret{} // which is that of another user
	}
	d.TargetSession = config.TargetAny // who may log in every server knows
	return t.in(g, generation.PoolKey{Database: database, User: user}, d), true
}

// dialer makes backends.
type dialer struct {
	targets  *targets
	accounts *accounts
}

// Dial makes a backend for a pool: login and takeover, and the reasons for a failure in the pool's terms. What is known of the
// user is asked for each time, because a login may have shown something else since.
func (d *dialer) Dial(ctx context.Context, key generation.PoolKey) (*relay.Dialled, *relay.DialError) {
	if !d.targets.know(key) {
		return nil, &relay.DialError{Failure: pool.Failure{Kind: pool.Refused}, Client: pgerror.DatabaseRemoved(key.Database), Err: errNoDatabase}
	}
	find := func() hosts.Destination { return d.targets.of(key) }
	conn, at, failure := d.connect(ctx, key, find)
	if failure != nil {
		return nil, failure
	}
	if failure := d.prepare(ctx, key, conn, at); failure != nil {
		return nil, failure
	}
	fd, err := socket.Detach(conn.Net)
	if err != nil {
		return nil, dialError(at.Address(), err)
	}
	to, pid, secret := conn.Target, conn.PID, conn.Secret // all that is kept of conn for as long as the backend lives
	return &relay.Dialled{
		FD: fd, TLS: conn.TLS, PID: conn.PID, Params: conn.Params, Addr: at.Place(), Gone: d.targets.hosts.Enter(at),
		Cancel: func(ctx context.Context) error { return backend.Cancel(ctx, to, pid, secret) },
	}, nil
}

// prepare runs the pool's connect_query, if it has one, on a backend that has just logged in. Where that fails it closes the backend.
func (d *dialer) prepare(ctx context.Context, key generation.PoolKey, conn *backend.Conn, target backend.Target) *relay.DialError {
	query := d.targets.current.Load().Config.PoolSettings(key.Database, key.User).ConnectQuery
	if query == "" {
		return nil
	}
	err := conn.Run(ctx, query, target.ConnectTimeout)
	if err == nil {
		return nil
	}
	_ = conn.Net.Close()
	e := &relay.DialError{
		Failure: pool.Failure{Kind: pool.Unreachable}, Client: pgerror.ConnectQueryFailed(target.Address(), err.Error()),
		Err: fmt.Errorf("connect_query failed at %s: %w", target, err),
	}
	if _, ok := errors.AsType[*backend.ServerMessage](err); ok {
		e.Failure.Kind = pool.Refused
	}
	return e
}

// connect logs in to a server; find says where and as whom. It returns the attempt that led there, too.
func (d *dialer) connect(ctx context.Context, key generation.PoolKey, find func() hosts.Destination) (*backend.Conn, backend.Target, *relay.DialError) {
	to := find()
	conn, at, err := d.targets.hosts.Reach(ctx, to)
	if ofPassword(err) {
		again, trouble := d.accounts.refresh(ctx, key)
		switch {
		case trouble != nil:
			e := dialError(at.Address(), err)
			e.Err = fmt.Errorf("%w; looking the user up: %w", err, trouble)
			return nil, at, e
		case again:
			to = find()
			conn, at, err = d.targets.hosts.Reach(ctx, to)
		}
	}
	if err != nil {
		return nil, at, dialError(at.Address(), err)
	}
	return conn, at, nil
}

// Writable reports whether a new connection would lead to a server that is no standby.
func (d *dialer) Writable(ctx context.Context, key generation.PoolKey) bool {
	if !d.targets.know(key) || d.targets.of(key).Balance == config.BalanceRandom { // a pool that is spread over servers on purpose
		return false
	}
	conn, at, failure := d.connect(ctx, key, func() hosts.Destination { return d.targets.of(key) })
	if failure != nil {
		return false
	}
	role, err := conn.AskRole(ctx, at.ConnectTimeout)
	_ = conn.Net.Close()
	return err == nil && !role.Standby
}

// ofPassword reports whether a dial failed because the server did not take what weir logs in with, or because weir has nothing.
func ofPassword(err error) bool {
	failure, ok := errors.AsType[*backend.DialError](err)
	return ok && (failure.SQLState() == pgerror.CodeInvalidPassword || failure.Lacking() != nil)
}

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

// dialError tells a failed dial to the pool, to the clients that wait for it, and to the log.
func dialError(address string, err error) *relay.DialError {
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
