// Package ports has the addresses at which weir accepts clients, and gives way at them to the next weir.
//
// Its methods may be called on any goroutine but the loops' own; Listen and Open come first, and Follow is one call at a time. It may import
// what accepts (prelogin, socket) and what a configuration says of it (config, generation).
package ports

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"

	"weir/config"
	"weir/proxy/generation"
	"weir/proxy/prelogin"
	"weir/proxy/socket"
)

// Ports are all of a weir's.
type Ports struct {
	log     *slog.Logger
	all     []*port           // fixed from Listen on
	options socket.TCPOptions // of clients' connections
}

// New has no port yet.
func New(log *slog.Logger) *Ports { return &Ports{log: log} }

// Follow has clients that come from now on get the options of a configuration.
func (s *Ports) Follow(c *config.Config) {
	options := generation.ClientTCP(c)
	if options == s.options {
		return
	}
	s.options = options
	for _, o := range s.all {
		if !o.tcp() {
			continue
		}
		if err := o.Descriptor(options.Renew); err != nil && !errors.Is(err, net.ErrClosed) {
			s.log.Error("options of clients' connections not changed", "listen", o.listener.Addr(), "error", err)
		}
	}
}

// Open begins to accept.
func (s *Ports) Open(loops *prelogin.Loops, host prelogin.Host) (err error) {
	for _, o := range s.all {
		if o.accepting, err = prelogin.Open(loops, o.listener, host); err != nil {
			return err
		}
	}
	return nil
}

// Close accepts no more connections.
func (s *Ports) Close() {
	for _, o := range s.all {
		o.Close()
	}
}

// CannotListen is why an address that a setting names could not be had, and what to do where that is known.
func CannotListen(setting, address string, err error) error {
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

// Listen opens the addresses of a configuration. If another process has made sockets for weir, it takes these over instead.
func (s *Ports) Listen(ctx context.Context, c *config.Config, sockets []*os.File) error {
	s.options = generation.ClientTCP(c)
	if len(sockets) > 0 {
		return s.inherit(sockets)
	}
	if err := s.listenTCP(ctx, c); err != nil {
		return err
	}
	return s.listenUnix(ctx, c.Listen)
}

func (s *Ports) inherit(sockets []*os.File) error {
	for _, f := range sockets {
		l, err := socket.Inherit(f, s.options)
		if err != nil {
			return fmt.Errorf("listen at the socket %s: %w", f.Name(), err)
		}
		s.all = append(s.all, &port{listener: l, inherited: true})
	}
	return nil
}

func (s *Ports) listenTCP(ctx context.Context, c *config.Config) error {
	setting := "[listen] addresses"
	if c.PgBouncer {
		setting = "listen_addr, listen_port"
	}
	for _, address := range c.Listen.Addresses {
		l, err := socket.ListenTCP(ctx, address, c.Listen.Backlog, s.options, c.Listen.ReusePort)
		if err != nil {
			return CannotListen(setting, address, err)
		}
		s.all = append(s.all, &port{listener: l})
	}
	return nil
}

func (s *Ports) listenUnix(ctx context.Context, c config.Listen) error {
	if c.UnixSocketDir == "" {
		return nil
	}
	group, err := config.GroupID(c.UnixSocketGroup)
	if err != nil {
		return fmt.Errorf("unix_socket_group: %w", err)
	}
	l, err := socket.ListenUnix(ctx, c.UnixSocketDir, s.UnixPort(c), fs.FileMode(c.UnixSocketMode), group, c.Backlog)
	if err != nil {
		return fmt.Errorf("listen in %s: %w", c.UnixSocketDir, err)
	}
	s.all = append(s.all, &port{listener: l})
	return nil
}

// UnixPort is the number in the unix socket's name: that of the configuration, or the port of the first TCP listener, as PostgreSQL's clients expect, also
// where the system chose it.
func (s *Ports) UnixPort(c config.Listen) int {
	if c.UnixSocketPort != 0 {
		return c.UnixSocketPort
	}
	for _, o := range s.all {
		if a, ok := o.listener.Addr().(*net.TCPAddr); ok {
			return a.Port
		}
	}
	return c.SocketPort()
}

// Addresses are where weir listens, with the ports that the system chose.
func (s *Ports) Addresses() []string {
	addresses := make([]string, len(s.all))
	for i, o := range s.all {
		addresses[i] = o.listener.Addr().String()
	}
	return addresses
}
