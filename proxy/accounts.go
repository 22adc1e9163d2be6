package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/authquery"
	"weir/proxy/backend"
	"weir/proxy/generation"
	"weir/proxy/hosts"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/scram"
	"weir/proxy/session"
	"weir/proxy/wire"
)

// accounts finds what is stored for users: in the configuration, or in the databases where auth_query finds them. Its methods may be
// called on any goroutine.
type accounts struct {
	current     *generation.Current
	credentials *credentials
	directory   *authquery.Directory
	turnsAway   func(database string) *pgerror.Error // see router; nil before there is one

	mu       sync.Mutex
	familiar map[familiar]time.Time
}

// newAccounts looks users up in databases where targets leads to.
func newAccounts(current *generation.Current, targets *targets) *accounts {
	a := &accounts{current: current, credentials: targets.credentials, familiar: map[familiar]time.Time{}}
	a.directory = authquery.New(authquery.Options{
		Lifetime: func() time.Duration { return time.Duration(current.Load().Config.Auth.AuthQueryLifetime) },
		Connect: func(ctx context.Context, s authquery.Source) (authquery.Conn, error) {
			target, ok := targets.toAsk(s.Database, s.User)
			if !ok {
				return nil, authquery.ErrNoDatabase
			}
			conn, err := connectToAsk(ctx, targets.hosts, target, current.Load().Config.PgBouncer)
			if failure, ok := errors.AsType[*backend.DialError](err); ok && failure.SQLState() == pgerror.CodeUnknownDatabase && named(a.current.Load().Config, s.Database) {
				return nil, authquery.ErrNoDatabase
			}
			return conn, err
		},
	})
	return a
}

// connectToAsk opens a session for auth_query. PgBouncer's users name functions of theirs without a schema: open leaves the server's
// search_path as it is.
func connectToAsk(ctx context.Context, servers *hosts.Hosts, target hosts.Destination, open bool) (authquery.Conn, error) {
	target.ApplicationName = "weir auth_query"
	for _, s := range authquery.Settings {
		if open && s[0] == "search_path" {
			continue
		}
		target.Settings = append(target.Settings, session.Setting{Name: s[0], Value: s[1]})
	}
	conn, _, err := servers.Reach(ctx, target)
	if err != nil {
		return nil, err
	}
	return authquery.Session(backend.NewAsker(conn), open), nil
}

// named reports whether users are looked up in the database that the client names. If that does not exist, the configuration is not at
// fault.
func named(c *config.Config, database string) bool {
	_, configured := c.Databases[database]
	return !configured && c.PoolSettings(database, "").AuthDBName == ""
}

// sourceOf is where the users of a database are looked up. False: nowhere, because there is no such database.
func sourceOf(c *config.Config, database string, s config.PoolSettings) (authquery.Source, bool) {
	_, ok := c.Database(database)
	source := authquery.Source{Database: s.AuthDBName, User: s.AuthUser, Query: s.AuthQuery}
	source.Guarded = named(c, database) && config.NamesOthers(s.AuthQuery)
	if source.Database == "" {
		source.Database = database
	}
	d, _ := c.Database(source.Database)
	source.At = generation.Address(d)
	return source, ok
}

func (a *accounts) close() { a.directory.Close() }

// lookUp finds what is stored for a user: in [users], in auth_file, or with auth_query. It is login's.
func (a *accounts) lookUp(ctx context.Context, c login.Claim) (login.Account, error) {
	g := a.current.Load()
	stored, known := g.Config.Account(c.User)
	database := g.DatabaseName(c.Database)
	s := g.Config.PoolSettings(database, "")
	if s.AuthUser == "" || !g.Config.PgBouncer && g.Config.IsConsole(c.Database) && s.AuthDBName == "" { // the console has no users of its own
		return login.Account{Known: known, Stored: stored}, nil
	}
	reason := authquery.ForLogin
	switch {
	case c.Again:
		reason = authquery.ForFailure
	case a.isFamiliar(familiar{c.User, c.From}):
		reason = authquery.ForFamiliar
	}
	source, ok := sourceOf(g.Config, database, s)
	switch {
	case known && reason == authquery.ForFamiliar:
		return login.Account{Known: true, Stored: stored}, nil
	case known:
		return login.Account{Known: true, Stored: stored}, a.directory.Pace(ctx, source, c.User)
	case !ok: // which strangers must not see by the time that it takes
		return login.Account{}, a.directory.Pace(ctx, authquery.Source{}, c.User)
	}
	if err := a.mayAsk(g, source); err != nil {
		return login.Account{}, err
	}
	answer, err := a.directory.Lookup(ctx, source, c.User, reason)
	return login.Account{Known: answer.Known, Stored: answer.Stored, Why: answer.Why, Asked: true}, err
}

