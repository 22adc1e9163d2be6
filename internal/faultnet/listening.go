package faultnet

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// listening is the address that the proxy listens at, open or refusing. While it
// refuses, a TCP port is held by a socket that is bound but does not listen:
// the kernel answers a connect with a reset, and no other process can take
// the port. For a unix socket the file stays there without a listener, as after
// a crash of its server. Under the proxy's lock.
type listening struct {
	addr     net.Addr
	listener net.Listener // nil while it refuses
	held     int          // the bound descriptor, or noHold
}

const noHold = -1

func newListening(l net.Listener) (listening, error) {
	switch l := l.(type) {
	case *net.TCPListener:
	case *net.UnixListener:
		l.SetUnlinkOnClose(false)
	default:
		return listening{}, fmt.Errorf("faultnet: listener of type %T: need TCP or unix", l)
	}
	return listening{addr: l.Addr(), listener: l, held: noHold}, nil
}

// stop closes the listener, if there is one.
func (o *listening) stop() {
	if o.listener != nil {
		_ = o.listener.Close() // its accept loop ends either way
		o.listener = nil
	}
}

// hold keeps the port of an address where the proxy has stopped.
func (o *listening) hold() error {
	tcp, ok := o.addr.(*net.TCPAddr)
	if !ok {
		return nil
	}
	family, sa := sockaddr(tcp)
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	syscall.CloseOnExec(fd)
	// Connections that this port accepted may still be open.
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, sa)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return fmt.Errorf("faultnet: hold %s: %w", o.addr, err)
	}
	o.held = fd
	return nil
}

// resume listens again.
func (o *listening) resume() (net.Listener, error) {
	o.leave()
	l, err := net.Listen(o.addr.Network(), o.addr.String())
	if err != nil {
		return nil, fmt.Errorf("faultnet: listen again: %w", err)
	}
	if unix, ok := l.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	o.listener = l
	return l, nil
}

// leave gives up what hold kept, or a unix socket's file.
func (o *listening) leave() {
	if o.held != noHold {
		_ = syscall.Close(o.held)
		o.held = noHold
	}
	if o.addr.Network() == "unix" {
		_ = os.Remove(o.addr.String()) // the test may have removed its folder
	}
}

func sockaddr(a *net.TCPAddr) (family int, sa syscall.Sockaddr) {
	if ip := a.IP.To4(); ip != nil {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
}
