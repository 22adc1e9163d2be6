package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	keepIdle    = unix.TCP_KEEPIDLE
	userTimeout = unix.TCP_USER_TIMEOUT
	deferAccept = unix.TCP_DEFER_ACCEPT
)

// accept is syscall's: that of x/sys asks the kernel for the protocol of every connection.
func accept(fd int) (int, syscall.Sockaddr, error) {
	return syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
}
