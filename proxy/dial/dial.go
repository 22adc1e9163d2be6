// Package dial logs in to servers for pools and for others who need a connection of a pool's user: where and as whom the configuration and the
// logins of clients say, and what came of it in the terms of the pool, of clients and of the log.
//
// Its functions block, on goroutines of their callers, and may be called on any. It may import generation and what a login to a server takes
// (hosts, backend), and relay for the form in which a lane gets its backends; it knows neither pools nor clients.
package dial

import (
	"context"
	"errors"
	"fmt"

	"weir/config"
	"weir/pool"
	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/hosts"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/socket"
)

var errNoDatabase = errors.New("the configuration does not have the database any more")

// Dialer makes backends. Its methods block, and may be called on any goroutine.
type Dialer struct {
	targets *Targets
	refresh func(ctx context.Context, key generation.PoolKey) (bool, error)
}

// NewDialer dials where targets leads to. refresh looks the user of a pool up whose server does not take what is known of the user, and
// reports whether something else is known now.
func NewDialer(targets *Targets, refresh func(ctx context.Context, key generation.PoolKey) (bool, error)) *Dialer {
	return &Dialer{targets: targets, refresh: refresh}
}

// Dial makes a backend for a pool: login and takeover, and the reasons for a failure in the pool's terms. What is known of the
// user is asked for each time, because a login may have shown something else since.
func (d *Dialer) Dial(ctx context.Context, key generation.PoolKey) (*relay.Dialled, *relay.DialError) {
	if !d.targets.know(key) {
		return nil, &relay.DialError{Failure: pool.Failure{Kind: pool.Refused}, Client: pgerror.DatabaseRemoved(key.Database), Err: errNoDatabase}
	}
	settings, query := splitConnectQuery(d.targets.current.Load().Config.PoolSettings(key.Database, key.User).ConnectQuery)
	find := func() hosts.Destination {
		to := d.targets.Of(key)
		to.Settings = under(to.Settings, settings...)
		return to
	}
	conn, at, failure := d.Connect(ctx, key, find)
	if failure != nil {
		return nil, failure
	}
	if failure := prepare(ctx, query, conn, at); failure != nil {
		return nil, failure
	}
	fd, err := socket.Detach(conn.Net)
	if err != nil {
		return nil, ErrorOf(at.Address(), err)
	}
	to, pid, secret := conn.Target, conn.PID, conn.Secret // all that is kept of conn for as long as the backend lives
	return &relay.Dialled{
		FD: fd, TLS: conn.TLS, PID: conn.PID, Params: conn.Params, Addr: at.Place(), Gone: d.targets.Hosts.Enter(at),
		Cancel: func(ctx context.Context) error { return backend.Cancel(ctx, to, pid, secret) },
	}, nil
}

// prepare runs what there is to run of the pool's connect_query on a backend that has just logged in. Where that fails it closes the backend.
func prepare(ctx context.Context, query string, conn *backend.Conn, target backend.Target) *relay.DialError {
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

// Connect logs in to a server; find says where and as whom. It returns the attempt that led there, too.
func (d *Dialer) Connect(ctx context.Context, key generation.PoolKey, find func() hosts.Destination) (*backend.Conn, backend.Target, *relay.DialError) {
	to := find()
	conn, at, err := d.targets.Hosts.Reach(ctx, to)
	if ofPassword(err) {
		again, trouble := d.refresh(ctx, key)
		switch {
		case trouble != nil:
			e := ErrorOf(at.Address(), err)
			e.Err = fmt.Errorf("%w; looking the user up: %w", err, trouble)
			return nil, at, e
		case again:
			to = find()
			conn, at, err = d.targets.Hosts.Reach(ctx, to)
		}
	}
	if err != nil {
		return nil, at, ErrorOf(at.Address(), err)
	}
	return conn, at, nil
}

// Writable reports whether a new connection would lead to a server that is no standby.
func (d *Dialer) Writable(ctx context.Context, key generation.PoolKey) bool {
	if !d.targets.know(key) || d.targets.Of(key).Balance == config.BalanceRandom { // a pool that is spread over servers on purpose
		return false
	}
	conn, at, failure := d.Connect(ctx, key, func() hosts.Destination { return d.targets.Of(key) })
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
