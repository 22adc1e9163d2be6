package ports

import (
	"net"
	"sync"

	"weir/proxy/prelogin"
	"weir/proxy/socket"
)

// port is one address at which clients are accepted, on all loops: where a pool lives is known only once its client has logged in.
type port struct {
	listener  *socket.Listener
	inherited bool               // it is open in another process, too, which gives it to the next weir
	accepting *prelogin.Acceptor // nil: it has not begun

	mu     sync.Mutex
	closed bool
}

// tcp reports whether clients come over the network.
func (o *port) tcp() bool { return o.listener.Addr().Network() == "tcp" }

// Close accepts no more connections. Any goroutine but the loops'.
func (o *port) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed = true
	if o.accepting != nil {
		o.accepting.Close()
	}
	_ = o.listener.Close()
}

// acceptWaiting accepts the connections that wait, unless the port is closed: its descriptor may be another's by then. Any goroutine but the loops'.
func (o *port) acceptWaiting() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.accepting.AcceptWaiting()
	}
}

// Descriptor implements Place.
func (o *port) Descriptor(f func(fd int) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return net.ErrClosed
	}
	return f(o.listener.FD())
}
