package socket

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// TCPOptions are what the kernel is to do with TCP connections: when it counts a peer as gone, and what it keeps. Of its numbers those that
// are 0 are left to the system.
type TCPOptions struct {
	KeepAlive      bool // probes
	Idle, Interval time.Duration
	Count          int
	UserTimeout    time.Duration // for what was sent to be acknowledged, where the system has such a limit
	Buffer         int           // bytes, in each direction
	DeferAccept    bool          // of a listener: a connection is accepted once its peer has sent something, where the system can do that
}

// Set tells the kernel. What is set on a listener the connections that it accepts inherit, and so cost no calls of their own. Small
// messages leave at once, as everywhere in PostgreSQL.
func (k TCPOptions) Set(fd int) error {
	options := [][3]int{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}, {unix.SOL_SOCKET, unix.SO_RCVBUF, k.Buffer}, {unix.SOL_SOCKET, unix.SO_SNDBUF, k.Buffer},
	}
	if k.KeepAlive {
		options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			[3]int{unix.IPPROTO_TCP, keepIdle, seconds(k.Idle)}, [3]int{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(k.Interval)},
			[3]int{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count})
	}
	if k.DeferAccept {
		options = append(options, [3]int{unix.IPPROTO_TCP, deferAccept, seconds(deferMax)})
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

// Renew is Set for a listener that had other options: its connections get these from the next one on. What the options leave to the system is
// as on a socket of its own; but for Buffer, which cannot be given back.
func (k TCPOptions) Renew(fd int) error {
	if err := k.renew(fd); err != nil && !errors.Is(err, unix.ENOPROTOOPT) { // see Inherit
		return err
	}
	return nil
}

func (k TCPOptions) renew(fd int) error {
	fresh, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer func() { _ = unix.Close(fresh) }()
	options := [][3]int{{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0}}
	for _, name := range []int{keepIdle, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT, userTimeout, deferAccept} {
		if name != 0 {
			value, err := unix.GetsockoptInt(fresh, unix.IPPROTO_TCP, name)
			if err != nil {
				return fmt.Errorf("get socket option %d: %w", name, err)
			}
			options = append(options, [3]int{unix.IPPROTO_TCP, name, value})
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			return fmt.Errorf("set socket option %d: %w", o[1], err)
		}
	}
	k.Buffer = 0
	return k.Set(fd)
}

// deferMax is for how long a connection whose peer says nothing is not accepted: PgBouncer's value.
const deferMax = 45 * time.Second

// Silence is how long a peer may be silent before the kernel gives the connection up; 0 where that is the system's business.
func (k TCPOptions) Silence() time.Duration {
	if !k.KeepAlive || k.Idle == 0 || k.Interval == 0 || k.Count == 0 {
		return k.UserTimeout
	}
	return min(k.UserTimeout, k.Idle+k.Interval*time.Duration(k.Count))
}

// userTimeout is the limit that fits the probes: with one set, Linux gives up an idle connection when that is over, and not after
// so many probes (tcp_keepalive_timer in its net/ipv4/tcp_timer.c).
func (k TCPOptions) userTimeout(fd int) time.Duration {
	if !k.KeepAlive || k.UserTimeout == 0 {
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

// setOption sets an option to a value, level and name before it. The value 0 leaves the system's; the name 0 is an option that the
// system does not have.
func setOption(fd int, o [3]int) error {
	if o[2] <= 0 || o[1] == 0 {
		return nil
	}
	if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
		return fmt.Errorf("set socket option %d: %w", o[1], err)
	}
	return nil
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
