package proxy

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/config"
	"weir/pool"
	"weir/proxy/backend"
	"weir/proxy/certs"
	"weir/proxy/conversation"
	"weir/proxy/descriptors"
	"weir/proxy/hosts"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/sqlscan"
)

// generation is all that one configuration decides. It does not change, and is swapped whole. A caller that loads the present one twice
// may get two different ones, so it loads one and asks that for everything that belongs together. Its methods may be called on any goroutine.
type generation struct {
	config    *config.Config
	clientTLS *certs.Clients
	serverTLS *certs.Servers
	login     login.Options // of clients that come while it is the present one

	functions   *sqlscan.Functions // of [session]
	descriptors descriptors.Shares

	mu     sync.Mutex
	limits map[relay.Limits]*relay.Limits // that clients share: as many as the configuration distinguishes
	scopes map[scopeKey]string            // see scopeBefore
}

// current is the present generation.
type current = atomic.Pointer[generation]

// newGeneration reads all files that a configuration names. login and descriptors are the caller's to set.
func newGeneration(c *config.Config, log *slog.Logger) (g *generation, err error) {
	g = &generation{config: c, limits: map[relay.Limits]*relay.Limits{}, scopes: map[scopeKey]string{}}
	g.functions = sqlscan.NewFunctions(c.Session.OpaqueFunctions, c.Session.CleanFunctions)
	if g.clientTLS, err = certs.OpenClients(c, log); err != nil {
		return nil, &tlsTrouble{g, err}
	}
	if g.serverTLS, err = certs.OpenServers(c, log); err != nil {
		return nil, &tlsTrouble{g, err}
	}
	return g, nil
}

// tlsTrouble is that the files of TLS will not do.
type tlsTrouble struct {
	generation *generation // complete but for TLS
	err        error
}

func (e *tlsTrouble) Error() string { return e.err.Error() }
func (e *tlsTrouble) Unwrap() error { return e.err }

// words are PgBouncer's, whose system begins its errors with a capital.
func (e *tlsTrouble) words() string {
	return "TLS setup failed: " + strings.ReplaceAll(e.err.Error(), "no such file", "No such file")
}

// poolKey names a pool: the database by the name that clients use, the user as whom its backends log in.
type poolKey struct{ database, user string }

func (k poolKey) String() string { return k.database + "/" + k.user }

// databaseName is the name under which weir knows a database that a client has named. Where [databases."*"] leads every name to one
// database, all these names are one: there must not be a pool for each name that a client makes up.
func (g *generation) databaseName(name string) string {
	if _, own := g.config.Databases[name]; !own && g.config.Databases[config.AnyDatabase].DBName != "" {
		return config.AnyDatabase
	}
	return name
}

// poolOf is the pool of a client.
func (g *generation) poolOf(database, user string) poolKey {
	key := poolKey{g.databaseName(database), user}
	if d, _ := g.config.Database(key.database); d.User != "" {
		key.user = d.User
	}
	return key
}

// ownUser reports whether a pool is that of a database with a user of its own: the configuration alone asks for such a pool.
func (g *generation) ownUser(key poolKey) bool {
	d, own := g.config.Databases[key.database]
	return own && key.database != config.AnyDatabase && d.User == key.user
}

// laneSettings are what holds for a pool.
func (g *generation) laneSettings(key poolKey) relay.LaneSettings {
	s := g.config.PoolSettings(key.database, key.user)
	d, _ := g.config.Database(key.database)
	return relay.LaneSettings{
		User: key.user, Mode: relayMode(s.Mode),
		Pool: pool.Config{
			Size: s.PoolSize, MinSize: s.MinPoolSize, ReserveSize: s.ReservePoolSize, MaxDials: s.MaxDials, KeepMin: g.ownUser(key), RoundRobin: s.ServerRoundRobin,
			ReserveTimeout: time.Duration(s.ReservePoolTimeout), QueryWaitTimeout: time.Duration(s.QueryWaitTimeout),
			ServerLifetime: time.Duration(s.ServerLifetime), ServerIdleTimeout: time.Duration(s.ServerIdleTimeout),
			PoolIdleTimeout: time.Duration(s.PoolIdleTimeout), ServerLoginRetry: time.Duration(s.ServerLoginRetry),
			Patient: d.TargetSession != config.TargetAny || g.config.PgBouncer,
		},
		SizeSection: g.section("pool_size", key), MaxStatements: s.MaxPrepared, MaxPreparedBytes: int(s.MaxPreparedBytes), ResetQuery: s.ServerResetQuery,
		State: sessionState(s.SessionState), MaxPinned: s.MaxPinned, PinIdleTimeout: time.Duration(s.PinIdleTimeout),
		Functions: g.functions, Login: fmt.Sprint(s.ConnectQuery, "\x00", s.Settings),
		ListenLostChannel: s.ListenLostChannel, MaxNotificationBytes: int(s.MaxNotificationBytes),
		ResetAlways: s.ServerResetAlways, CheckQuery: s.ServerCheckQuery, CheckDelay: time.Duration(s.ServerCheckDelay), FastClose: s.ServerFastClose,
		FastCloseSection: g.section("server_fast_close", key),
		PacketMax:        int(g.config.Limits.MaxPacketSize), NoSimple: !g.config.Clients.SimpleQuery,
		Audit:             relayAudit(s.SessionAudit),
		Fits:              fits(d.TargetSession),
		CancelWaitTimeout: time.Duration(g.config.Timeouts.CancelWaitTimeout),
	}
}

// fits says which servers may go on serving a pool when their role has changed.
func fits(attrs config.TargetSession) func(standby bool) bool {
	if attrs == config.TargetAny || attrs == config.TargetPreferStandby {
		return nil
	}
	return func(standby bool) bool { return hosts.Suits(attrs, backend.Role{Known: true, Standby: standby}) }
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

func sessionState(s config.SessionState) conversation.SessionState {
	switch s {
	case config.StateReject:
		return conversation.StateRefused
	case config.StateIgnore:
		return conversation.StateIgnored
	default:
		return conversation.StateFollows
	}
}

func relayAudit(a config.SessionAudit) conversation.Audit {
	switch a {
	case config.AuditAlways:
		return conversation.AuditAlways
	case config.AuditOff:
		return conversation.AuditOff
	default:
		return conversation.AuditLearn
	}
}

// words is an error as clients are told it.
func (g *generation) words(err *pgerror.Error) *pgerror.Error {
	if g.config.PgBouncer {
		return err.InPgBouncersWords()
	}
	return err
}

// section is where a setting that holds for a pool is set, for hints.
func (g *generation) section(setting string, key poolKey) string {
	return strings.Trim(g.config.SetIn(setting, key.database, key.user), "[]")
}
