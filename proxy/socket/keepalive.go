package socket

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// KeepAlive says when the kernel counts a TCP peer as gone. Of its numbers those that are 0 are left to the system.
type KeepAlive struct {
	Enable         bool // probes
	Idle, Interval time.Duration
	Count          int
	UserTimeout    time.Duration // for what was sent to be acknowledged, where the system has such a limit
}

// set sets on a listener what accepted connections inherit from it: so they cost no calls of their own. Small messages leave at
// once, as everywhere in PostgreSQL.
func (k KeepAlive) set(fd int) error {
	options := [][3]int{{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}}
	if k.Enable {
		options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			[3]int{unix.IPPROTO_TCP, keepIdle, seconds(k.Idle)}, [3]int{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(k.Interval)},
			[3]int{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count})
	}
	for _, o := range options {
		if err := setOption(fd, o); err != nil {
			return err
		}
	}
	if userTimeout == 0 {
		return nil
	}
	return setOption(fd, [3]int{unix.IPPROTO_TCP, userTimeout, int(k.userTimeout(fd).Milliseconds())})
}

// userTimeout is the limit that fits the probes: with one set, Linux gives up an idle connection when that is over, and not after
// so many probes (tcp_keepalive_timer in its net/ipv4/tcp_timer.c).
func (k KeepAlive) userTimeout(fd int) time.Duration {
	if !k.Enable || k.UserTimeout == 0 {
		return k.UserTimeout
	}
	var n [3]int
	for i, option := range []int{keepIdle, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
		var err error
		if n[i], err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, option); err != nil {
			return k.UserTimeout
		}
	}
	return min(k.UserTimeout, time.Duration(n[0]+n[1]*n[2])*time.Second)
}

// setOption sets an option to a value, level and name before it; 0 leaves the system's.
func setOption(fd int, o [3]int) error {
	if o[2] <= 0 {
		return nil
	}
	if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
		return fmt.Errorf("set socket option %d: %w", o[1], err)
	}
	return nil
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
