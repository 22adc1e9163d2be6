package proxy

import (
	"sync"

	"weir/config"
	"weir/proxy/pgerror"
)

// census counts clients over all pools against max_client_conn and its kin. It is asked once per login and once per logout.
type census struct {
	mu     sync.Mutex
	config *config.Config
	total  int
	byDB   map[string]int
	byUser map[string]int
}

func newCensus(c *config.Config) *census {
	return &census{config: c, byDB: map[string]int{}, byUser: map[string]int{}}
}

// admit counts one more client, or says which limit forbids it.
func (s *census) admit(user, database string) *pgerror.Error {
	settings := s.config.PoolSettings(database, user)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.total >= s.config.Limits.MaxClientConn:
		return pgerror.TooManyClients(s.config.Limits.MaxClientConn)
	case reached(s.byDB[database], settings.MaxDBClientConnections):
		return pgerror.TooManyDatabaseClients(database, settings.MaxDBClientConnections)
	case reached(s.byUser[user], settings.MaxUserClientConnections):
		return pgerror.TooManyUserClients(user, settings.MaxUserClientConnections)
	}
	s.total++
	s.byDB[database]++
	s.byUser[user]++
	return nil
}

// leave undoes admit.
func (s *census) leave(user, database string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	decrement(s.byDB, database)
	decrement(s.byUser, user)
}

func (s *census) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func decrement(m map[string]int, key string) {
	if m[key]--; m[key] == 0 {
		delete(m, key)
	}
}

// reached reports whether a limit is full; 0 is no limit.
func reached(n, limit int) bool { return limit > 0 && n >= limit }
