// Package clients counts clients over all pools, and holds the limits on their number against those who log in.
//
// Its methods may be called on any goroutine. It may import generation, whose limits these are, and relay for the names that clients share.
package clients

import (
	"maps"
	"sync"

	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
)

// Counts counts clients over all pools against max_client_conn and its kin. It is asked once per login and once per logout.
type Counts struct {
	mu      sync.Mutex
	present *generation.Generation // changes with the counts by scope
	total   int
	byDB    map[string]int // by the names that clients use
	byScope map[string]int // by what counts together under the present generation
	byUser  map[string]int
	console map[string]int // clients of the console, by user; they are in total, too
	logins  map[relay.Identity]*loggedIn
}

// loggedIn are the clients that have given the same names. They share them.
type loggedIn struct {
	identity relay.Identity
	clients  int
}

// New counts against the limits of a generation.
func New(g *generation.Generation) *Counts {
	return &Counts{present: g, byDB: map[string]int{}, byScope: map[string]int{}, byUser: map[string]int{}, console: map[string]int{}, logins: map[relay.Identity]*loggedIn{}}
}

// scope is what a database counts together with. Under the lock.
func (s *Counts) scope(database string) string {
	return s.present.Scope("max_db_client_connections", database)
}

// Renew counts anew by what a new generation says.
func (s *Counts) Renew(g *generation.Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present = g
	clear(s.byScope)
	for database, n := range s.byDB {
		s.byScope[s.scope(database)] += n
	}
}

// Admit counts one more client, or says which limit forbids it.
func (s *Counts) Admit(user, database string) *pgerror.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings, most, scope := s.present.Config.PoolSettings(database, user), s.present.Config.Limits.MaxClientConn, s.scope(database)
	switch {
	case s.total >= most:
		return pgerror.TooManyClients(most)
	case reached(s.byScope[scope], settings.MaxDBClientConnections):
		return pgerror.TooManyDatabaseClients(database, settings.MaxDBClientConnections)
	case reached(s.ofUser(user), settings.MaxUserClientConnections):
		return pgerror.TooManyUserClients(user, settings.MaxUserClientConnections)
	}
	s.total++
	s.byDB[database]++
	s.byScope[scope]++
	s.byUser[user]++
	key := relay.Identity{Database: database, User: user}
	if s.logins[key] == nil {
		s.logins[key] = &loggedIn{identity: key}
	}
	s.logins[key].clients++
	return nil
}

// Leave undoes Admit.
func (s *Counts) Leave(user, database string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	decrement(s.byDB, database)
	decrement(s.byScope, s.scope(database))
	decrement(s.byUser, user)
	key := relay.Identity{Database: database, User: user}
	if l := s.logins[key]; l != nil {
		if l.clients--; l.clients == 0 {
			delete(s.logins, key)
		}
	}
}

// Identity are the names of a client that has been admitted, which it shares with others.
func (s *Counts) Identity(user, database string) *relay.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &s.logins[relay.Identity{Database: database, User: user}].identity
}

// ofUser are the clients that count against a user's limit: to PgBouncer those of the console, too. Under the lock.
func (s *Counts) ofUser(user string) int {
	if s.present.Config.PgBouncer {
		return s.byUser[user] + s.console[user]
	}
	return s.byUser[user]
}

// AdmitConsole counts a client of the console. Limits hold for those of PgBouncer's that may only look.
func (s *Counts) AdmitConsole(user string, free bool) *pgerror.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present.Config.PgBouncer && !free {
		of := s.present.Config.PoolSettings(config.ConsolePgBouncer, user)
		all := 0
		for _, n := range s.console {
			all += n
		}
		switch {
		case reached(all, of.MaxDBClientConnections):
			return pgerror.TooManyDatabaseClients(config.ConsolePgBouncer, of.MaxDBClientConnections)
		case reached(s.ofUser(user), of.MaxUserClientConnections):
			return pgerror.TooManyUserClients(user, of.MaxUserClientConnections)
		}
	}
	s.total++
	s.console[user]++
	return nil
}

// LeaveConsole undoes AdmitConsole.
func (s *Counts) LeaveConsole(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	decrement(s.console, user)
}

// Users are how many clients each user has, those of the console included.
func (s *Counts) Users() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.byUser)
	for user, n := range s.console {
		all[user] += n
	}
	return all
}

// Count is how many clients there are, those of the console included.
func (s *Counts) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// decrement forgets what has come to nothing.
func decrement(m map[string]int, key string) {
	if m[key]--; m[key] == 0 {
		delete(m, key)
	}
}

// reached reports whether a limit is full; 0 is no limit.
func reached(n, limit int) bool { return limit > 0 && n >= limit }
