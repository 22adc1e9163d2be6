package proxy

import (
	"weir/config"
	"weir/proxy/status"
)

// bygone is what pools have counted that are forgotten, so that the sums of a database and of all never fall: monitoring takes a counter that
// falls for a restart, and counts all of it anew. A database has a sum of its own while the configuration names it or it has a pool; what
// clients have named goes under "" afterwards. Guarded by router.mu.
type bygone struct {
	pools   map[string]int // that each database has
	counted map[string]*status.Pool
	changes uint64
}

func newBygone() bygone { return bygone{pools: map[string]int{}, counted: map[string]*status.Pool{}} }

func (b *bygone) opened(database string) { b.pools[database]++ }

func (b *bygone) forgotten(database string) {
	if b.pools[database]--; b.pools[database] == 0 {
		delete(b.pools, database)
	}
}

func (b *bygone) add(database string, counted *status.Pool) {
	b.changes++
	if sum := b.counted[database]; sum != nil {
		sum.Add(counted)
		return
	}
	sum := *counted
	sum.Database, sum.User, sum.Number = database, "", 0
	b.counted[database] = &sum
}

// fold puts what is known of a database under "" that is no more.
func (b *bygone) fold(database string, c *config.Config) {
	_, named := c.Databases[database]
	if sum := b.counted[database]; sum != nil && !named && b.pools[database] == 0 {
		delete(b.counted, database)
		b.add("", sum)
	}
}

// bury keeps what a pool has counted that is forgotten.
func (r *router) bury(counted status.Pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buried.add(counted.Database, &counted)
	r.buried.fold(counted.Database, r.current.Load().Config)
}

// bygone copies what pools have counted that are forgotten, by database. It is another one whenever changes is another number.
func (r *router) bygone() (counted []status.Pool, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.current.Load().Config
	for database := range r.buried.counted {
		if database != "" {
			r.buried.fold(database, c) // a reload may have taken it out
		}
	}
	for _, p := range r.buried.counted {
		counted = append(counted, *p)
	}
	return counted, r.buried.changes
}
