package proxy

import (
	"sync"

	"weir/config"
	"weir/proxy/pgerror"
)

// clientCounts counts clients over all pools against max_client_conn and its kin. It is asked once per login and once per logout.
type clientCounts struct {
	mu     sync.Mutex
	config *config.Config
	total  int
	byDB   map[string]int
	byUser map[string]int
}

func newClientCounts(c *config.Config) *clientCounts {
	return &clientCounts{config: c, byDB: map[string]int{}, byUser: map[string]int{}}
}

// admit counts one more client, or says which limit forbids it.
func (s *clientCounts) admit(user, database string) *pgerror.Error {
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
func (s *clientCounts) leave(user, database string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	decrement(s.byDB, database)
	decrement(s.byUser, user)
}

func (s *clientCounts) count() int {
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
