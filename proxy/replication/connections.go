// Package replication serves the clients that ask for replication. Each gets a backend of its own, past the pools and within the limits over
// them, and a tunnel passes bytes between the two until one ends.
//
// A connection is dialled on a goroutine, apart from the loop on which its client has logged in, and lives on that loop. Connections keeps
// account of all of them under a lock, for any goroutine. The package may import what a dial needs (generation, dial, places), tunnel, and
// the forms in which others tell it of clients and ask for them (login, prelogin, status); it knows no pool.
package replication

import (
	"log/slog"
	"sync"
	"time"

	"weir/proxy/backend"
	"weir/proxy/cancelkey"
	"weir/proxy/dial"
	"weir/proxy/generation"
	"weir/proxy/login"
	"weir/proxy/logline"
	"weir/proxy/pgerror"
	"weir/proxy/places"
	"weir/proxy/status"
	"weir/proxy/tunnel"
	"weir/proxy/wire"
)

// connection is one client with its backend.
type connection struct {
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

	slot    uint32 // guarded, as is the rest, by Connections.mu
	cancels int
	killed  *pgerror.Error // why it is ended as soon as it is open; nil: it goes on
}

// Connections are all of the process. Its methods may be called on any goroutine.
type Connections struct {
	parts Parts
	dials turns

	mu     sync.Mutex
	coming map[*connection]struct{} // that are being dialled
	bySlot map[uint32]*connection
	slots  cancelkey.Turn
	totals map[generation.PoolKey]*totals
	others status.Replication // what is forgotten of the totals that metrics show together; these never fall
	gone   chan struct{}      // closed when the last one ends; nil while no caller waits for that
}

// Parts are those of weir's that connections need.
type Parts struct {
	Current *generation.Current
	Keys    *cancelkey.Keys
	Index   int           // in place of a loop's, in cancel keys
	Number  func() uint32 // the next of the process's clients and backends
	Places  *places.Places
	Dialer  *dial.Dialer
	Targets *dial.Targets
	Log     *slog.Logger
	Lines   *logline.Limited // of the log, that strangers cause
}

// totals are of connections that have ended, by the names that clients gave.
type totals struct {
	status.Replication           // save for Clients
	open               int       // connections now
	left               time.Time // when the last one ended
}

// totalsKept is how long the totals of names that nothing replicates by any more are kept: Prometheus has seen them several times.
const totalsKept = 5 * time.Minute

// New has no connection yet.
func New(p Parts) *Connections {
	return &Connections{parts: p, coming: map[*connection]struct{}{}, bySlot: map[uint32]*connection{}, totals: map[generation.PoolKey]*totals{}}
}

// begin takes note of one that is about to be dialled. It enters, or is given up.
func (s *Connections) begin(r *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming[r] = struct{}{}
}

func (s *Connections) giveUp(r *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.coming, r)
}

// enter counts a new one in, and returns what its client is greeted with: what is owed from the login, and after it what the server has
// said at weir's login, with weir's key in place of the server's.
func (s *Connections) enter(r *connection, owed []byte) []byte {
	s.mu.Lock()
	r.slot = s.slots.Next(func(slot uint32) bool { return s.bySlot[slot] != nil })
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
	pid, _ := s.parts.Keys.Pack(s.parts.Index, r.slot)
	b = wire.AppendBackendKeyData(b, pid, s.key(r, pid))
	return wire.AppendReadyForQuery(b, wire.TxIdle)
}

// prune forgets the totals of names that have not been used for a while. Under the lock.
func (s *Connections) prune() {
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
func (s *Connections) total(key generation.PoolKey) *totals {
	t := s.totals[key]
	if t == nil {
		t = &totals{Replication: status.Replication{Database: key.Database, User: key.User, Others: len(s.totals) >= status.PoolsApart}}
		s.totals[key] = t
	}
	return t
}

// opened is told that r.tunnel is open. It may have ended since, or have been killed before.
func (s *Connections) opened(r *connection, t *tunnel.Tunnel) {
	s.mu.Lock()
	r.tunnel = t
	killed := r.killed
	s.mu.Unlock()
	if killed != nil {
		go t.Close(s.farewell(killed)) // the caller may be on the loop
	}
}

// leave counts one out.
func (s *Connections) leave(r *connection) {
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
