package proxy_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// heldBack leads to a server. The connection that comes after hold is a login that hears nothing from it until release.
type heldBack struct {
	listener net.Listener
	hold     chan struct{}
	held     chan struct{} // it has come
	release  chan struct{}
	left     chan struct{} // weir has closed it
}

func holdBack(t *testing.T, server string) *heldBack {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &heldBack{l, make(chan struct{}, 1), make(chan struct{}), make(chan struct{}), make(chan struct{})}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			weir, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { h.serve(t, weir, server) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return h
}

func (h *heldBack) serve(t *testing.T, weir net.Conn, server string) {
	defer func() { _ = weir.Close() }()
	s, err := net.Dial("tcp", server)
	if err != nil {
		t.Errorf("dial the server: %v", err)
		return
	}
	defer func() { _ = s.Close() }()
	held := false
	select {
	case <-h.hold:
		held = true
		close(h.held)
	default:
	}
	go func() {
		if held {
			<-h.release
		}
		_, _ = io.Copy(weir, s)
		_ = weir.Close()
	}()
	_, _ = io.Copy(s, weir)
	if held {
		close(h.left)
	}
}

func happens(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not after %s: %s", patience, what)
	}
}

// What leads to another server from now on is no less another for the listener connection that is being dialled just then: it would listen where
// nobody notifies any more, and nobody would notice.
func TestListenerConnectionIsMadeAgainThatWasBeingDialledWhenThePoolMoved(t *testing.T) {
	d := database(t)
	const toml = "[pool]\npool_size = 2\n[admin]\nadmin_users = [\"boss\"]\n"
	for how, move := range map[string]func(*testing.T, *reloadable){
		"reconnect": func(t *testing.T, w *reloadable) { ask(t, w.console(t, "boss"), "RECONNECT") },
		"reload":    func(_ *testing.T, w *reloadable) { w.reload(toml + serverAt(d.Server.Addr())) },
	} {
		t.Run(how, func(t *testing.T) {
			n := holdBack(t, d.Server.Addr())
			w := startReloadable(t, d, toml+serverAt(n.listener.Addr().String()))
			l := connectListener(t, w.weirUnderTest, d)
			l.do("SELECT 1")
			n.hold <- struct{}{}
			l.do("LISTEN a")
			happens(t, "the listener connection is dialled", n.held)
			move(t, w)
			close(n.release)
			happens(t, "the connection to where the clients were is closed", n.left)
			w.listening(t, 1)
			ask(t, direct(t, d), "NOTIFY a, 'here'")
			l.hears("a:here")
		})
	}
}
