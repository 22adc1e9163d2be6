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

// probePauseMax is the longest pause between two probes of a closed window: TCP_RTO_MAX in Linux' include/net/tcp.h.
const probePauseMax = 120 * time.Second

// TendUserTimeout keeps SetUserTimeout from ending a connection whose peer lives. For Linux a peer that acknowledges every probe and
// takes nothing more in, because what it does takes long, is as silent as one that has vanished. So while bytes wait for the
// peer's window, and the peer has answered lately, the limit is off; else it is set again. Call it several times within limit.
func TendUserTimeout(fd int, limit time.Duration) error {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return fmt.Errorf("TCP_INFO: %w", err)
	}
	waits := info.Unacked == 0 && info.Notsent_bytes > 0
	if answered := time.Duration(info.Last_ack_recv) * time.Millisecond; waits && answered < limit+probePauseMax {
		limit = 0
	}
	return SetUserTimeout(fd, limit)
}
