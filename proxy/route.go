package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"weir/config"
	"weir/pool"
	"weir/proxy/backend"
	"weir/proxy/certs"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/socket"
)

// router finds the pool of a client, and makes it when the first client comes.
type router struct {
	config  *config.Config
	engines []*relay.Engine
	places  *places
	servers *certs.Servers
	users   *accounts

	mu     sync.Mutex
	lanes  map[poolKey]*relay.Lane
	limits map[poolKey]*relay.Limits
	loads  []int // lanes on each engine
}

// poolKey names a pool: the database by the name that clients use, the user as whom its backends log in.
type poolKey struct{ database, user string }

func newRouter(c *config.Config, engines []*relay.Engine, servers *certs.Servers) *router {
	return &router{
		config: c, engines: engines, places: newPlaces(), servers: servers,
		lanes: map[poolKey]*relay.Lane{}, limits: map[poolKey]*relay.Limits{}, loads: make([]int, len(engines)),
	}
}

// lane returns the pool for a client of a database that the configuration knows, and the limits that hold for that client.
func (r *router) lane(database, user string) (*relay.Lane, *relay.Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, _ := r.config.Database(database)
	key := poolKey{database, user}
	limits := r.limits[key]
	if limits == nil {
		limits = clientLimits(r.config.PoolSettings(database, user))
		r.limits[key] = limits
	}
	if d.User != "" {
		key.user = d.User
	}
	lane := r.lanes[key]
	if lane == nil {
		lane = r.open(key, d)
	}
	return lane, limits
}

// pardon has the pool of that user, if there is one, try again with what is known of the user now.
func (r *router) pardon(key poolKey) {
	r.mu.Lock()
	lane := r.lanes[key]
	r.mu.Unlock()
	if lane != nil {
		lane.Pardon()
	}
}

// place chooses the loop on which a new pool will live, whole: the one with the fewest. It is the only place where that is
// decided.
func (r *router) place() int {
	best := 0
	for i, n := range r.loads {
		if n < r.loads[best] {
			best = i
		}
	}
	r.loads[best]++
	return best
}

func (r *router) open(key poolKey, d config.Database) *relay.Lane {
	s := r.config.PoolSettings(key.database, key.user)
	lane := r.engines[r.place()].NewLane(relay.LaneConfig{
		Database: key.database, User: key.user, Mode: relayMode(s.Mode),
		Pool: pool.Config{
			Size: s.PoolSize, MinSize: s.MinPoolSize, ReserveSize: s.ReservePoolSize, MaxDials: s.MaxDials,
			ReserveTimeout: time.Duration(s.ReservePoolTimeout), QueryWaitTimeout: time.Duration(s.QueryWaitTimeout),
			ServerLifetime: time.Duration(s.ServerLifetime), ServerIdleTimeout: time.Duration(s.ServerIdleTimeout),
			ServerLoginRetry: time.Duration(s.ServerLoginRetry),
		},
		Seed: seed(), SizeSection: r.section("pool_size", key), MaxStatements: s.MaxPrepared, ResetQuery: s.ServerResetQuery,
		CancelWaitTimeout: time.Duration(r.config.Timeouts.CancelWaitTimeout),
		Places:            r.places,
		Dial: func(ctx context.Context) (*relay.Dialled, *relay.DialError) {
			return r.dial(ctx, key, d, s)
		},
	})
	r.places.enter(lane, r.claim(key, s))
	lane.Open()
	r.lanes[key] = lane
	return lane
}

// claim is what the limits over pools hold against a pool, or one connection for replication.
func (r *router) claim(key poolKey, s config.PoolSettings) *claim {
	return &claim{
		database: key.database, user: key.user,
		maxDB: s.MaxDBConnections, maxUser: s.MaxUserConnections,
		dbSection: r.section("max_db_connections", key), usSection: r.section("max_user_connections", key),
	}
}

// section is where a setting that holds for a pool is set, for hints.
func (r *router) section(setting string, key poolKey) string {
	return strings.Trim(r.config.SetIn(setting, key.database, key.user), "[]")
}

// target is where and as whom a pool's backends log in. The password is the database's, or else what is known of the user; a
// server that asks for more says so in its error.
func (r *router) target(key poolKey, d config.Database, s config.PoolSettings) backend.Target {
	t := backend.Target{
		Host: d.Host, Port: d.Port, Database: d.DBName, User: key.user, Password: d.Password.Reveal(),
		TLS: r.servers.Of(key.database), ConnectTimeout: time.Duration(s.ServerConnectTimeout), Protocol32: s.MaxProtocol >= config.Protocol32,
	}
	if !d.Password.IsSet() {
		password, substitutes := r.users.credentials(key)
		t.Password, t.Substitutes = password.Reveal(), substitutes
	}
	return t
}

