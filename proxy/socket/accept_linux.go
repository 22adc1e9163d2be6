package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	keepIdle    = unix.TCP_KEEPIDLE
	userTimeout = unix.TCP_USER_TIMEOUT
	deferAccept = unix.TCP_DEFER_ACCEPT
)

// accept takes a connection. x/sys asks the kernel for the protocol of every one, and syscall announces the call to Go's scheduler, which
// costs as much as the call: the listener never blocks.
func accept(fd int) (int, syscall.Sockaddr, error) {
	var peer syscall.RawSockaddrAny
	size := uint32(unsafe.Sizeof(peer))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&peer)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, nil, errno
	}
	switch peer.Addr.Family {
	case unix.AF_INET:
		a := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&peer))
		return int(n), &syscall.SockaddrInet4{Port: bigEndian(a.Port), Addr: a.Addr}, nil
	case unix.AF_INET6:
		a := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&peer))
		return int(n), &syscall.SockaddrInet6{Port: bigEndian(a.Port), ZoneId: a.Scope_id, Addr: a.Addr}, nil
	}
	return int(n), nil, nil // a unix socket: its clients have no name
}

// bigEndian reads a port as the kernel gives it.
func bigEndian(port uint16) int {
	b := (*[2]byte)(unsafe.Pointer(&port))
	return int(b[0])<<8 | int(b[1])
}
