package socket

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Detach takes the descriptor out of a TCP or unix connection for a loop's use. The connection is closed on return, whatever
// the outcome; the descriptor is non-blocking and belongs to the caller. No byte may have been read ahead of what the
// caller has seen.
func Detach(c net.Conn) (int, error) {
	defer func() { _ = c.Close() }()
	return duplicate(c)
}

// duplicate returns another descriptor of what owner has.
func duplicate(of any) (int, error) {
	owner, ok := of.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("a %T has no descriptor to take over", of)
	}
	raw, err := owner.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("descriptor of a %T: %w", of, err)
	}
	fd := -1
	var dupErr error
	// A duplicate shares the open socket and its non-blocking mode, and leaves Go's own poller when its owner is closed.
	err = raw.Control(func(d uintptr) { fd, dupErr = unix.FcntlInt(d, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = dupErr
	}
	if err != nil {
		return -1, fmt.Errorf("duplicate descriptor: %w", err)
	}
	return fd, nil
}