// reach is where auth_query finds users, and as whom. False: there is no such database.
func (r *router) reach(database, user string) (backend.Target, bool) {
	d, ok := r.config.Database(database)
	if !ok {
		return backend.Target{}, false
	}
	if d.User != user {
		d.Password = config.Secret{} // which is that of another user
	}
	return r.target(poolKey{database, user}, d, r.config.PoolSettings(database, user)), true
}

// openMinimal opens the pools that are to hold backends before any client comes: those with a min_pool_size whose user the
// configuration names.
func (r *router) openMinimal() {
	for name, d := range r.config.Databases {
		if name == config.AnyDatabase || d.User == "" {
			continue
		}
		if r.config.PoolSettings(name, d.User).MinPoolSize > 0 {
			r.lane(name, d.User)
		}
	}
}

func clientLimits(s config.PoolSettings) *relay.Limits {
	return &relay.Limits{
		Query: time.Duration(s.QueryTimeout), Transaction: time.Duration(s.TransactionTimeout),
		IdleTransaction: time.Duration(s.IdleTransactionTimeout), Idle: time.Duration(s.ClientIdleTimeout),
	}
}

func relayMode(m config.PoolMode) relay.Mode {
	switch m {
	case config.ModeSession:
		return relay.Session
	case config.ModeStatement:
		return relay.Statement
	default:
		return relay.Transaction
	}
}

// dial makes a backend for a pool: login and takeover, and the reasons for a failure in the pool's terms. What is known of the
// user is asked for each time, because a login may have shown something else since.
func (r *router) dial(ctx context.Context, key poolKey, d config.Database, s config.PoolSettings) (*relay.Dialled, *relay.DialError) {
	find := func() backend.Target { return r.target(key, d, s) }
	conn, failure := r.connect(ctx, key, d, find)
	if failure != nil {
		return nil, failure
	}
	fd, err := socket.Detach(conn.Net)
	if err != nil {
		return nil, dialError(find(), err)
	}
	to, pid, secret := conn.Target, conn.PID, conn.Secret // all that is kept of conn for as long as the backend lives
	return &relay.Dialled{
		FD: fd, TLS: conn.TLS, PID: conn.PID, Params: conn.Params, Addr: find().Address(),
		Cancel: func(ctx context.Context) error { return backend.Cancel(ctx, to, pid, secret) },
	}, nil
}

// connect logs in to a server; find says where and as whom.
func (r *router) connect(ctx context.Context, key poolKey, d config.Database, find func() backend.Target) (*backend.Conn, *relay.DialError) {
	target := find()
	conn, err := backend.Dial(ctx, target)
	if ofPassword(err) && !d.Password.IsSet() {
		again, trouble := r.users.refresh(ctx, key)
		switch {
		case trouble != nil:
			e := dialError(target, err)
			e.Err = fmt.Errorf("%w; looking the user up: %w", err, trouble)
			return nil, e
		case again:
			target = find()
			conn, err = backend.Dial(ctx, target)
		}
	}
	if err != nil {
		return nil, dialError(target, err)
	}
	return conn, nil
}

// ofPassword reports whether a dial failed for what weir has shown in place of a password, or for want of it.
func ofPassword(err error) bool {
	failure, ok := errors.AsType[*backend.DialError](err)
	return ok && (failure.SQLState() == pgerror.CodeInvalidPassword || failure.Lacking() != nil)
}

// dialError tells a failed dial to the pool, to the clients that wait for it, and to the log.
func dialError(target backend.Target, err error) *relay.DialError {
	e := &relay.DialError{Failure: pool.Failure{Kind: pool.Unreachable}, Err: err}
	failure, ok := errors.AsType[*backend.DialError](err)
	if !ok {
		e.Client = pgerror.Unreachable(target.Address(), err.Error())
		return e
	}
	switch failure.Kind {
	case backend.Full:
		e.Failure.Kind = pool.Full
	case backend.Refused:
		e.Failure.Kind = pool.Refused
	default: // unreachable, for whatever reason
	}
	if lacking := failure.Lacking(); lacking != nil {
		e.Client = pgerror.NothingToLogInWith(failure.Addr, lacking.Error())
		return e
	}
	if failure.Server != nil {
		e.Client = pgerror.ServerRefused(failure.Addr, failure.Server.Code, failure.Server.Message)
	} else {
		e.Client = pgerror.Unreachable(failure.Addr, failure.Cause())
	}
	return e
}
