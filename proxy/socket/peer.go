package socket

import (
	"fmt"
	"net"
	"syscall"
)

// PeerUID returns the user ID of the process at the other end of a unix socket, as the kernel noted it when that connected.
func PeerUID(c net.Conn) (uid uint32, err error) {
	err = ofDescriptor(c, func(fd int) (err error) {
		uid, err = peerUID(fd)
		return err
	})
	return uid, err
}

// PeerPID is that process; 0 where the kernel does not tell.
func PeerPID(c net.Conn) (pid uint32) {
	_ = ofDescriptor(c, func(fd int) error {
		pid = peerPID(fd)
		return nil
	})
	return pid
}

// ofDescriptor asks the kernel about a connection.
func ofDescriptor(c net.Conn, ask func(fd int) error) error {
	owner, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a %T has no descriptor to ask about", c)
	}
	raw, err := owner.SyscallConn()
	if err == nil {
		err = control(raw, ask)
	}
	if err != nil {
		return fmt.Errorf("the other end of %s: %w", c.RemoteAddr(), err)
	}
	return nil
}
