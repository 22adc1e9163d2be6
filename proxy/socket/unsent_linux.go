package socket

import "golang.org/x/sys/unix"

// Unsent is how many bytes the kernel has for the peer of a socket that the peer has not acknowledged, or on a unix socket not read.
func Unsent(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
