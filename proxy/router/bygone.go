package router

import (
	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/status"
)

// bygone is what pools have counted that are forgotten, so that the sums of a database and of all never fall: monitoring takes a counter that
// falls for a restart, and counts all of it anew. A database has a sum of its own while the configuration names it or it has a pool; what
// clients have named goes under "" afterwards. While there is another pool of the same database and user, which a reload may have put in its
// place, what a pool has counted has its names still: metrics show the two as one. What those have counted that metrics show as others is summed
// up once more. Guarded by Router.mu.
type bygone struct {
	pools     map[string]int // that each database has
	counted   map[string]*status.Pool
	succeeded map[generation.PoolKey]*status.Pool
	others    status.Pool
	changes   uint64
}

func newBygone() bygone {
	return bygone{pools: map[string]int{}, counted: map[string]*status.Pool{}, succeeded: map[generation.PoolKey]*status.Pool{}}
}

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

// keep is add for a pool that another one of the same names has succeeded.
func (b *bygone) keep(key generation.PoolKey, counted *status.Pool) {
	b.changes++
	if sum := b.succeeded[key]; sum != nil {
		sum.Add(counted)
		return
	}
	sum := *counted
	b.succeeded[key] = &sum
}

// fold puts what is known of a database under "" that is no more.
func (b *bygone) fold(database string, c *config.Config) {
	_, named := c.Databases[database]
	if sum := b.counted[database]; sum != nil && !named && b.pools[database] == 0 {
		delete(b.counted, database)
		b.add("", sum)
	}
}

// keepCounted keeps what a pool has counted that is forgotten.
func (r *Router) keepCounted(counted status.Pool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if counted.Others {
		r.bygone.others.Others = true
		r.bygone.others.Add(&counted)
	} else if key := (generation.PoolKey{Database: counted.Database, User: counted.User}); r.find(key) != nil {
		r.bygone.keep(key, &counted)
		return
	}
	r.bygone.add(counted.Database, &counted)
	r.bygone.fold(counted.Database, r.current.Load().Config)
}

// find is a pool of these names, be it one that admits no client any more; nil: there is none. Under the lock.
func (r *Router) find(key generation.PoolKey) *livePool {
	if p := r.pools[key]; p != nil {
		return p
	}
	for p := range r.closed {
		if p.key == key {
			return p
		}
	}
	return nil
}

// Bygone copies what pools have counted that are forgotten, by database, and by user, too, where there is another pool of both. It is another one
// whenever changes is another number. What pools have counted that were others is among that, and once more in a sum.
func (r *Router) Bygone() (counted []status.Pool, others status.Pool, changes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.current.Load().Config
	for key, sum := range r.bygone.succeeded {
		if r.find(key) == nil {
			delete(r.bygone.succeeded, key)
			r.bygone.add(key.Database, sum)
			continue
		}
		counted = append(counted, *sum)
	}
	for database := range r.bygone.counted {
		if database != "" {
			r.bygone.fold(database, c) // a reload may have taken it out
		}
	}
	for _, p := range r.bygone.counted {
		counted = append(counted, *p)
	}
	return counted, r.bygone.others, r.bygone.changes
}
