package socket

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

var seedFlag = flag.Uint64("seed", 1, "seed of the random program; 0 draws one")

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-seed %d", seed)
	return seed
}

// unixPair is a connected pair whose first end is a Conn with a send buffer as small as the system allows, so that writes are
// short all the time; the other is the peer's plain descriptor.
func unixPair(t *testing.T) (*Conn, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	return adopt(t, fds[0], fds[1])
}

// tcpPair is the same over loopback.
func tcpPair(t *testing.T) (*Conn, int) {
	t.Helper()
	ours, theirs := netPair(t)
	a, err := Detach(ours)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Detach(theirs)
	if err != nil {
		t.Fatal(err)
	}
	return adopt(t, a, b)
}

func adopt(t *testing.T, ours, theirs int) (*Conn, int) {
	t.Helper()
	for _, fd := range []int{ours, theirs} {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.SetsockoptInt(ours, unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil { // the kernel takes its minimum
		t.Fatal(err)
	}
	c := New(ours)
	t.Cleanup(func() { c.Close(&IO{}); _ = unix.Close(theirs) })
	return &c, theirs
}

var pairs = map[string]func(*testing.T) (*Conn, int){"unix": unixPair, "tcp": tcpPair}

// await waits until fd is readable: over TCP what was sent arrives a little later.
func await(t *testing.T, fd int) {
	t.Helper()
	awaitAny(t, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
}

func awaitAny(t *testing.T, fds ...unix.PollFd) {
	t.Helper()
	for {
		n, err := unix.Poll(fds, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n < 1 || err != nil {
			t.Fatalf("nothing happened for 10 s: %v", err)
		}
		return
	}
}

func TestReadTellsWhatIsThere(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t)
			var shared IO
			var b [8]byte
			if n, err := c.Read(&shared, b[:]); n != 0 || !errors.Is(err, ErrWouldBlock) {
				t.Errorf("nothing there: %d %v", n, err)
			}
			if _, err := unix.Write(peer, []byte("hello, world")); err != nil {
				t.Fatal(err)
			}
			await(t, c.FD())
			if n, err := c.Read(&shared, nil); n != 0 || err != nil {
				t.Errorf("into no buffer: %d %v", n, err) // not the end
			}
			for _, want := range []string{"hello, w", "orld"} {
				if n, err := c.Read(&shared, b[:]); err != nil || string(b[:n]) != want {
					t.Errorf("read %q %v, want %q", b[:n], err, want)
				}
			}
			if err := unix.Shutdown(peer, unix.SHUT_WR); err != nil {
				t.Fatal(err)
			}
			await(t, c.FD())
			for range 2 {
				if n, err := c.Read(&shared, b[:]); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("at the end: %d %v", n, err)
				}
			}
			if shared.BytesRead != 12 {
				t.Errorf("%d bytes were counted", shared.BytesRead)
			}
		})
	}
}

func TestResetIsAnError(t *testing.T) {
	c, peer := tcpPair(t)
	var shared IO
	if err := unix.SetsockoptLinger(peer, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		t.Fatal(err)
	}
	// The number stays the cleanup's to close; the socket behind it goes, with a reset.
	if null, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
		t.Fatal(err)
	} else if err := unix.Dup2(null, peer); err != nil {
		t.Fatal(err)
	} else {
		_ = unix.Close(null)
	}
	await(t, c.FD())
	var b [8]byte
	_, err := c.Read(&shared, b[:])
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
	// The process survives a write to a connection that is gone; no signal comes.
	for range 2 {
		err = c.Write(&shared, []byte("x"))
	}
	if !errors.Is(err, unix.EPIPE) {
		t.Errorf("write: %v", err)
	}
	if c.Parked() {
		t.Error("bytes are parked for nobody")
	}
}

func TestClosedConnRefuses(t *testing.T) {
	c, _ := unixPair(t)
	var shared IO
	fd := c.FD()
	if err := c.Write(&shared, make([]byte, 1<<20)); err != nil || !c.Parked() {
		t.Fatalf("parked: %t, %v", c.Parked(), err)
	}
	c.Close(&shared)
	c.Close(&shared)
	if c.FD() != -1 || c.Parked() || c.ParkedLen() != 0 {
		t.Errorf("descriptor %d, parked %d", c.FD(), c.ParkedLen())
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("the descriptor is still open: %v", err)
	}
	_, read := c.Read(&shared, make([]byte, 1))
	for what, err := range map[string]error{"read": read, "write": c.Write(&shared, []byte("x")), "drain": c.Drain(&shared)} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.CloseWrite(&IO{})
}

