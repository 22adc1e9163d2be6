package socket

import (
	"fmt"
	"net"
	"syscall"
)

// PeerUID returns the user ID of the process at the other end of a unix socket, as the kernel noted it when that connected.
func PeerUID(c net.Conn) (uint32, error) {
	owner, ok := c.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("a %T has no descriptor to ask about", c)
	}
	raw, err := owner.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("user of %s: %w", c.RemoteAddr(), err)
	}
	var uid uint32
	var askErr error
	if err := raw.Control(func(fd uintptr) { uid, askErr = peerUID(int(fd)) }); err != nil {
		return 0, fmt.Errorf("user of %s: %w", c.RemoteAddr(), err)
	}
	if askErr != nil {
		return 0, fmt.Errorf("ask for the user at the other end: %w", askErr)
	}
	return uid, nil
}
