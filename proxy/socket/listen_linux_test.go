package socket

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// accepted takes a connection that has been made already.
func accepted(t *testing.T, l *Listener) (int, net.Addr) {
	t.Helper()
	fd, peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("the descriptor blocks: %#x %v", flags, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("children would inherit the descriptor: %#x %v", flags, err)
	}
	return fd, peer
}

func TestAcceptDoesNotWait(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := ListenTCP(context.Background(), address, 0, TCPOptions{}, false)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if _, _, err := l.Accept(); !errors.Is(err, ErrWouldBlock) {
			t.Errorf("nobody has come: %v", err)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fd, peer := accepted(t, l)
		if peer.String() != c.LocalAddr().String() || peer.Network() != "tcp" {
			t.Errorf("peer %s %s, want %s", peer.Network(), peer, c.LocalAddr())
		}
		_, _ = unix.Close(fd), c.Close()
	}
}

// TestListenTCPSetsTheBacklog reads it where ss does: of a listening socket, tcp_info's tcpi_sacked is the backlog's limit.
func TestListenTCPSetsTheBacklog(t *testing.T) {
	for _, want := range []int{1, 77, 0} {
		l, err := ListenTCP(context.Background(), "127.0.0.1:0", want, TCPOptions{}, false)
		if err != nil {
			t.Fatal(err)
		}
		info, err := unix.GetsockoptTCPInfo(l.FD(), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(info.Sacked); want > 0 && got != want || want == 0 && got <= 77 {
			t.Errorf("backlog %d, asked for %d", got, want)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
	}
}

func TestListenTCPKeepsAcceptedConnectionsAlive(t *testing.T) {
	keepAlive := TCPOptions{KeepAlive: true, Idle: 42 * time.Second, Interval: 7 * time.Second, Count: 3, UserTimeout: 50 * time.Second, Buffer: 64 << 10}
	l, err := ListenTCP(context.Background(), "127.0.0.1:0", 5, keepAlive, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	fd, _ := accepted(t, l)
	defer func() { _ = unix.Close(fd) }()
	for option, want := range map[[2]int]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: 42, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 50_000,
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}: 7, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT}: 3, {unix.IPPROTO_TCP, unix.TCP_NODELAY}: 1,
		{unix.SOL_SOCKET, unix.SO_RCVBUF}: 128 << 10, {unix.SOL_SOCKET, unix.SO_SNDBUF}: 128 << 10, // Linux counts its own part as well
	} {
		if got, err := unix.GetsockoptInt(fd, option[0], option[1]); got != want || err != nil {
			t.Errorf("option %v: %d, want %d %v", option, got, want, err)
		}
	}
}

// A listener's options change for those that it accepts from then on, also back to what the system has.
func TestListenersOptionsAreRenewed(t *testing.T) {
	l, err := ListenTCP(context.Background(), "127.0.0.1:0", 5, TCPOptions{KeepAlive: true, Idle: 42 * time.Second, Count: 3, UserTimeout: time.Minute, DeferAccept: true}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	fresh := func(name int) int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		value, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, name)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for _, step := range []struct {
		options TCPOptions
		want    map[[2]int]int
	}{
		{TCPOptions{KeepAlive: true, Idle: 9 * time.Second, Interval: 4 * time.Second}, map[[2]int]int{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: 9, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}: 4,
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}: fresh(unix.TCP_KEEPCNT), {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 0,
		}},
		{TCPOptions{}, map[[2]int]int{{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 0, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: fresh(unix.TCP_KEEPIDLE)}},
	} {
		if err := step.options.Renew(l.FD()); err != nil {
			t.Fatal(err)
		}
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fd, _ := accepted(t, l)
		for option, want := range step.want {
			if got, err := unix.GetsockoptInt(fd, option[0], option[1]); got != want || err != nil {
				t.Errorf("%+v: option %v is %d, want %d %v", step.options, option, got, want, err)
			}
		}
		_, _ = unix.Close(fd), peer.Close()
	}
}

// With TCP_USER_TIMEOUT set, the kernel does not count probes: the limit must not be longer than they take.
func TestUserTimeoutIsAtMostWhatTheProbesTake(t *testing.T) {
	probes := TCPOptions{KeepAlive: true, Idle: 3 * time.Second, Interval: time.Second, Count: 3}
	with := func(k TCPOptions, user time.Duration) TCPOptions {
		k.UserTimeout = user
		return k
	}
	for _, c := range []struct {
		keepAlive TCPOptions
		want      time.Duration
	}{
		{with(probes, 5*time.Minute), 6 * time.Second},
		{with(probes, 4*time.Second), 4 * time.Second},
		{with(probes, 0), 0},
		{with(TCPOptions{}, 5*time.Minute), 5 * time.Minute},
		{with(TCPOptions{KeepAlive: true}, 5*time.Minute), 5 * time.Minute}, // the system's take two hours
	} {
		l, err := ListenTCP(context.Background(), "127.0.0.1:0", 5, c.keepAlive, false)
		if err != nil {
			t.Fatal(err)
		}
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fd, _ := accepted(t, l)
		if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); err != nil || got != int(c.want.Milliseconds()) {
			t.Errorf("%+v: %d ms %v", c.keepAlive, got, err)
		}
		_, _, _ = unix.Close(fd), peer.Close(), l.Close()
	}
}

// TestListenUnixSetsTheBacklog counts what can connect before anybody accepts: one more than the backlog. A socket that is full
// is served, however busy its owner: nobody else may take its name.
func TestListenUnixSetsTheBacklog(t *testing.T) {
	dir := t.TempDir()
	l, err := ListenUnix(context.Background(), dir, 1, 0o777, -1, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for i := range 5 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(fd) }()
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, ".s.PGSQL.1")})
		if full := errors.Is(err, unix.EAGAIN); full != (i == 4) || err != nil && !full {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	if second, err := ListenUnix(context.Background(), dir, 1, 0o777, -1, 3); err == nil {
		_ = second.Close()
		t.Error("a second one listens there")
	}
	fd, peer := accepted(t, l)
	defer func() { _ = unix.Close(fd) }()
	if peer.Network() != "unix" {
		t.Errorf("the peer is at %s %s", peer.Network(), peer)
	}
}

// With tcp_defer_accept the kernel keeps a connection to itself until its peer has said something.
func TestConnectionsMayBeAcceptedOnceTheirPeerHasSpoken(t *testing.T) {
	l, err := ListenTCP(context.Background(), "127.0.0.1:0", 5, TCPOptions{DeferAccept: true}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	if fd, _, err := l.Accept(); !errors.Is(err, ErrWouldBlock) {
		t.Fatalf("a silent connection is accepted: %d, %v", fd, err)
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	fd, _ := accepted(t, l)
	_ = unix.Close(fd)
}
