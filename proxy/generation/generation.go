// Package generation has what one configuration decides, in the terms of the parts that follow it: certificates, options of logins, the
// settings and the limits of each pool, what counts together.
//
// A generation belongs to no goroutine: it does not change. The package may import the parts whose settings it makes; it asks none of them
// to do anything.
package generation

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"weir/config"
	"weir/proxy/certs"
	"weir/proxy/descriptors"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
	"weir/proxy/sqlscan"
)

// Generation is all that one configuration decides. It does not change, and is swapped whole. A caller that loads the present one twice
// may get two different ones, so it loads one and asks that for everything that belongs together. Its methods may be called on any goroutine.
type Generation struct {
	Config    *config.Config
	ClientTLS *certs.Clients
	ServerTLS *certs.Servers

	// Of clients that come while it is the present one.
	Login       login.Options
	Descriptors descriptors.Shares

	functions *sqlscan.Functions // of [session]

	mu     sync.Mutex
	limits map[relay.Limits]*relay.Limits // that clients share: as many as the configuration distinguishes
	scopes map[scopeKey]string            // see scopeBefore
}

// Current is the present generation.
type Current = atomic.Pointer[Generation]

// New reads all files that a configuration names. Login and Descriptors are the caller's to set (see LoginOptions).
func New(c *config.Config, log *slog.Logger) (g *Generation, err error) {
	g = &Generation{Config: c, limits: map[relay.Limits]*relay.Limits{}, scopes: map[scopeKey]string{}}
	g.functions = sqlscan.NewFunctions(c.Session.OpaqueFunctions, c.Session.CleanFunctions)
	if g.ClientTLS, err = certs.OpenClients(c, log); err != nil {
		return nil, &TLSTrouble{g, err}
	}
	if g.ServerTLS, err = certs.OpenServers(c, log); err != nil {
		return nil, &TLSTrouble{g, err}
	}
	return g, nil
}

// TLSTrouble is that the files of TLS will not do.
type TLSTrouble struct {
	Generation *Generation // complete but for TLS
	err        error
}

func (e *TLSTrouble) Error() string { return e.err.Error() }
func (e *TLSTrouble) Unwrap() error { return e.err }

// Words are PgBouncer's, whose system begins its errors with a capital.
func (e *TLSTrouble) Words() string {
	return "TLS setup failed: " + strings.ReplaceAll(e.err.Error(), "no such file", "No such file")
}

// PoolKey names a pool: the database by the name that clients use, the user as whom its backends log in.
type PoolKey struct{ Database, User string }

// String is the pool's name in texts.
func (k PoolKey) String() string { return k.Database + "/" + k.User }

// DatabaseName is the name under which weir knows a database that a client has named. Where [databases."*"] leads every name to one
// database, all these names are one: there must not be a pool for each name that a client makes up.
func (g *Generation) DatabaseName(name string) string {
	if _, own := g.Config.Databases[name]; !own && g.Config.Databases[config.AnyDatabase].DBName != "" {
		return config.AnyDatabase
	}
	return name
}

// PoolOf is the pool of a client.
func (g *Generation) PoolOf(database, user string) PoolKey {
	key := PoolKey{g.DatabaseName(database), user}
	if d, _ := g.Config.Database(key.Database); d.User != "" {
		key.User = d.User
	}
	return key
}

// Words is an error as clients are told it.
func (g *Generation) Words(err *pgerror.Error) *pgerror.Error {
	if g.Config.PgBouncer {
		return err.InPgBouncersWords()
	}
	return err
}

// Section is where a setting that holds for a pool is set, for hints.
func (g *Generation) Section(setting string, key PoolKey) string {
	return strings.Trim(g.Config.SetIn(setting, key.Database, key.User), "[]")
}
