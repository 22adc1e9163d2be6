package proxy

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/proxy/backend"
	"weir/proxy/cancelkey"
	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/pgerror"
	"weir/proxy/status"
	"weir/proxy/tunnel"
	"weir/proxy/wire"
)

// replication is one client with its backend.
type replication struct {
	key     generation.PoolKey // as the client named them
	peer    string
	kind    login.Replication
	number  uint32 // of the process's clients and backends
	began   time.Time
	secret  uint32
	longKey bool
	place   *ownPlace
	backend *backend.Conn
	tunnel  *tunnel.Tunnel // nil until it is open

	slot    uint32 // guarded, as is the rest, by replications.mu
	cancels int
	killed  *pgerror.Error // why it is ended as soon as it is open; nil: it goes on
}

// replications are all of the process: for cancel requests, for metrics, and for the end.
type replications struct {
	index    int // in place of a loop's, in cancel keys
	keys     *cancelkey.Keys
	farewell func(*pgerror.Error) []byte

	mu     sync.Mutex
	coming map[*replication]struct{} // that are being dialled
	bySlot map[uint32]*replication
	next   uint32
	totals map[generation.PoolKey]*replicationTotals
	others status.Replication // totals that are forgotten of those that metrics show together; these never fall
	gone   chan struct{}      // closed when the last one ends; nil while no caller waits for that
}

// replicationTotals are of connections that have ended, by the names that clients gave.
type replicationTotals struct {
	status.Replication           // save for Clients
	open               int       // connections now
	left               time.Time // when the last one ended
}

// totalsKept is how long the totals of names that nothing replicates by any more are kept: Prometheus has seen them several times.
const totalsKept = 5 * time.Minute

func newReplications(index int, keys *cancelkey.Keys, farewell func(*pgerror.Error) []byte) *replications {
	return &replications{index: index, keys: keys, farewell: farewell, coming: map[*replication]struct{}{}, bySlot: map[uint32]*replication{}, totals: map[generation.PoolKey]*replicationTotals{}}
}

// begin takes note of one that is about to be dialled. It enters, or is given up.
func (s *replications) begin(r *replication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming[r] = struct{}{}
}

func (s *replications) giveUp(r *replication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.coming, r)
}

// enter counts a new one in, and returns what its client is greeted with: what is owed from the login, and after it what the server has
// said at weir's login, with weir's key in place of the server's.
func (s *replications) enter(r *replication, owed []byte) []byte {
	s.mu.Lock()
	for s.bySlot[s.next] != nil {
		s.next = (s.next + 1) % cancelkey.SlotsMax
	}
	r.slot = s.next
	s.next = (s.next + 1) % cancelkey.SlotsMax
	s.bySlot[r.slot] = r
	delete(s.coming, r)
	s.prune()
	t := s.total(r.key)
	t.Served++
	t.open++
	s.mu.Unlock()

	b := owed
	for _, p := range r.backend.Params {
		b = wire.AppendParameterStatus(b, p.Name, p.Value)
	}
	pid, _ := s.keys.Pack(s.index, r.slot)
	b = wire.AppendBackendKeyData(b, pid, s.key(r, pid))
	return wire.AppendReadyForQuery(b, wire.TxIdle)
}

func (s *replications) key(r *replication, pid uint32) []byte {
	if r.longKey {
		long := s.keys.Long(pid, r.secret)
		return long[:]
	}
	return cancelkey.Short(r.secret)
}

// prune forgets the totals of names that have not been used for a while. Under the lock.
func (s *replications) prune() {
	for key, t := range s.totals {
		if t.open == 0 && time.Since(t.left) > totalsKept {
			if t.Others {
				s.others.Others = true
				s.others.Add(&t.Replication)
			}
			delete(s.totals, key)
		}
	}
}

// total is what is counted of those that have ended. Under the lock.
func (s *replications) total(key generation.PoolKey) *replicationTotals {
	t := s.totals[key]
	if t == nil {
		t = &replicationTotals{Replication: status.Replication{Database: key.Database, User: key.User, Others: len(s.totals) >= status.PoolsApart}}
		s.totals[key] = t
	}
	return t
}

// opened is told that r.tunnel is open. It may have ended since, or have been killed before.
func (s *replications) opened(r *replication, t *tunnel.Tunnel) {
	s.mu.Lock()
	r.tunnel = t
	killed := r.killed
	s.mu.Unlock()
	if killed != nil {
		go t.Close(s.farewell(killed)) // the caller may be on the loop
	}
}

// leave counts one out.
func (s *replications) leave(r *replication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bySlot, r.slot)
	t := s.total(r.key)
	t.open--
	t.left = time.Now()
	if r.tunnel != nil {
		in, out := r.tunnel.Bytes()
		t.BytesIn += in
		t.BytesOut += out
	}
	if s.gone != nil && len(s.bySlot) == 0 {
		close(s.gone)
		s.gone = nil
	}
}

