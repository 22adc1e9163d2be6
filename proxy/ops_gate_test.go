package proxy_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// gate stands between weir and its server and tells cancel requests from sessions: a test decides when a request passes, and may
// put words into the server's mouth. What the network itself may do to bytes is faultnet's business.
type gate struct {
	t        *testing.T
	listener net.Listener
	server   string
	// onCancel is called for each cancel request. pass hands it to the server and returns when the server has closed it. When
	// onCancel returns, weir sees its connection closed. Nil is pass at once.
	onCancel func(pass func())
	greeting []byte // is said to weir before the server says anything

	mu       sync.Mutex
	sessions map[net.Conn]bool // weir's ends
}

// newGate opens a gate to server until the test ends.
func newGate(t *testing.T, server string, onCancel func(pass func())) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newGateOn(t, l, server, onCancel)
}

// newGateOn is newGate with a listener that it will close.
func newGateOn(t *testing.T, l net.Listener, server string, onCancel func(pass func())) *gate {
	g := &gate{t: t, listener: l, server: server, onCancel: onCancel, sessions: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { g.serve(nc) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return g
}

func (g *gate) serve(weir net.Conn) {
	defer func() { _ = weir.Close() }()
	var head [8]byte
	if _, err := io.ReadFull(weir, head[:]); err != nil {
		return
	}
	const cancelRequestCode = 80877102
	if binary.BigEndian.Uint32(head[4:]) == cancelRequestCode {
		request, _ := io.ReadAll(io.LimitReader(weir, int64(binary.BigEndian.Uint32(head[:]))-8))
		pass := func() { g.pass(append(head[:], request...)) }
		if g.onCancel == nil {
			pass()
			return
		}
		g.onCancel(pass)
		return
	}
	g.relay(weir, head[:])
}

func (g *gate) pass(request []byte) {
	server, err := net.Dial("tcp", g.server)
	if err != nil {
		g.t.Errorf("pass a cancel request: %v", err)
		return
	}
	defer func() { _ = server.Close() }()
	_, _ = server.Write(request)
	_, _ = io.Copy(io.Discard, server)
}

func (g *gate) relay(weir net.Conn, head []byte) {
	server, err := net.Dial("tcp", g.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	g.mu.Lock()
	g.sessions[weir] = true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.sessions, weir)
		g.mu.Unlock()
	}()
	go func() {
		_, _ = server.Write(head)
		_, _ = io.Copy(server, weir)
		_ = server.Close()
	}()
	_, _ = weir.Write(g.greeting)
	_, _ = io.Copy(weir, server)
}

// say sends bytes to weir as if they came from the server, in each session. The sessions must rest between two messages.
func (g *gate) say(p []byte) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.sessions) == 0 {
		g.t.Fatal("there is no session")
	}
	for weir := range g.sessions {
		if _, err := weir.Write(p); err != nil {
			g.t.Fatal(err)
		}
	}
}

// open is how many sessions there are.
func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// hangUp closes the sessions, as a server does that says nothing more.
func (g *gate) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for weir := range g.sessions {
		_ = weir.Close()
	}
}
