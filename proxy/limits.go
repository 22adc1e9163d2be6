package proxy

import (
	"slices"
	"sync"

	"weir/config"
	"weir/proxy/pgerror"
	"weir/proxy/relay"
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

// places counts backends over all pools against max_db_connections and max_user_connections. When a pool is refused, an idle
// backend of another pool under the same limit is asked to make room; PgBouncer's users wait for its idle timeout instead.
type places struct {
	mu      sync.Mutex
	lanes   map[*relay.Lane]*tenant
	byDB    map[string]int
	byUser  map[string]int
	waiting []*relay.Lane // refused, oldest first
}

// tenant is what places knows of a lane.
type tenant struct {
	database, user       string
	maxDB, maxUser       int
	dbSection, usSection string
	boundByUser          bool
}

func newPlaces() *places {
	return &places{lanes: map[*relay.Lane]*tenant{}, byDB: map[string]int{}, byUser: map[string]int{}}
}

// enter makes a lane known before it dials.
func (p *places) enter(l *relay.Lane, t *tenant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[l] = t
}

// Take implements relay.Places.
func (p *places) Take(l *relay.Lane) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.lanes[l]
	dbFull := reached(p.byDB[t.database], t.maxDB)
	userFull := reached(p.byUser[t.user], t.maxUser)
	if !dbFull && !userFull {
		p.byDB[t.database]++
		p.byUser[t.user]++
		p.waiting = slices.DeleteFunc(p.waiting, func(w *relay.Lane) bool { return w == l })
		return true
	}
	t.boundByUser = !dbFull
	if !slices.Contains(p.waiting, l) {
		p.waiting = append(p.waiting, l)
	}
	askNext(p.rivals(l, t))
	return false
}

// rivals are the other lanes under the limit that binds t.
func (p *places) rivals(l *relay.Lane, t *tenant) []*relay.Lane {
	var found []*relay.Lane
	for other, o := range p.lanes {
		if other != l && (t.boundByUser && o.user == t.user || !t.boundByUser && o.database == t.database) {
			found = append(found, other)
		}
	}
	return found
}

// askNext asks the lanes in turn to close an idle backend, until one does.
func askNext(lanes []*relay.Lane) {
	if len(lanes) > 0 {
		lanes[0].Reclaim(func() { askNext(lanes[1:]) })
	}
}

// Give implements relay.Places. The place that becomes free is offered to the lane that has waited longest under a limit which
// it relieves.
func (p *places) Give(l *relay.Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.lanes[l]
	decrement(p.byDB, t.database)
	decrement(p.byUser, t.user)
	for i, w := range p.waiting {
		o := p.lanes[w]
		if o.database == t.database || o.user == t.user {
			p.waiting = slices.Delete(p.waiting, i, i+1)
			w.Nudge()
			return
		}
	}
}

// Bound implements relay.Places.
func (p *places) Bound(l *relay.Lane) (setting string, value int, section string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.lanes[l]
	if t.boundByUser {
		return "max_user_connections", t.maxUser, t.usSection
	}
	return "max_db_connections", t.maxDB, t.dbSection
}
