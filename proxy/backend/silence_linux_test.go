package backend

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/proxy/socket"
)

// TestSilentServerIsGivenUpByTheKernel: what the kernel was told. That it does so is its own business.
func TestSilentServerIsGivenUpByTheKernel(t *testing.T) {
	probes := socket.TCPOptions{KeepAlive: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3, UserTimeout: time.Minute}
	sooner := probes
	sooner.Interval = 2 * time.Second
	for options, want := range map[socket.TCPOptions][5]int{ // TCP_USER_TIMEOUT in ms, keep-alive on, idle, interval, count
		probes:                         {60_000, 1, 30, 10, 3},
		sooner:                         {36_000, 1, 30, 2, 3}, // or Linux would count no probes
		{UserTimeout: 9 * time.Second}: {9000, 0, 0, 0, 0},
		{}:                             {0, 0, 0, 0, 0},
	} {
		to := saying(t, authOK+keyData+ready)
		to.TCP = options
		c := mustDial(t, to)
		raw, err := c.Net.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got [5]int
		_ = raw.Control(func(fd uintptr) {
			for i, option := range [...][2]int{
				{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
				{unix.SOL_SOCKET, unix.SO_KEEPALIVE},
				{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
				{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
				{unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
			} {
				got[i], err = unix.GetsockoptInt(int(fd), option[0], option[1])
			}
		})
		if !options.KeepAlive {
			got[2], got[3], got[4] = 0, 0, 0 // the system's
		}
		if got != want || err != nil {
			t.Errorf("%+v: %v, want %v (%v)", options, got, want, err)
		}
	}
}
