package socket

import (
	"context"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen listens on a TCP address. If the address is shared, another process of the same user may listen there, too, if it wants that as
// well; the kernel gives a connection to one of them. If it is in use, it is shared with a process that is about to leave it: see Share.
func Listen(ctx context.Context, address string, shared bool) (net.Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // Go's default; Linux has no TCP_USER_TIMEOUT for it
	sharing := config
	sharing.Control = func(_, _ string, raw syscall.RawConn) error { return control(raw, Share) }
	if shared {
		return listenBeside(ctx, sharing, address)
	}
	l, err := config.Listen(ctx, family(address), address)
	if errors.Is(err, unix.EADDRINUSE) && canShare {
		if l, err := listenBeside(ctx, sharing, address); err == nil {
			return l, nil
		}
	}
	return l, err
}

func listenBeside(ctx context.Context, config net.ListenConfig, address string) (net.Listener, error) {
	l, err := config.Listen(ctx, family(address), address)
	if err != nil {
		return nil, err
	}
	if s, ok := l.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = control(raw, undivert)
		}
	}
	return l, nil
}

// Share lets another process listen where a socket does, beside it, from now on.
func Share(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

func control(raw syscall.RawConn, f func(fd int) error) (err error) {
	if trouble := raw.Control(func(fd uintptr) { err = f(int(fd)) }); trouble != nil {
		return trouble
	}
	return err
}