// mayAsk says why users cannot be looked up in a database, as PgBouncer does. A configuration of weir's own is checked before.
func (a *accounts) mayAsk(g *generation.Generation, source authquery.Source) error {
	_, known := g.Config.Database(source.Database)
	switch {
	case a.turnsAway != nil && a.turnsAway(source.Database) != nil:
		return fmt.Errorf("authentication database %q is disabled: %w", source.Database, pgerror.AuthDatabaseDisabled(source.Database))
	case !g.Config.PgBouncer:
	case g.Config.IsConsole(source.Database):
		return fmt.Errorf("cannot use the reserved %q database as an auth_dbname", source.Database)
	case !known:
		return fmt.Errorf("authentication database %q is not configured", source.Database)
	}
	return nil
}

// refresh looks up the user of a pool whose server does not take what is known of the user, and reports whether something else is
// known now. It does nothing where the configuration says what to log in with. Not every login shows what is stored (peer, cert,
// trust), and a password may have been changed since.
func (a *accounts) refresh(ctx context.Context, key generation.PoolKey) (bool, error) {
	g := a.current.Load()
	s := g.Config.PoolSettings(key.Database, "")
	source, ok := sourceOf(g.Config, key.Database, s)
	d, _ := g.Config.Database(key.Database)
	if _, known := g.Config.Account(key.User); known || !ok || s.AuthUser == "" || d.Password.IsSet() {
		return false, nil
	}
	answer, err := a.directory.Lookup(ctx, source, key.User, authquery.ForFailure)
	if err != nil {
		return false, err
	}
	return a.credentials.learn(g, key, login.Account{Known: answer.Known, Stored: answer.Stored}, scram.Keys{}), nil
}

// learn keeps what a login has shown, and reports whether that was new.
func (p *Proxy) learn(result login.Result) bool {
	g := p.current.Load()
	return p.accounts.credentials.learn(g, generation.PoolKey{Database: g.DatabaseName(result.Database), User: result.User}, result.Account, result.Keys)
}

// loginOptions is how clients log in under a generation.
func (p *Proxy) loginOptions(g *generation.Generation) login.Options {
	c := g.Config
	var refusing func(net.Conn, *login.Failure)
	var attempting func(net.Conn, login.Claim, string, login.Replication)
	if c.PgBouncer {
		refusing, attempting = p.logRefusal, p.logAttempt
	}
	return login.Options{
		Refusing: refusing, Attempting: attempting,
		Timeout: time.Duration(c.Timeouts.ClientLoginTimeout),
		Method:  methodOf(c.Auth.Type),
		Rules:   c.HBA, Maps: c.Ident,
		Verifiers:   verifiersOf(c),
		Lookup:      p.accounts.lookUp,
		LookupWaits: g.Config.LooksUp(),
		TLS:         g.ClientTLS,
		CertName:    c.Auth.CertName,
		NamesDatabase: func(database string) bool {
			_, ok := c.Databases[database]
			return ok && database != config.AnyDatabase
		},
		KnownDatabase: func(database string) bool {
			_, ok := c.Database(database)
			return ok
		},
		Ignored: lowered(c.Clients.IgnoreStartupParameters),
		AddHost: c.Clients.ApplicationNameAddHost,
		Notice:  loginNotice(c.Clients.LoginNotice),
		Admit: func(user, database string) *pgerror.Error {
			if d, ok := c.Database(database); ok && d.User == "" && c.Auth.Type == config.AuthAny {
				return pgerror.NoUserOfItsOwn(database)
			}
			if err := p.router.TurnsAway(database); err != nil {
				return err
			}
			return p.clients.Admit(user, database)
		},
		PgBouncer:    c.PgBouncer,
		KnownOnly:    c.PgBouncer && c.Auth.Type != config.AuthAny,
		Console:      c.IsConsole,
		AdmitConsole: func(user string, own bool) *pgerror.Error { return p.consoles.admit(c, user, own) },
	}
}

// lowered makes a set of names that are compared without regard to letter case.
func lowered(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[strings.ToLower(name)] = true
	}
	return set
}

func loginNotice(text string) []byte {
	if text == "" {
		return nil
	}
	return wire.AppendNoticeResponse(nil, pgerror.Notice(text, ""))
}

func methodOf(t config.AuthType) login.Method {
	switch t {
	case config.AuthTrust, config.AuthAny:
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

// verifiersOf are what strangers are shown: of users that do not exist the same as on every weir with this configuration. Where users are
// looked up, most of those that exist are in the database, where PostgreSQL has made their verifiers.
func verifiersOf(c *config.Config) *login.Verifiers {
	known := c.Stored()
	if c.LooksUp() {
		known = nil
	}
	if material := c.SaltMaterial(); material.IsSet() {
		return login.NewVerifiersOf(c.Auth.SCRAMIterations, []byte(material.Reveal()), known...)
	}
	return login.NewVerifiersOf(c.Auth.SCRAMIterations, nil, known...)
}