func TestCloseWriteEndsOneDirection(t *testing.T) {
	c, peer := unixPair(t)
	var shared IO
	if err := c.Write(&shared, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite(&IO{})
	var b [8]byte
	for _, want := range []string{"bye", ""} {
		if n, err := unix.Read(peer, b[:]); err != nil || string(b[:n]) != want {
			t.Errorf("the peer read %q %v, want %q", b[:max(n, 0)], err, want)
		}
	}
	if _, err := unix.Write(peer, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(&shared, b[:]); n != 8 || err != nil {
		t.Errorf("read %d %v", n, err)
	}
}

// TestParkedBytesKeepTheirOrder writes at random to a peer that reads at random, with buffers so small that most writes are
// short. What arrives is what was written, and all that the system did not take is counted as parked.
func TestParkedBytesKeepTheirOrder(t *testing.T) {
	seed := seedOf(t)
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			c, peer := pair(t)
			var shared IO
			var sent, got []byte
			next, short := byte(0), 0
			for range 3000 {
				before := shared.BytesWritten
				switch r.IntN(5) {
				case 0:
					if c.ParkedLen() > 200_000 {
						continue
					}
					p := make([]byte, 1+r.IntN(1<<r.IntN(18)))
					for i := range p {
						p[i] = next
						next = next*5 + 1
					}
					sent = append(sent, p...)
					if err := c.Write(&shared, p); err != nil {
						t.Fatal(err)
					}
					for i := range p {
						p[i] = 0xEE // the caller's again
					}
				case 1, 2:
					if err := c.Drain(&shared); err != nil {
						t.Fatal(err)
					}
				default:
					b := make([]byte, 1+r.IntN(1<<r.IntN(17)))
					n, _ := unix.Read(peer, b)
					got = append(got, b[:max(n, 0)]...)
				}
				if c.Parked() && shared.BytesWritten > before {
					short++
				}
				if int(shared.BytesWritten)+c.ParkedLen() != len(sent) || c.Parked() != (c.ParkedLen() > 0) {
					t.Fatalf("%d written, %d parked (%t) of %d", shared.BytesWritten, c.ParkedLen(), c.Parked(), len(sent))
				}
			}
			b := make([]byte, 1<<16)
			for len(got) < len(sent) {
				if err := c.Drain(&shared); err != nil {
					t.Fatal(err)
				}
				if c.Parked() {
					short++
				}
				awaitAny(t, unix.PollFd{Fd: int32(peer), Events: unix.POLLIN}, unix.PollFd{Fd: c.fd, Events: unix.POLLOUT})
				n, _ := unix.Read(peer, b)
				got = append(got, b[:max(n, 0)]...)
			}
			if !bytes.Equal(got, sent) {
				t.Error("what arrived is not what was written")
			}
			if c.Parked() || c.parked != nil {
				t.Error("a buffer is kept although nothing is parked")
			}
			if short < 3 {
				t.Errorf("only %d writes were short: that proves little", short)
			}
		})
	}
}

func TestParkedWriteAsksTheSystemNoMore(t *testing.T) {
	c, peer := unixPair(t)
	var shared IO
	if err := c.Write(&shared, make([]byte, 1<<20)); err != nil || !c.Parked() {
		t.Fatalf("parked: %t, %v", c.Parked(), err)
	}
	writes, parked := shared.Writes, c.ParkedLen()
	for range 10 {
		if err := c.Write(&shared, []byte("more")); err != nil {
			t.Fatal(err)
		}
	}
	if shared.Writes != writes || c.ParkedLen() != parked+40 {
		t.Errorf("%d calls for writes behind parked bytes, %d more parked", shared.Writes-writes, c.ParkedLen()-parked)
	}
	if err := c.Drain(&shared); err != nil || shared.Writes != writes+1 || c.ParkedLen() != parked+40 {
		t.Errorf("drain into a full socket: %d calls, parked %d, %v", shared.Writes-writes, c.ParkedLen(), err)
	}
	// The peer goes away: what is parked can never leave.
	_ = unix.Shutdown(peer, unix.SHUT_RDWR)
	if err := c.Drain(&shared); !errors.Is(err, unix.EPIPE) {
		t.Errorf("drain to a peer that is gone: %v", err)
	}
}

// TestSteadyState: one system call for a read and one for a write, and nothing allocated, parking included.
func TestSteadyState(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			c, peer := pair(t)
			var shared IO
			message, b := []byte("a message"), make([]byte, 1<<16)
			run := func() {
				_ = c.Write(&shared, message)
				await(t, peer)
				n, _ := unix.Read(peer, b)
				_, _ = unix.Write(peer, b[:n])
				await(t, c.FD())
				if n, err := c.Read(&shared, b); n != len(message) || err != nil {
					t.Errorf("read %d %v", n, err)
				}
			}
			run()
			shared.Reads, shared.Writes = 0, 0
			const runs = 100
			for range runs {
				run()
			}
			if shared.Reads != runs || shared.Writes != runs {
				t.Errorf("%d reads and %d writes for %d messages", shared.Reads, shared.Writes, runs)
			}
			if n := testing.AllocsPerRun(100, func() {
				_ = c.Write(&shared, message)
				n, _ := unix.Read(peer, b)
				_, _ = unix.Write(peer, b[:max(n, 0)])
				_, _ = c.Read(&shared, b)
			}); n != 0 {
				t.Errorf("%v allocations a message", n)
			}
		})
	}
	c, peer := unixPair(t)
	var shared IO
	large, b := make([]byte, 60_000), make([]byte, 1<<16)
	if n := testing.AllocsPerRun(100, func() {
		_ = c.Write(&shared, large)
		for c.Parked() {
			_, _ = unix.Read(peer, b)
			_ = c.Drain(&shared)
		}
		for {
			if n, _ := unix.Read(peer, b); n <= 0 {
				return
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for parking and draining", n)
	}
}
