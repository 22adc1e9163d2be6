package router

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/config"
	"weir/proxy/pgerror"
)

// Orders are what operators have asked for on the console, by the names under which weir knows databases. Those of the router are guarded by Router.mu.
type Orders struct {
	Paused    bool // all databases
	PausedDBs map[string]bool
	Disabled  map[string]bool
}

// Pauses reports whether pools of a database get no backends.
func (o *Orders) Pauses(database string) bool { return o.Paused || o.PausedDBs[database] }

// The texts are PgBouncer's.
var (
	errPaused    = errors.New("already suspended/paused")
	errNotPaused = errors.New("pooler is not paused/suspended")
)

// give changes the orders, under the lock under which pools are opened: a pool that is opened meanwhile follows them, too. Then it has the
// caller tell the engines. Of two orders that contradict each other all engines hear in the same succession.
func (r *Router) give(change func(o *Orders) error, tell func()) error {
	r.telling.Lock()
	defer r.telling.Unlock()
	if err := r.changeOrders(change); err != nil {
		return err
	}
	tell()
	return nil
}

// changeOrders has change look at the orders and change them.
func (r *Router) changeOrders(change func(o *Orders) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return change(&r.orders)
}

// Standing is a copy of the orders.
func (r *Router) Standing() Orders {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.orders.copied()
}

func (o *Orders) copied() Orders {
	return Orders{Paused: o.Paused, PausedDBs: maps.Clone(o.PausedDBs), Disabled: maps.Clone(o.Disabled)}
}

// Pause has a database pause, or all of them: "".
func (r *Router) Pause(key string, tell func()) error {
	return r.give(func(o *Orders) error {
		if o.Paused {
			return errPaused
		}
		if key == "" {
			o.Paused = true
		} else {
			o.PausedDBs[key] = true
		}
		return nil
	}, tell)
}

// notPaused is for a RESUME of all where at most some databases are paused, each by an order of its own.
func notPaused(databases map[string]bool) error {
	if len(databases) == 0 {
		return errNotPaused
	}
	names := slices.Sorted(maps.Keys(databases))
	return fmt.Errorf("%w, but databases are, and each has to be resumed by its name: %s", errNotPaused, strings.Join(names, ", "))
}

// Resume ends the pause of a database, or that of all: "". name is what the operator calls it. tell is given the orders that are left:
// a database may be paused still by another one.
func (r *Router) Resume(key, name string, tell func(rest *Orders)) error {
	var rest Orders
	return r.give(func(o *Orders) error {
		switch {
		case key == "" && !o.Paused:
			return notPaused(o.PausedDBs)
		case key != "" && !o.PausedDBs[key]:
			return errors.New("database " + name + " is not paused")
		case key == "":
			o.Paused = false
		default:
			delete(o.PausedDBs, key)
		}
		rest = o.copied()
		return nil
	}, func() { tell(&rest) })
}

// Kill ends the clients of a database, or of all: "", that are on their way to a lane, and has the database pause. tell ends the others.
func (r *Router) Kill(key string, which func(database string) bool, tell func()) error {
	return r.give(func(o *Orders) error {
		if o.Paused {
			return errPaused
		}
		r.eachPool(func(p *livePool) {
			if which(p.key.Database) {
				p.common.Kill() // clients that are on their way to a lane are not there to be ended yet
			}
		})
		if key != "" {
			o.PausedDBs[key] = true
			return nil
		}
		for db := range r.current.Load().Config.Databases {
			if db != config.AnyDatabase {
				o.PausedDBs[db] = true
			}
		}
		for pool := range r.pools {
			o.PausedDBs[pool.Database] = true
		}
		return nil
	}, tell)
}

// SetDisabled says whether new clients of a database are turned away.
func (r *Router) SetDisabled(key string, disabled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if disabled {
		r.orders.Disabled[key] = true
	} else {
		delete(r.orders.Disabled, key)
	}
}

// TurnsAway says why a client of a database is not admitted by order of an operator; nil: it is.
func (r *Router) TurnsAway(database string) *pgerror.Error {
	key := r.current.Load().DatabaseName(database)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.orders.Disabled[key] {
		return pgerror.DatabaseDisabled(database)
	}
	return nil
}
