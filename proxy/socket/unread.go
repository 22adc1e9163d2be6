package socket

import "golang.org/x/sys/unix"

// Unread reports whether the peer has sent something that no read has taken yet. It costs a system call.
func (c *Conn) Unread() bool {
	if c.Pending() {
		return true
	}
	n, err := unix.IoctlGetInt(c.FD(), bytesToRead)
	return err == nil && n > 0
}
