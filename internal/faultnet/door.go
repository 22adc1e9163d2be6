package faultnet

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// door is the address that the proxy listens at, open or refusing. While it
// refuses, a TCP port is held by a socket that is bound but does not listen:
// the kernel answers a connect with a reset, and no other process can take
// the port. For a unix socket the file stays there without a listener, as after
// a crash of its server. Under the proxy's lock.
type door struct {
	addr     net.Addr
	listener net.Listener // nil while it refuses
	held     int          // the bound descriptor, or noHold
}

const noHold = -1

func newDoor(l net.Listener) (door, error) {
	switch l := l.(type) {
	case *net.TCPListener:
	case *net.UnixListener:
		l.SetUnlinkOnClose(false)
	default:
		return door{}, fmt.Errorf("faultnet: listener of type %T: need TCP or unix", l)
	}
	return door{addr: l.Addr(), listener: l, held: noHold}, nil
}

// shut closes the listener, if there is one.
func (d *door) shut() {
	if d.listener != nil {
		_ = d.listener.Close() // its accept loop ends either way
		d.listener = nil
	}
}

// hold keeps the port of a door that was shut.
func (d *door) hold() error {
	tcp, ok := d.addr.(*net.TCPAddr)
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
		return fmt.Errorf("faultnet: hold %s: %w", d.addr, err)
	}
	d.held = fd
	return nil
}

// open listens again.
func (d *door) open() (net.Listener, error) {
	d.leave()
	l, err := net.Listen(d.addr.Network(), d.addr.String())
	if err != nil {
		return nil, fmt.Errorf("faultnet: listen again: %w", err)
	}
	if unix, ok := l.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	d.listener = l
	return l, nil
}

// leave gives up what hold kept, or a unix socket's file.
func (d *door) leave() {
	if d.held != noHold {
		_ = syscall.Close(d.held)
		d.held = noHold
	}
	if d.addr.Network() == "unix" {
		_ = os.Remove(d.addr.String()) // the test may have removed its folder
	}
}

func sockaddr(a *net.TCPAddr) (family int, sa syscall.Sockaddr) {
	if ip := a.IP.To4(); ip != nil {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
}
