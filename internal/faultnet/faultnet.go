// Package faultnet is a network that misbehaves on demand: a proxy for tests
// that stands between two programs and stalls, dribbles, delays, half-closes
// or resets what they say to each other.
//
// A test points its client at the proxy's address and gives the proxy the
// real one:
//
//	slow := faultnet.New(t, "tcp", server.Addr())
//	dial(slow.Addr())
//	slow.Pause(faultnet.ToClient) // the client stops reading, as it looks to the server
//
// The controls act on all connections, those that exist and those to come,
// save where a method says otherwise, and have happened when they return. A
// test waits for what the other side does with WaitFor, not by sleeping.
//
// Each connection has two goroutines, one a direction; all state is under the
// proxy's lock, and the methods may be called from any goroutine. It imports
// the standard library alone, and only tests import it.
package faultnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is one of the two ways in which bytes pass.
type Direction int

const (
	// ToTarget is from the client, who connected, to the target.
	ToTarget Direction = iota
	// ToClient is from the target to the client.
	ToClient

	directions = 2
)

// String names the direction for a failing test.
func (d Direction) String() string {
	switch d {
	case ToTarget:
		return "to target"
	case ToClient:
		return "to client"
	}
	return fmt.Sprintf("direction %d", int(d))
}

// Mode is what becomes of new connections.
type Mode int

const (
	// Forward connects them to the target.
	Forward Mode = iota
	// Silence accepts them, reads nothing and says nothing, as a host does
	// that hangs. They are open until Cut or Close.
	Silence
	// Refuse lets the kernel refuse them (ECONNREFUSED), as it does where no
	// program listens. The port stays ours.
	Refuse
)

// Stats are the proxy's counters at one moment.
type Stats struct {
	Accepted int               // connections accepted since the start, silenced ones too
	Open     int               // connections open now, silenced ones too
	Bytes    [directions]int64 // bytes written onwards since the start, by Direction
	Writes   [directions]int64 // writes that carried them
}

// dialTimeout bounds the connect to the target. Targets of tests are on
// loopback, where a connect either succeeds at once or never.
const dialTimeout = 5 * time.Second

// acceptBackOff keeps an accept that fails from spinning.
const acceptBackOff = 10 * time.Millisecond

// Proxy forwards connections to one target and is told how to misbehave.
type Proxy struct {
	network, address string // of the target
	listenAddr       net.Addr

	ctx    context.Context // ends with Close; carries dials
	cancel context.CancelFunc
	wg     sync.WaitGroup // the accept loop and every link's goroutines

	mu        sync.Mutex
	changed   *sync.Cond // on mu: any field below, or of a link, has changed
	closed    bool
	mode      Mode
	listening listening
	links     map[*link]struct{}
	lanes     [directions]lane
	stats     Stats
}

// lane is what the controls have set for one direction.
type lane struct {
	paused   bool
	busy     int           // goroutines that are reading or writing just now
	chunk    int           // bytes a write, 0 is as they come
	delay    time.Duration // before each write
	cutAfter int64         // bytes that a new connection may carry, 0 is any number
}

// New starts a proxy on a free loopback TCP port in front of the target that
// network and address name, and closes it when the test ends.
func New(t testing.TB, network, address string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("faultnet: %v", err)
	}
	p, err := Start(l, network, address)
	if err != nil {
		t.Fatalf("faultnet: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// Start forwards what l accepts to the target that network and address name.
// The proxy owns l, which must be a TCP or a unix listener; the caller owns
// the proxy and closes it.
func Start(l net.Listener, network, address string) (*Proxy, error) {
	o, err := newListening(l)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	p := &Proxy{
		network: network, address: address,
		listenAddr: l.Addr(),
		listening:  o,
		links:      make(map[*link]struct{}),
	}
	p.changed = sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Add(1)
	go p.accept(l)
	return p, nil
}

// Addr is the address to connect to: host:port, or the socket's path.
func (p *Proxy) Addr() string { return p.listenAddr.String() }

// Close stops listening, resets all connections and waits until every
// goroutine of the proxy has ended. A second Close does nothing.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.listening.stop()
		p.listening.leave()
		p.cutAll()
	}
	p.mu.Unlock()
	p.cancel()
	p.wg.Wait()
}

// Stats returns the counters of now.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// WaitFor waits until the counters satisfy cond. When ctx ends first, its
// error comes back with the counters in the text.
func (p *Proxy) WaitFor(ctx context.Context, cond func(Stats) bool) error {
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	})
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !cond(p.stats) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("faultnet: waited in vain at %+v: %w", p.stats, err)
		}
		p.changed.Wait()
	}
	return nil
}

// accept takes connections from one listener until that is closed. Refuse
// closes it; the way back from Refuse starts another accept.
func (p *Proxy) accept(l net.Listener) {
	defer p.wg.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(acceptBackOff) // out of descriptors, most likely
			continue
		}
		p.admit(conn)
	}
}

// admit makes a link of a new connection and starts it as the mode says.
func (p *Proxy) admit(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := &link{p: p, done: make(chan struct{})}
	k.ends[ToClient] = conn.(halfCloser)
	p.links[k] = struct{}{}
	p.stats.Accepted++
	p.stats.Open++
	for d := range p.lanes {
		k.cutAt[d] = p.lanes[d].cutAfter
	}
	switch {
	case p.closed, p.mode == Refuse:
		// Accepted by the kernel before the listener was closed.
		k.cut()
	case p.mode == Forward:
		p.wg.Add(1)
		go k.forward()
	}
	p.changed.Broadcast()
}
