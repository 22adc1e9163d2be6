package socket

import (
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDetachKeepsUnreadBytes(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		t.Run(network, func(t *testing.T) {
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			peer, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = peer.Close() }()
			ours, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			// As at the end of a login: a deadline is set, a part is read, and more has arrived already.
			_ = ours.SetDeadline(time.Now().Add(time.Hour))
			if _, err := peer.Write([]byte("login;first query")); err != nil {
				t.Fatal(err)
			}
			var b [64]byte
			if n, err := ours.Read(b[:6]); n != 6 || err != nil {
				t.Fatalf("login read %d %v", n, err)
			}
			fd, err := Detach(ours)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ours.Read(b[:]); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is not closed: %v", err)
			}
			runtime.GC() // a finalizer of the connection must not take the descriptor along
			runtime.GC()
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("the descriptor blocks: %#x %v", flags, err)
			}
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("children would inherit the descriptor: %#x %v", flags, err)
			}
			c := New(fd)
			var shared IO
			defer c.Close(&shared)
			await(t, fd)
			if n, err := c.Read(&shared, b[:]); string(b[:n]) != "first query" || err != nil {
				t.Errorf("read %q %v", b[:n], err)
			}
			if _, err := c.Read(&shared, b[:]); !errors.Is(err, ErrWouldBlock) {
				t.Errorf("then: %v", err)
			}
			if err := c.Write(&shared, []byte("answer")); err != nil {
				t.Fatal(err)
			}
			if n, err := peer.Read(b[:]); string(b[:n]) != "answer" || err != nil {
				t.Errorf("the peer read %q %v", b[:n], err)
			}
		})
	}
}

func TestDetachRefusesWhatHasNoDescriptor(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _ = b.Close() }()
	for _, c := range []net.Conn{a, tls.Client(a, &tls.Config{MinVersion: tls.VersionTLS12})} {
		if fd, err := Detach(c); err == nil || fd != -1 {
			t.Errorf("%T: descriptor %d, %v", c, fd, err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%T is still open", c)
		}
	}
}

func TestDetachOfAClosedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if fd, err := Detach(c); !errors.Is(err, net.ErrClosed) || fd != -1 {
		t.Errorf("descriptor %d, %v", fd, err)
	}
}
