package backend

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSilentServerIsGivenUpByTheKernel: what the kernel was told. That it does so is its own business.
func TestSilentServerIsGivenUpByTheKernel(t *testing.T) {
	for limit, want := range map[time.Duration][5]int{ // TCP_USER_TIMEOUT in ms, keep-alive on, idle, interval, count
		60 * time.Second: {60_000, 1, 30, 10, 3},
		9 * time.Second:  {9000, 1, 5, 1, 3},
		time.Second:      {1000, 1, 1, 1, 3},
		0:                {0, 0, 0, 0, 0},
	} {
		to := saying(t, authOK+keyData+ready)
		to.SilenceMax = limit
		c := mustDial(t, to)
		raw, err := c.Net.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got [5]int
		_ = raw.Control(func(fd uintptr) {
			for i, option := range [...][2]int{
				{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
				{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
			} {
				got[i], err = unix.GetsockoptInt(int(fd), option[0], option[1])
			}
		})
		if limit == 0 {
			got[2], got[3], got[4] = 0, 0, 0 // the system's
		}
		if got != want || err != nil {
			t.Errorf("%s: %v, want %v (%v)", limit, got, want, err)
		}
	}
}
