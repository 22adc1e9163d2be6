package prelogin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
)

// host serves connection with a function, and waits for them at the end.
type host struct {
	t      *testing.T
	arrive func(c *Conn) bool
	serve  func(c *Conn)
	answer func(c *Conn)
	within sync.WaitGroup
}

func (h *host) Arrive(c *Conn) bool {
	if h.arrive != nil && !h.arrive(c) {
		return false
	}
	h.within.Add(1)
	return true
}

func (h *host) Serve(c *Conn) {
	defer h.within.Done()
	h.serve(c)
}

func (h *host) Answered(c *Conn) {
	if h.answer != nil {
		h.answer(c)
	}
}

func (h *host) AcceptFailed(err error) { h.t.Errorf("accept: %v", err) }

func runLoop(t *testing.T) *eventloop.Loop {
	t.Helper()
	loop, err := eventloop.New(0)
	if err != nil {
		t.Fatal(err)
	}
	go loop.Run()
	t.Cleanup(func() {
		loop.Stop()
		<-loop.Done()
	})
	return loop
}

// open has h receive at a new listener on loops, and returns a function that connects to it.
func open(t *testing.T, h *host, loops ...*eventloop.Loop) (connect func() net.Conn) {
	t.Helper()
	connect, _ = openOn(t, h, loops...)
	return connect
}

func openOn(t *testing.T, h *host, on ...*eventloop.Loop) (connect func() net.Conn, loops *Loops) {
	t.Helper()
	h.t = t
	l, err := socket.ListenTCP(context.Background(), "127.0.0.1:0", 0, socket.TCPOptions{}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Cleanup(h.within.Wait)
	loops = NewLoops(on)
	acceptor, err := Open(loops, l, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(acceptor.Close)
	return func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}, loops
}

func say(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("heard %q %v, want %q", b[:n], err, want)
	}
}

func hearEnd(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, err := io.ReadAll(c); err != nil && !errors.Is(err, unix.ECONNRESET) || len(b) > 0 {
		t.Errorf("heard %q %v, want the end", b, err)
	}
}

// echo answers words of four letters, asked for in pieces, until the end.
func echo(c *Conn) {
	defer func() { _ = c.Close() }()
	for {
		var word [4]byte
		for _, part := range [][]byte{word[:1], word[1:3], word[3:]} {
			if _, err := io.ReadFull(c, part); err != nil {
				return
			}
		}
		if _, err := c.Write(word[:]); err != nil {
			return
		}
	}
}

func TestManyConversationsAtOnce(t *testing.T) {
	connect := open(t, &host{serve: echo}, runLoop(t), runLoop(t))
	var all sync.WaitGroup
	for range 3 * idleMax {
		c := connect()
		all.Go(func() {
			for _, parts := range [][]string{{"once"}, {"a", "ll"}, {"y", "twotwo"}, {"ab"}, {strings.Repeat("word", 500)}} {
				for _, p := range parts {
					say(t, c, p)
				}
			}
			hear(t, c, "onceallytwotwoab"+strings.Repeat("word", 500))
		})
	}
	all.Wait()
}

func TestSilentConnectionHasNoCode(t *testing.T) {
	began := make(chan error, 1)
	connect := open(t, &host{
		arrive: func(c *Conn) bool { return c.SetDeadline(time.Now().Add(50*time.Millisecond)) == nil },
		serve: func(c *Conn) {
			_, err := c.Read(make([]byte, 1))
			began <- err
		},
	}, runLoop(t))
	c := connect()
	if err := <-began; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v, want that it is too late", err)
	}
	hearEnd(t, c)
}

func TestRefusedArrivalIsClosed(t *testing.T) {
	connect := open(t, &host{arrive: func(*Conn) bool { return false }}, runLoop(t))
	hearEnd(t, connect())
}

