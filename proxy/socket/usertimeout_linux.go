package socket

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// SetUserTimeout bounds how long what was sent on a TCP socket may stay unacknowledged, or unsent because the peer takes nothing
// more in, before the kernel gives the connection up.
func SetUserTimeout(fd int, d time.Duration) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())); err != nil {
		return fmt.Errorf("TCP_USER_TIMEOUT: %w", err)
	}
	return nil
}
