package socket

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// rxtConnDropTime is TCP_RXT_CONNDROPTIME of Darwin's netinet/tcp.h.
const rxtConnDropTime = 0x80

// SetUserTimeout bounds how long what was sent on a TCP socket is sent again and again, before the kernel gives the connection up.
func SetUserTimeout(fd int, d time.Duration) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, rxtConnDropTime, int(max(d, time.Second).Seconds())); err != nil {
		return fmt.Errorf("TCP_RXT_CONNDROPTIME: %w", err)
	}
	return nil
}

// TendUserTimeout is for systems where a peer that takes nothing in counts as silent.
func TendUserTimeout(int, time.Duration) error { return nil }
