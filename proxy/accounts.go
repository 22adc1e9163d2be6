package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"weir/config"
	"weir/proxy/authquery"
	"weir/proxy/backend"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/scram"
	"weir/proxy/session"
)

// accounts finds what is stored for users: in the configuration, or in the databases where auth_query finds them. Its methods may be
// called on any goroutine.
type accounts struct {
	current     *current
	credentials *credentials
	directory   *authquery.Directory
}

// newAccounts looks users up in databases where targets leads to.
func newAccounts(current *current, targets *targets) *accounts {
	a := &accounts{current: current, credentials: targets.credentials}
	a.directory = authquery.New(authquery.Options{
		Lifetime: time.Duration(current.Load().config.Auth.AuthQueryLifetime),
		Connect: func(ctx context.Context, s authquery.Source) (authquery.Conn, error) {
			target, ok := targets.toAsk(s.Database, s.User)
			if !ok {
				return nil, authquery.ErrNoDatabase
			}
			conn, err := connectToAsk(ctx, target)
			if failure, ok := errors.AsType[*backend.DialError](err); ok && failure.SQLState() == pgerror.CodeUnknownDatabase && a.named(s.Database) {
				return nil, authquery.ErrNoDatabase
			}
			return conn, err
		},
	})
	return a
}

// connectToAsk opens a session for auth_query.
func connectToAsk(ctx context.Context, target backend.Target) (authquery.Conn, error) {
	target.ApplicationName = "weir auth_query"
	for _, s := range authquery.Settings {
		target.Settings = append(target.Settings, session.Setting{Name: s[0], Value: s[1]})
	}
	asker, err := backend.Connect(ctx, target)
	if err != nil {
		return nil, err
	}
	return authquery.Session(asker), nil
}

// named reports whether a database where users are looked up is whichever a client has named. That it need not exist is then
// nobody's mistake.
func (a *accounts) named(database string) bool {
	c := a.current.Load().config
	_, configured := c.Databases[database]
	return !configured && c.PoolSettings(database, "").AuthDBName == ""
}

// source is where the users of a database are looked up. False: nowhere, because there is no such database.
func (g *generation) source(database string, s config.PoolSettings) (authquery.Source, bool) {
	_, ok := g.config.Database(database)
	source := authquery.Source{Database: s.AuthDBName, User: s.AuthUser, Query: s.AuthQuery}
	if source.Database == "" {
		source.Database = database
	}
	return source, ok
}

func (a *accounts) close() { a.directory.Close() }

// waits reports whether looking a user up may take a while.
func (g *generation) waits() bool {
	if g.config.Auth.AuthUser != "" {
		return true
	}
	for name := range g.config.Databases {
		if g.config.PoolSettings(name, "").AuthUser != "" {
			return true
		}
	}
	return false
}

// lookUp finds what is stored for a user: in [users], in auth_file, or with auth_query. It is login's.
func (a *accounts) lookUp(ctx context.Context, user, database string, again bool) (login.Account, error) {
	g := a.current.Load()
	stored, known := g.config.Account(user)
	database = g.databaseName(database)
	s := g.config.PoolSettings(database, "")
	switch {
	case s.AuthUser == "":
		return login.Account{Known: known, Stored: stored}, nil
	case known:
		return login.Account{Known: true, Stored: stored}, a.directory.Pace(ctx)
	}
	source, ok := g.source(database, s)
	if !ok { // which strangers must not see by the time that it takes
		return login.Account{}, a.directory.Pace(ctx)
	}
	answer, err := a.directory.Lookup(ctx, source, user, again)
	return login.Account{Known: answer.Known, Stored: answer.Stored}, err
}

// refresh looks up the user of a pool whose server does not take what is known of the user, and reports whether something else is
// known now. Not where the configuration says what to log in with. Not every login shows what is stored (peer, cert, trust), and a password may have been changed since.
func (a *accounts) refresh(ctx context.Context, key poolKey) (bool, error) {
	g := a.current.Load()
	s := g.config.PoolSettings(key.database, "")
	source, ok := g.source(key.database, s)
	d, _ := g.config.Database(key.database)
	if _, known := g.config.Account(key.user); known || !ok || s.AuthUser == "" || d.Password.IsSet() {
		return false, nil
	}
	answer, err := a.directory.Lookup(ctx, source, key.user, true)
	if err != nil {
		return false, err
	}
	return a.credentials.learn(g, key, login.Account{Known: answer.Known, Stored: answer.Stored}, scram.Keys{}), nil
}

// learn keeps what a login has shown, and reports whether that was new.
func (p *Proxy) learn(result login.Result) bool {
	g := p.current.Load()
	return p.accounts.credentials.learn(g, poolKey{g.databaseName(result.Database), result.User}, result.Account, result.Keys)
}

// loginOptions is how clients log in under a generation.
func (p *Proxy) loginOptions(g *generation) login.Options {
	c := g.config
	return login.Options{
		Timeout: time.Duration(c.Timeouts.ClientLoginTimeout),
		Method:  methodOf(c.Auth.Type),
		Rules:   c.HBA, Maps: c.Ident,
		Verifiers:   p.verifiers,
		Lookup:      p.accounts.lookUp,
		LookupWaits: g.waits(),
		TLS:         g.clientTLS,
		CertName:    c.Auth.CertName,
		KnownDatabase: func(database string) bool {
			_, ok := c.Database(database)
			return ok
		},
		Admit: func(user, database string) *pgerror.Error { return p.clients.admit(user, database) },
	}
}

func methodOf(t config.AuthType) login.Method {
	switch t {
	case config.AuthTrust:
		return login.MethodTrust
	case config.AuthPassword:
		return login.MethodPassword
	case config.AuthMD5:
		return login.MethodMD5
	case config.AuthSCRAM:
		return login.MethodSCRAM
	case config.AuthHBA:
		return login.MethodHBA
	case config.AuthCert:
		return login.MethodCert
	case config.AuthSCRAMPlus:
		return login.MethodSCRAMPlus
	}
	return login.MethodReject
}

// mockKey makes what unknown users are shown the same for as long as the process lives, and nobody else's guess.
func mockKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}
