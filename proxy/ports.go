package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"syscall"

	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/prelogin"
	"weir/proxy/socket"
)

// port is one address at which clients are accepted, on all loops: where a pool lives is known only once its client has logged in.
type port struct {
	listener  *socket.Listener
	inherited bool           // it is open in another process, too, which gives it to the next weir
	accepting *prelogin.Door // nil: it has not begun

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

// Descriptor implements place.
func (o *port) Descriptor(f func(fd int) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return net.ErrClosed
	}
	return f(o.listener.FD())
}

// followTCP has clients that come from now on get the options of the present configuration.
func (p *Proxy) followTCP() {
	options := generation.ClientTCP(p.current.Load().Config)
	if options == p.tcp {
		return
	}
	p.tcp = options
	for _, o := range p.ports {
		if !o.tcp() {
			continue
		}
		if err := o.Descriptor(options.Renew); err != nil && !errors.Is(err, net.ErrClosed) {
			p.log.Error("options of clients' connections not changed", "listen", o.listener.Addr(), "error", err)
		}
	}
}

// openPorts begins to accept.
func (p *Proxy) openPorts() (err error) {
	p.crowd = prelogin.NewCrowd(p.loops)
	for _, o := range p.ports {
		if o.accepting, err = prelogin.Open(p.crowd, o.listener, acceptHandler{p}); err != nil {
			return err
		}
	}
	return nil
}

// cannotListen is why an address that a setting names could not be had, and what to do where that is known.
func cannotListen(setting, address string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "; another program listens there: end it, or choose another address"
	case errors.Is(err, syscall.EACCES):
		advice = "; ports below 1024 are for root, or need CAP_NET_BIND_SERVICE"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok { // the words around it have the address once more
		err = errno
	}
	return fmt.Errorf("listen on %s (%s): %w%s", address, setting, err, advice)
}

// listen opens the addresses of the configuration, or takes over what it has been given.
func (p *Proxy) listen(ctx context.Context) error {
	c := p.current.Load().Config.Listen
	options := generation.ClientTCP(p.current.Load().Config)
	p.tcp = options
	if len(p.options.Sockets) > 0 {
		for _, f := range p.options.Sockets {
			l, err := socket.Inherit(f, options)
			if err != nil {
				return fmt.Errorf("listen at the socket %s: %w", f.Name(), err)
			}
			p.ports = append(p.ports, &port{listener: l, inherited: true})
		}
		return nil
	}
	setting := "[listen] addresses"
	if p.current.Load().Config.PgBouncer {
		setting = "listen_addr, listen_port"
	}
	for _, address := range c.Addresses {
		l, err := socket.ListenTCP(ctx, address, c.Backlog, options, c.ReusePort)
		if err != nil {
			return cannotListen(setting, address, err)
		}
		p.ports = append(p.ports, &port{listener: l})
	}
	if c.UnixSocketDir == "" {
		return nil
	}
	group, err := config.GroupID(c.UnixSocketGroup)
	if err != nil {
		return fmt.Errorf("unix_socket_group: %w", err)
	}
	l, err := socket.ListenUnix(ctx, c.UnixSocketDir, p.unixPort(), fs.FileMode(c.UnixSocketMode), group, c.Backlog)
	if err != nil {
		return fmt.Errorf("listen in %s: %w", c.UnixSocketDir, err)
	}
	p.ports = append(p.ports, &port{listener: l})
	return nil
}

// unixPort is the number in the unix socket's name: that of the configuration, or the port of the first TCP listener, as PostgreSQL's clients expect, also
// where the system chose it.
func (p *Proxy) unixPort() int {
	c := p.current.Load().Config.Listen
	if c.UnixSocketPort != 0 {
		return c.UnixSocketPort
	}
	for _, o := range p.ports {
		if a, ok := o.listener.Addr().(*net.TCPAddr); ok {
			return a.Port
		}
	}
	return c.SocketPort()
}

// Addresses are where weir listens, with the ports that the system chose.
func (p *Proxy) Addresses() []string {
	addresses := make([]string, len(p.ports))
	for i, o := range p.ports {
		addresses[i] = o.listener.Addr().String()
	}
	return addresses
}
