package peers

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"weir/proxy/backend"
	"weir/proxy/status"
)

const patience = 20 * time.Second

// silentPeer takes connections, and closes them when it is told to.
func silentPeer(t *testing.T) (to backend.Target, arrived <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	came := make(chan net.Conn, 100)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came <- c
		}
	}()
	return backend.Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}, came
}

func next(t *testing.T, arrived <-chan net.Conn) net.Conn {
	t.Helper()
	select {
	case c := <-arrived:
		return c
	case <-time.After(patience):
		t.Fatal("no connection comes")
		return nil
	}
}

func eventually(t *testing.T, g *Group, want status.PeerPool) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s := g.Snapshot()
		if len(s.Pools) == 1 && s.Pools[0] == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, want %+v", s.Pools, want)
		}
	}
}

// Anyone may send requests, as many as they like: a peer gets no more connections than it may have, and what is beyond the requests that
// there may be is refused at once, for all peers together.
func TestRequestsAreBounded(t *testing.T) {
	to, arrived := silentPeer(t)
	other, none := silentPeer(t)
	g := New()
	g.Configure(Settings{Peers: []Peer{{ID: 2, Target: to, Most: 2}, {ID: 3, Target: other, Most: 2}}, Timeout: time.Hour, Requests: 3})
	var all sync.WaitGroup
	pass := func() {
		all.Go(func() {
			if failure := g.Pass(context.Background(), 2, 2<<16, []byte{1, 2, 3, 0xff}); failure != nil {
				t.Error(failure)
			}
		})
	}
	pass()
	pass()
	first, second := next(t, arrived), next(t, arrived)
	pass()
	eventually(t, g, status.PeerPool{ID: 2, Waiting: 1, Active: 2})
	for _, peer := range []uint16{2, 3} {
		if failure := g.Pass(context.Background(), peer, 2<<16, []byte{1, 2, 3, 0xff}); failure == nil || failure.Reason != Full {
			t.Errorf("one more, for peer %d: %v", peer, failure)
		}
	}
	_ = first.Close()
	third := next(t, arrived)
	eventually(t, g, status.PeerPool{ID: 2, Active: 2})
	_, _ = second.Close(), third.Close()
	all.Wait()
	if s := g.Snapshot(); s.Passed != 3 || s.Failed["full"] != 2 || s.Pools[0] != (status.PeerPool{ID: 2}) {
		t.Errorf("%+v", s)
	}
	if len(arrived)+len(none) != 0 {
		t.Error("a request that was refused has reached a peer")
	}
}

// One that waits for a connection is given up in time, and one that is under way where the peer has gone from the configuration is not.
func TestRequestsEndInTheirTime(t *testing.T) {
	to, arrived := silentPeer(t)
	g := New()
	g.Configure(Settings{Peers: []Peer{{ID: 2, Target: to, Most: 1}}, Timeout: time.Hour, Requests: 9})
	ended := make(chan *Error, 1)
	go func() { ended <- g.Pass(context.Background(), 2, 2<<16, []byte{1, 2, 3, 0xff}) }()
	busy := next(t, arrived)
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	if failure := g.Pass(ctx, 2, 2<<16, []byte{1, 2, 3, 0xff}); failure == nil || failure.Reason != Full {
		t.Errorf("one that finds no place: %v", failure)
	}
	g.Configure(Settings{})
	if failure := g.Pass(context.Background(), 2, 2<<16, []byte{1, 2, 3, 0xff}); failure == nil || failure.Reason != Unknown {
		t.Errorf("after the peer has gone: %v", failure)
	}
	if n := len(g.Snapshot().Pools); n != 0 {
		t.Errorf("%d pools of peers that have gone", n)
	}
	_ = busy.Close()
	if failure := <-ended; failure != nil {
		t.Error(failure)
	}
}
