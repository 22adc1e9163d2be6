// Package hosts finds a server for a pool: those that its database names are tried in turn, each address of a name for itself, until one lets weir in and
// has the role that is wanted. Servers that have failed lately are left out while there are others.
//
// Everything may be called on any goroutine; Reach blocks. The package may import config, backend, pgerror and status: who is to get the connection, and
// what clients are told of an error, is the caller's.
package hosts

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/config"
	"weir/proxy/backend"
	"weir/proxy/status"
)

// Hosts is what is known of the servers, by the addresses at which they were tried. All pools share it. Any goroutine.
type Hosts struct {
	Passed func(t backend.Target, err error) // is told of a server that fails where another is tried in its place; nil: nothing is

	names *names
	mu    sync.Mutex
	known map[hostKey]*host
}

// hostKey is a server: as the configuration names it, and the address that was tried of a name.
type hostKey struct{ name, ip string }

type host struct {
	apart    bool // the addresses of its name are spoken of for themselves; else together
	former   bool // its name has led elsewhere since
	probed   bool // it is being found out whether it answers again
	up       bool
	silent   bool // it did not answer in time
	slow     bool // it took its time to fail
	since    time.Time
	tried    time.Time
	strikes  int
	failures uint64
	retry    time.Time // not before, unless there is no other
	role     backend.Role
	failure  string // what the last attempt met; stays when the server is back
	backends int
}

const (
	// hostBackoffFirst and hostBackoffMost bound how long a server that has failed is left out, while there are others.
	hostBackoffFirst = 500 * time.Millisecond
	hostBackoffMost  = 5 * time.Second
	// slowFailure is how long an attempt takes that is not repeated before the back-off is over, whatever the others are: so slow are machines that are
	// gone, where the network says so after some seconds.
	slowFailure = 250 * time.Millisecond
	// hostsMost bounds what is kept: names may have new addresses every day.
	hostsMost = 256
)

// New knows nothing yet.
func New() *Hosts { return &Hosts{names: newNames(), known: map[hostKey]*host{}} }

func hostKeyOf(t backend.Target) hostKey { return hostKey{t.Address(), t.IP} }

// silent reports whether the server did not answer the last time that it was tried.
func (h *Hosts) silent(t backend.Target) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.silentRank(t) > 0
}

// silentRank is 1 for a server that was silent. Under the lock.
func (h *Hosts) silentRank(t backend.Target) int {
	if s := h.known[hostKeyOf(t)]; s != nil && s.silent {
		return 1
	}
	return 0
}

// tell notes how an attempt has ended that took so long, and reports whether it is the first one to fail. A server that refuses what was asked for
// is up. replaced: if it has failed another address of its name is tried, which counts unless the two are spoken of apart.
func (h *Hosts) tell(t backend.Target, role backend.Role, err error, took time.Duration, replaced bool) (fresh bool) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.of(t, now)
	failure, _ := errors.AsType[*backend.DialError](err)
	up := err == nil || failure != nil && failure.Server != nil && failure.Kind != backend.Unreachable
	if s.up != up || s.since.IsZero() {
		s.since = now
	}
	s.tried, s.up, s.silent, s.slow = now, up, failure != nil && failure.Kind == backend.Timeout, err != nil && took > slowFailure
	if err == nil {
		s.role, s.strikes, s.retry = role, 0, time.Time{}
		return false
	}
	if t.Apart || !replaced {
		s.failures++
	}
	s.failure = err.Error()
	if failure != nil {
		s.failure = failure.Cause()
	}
	s.retry = now.Add(min(hostBackoffMost, hostBackoffFirst<<min(s.strikes, 10)))
	s.strikes++
	return s.strikes == 1
}

// of finds what is known of a server. Under the lock.
func (h *Hosts) of(t backend.Target, now time.Time) *host {
	key := hostKeyOf(t)
	s := h.known[key]
	if s == nil {
		if len(h.known) >= hostsMost {
			h.forgetOldest()
		}
		s = &host{tried: now}
		h.known[key] = s
	}
	s.apart = s.apart || t.Apart
	return s
}

// led notes to which addresses a name leads now. What is known of others goes, with the last backend there: a server that has got another address is
// another server, and none is watched for ever at an address that it had once.
func (h *Hosts) led(name string, addresses []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.known, func(key hostKey, s *host) bool {
		if key.name != name {
			return false
		}
		s.former = !slices.Contains(addresses, key.ip)
		return s.former && s.backends == 0
	})
}

// forgetOldest makes room: of those without backends the one that was tried longest ago goes. Under the lock.
func (h *Hosts) forgetOldest() {
	var oldest *hostKey
	for key, s := range h.known {
		if s.backends == 0 && (oldest == nil || s.tried.Before(h.known[*oldest].tried)) {
			oldest = &key
		}
	}
	if oldest != nil {
		delete(h.known, *oldest)
	}
}

// Enter counts a backend at a server, and returns what counts it out.
func (h *Hosts) Enter(t backend.Target) (leave func()) {
	key := hostKeyOf(t)
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.of(t, time.Now())
	s.backends++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if s.backends--; s.backends == 0 && s.former && h.known[key] == s {
			delete(h.known, key)
		}
	}
}

// Keep forgets the servers that a configuration does not name any more.
func (h *Hosts) Keep(c *config.Config) {
	named, looked := map[string]bool{}, map[string]bool{}
	for _, d := range c.Databases {
		for _, s := range d.Servers() {
			named[backend.Target{Host: s.Host, Port: s.Port}.Address()], looked[s.Host] = true, true
		}
	}
	h.names.keep(looked)
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.known, func(key hostKey, s *host) bool { return s.backends == 0 && !named[key.name] })
}

// Forgive has all servers tried at once: an operator says that things have changed.
func (h *Hosts) Forgive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.known {
		s.strikes, s.retry, s.silent = 0, time.Time{}, false
	}
}

// Snapshot is what is known of all servers, sorted by name and address.
func (h *Hosts) Snapshot() []status.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]status.Server, 0, len(h.known))
	apart, joint := map[string]bool{}, map[string]int{} // by name; the latter says where it stands in all
	for key, s := range h.known {
		apart[key.name] = apart[key.name] || s.apart
	}
	for key, s := range h.known {
		one := s.snapshot()
		one.Name = key.name
		at, known := joint[key.name]
		switch {
		case apart[key.name]:
			one.Address = key.ip
			all = append(all, one)
		case known:
			all[at] = both(all[at], one)
		default:
			joint[key.name] = len(all)
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b status.Server) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	return all
}

func (s *host) snapshot() status.Server {
	one := status.Server{Role: s.role.String(), Up: s.up, Since: s.since, Failures: s.failures, Backends: s.backends}
	if s.failures > 0 {
		one.Failure = s.failure
	}
	return one
}

// both is what two addresses are that are spoken of as one: what the one is that works, or the one that has changed last.
func both(a, b status.Server) status.Server {
	if b.Up && !a.Up || b.Up == a.Up && b.Since.After(a.Since) {
		a, b = b, a
	}
	a.Failures += b.Failures
	a.Backends += b.Backends
	a.Failure = cmp.Or(a.Failure, b.Failure)
	return a
}
