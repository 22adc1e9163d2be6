// Package accounts finds what is stored for users: in the configuration, or in the databases where auth_query finds them. It remembers
// what logins have shown, and from where.
//
// Its methods may be called on any goroutine, and those that look users up block. It may import authquery, which asks, and what says where
// to ask and keeps what weir can log in with (generation, dial); it knows neither clients nor pools.
package accounts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/proxy/authquery"
	"weir/proxy/backend"
	"weir/proxy/dial"
	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/scram"
)

// Accounts are those of all users that there may be. Its methods may be called on any goroutine.
type Accounts struct {
	// TurnsAway says why no client may use a database at present. It is set before the first client comes. nil: every database may be used.
	TurnsAway func(database string) *pgerror.Error

	current     *generation.Current
	credentials *dial.Credentials
	directory   *authquery.Directory

	mu       sync.Mutex
	familiar map[familiar]time.Time
}

// New looks users up in databases where targets leads to.
func New(current *generation.Current, targets *dial.Targets) *Accounts {
	a := &Accounts{current: current, credentials: targets.Credentials, familiar: map[familiar]time.Time{}}
	a.directory = authquery.New(authquery.Options{
		Lifetime: func() time.Duration { return time.Duration(current.Load().Config.Auth.AuthQueryLifetime) },
		Connect: func(ctx context.Context, s authquery.Source) (authquery.Conn, error) {
			target, ok := targets.ToAsk(s.Database, s.User)
			if !ok {
				return nil, authquery.ErrNoDatabase
			}
			conn, err := connectToAsk(ctx, targets.Hosts, target, current.Load().Config.PgBouncer)
			if failure, ok := errors.AsType[*backend.DialError](err); ok && failure.SQLState() == pgerror.CodeUnknownDatabase && named(current.Load().Config, s.Database) {
				return nil, authquery.ErrNoDatabase
			}
			return conn, err
		},
	})
	return a
}

// Close closes the connections of auth_query, once the lookups under way have ended.
func (a *Accounts) Close() { a.directory.Close() }

// Vacate closes the idle connections of auth_query.
func (a *Accounts) Vacate() { a.directory.Vacate() }

// Totals count lookups by what came of them, since the start.
func (a *Accounts) Totals() authquery.Totals { return a.directory.Totals() }

// LookUp finds what is stored for a user: in [users], in auth_file, or with auth_query. It is login's.
func (a *Accounts) LookUp(ctx context.Context, c login.Claim) (login.Account, error) {
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
func (a *Accounts) mayAsk(g *generation.Generation, source authquery.Source) error {
	_, known := g.Config.Database(source.Database)
	switch {
	case a.TurnsAway != nil && a.TurnsAway(source.Database) != nil:
		return fmt.Errorf("authentication database %q is disabled: %w", source.Database, pgerror.AuthDatabaseDisabled(source.Database))
	case !g.Config.PgBouncer:
	case g.Config.IsConsole(source.Database):
		return fmt.Errorf("cannot use the reserved %q database as an auth_dbname", source.Database)
	case !known:
		return fmt.Errorf("authentication database %q is not configured", source.Database)
	}
	return nil
}

// Refresh looks up the user of a pool whose server does not take what is known of the user, and reports whether something else is
// known now. It does nothing where the configuration says what to log in with. Not every login shows what is stored (peer, cert,
// trust), and a password may have been changed since.
func (a *Accounts) Refresh(ctx context.Context, key generation.PoolKey) (bool, error) {
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
	return a.credentials.Learn(g, key, login.Account{Known: answer.Known, Stored: answer.Stored}, scram.Keys{}), nil
}

// Learn keeps what a login has shown, and reports whether that was new.
func (a *Accounts) Learn(result login.Result) bool {
	g := a.current.Load()
	return a.credentials.Learn(g, generation.PoolKey{Database: g.DatabaseName(result.Database), User: result.User}, result.Account, result.Keys)
}
