//go:build !linux

package socket

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Elsewhere system calls go through the C library, and Go turns SIGPIPE on a socket into EPIPE.

func recv(fd int, p []byte) (int, syscall.Errno) { return outcome(unix.Read(fd, p)) }

func send(fd int, p []byte) (int, syscall.Errno) { return outcome(unix.Write(fd, p)) }

func outcome(n int, err error) (int, syscall.Errno) {
	var errno syscall.Errno
	if err == nil {
		return n, 0
	}
	if errors.As(err, &errno) {
		return 0, errno
	}
	return 0, syscall.EIO
}

func closeFD(fd int) error { return unix.Close(fd) }
