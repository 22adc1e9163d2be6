package proxy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/authquery"
	"weir/proxy/backend"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/scram"
	"weir/proxy/session"
)

// accounts is what is known of users: from the configuration, from the databases where auth_query finds them, and from what
// their logins show. Its methods may be called on any goroutine.
type accounts struct {
	config    *config.Config
	directory *authquery.Directory
	looksUp   bool // users are looked up in some database

	mu       sync.Mutex
	shown    map[poolKey]shown
	familiar map[familiar]time.Time
}

// shown is what a user's last logins have shown: what was stored, and the keys of SCRAM that their proofs gave away, the last
// ones first.
type shown struct {
	stored config.Secret
	keys   []scram.Keys
}

// shownMax bounds the users of whom something is kept, about 400 bytes each. Beyond it an arbitrary one makes room: the next
// backend for it waits until it has logged in once more.
const shownMax = 100_000

// keysMax bounds the keys of a user. While a password is being changed two verifiers may be about.
const keysMax = 2

// newAccounts looks users up in databases over connections that reach finds.
func newAccounts(c *config.Config, reach func(database, user string) (backend.Target, bool)) *accounts {
	a := &accounts{config: c, looksUp: c.LooksUp(), shown: map[poolKey]shown{}, familiar: map[familiar]time.Time{}}
	a.directory = authquery.New(authquery.Options{
		Lifetime: time.Duration(c.Auth.AuthQueryLifetime),
		Connect: func(ctx context.Context, s authquery.Source) (authquery.Conn, error) {
			target, ok := reach(s.Database, s.User)
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
	pg, err := backend.Connect(ctx, target)
	if err != nil {
		return nil, err
	}
	return authquery.Session(pg), nil
}

// named reports whether a database where users are looked up is whichever a client has named. That it need not exist is then
// nobody's mistake.
func (a *accounts) named(database string) bool {
	_, configured := a.config.Databases[database]
	return !configured && a.config.PoolSettings(database, "").AuthDBName == ""
}

// source is where the users of a database are looked up. False: nowhere, because there is no such database.
func (a *accounts) source(database string, s config.PoolSettings) (authquery.Source, bool) {
	_, ok := a.config.Database(database)
	source := authquery.Source{Database: s.AuthDBName, User: s.AuthUser, Query: s.AuthQuery}
	source.Guarded = a.named(database) && config.NamesOthers(s.AuthQuery)
	if source.Database == "" {
		source.Database = database
	}
	return source, ok
}

func (a *accounts) close() { a.directory.Close() }

// lookUp finds what is stored for a user: in [users], in auth_file, or with auth_query. It is login's.
func (a *accounts) lookUp(ctx context.Context, c login.Claim) (login.Account, error) {
	stored, known := a.config.Account(c.User)
	s := a.config.PoolSettings(c.Database, "")
	if s.AuthUser == "" {
		return login.Account{Known: known, Stored: stored}, nil
	}
	reason := authquery.ForLogin
	switch {
	case c.Again:
		reason = authquery.ForFailure
	case a.isFamiliar(familiar{c.User, c.From}):
		reason = authquery.ForFamiliar
	}
	source, ok := a.source(c.Database, s)
	switch {
	case known && reason == authquery.ForFamiliar:
		return login.Account{Known: true, Stored: stored}, nil
	case known:
		return login.Account{Known: true, Stored: stored}, a.directory.Pace(ctx, source, c.User)
	case !ok: // which strangers must not see by the time that it takes
		return login.Account{}, a.directory.Pace(ctx, authquery.Source{}, c.User)
	}
	answer, err := a.directory.Lookup(ctx, source, c.User, reason)
	return login.Account{Known: answer.Known, Stored: answer.Stored, Why: answer.Why}, err
}

// refresh looks up the user of a pool whose server does not take what is known of the user, and reports whether something else is
// known now. Not every login shows what is stored (peer, cert, trust), and a password may have been changed since.
func (a *accounts) refresh(ctx context.Context, key poolKey) (bool, error) {
	s := a.config.PoolSettings(key.database, "")
	source, ok := a.source(key.database, s)
	if _, known := a.config.Account(key.user); known || !ok || s.AuthUser == "" {
		return false, nil
	}
	answer, err := a.directory.Lookup(ctx, source, key.user, authquery.ForFailure)
	if err != nil {
		return false, err
	}
	return a.learn(key, login.Account{Known: answer.Known, Stored: answer.Stored}, scram.Keys{}), nil
}

// learn keeps what a login has shown, and reports whether that was new.
func (a *accounts) learn(key poolKey, account login.Account, keys scram.Keys) bool {
	if _, own := a.config.Account(key.user); own {
		account.Stored = config.Secret{} // what the configuration says counts, and need not be kept twice
	}
	if !account.Stored.IsSet() && !keys.IsSet() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.shown[key]
	same := known.stored.Reveal() == account.Stored.Reveal()
	known.stored = account.Stored
	if keys.IsSet() && !slices.ContainsFunc(known.keys, keys.Equal) {
		known.keys = append([]scram.Keys{keys}, known.keys[:min(len(known.keys), keysMax-1)]...)
		same = false
	}
	if _, ok := a.shown[key]; !ok && len(a.shown) >= shownMax {
		for other := range a.shown {
			delete(a.shown, other)
			break
		}
	}
	a.shown[key] = known
	return !same
}

// credentials are what weir can log in to a server with, as the user of a pool whose database names no password.
func (a *accounts) credentials(key poolKey) (password config.Secret, s backend.Substitutes) {
	a.mu.Lock()
	shown := a.shown[key]
	a.mu.Unlock()
	stored, known := a.config.Account(key.user)
	if !known {
		stored = shown.stored
	}
	s.Keys = shown.keys
	switch stored.Form() {
	case config.FormClear:
		password = stored
	case config.FormMD5:
		s.MD5 = stored
	case config.FormSCRAM:
		s.Verifier = true
	case config.FormNone:
	}
	return password, s
}

// loginOptions is how clients log in under this configuration.
func (p *Proxy) loginOptions() login.Options {
	c := p.config
	return login.Options{
		Timeout: time.Duration(c.Timeouts.ClientLoginTimeout),
		Method:  methodOf(c.Auth.Type),
		Rules:   c.HBA, Maps: c.Ident,
		Verifiers:   p.accounts.verifiers(),
		Lookup:      p.accounts.lookUp,
		LookupWaits: p.accounts.looksUp,
		TLS:         p.clientTLS,
		CertName:    c.Auth.CertName,
		NamesDatabase: func(database string) bool {
			_, ok := c.Databases[database]
			return ok && database != config.AnyDatabase
		},
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

// verifiers are what strangers are shown: of users that do not exist the same as on every weir with this configuration. Where users are
// looked up, most of those that exist are in the database, where PostgreSQL has made their verifiers.
func (a *accounts) verifiers() *login.Verifiers {
	known := a.config.Stored()
	if a.looksUp {
		known = nil
	}
	if material := a.config.SaltMaterial(); material.IsSet() {
		return login.NewVerifiers([]byte(material.Reveal()), known...)
	}
	return login.NewVerifiers(nil, known...)
}
