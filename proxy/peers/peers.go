// Package peers passes cancel requests on to the weir or PgBouncer that gave out their keys.
//
// A request is passed on as it came, with one hop less to make, and its connection stays open until the peer has closed the one to it: as
// with PostgreSQL, the client may take the close as the sign that the request has been delivered. Anyone can send requests, so all is
// bounded: the connections to a peer, the requests that wait for one, and the time that each takes.
//
// It is ordinary blocking code: each request is on the goroutine of its caller. It may import backend, cancelkey and status.
package peers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/proxy/backend"
	"weir/proxy/cancelkey"
	"weir/proxy/status"
)

// Peer is where a peer is reached.
type Peer struct {
	ID     uint16
	Target backend.Target
	Most   int // connections at a time; at least 1
}

// Settings are what the configuration says.
type Settings struct {
	Peers    []Peer
	Timeout  time.Duration // of one request; 0: TimeoutMost
	Requests int           // under way or waiting, to all peers
}

// TimeoutMost bounds a request where the configuration does not.
const TimeoutMost = 10 * time.Second

// Reason says why a request was not delivered.
type Reason string

// The reasons.
const (
	Unknown     Reason = "unknown peer"
	TooManyHops Reason = "hops"
	Full        Reason = "full"        // Settings.Requests are under way, or Peer.Most and no place became free in time
	Unreachable Reason = "unreachable" // no connection, or no agreement on TLS
	Unanswered  Reason = "unanswered"  // the peer has had the request, perhaps, but did not close in time
)

// Error is a request that was not delivered.
type Error struct {
	Reason  Reason
	Address string // of the peer, if it was tried
	Err     error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Group is the peers of this weir. Its methods may be called on any goroutine.
type Group struct {
	mu       sync.Mutex
	settings Settings
	peers    map[uint16]Peer
	pools    map[uint16]*pool // of the peers that a request was for
	requests int
	passed   uint64
	received uint64
	failed   map[string]uint64
}

// pool is the connections to one peer.
type pool struct {
	peer                      Peer
	places                    chan struct{} // as many as the peer's connections
	waiting, dialling, active int           // guarded by Group.mu
}

// New makes a Group without peers.
func New() *Group { return &Group{pools: map[uint16]*pool{}, failed: map[string]uint64{}} }

// Configure takes effect for requests that come from now on.
func (g *Group) Configure(s Settings) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settings, g.peers = s, make(map[uint16]Peer, len(s.Peers))
	for _, p := range s.Peers {
		g.peers[p.ID] = p
	}
	for id, old := range g.pools {
		now, ok := g.peers[id]
		switch {
		case !ok:
			delete(g.pools, id)
		case now.Most != old.peer.Most:
			g.pools[id] = newPool(now) // requests that are under way end with the old one
		default:
			old.peer = now
		}
	}
}

func newPool(p Peer) *pool { return &pool{peer: p, places: make(chan struct{}, p.Most)} }

// Received counts a request for this weir that came by way of a peer.
func (g *Group) Received() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.received++
}

// Pass passes a request on, and returns when the peer has had it, or it was given up.
func (g *Group) Pass(ctx context.Context, peer uint16, pid uint32, presented []byte) *Error {
	failure := g.pass(ctx, peer, pid, presented)
	g.mu.Lock()
	defer g.mu.Unlock()
	if failure != nil {
		g.failed[string(failure.Reason)]++
	} else {
		g.passed++
	}
	return failure
}

func (g *Group) pass(ctx context.Context, peer uint16, pid uint32, presented []byte) *Error {
	secret, ok := cancelkey.PassOn(presented)
	if !ok {
		return &Error{Reason: TooManyHops}
	}
	pool, to, timeout, failure := g.enter(peer)
	if failure != nil {
		return failure
	}
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	select {
	case pool.places <- struct{}{}:
		defer func() { <-pool.places }()
	case <-ctx.Done():
		g.move(&pool.waiting, nil)
		return &Error{Full, to.Target.Address(), ctx.Err()}
	}
	g.move(&pool.waiting, &pool.dialling)
	stage := &pool.dialling
	err := backend.CancelVia(ctx, to.Target, pid, secret, func() {
		if stage == &pool.dialling {
			g.move(&pool.dialling, &pool.active)
			stage = &pool.active
		}
	})
	g.move(stage, nil)
	switch {
	case err == nil:
		return nil
	case stage == &pool.dialling:
		return &Error{Unreachable, to.Target.Address(), err}
	}
	return &Error{Unanswered, to.Target.Address(), err}
}

// enter takes a request in, as one that waits.
func (g *Group) enter(id uint16) (*pool, Peer, time.Duration, *Error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	peer, ok := g.peers[id]
	switch {
	case !ok:
		return nil, Peer{}, 0, &Error{Reason: Unknown}
	case g.requests >= g.settings.Requests:
		return nil, Peer{}, 0, &Error{Reason: Full, Address: peer.Target.Address()}
	}
	if g.pools[id] == nil {
		g.pools[id] = newPool(peer)
	}
	p := g.pools[id]
	g.requests++
	p.waiting++
	timeout := g.settings.Timeout
	if timeout == 0 {
		timeout = TimeoutMost
	}
	return p, peer, timeout, nil
}

// move counts a request from one stage to the next; nil is its end.
func (g *Group) move(from, to *int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*from--
	if to == nil {
		g.requests--
		return
	}
	*to++
}

// Snapshot is what there is and was.
func (g *Group) Snapshot() status.Peers {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := status.Peers{Passed: g.passed, Received: g.received, Failed: maps.Clone(g.failed)}
	for _, id := range slices.Sorted(maps.Keys(g.pools)) {
		p := g.pools[id]
		s.Pools = append(s.Pools, status.PeerPool{ID: int(id), Waiting: p.waiting + p.dialling, Active: p.active, Dialling: p.dialling})
	}
	return s
}