func TestDeadlineEndsAWait(t *testing.T) {
	for name, where := range map[string]func(c *Conn, f func()){
		"on the loop": func(_ *Conn, f func()) { f() },
		"apart":       func(c *Conn, f func()) { c.Apart(f) },
	} {
		t.Run(name, func(t *testing.T) {
			errs := make(chan error, 2)
			connect := open(t, &host{serve: func(c *Conn) {
				where(c, func() {
					_, _ = io.ReadFull(c, make([]byte, 4))
					_ = c.SetDeadline(time.Now().Add(30 * time.Millisecond))
					_, err := c.Read(make([]byte, 1))
					errs <- err
					_ = c.SetWriteDeadline(time.Now().Add(30 * time.Millisecond)) // there is another one
					_, err = c.Write(make([]byte, 64<<20))
					errs <- err
					_ = c.SetDeadline(time.Time{})
					_, _ = c.Read(make([]byte, 1)) // until the other side has seen enough
				})
			}}, runLoop(t))
			c := connect()
			say(t, c, "word")
			for _, what := range []string{"read", "write"} {
				if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: %v", what, err)
				}
			}
			say(t, c, "x")
			_, _ = io.Copy(io.Discard, c)
		})
	}
}

// TestAbortIsForGood: no later deadline takes it back.
func TestAbortIsForGood(t *testing.T) {
	conns, read := make(chan *Conn, 1), make(chan error, 1)
	connect := open(t, &host{
		arrive: func(c *Conn) bool { conns <- c; return true },
		serve: func(c *Conn) {
			_ = c.SetDeadline(time.Now().Add(time.Hour))
			_, err := c.Read(make([]byte, 1))
			read <- err
		},
	}, runLoop(t))
	c := connect()
	(<-conns).Abort()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v, want that it is closed", err)
	}
	hearEnd(t, c)
}

// TestPastDeadlineFromElsewhere is how a login learns that weir stops.
func TestPastDeadlineFromElsewhere(t *testing.T) {
	conns, read := make(chan *Conn, 1), make(chan error, 1)
	connect := open(t, &host{serve: func(c *Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		conns <- c
		_, err := c.Read(make([]byte, 1))
		read <- err
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte("bye"))
	}}, runLoop(t))
	c := connect()
	say(t, c, "word")
	if err := (<-conns).SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	hear(t, c, "bye")
}

// TestApartLeavesTheLoopToOthers has one connection wait for the other, and both talk meanwhile.
func TestApartLeavesTheLoopToOthers(t *testing.T) {
	other := make(chan struct{})
	connect := open(t, &host{serve: func(c *Conn) {
		var word [4]byte
		_, _ = io.ReadFull(c, word[:])
		if string(word[:]) == "free" {
			close(other)
			_, _ = c.Write([]byte("freed"))
			return
		}
		c.Apart(func() {
			_, _ = c.Write([]byte("apart"))
			<-other
			_, _ = io.ReadFull(c, word[:])
			c.Apart(func() { _, _ = c.Write(word[:]) }) // within itself it changes nothing
		})
		echo(c)
	}}, runLoop(t))
	a, b := connect(), connect()
	say(t, a, "wait")
	hear(t, a, "apart")
	say(t, b, "free")
	hear(t, b, "freed")
	hearEnd(t, b)
	say(t, a, "more")
	hear(t, a, "more")
	say(t, a, "last")
	hear(t, a, "last")
}

func TestWriteWaitsForTheReader(t *testing.T) {
	const size = 8 << 20
	connect := open(t, &host{serve: func(c *Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		if n, err := c.Write(bytes.Repeat([]byte("x"), size)); n != size || err != nil {
			t.Errorf("wrote %d %v", n, err)
		}
		echo(c)
	}}, runLoop(t))
	c := connect()
	say(t, c, "word")
	time.Sleep(20 * time.Millisecond)
	if n, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	say(t, c, "then")
	hear(t, c, "then")
}

// owner is whom connections are left to.
type owner struct {
	fd    int
	heard chan string
}

func (o *owner) OnReady(eventloop.Event) {
	b := make([]byte, 100)
	for {
		n, err := socket.Recv(o.fd, b)
		switch {
		case err != nil:
			return
		case n == 0:
			o.heard <- "the end"
			return
		}
		o.heard <- string(b[:n])
	}
}