// cancelTimeout bounds a cancel request to the server.
const cancelTimeout = 10 * time.Second

// cancel asks the server to cancel what the backend of the client with that key is doing, and returns when the server has had the
// request. A backend has one client only, so a request that comes late hits no other client.
func (s *replications) cancel(ctx context.Context, slots cancelkey.Slots, secret []byte) {
	r := s.byKey(slots, secret)
	if r == nil {
		return
	}
	ctx, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	_ = backend.Cancel(ctx, r.backend.Target, r.backend.PID, r.backend.Secret) // the client tries again
	s.mu.Lock()
	r.cancels--
	s.mu.Unlock()
}

// cancelsMax bounds the cancel requests under way for one backend.
const cancelsMax = 2

// byKey finds the client with that key, if one more cancel request may go to its backend, and counts that.
func (s *replications) byKey(slots cancelkey.Slots, secret []byte) *replication {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot, r := range s.bySlot {
		if !slots.Has(slot) || r.cancels >= cancelsMax {
			continue
		}
		if pid, _ := s.keys.Pack(s.index, slot); s.keys.Same(s.key(r, pid), secret) {
			r.cancels++
			return r
		}
	}
	return nil
}

// tunnels are those that are open, of some.
func (s *replications) tunnels(which func(*replication) bool) []*tunnel.Tunnel {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []*tunnel.Tunnel
	for _, r := range s.bySlot {
		if r.tunnel != nil && which(r) {
			open = append(open, r.tunnel)
		}
	}
	return open
}

// drain lets them go on for grace, sends them away, and returns when the last one is gone, or proxy has stopped.
func (s *replications) drain(grace time.Duration, stopped <-chan struct{}) {
	s.mu.Lock()
	gone := make(chan struct{})
	if len(s.bySlot) == 0 {
		close(gone)
	} else {
		s.gone = gone
	}
	s.mu.Unlock()
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-gone:
		return
	case <-stopped:
		return
	case <-limit.C:
	}
	farewell := s.farewell(pgerror.AdminShutdown)
	for _, t := range s.tunnels(anyReplication) {
		t.Dismiss(farewell)
	}
	limit.Reset(dismissWait)
	select {
	case <-gone:
	case <-stopped:
	case <-limit.C: // a client that takes nothing; it has no transaction to end
		s.close()
	}
}

// renew gives all the limits that hold from now on.
func (s *replications) renew(g *generation.Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.bySlot {
		if r.tunnel != nil {
			r.tunnel.SetLimits(tunnelLimits(g, r.key))
		}
	}
}

// kill ends some at once, those that are not open yet when they are, and returns how many.
func (s *replications) kill(which func(*replication) bool, why *pgerror.Error) int {
	early := s.killEarly(which, why)
	found := s.tunnels(which)
	for _, t := range found {
		t.Close(s.farewell(why))
	}
	return early + len(found)
}

// killEarly has those ended that are not open yet.
func (s *replications) killEarly(which func(*replication) bool, why *pgerror.Error) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kill := func(r *replication) {
		if r.tunnel == nil && which(r) {
			r.killed = why
			n++
		}
	}
	for r := range s.coming {
		kill(r)
	}
	for _, r := range s.bySlot {
		kill(r)
	}
	return n
}

// clients are those that are served, as the console shows them.
func (s *replications) clients() (all []status.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.bySlot {
		kind := "physical"
		if r.kind == login.LogicalReplication {
			kind = "logical"
		}
		remote, _ := netip.ParseAddrPort(r.peer)
		all = append(all, status.Client{
			ID: r.number, Database: r.key.Database, User: r.key.User, PoolDatabase: r.key.Database, PoolUser: r.key.User, Replication: kind,
			State: status.ClientActive, Remote: remote, Age: time.Since(r.began), Since: time.Since(r.began),
		})
	}
	slices.SortFunc(all, func(a, b status.Client) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// dismissWait is how long a connection for replication may take for the rest of the message that it is being sent.
const dismissWait = 10 * time.Second

// close ends all at once.
func (s *replications) close() { s.kill(anyReplication, pgerror.AdminShutdown) }

func anyReplication(*replication) bool { return true }

// snapshot is what there is and was, by database and user as clients name them.
func (s *replications) snapshot() []status.Replication {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prune()
	now := map[generation.PoolKey]status.Replication{}
	for key, t := range s.totals {
		now[key] = t.Replication
	}
	for _, r := range s.bySlot {
		n := now[r.key]
		n.Clients++
		if r.tunnel != nil {
			in, out := r.tunnel.Bytes()
			n.BytesIn += in
			n.BytesOut += out
		}
		now[r.key] = n
	}
	all := slices.SortedFunc(maps.Values(now), func(a, b status.Replication) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.User, b.User))
	})
	if s.others.Others {
		all = append(all, s.others)
	}
	return all
}
