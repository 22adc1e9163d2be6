package socket

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// blockedPair is a connection whose peer takes nothing in, and which has more for it than the window lets through.
func blockedPair(t *testing.T) *net.TCPConn {
	t.Helper()
	ours, theirs := netPair(t)
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	_ = ours.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)) // until nothing is taken any more, or enough waits
	for b := make([]byte, 1<<20); ; {
		if _, err := ours.Write(b); err != nil {
			break
		}
	}
	return ours
}

func onDescriptor(t *testing.T, c *net.TCPConn, f func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// TestPeerThatTakesNothingInLives: tended, the limit does not end the connection; untended, Linux ends it, which is why.
func TestPeerThatTakesNothingInLives(t *testing.T) {
	const limit = 3 * time.Second
	tended, untended := blockedPair(t), blockedPair(t)
	set := func(fd int) error { return SetUserTimeout(fd, limit) }
	onDescriptor(t, tended, set)
	onDescriptor(t, untended, set)
	var failure int
	for deadline := time.Now().Add(60 * time.Second); failure == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Skip("this kernel ends no such connection")
		}
		onDescriptor(t, tended, func(fd int) error { return TendUserTimeout(fd, limit) })
		onDescriptor(t, untended, func(fd int) (err error) {
			failure, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			return err
		})
	}
	onDescriptor(t, tended, func(fd int) error {
		if failure, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); failure != 0 || err != nil {
			t.Errorf("the tended connection ended, too: %v, %v", unix.Errno(failure), err)
		}
		if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != 0 || err != nil {
			t.Errorf("its limit is %d ms, %v", got, err)
		}
		return nil
	})
}

// TestLimitIsSetAgain once the peer takes in what waited.
func TestLimitIsSetAgain(t *testing.T) {
	ours, theirs := netPair(t)
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	onDescriptor(t, ours, func(fd int) error {
		if err := TendUserTimeout(fd, time.Minute); err != nil {
			return err
		}
		if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != 60_000 || err != nil {
			t.Errorf("the limit is %d ms, %v", got, err)
		}
		return nil
	})
}