// leave hands c over, as a login does.
func leave(t *testing.T, c *Conn, to *eventloop.Loop) (ahead string, o *owner) {
	here := to == c.Loop()
	fd, token, rest := c.Leave(to)
	o = &owner{fd: fd, heard: make(chan string, 10)}
	if here {
		to.Rebind(token, o, eventloop.First)
	} else {
		to.Post(func() {
			if _, err := to.Register(fd, o, eventloop.First); err != nil {
				t.Errorf("register: %v", err)
			}
		})
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return string(rest), o
}

func TestLeavingLosesNothing(t *testing.T) {
	for name, sameLoop := range map[string]bool{"on the same loop": true, "to another loop": false} {
		t.Run(name, func(t *testing.T) {
			loops := []*eventloop.Loop{runLoop(t)}
			if !sameLoop {
				loops = append(loops, runLoop(t))
			}
			aheads, owners := make(chan string, 1), make(chan *owner, 1)
			apart, go1 := make(chan struct{}), make(chan struct{})
			connect := open(t, &host{serve: func(c *Conn) {
				_ = c.SetDeadline(time.Now().Add(time.Hour))
				_, _ = io.ReadFull(c, make([]byte, 4))
				c.Apart(func() { close(apart); <-go1 }) // what comes meanwhile is reported to nobody
				to := c.Loop()
				for _, l := range loops {
					if l != c.Loop() {
						to = l
					}
				}
				ahead, o := leave(t, c, to)
				if c.Seat().of.loop != to {
					t.Error("it counts for another loop than its owner's")
				}
				aheads <- ahead
				owners <- o
			}}, loops...)
			c := connect()
			say(t, c, "wordahead")
			<-apart
			say(t, c, "missed")
			time.Sleep(20 * time.Millisecond) // so that the event comes meanwhile; if it does not, it is not missed
			close(go1)
			if ahead := <-aheads; ahead != "ahead" {
				t.Errorf("read ahead: %q", ahead)
			}
			o := <-owners
			if got := <-o.heard; got != "missed" {
				t.Errorf("heard %q", got)
			}
			say(t, c, "later")
			if got := <-o.heard; got != "later" {
				t.Errorf("heard %q", got)
			}
			_ = c.Close()
			if got := <-o.heard; got != "the end" {
				t.Errorf("heard %q", got)
			}
		})
	}
}

// TestEndInTheSameBreath: the peer logs in and is gone at once; that was one event, and the new owner must hear of it.
func TestEndInTheSameBreath(t *testing.T) {
	loop := runLoop(t)
	owners := make(chan *owner, 1)
	connect := open(t, &host{serve: func(c *Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		_, o := leave(t, c, loop)
		owners <- o
	}}, loop)
	blocked := make(chan struct{})
	loop.Post(func() { <-blocked }) // both arrive before the loop looks
	c := connect()
	say(t, c, "word")
	_ = c.(*net.TCPConn).CloseWrite()
	time.Sleep(20 * time.Millisecond)
	close(blocked)
	if got := <-(<-owners).heard; got != "the end" {
		t.Errorf("heard %q", got)
	}
}

func TestCodeThatForgetsToCloseDoesNotKeepTheConnection(t *testing.T) {
	connect := open(t, &host{serve: func(c *Conn) { _, _ = io.ReadFull(c, make([]byte, 4)) }}, runLoop(t))
	c := connect()
	say(t, c, "word")
	hearEnd(t, c)
}

func TestDescriptorIsThereForControl(t *testing.T) {
	sizes := make(chan int, 2)
	connect := open(t, &host{serve: func(c *Conn) {
		_, _ = io.ReadFull(c, make([]byte, 4))
		raw, err := c.SyscallConn()
		if err != nil {
			t.Error(err)
		}
		_ = raw.Control(func(fd uintptr) {
			n, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE)
			sizes <- n
		})
		sizes <- c.Buffered()
	}}, runLoop(t))
	c := connect()
	say(t, c, "word and more")
	if kind, ahead := <-sizes, <-sizes; kind != unix.SOCK_STREAM || ahead != len(" and more") {
		t.Errorf("kind %d, %d bytes ahead", kind, ahead)
	}
	hearEnd(t, c)
}
