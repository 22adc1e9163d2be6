package tunnel

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
)

// ends are the far ends of a tunnel.
type ends struct {
	t               *testing.T
	client, backend *net.TCPConn
	tunnel          *Tunnel
	gone            chan struct{}
	breach          chan Breach
}

// connected is a connection, and the descriptor of its near end.
func connected(t *testing.T) (far *net.TCPConn, near int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c, err := new(net.Dialer).DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if near, err = socket.Detach(s); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), near
}

func open(t *testing.T, greeting, ahead string) *ends {
	t.Helper()
	return openWith(t, Limits{}, greeting, ahead)
}

func openWith(t *testing.T, limits Limits, greeting, ahead string) *ends {
	t.Helper()
	loop, err := eventloop.New(0)
	if err != nil {
		t.Fatal(err)
	}
	go loop.Run()
	e := &ends{t: t, gone: make(chan struct{}), breach: make(chan Breach, 1)}
	t.Cleanup(func() {
		e.tunnel.Close(nil)
		loop.Stop()
		<-loop.Done()
	})
	var c Config
	e.client, c.Client.FD = connected(t)
	e.backend, c.Backend.FD = connected(t)
	c.Greeting, c.Ahead = []byte(greeting), []byte(ahead)
	c.Limits = limits
	c.OnBeyond = func(b Breach) []byte {
		e.breach <- b
		return []byte("farewell")
	}
	c.OnGone = func() { close(e.gone) }
	loop.Call(func() { e.tunnel, err = Open(loop, c) })
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *ends) hear(from net.Conn, want string) {
	e.t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(from, b); err != nil || string(b) != want {
		e.t.Fatalf("%q, %v, want %q", b, err, want)
	}
}

func (e *ends) say(to net.Conn, s string) {
	e.t.Helper()
	if _, err := io.WriteString(to, s); err != nil {
		e.t.Fatal(err)
	}
}

func (e *ends) over(from net.Conn) {
	e.t.Helper()
	if b, err := io.ReadAll(from); err != nil || len(b) > 0 {
		e.t.Fatalf("%d more bytes, %v, want the end", len(b), err)
	}
}

func (e *ends) ended() {
	e.t.Helper()
	select {
	case <-e.gone:
	case <-time.After(20 * time.Second):
		e.t.Fatal("the tunnel does not end")
	}
}

const message = "d\x00\x00\x00\x08data"

func TestWhatOneSaysTheOtherHears(t *testing.T) {
	e := open(t, "greeting", "ahead")
	e.hear(e.client, "greeting")
	e.hear(e.backend, "ahead")
	e.say(e.client, "question")
	e.hear(e.backend, "question")
	e.say(e.backend, message)
	e.hear(e.client, message)
	if in, out := e.tunnel.Bytes(); in != 13 || out != uint64(8+len(message)) {
		t.Errorf("%d bytes in, %d out", in, out)
	}
}

// TestClientThatHasSaidAllHearsTheRest: a half-closed connection still works in the other direction, under back-pressure as well.
func TestClientThatHasSaidAllHearsTheRest(t *testing.T) {
	e := open(t, "", "")
	e.say(e.client, "bye")
	_ = e.client.CloseWrite()
	e.hear(e.backend, "bye")
	e.over(e.backend)
	much := bytes.Repeat([]byte(message), 1<<20)
	go func() {
		_, _ = e.backend.Write(much)
		_ = e.backend.Close()
	}()
	time.Sleep(50 * time.Millisecond) // so that it piles up
	if got, err := io.ReadAll(e.client); err != nil || !bytes.Equal(got, much) {
		t.Errorf("%d of %d bytes, %v", len(got), len(much), err)
	}
	e.ended()
}

func TestBackendsEndIsTheEnd(t *testing.T) {
	e := open(t, "", "")
	e.say(e.backend, message)
	_ = e.backend.Close()
	e.hear(e.client, message)
	e.over(e.client)
	_ = e.client.Close()
	e.ended()
}

func TestVanishedClientTakesItsBackendAlong(t *testing.T) {
	e := open(t, "", "")
	_ = e.client.SetLinger(0)
	_ = e.client.Close()
	e.over(e.backend)
	e.ended()
}

// TestFarewellStandsBetweenMessages whatever is under way.
func TestFarewellStandsBetweenMessages(t *testing.T) {
	t.Run("amid a message", func(t *testing.T) {
		e := open(t, "", "")
		e.say(e.backend, message[:6])
		e.hear(e.client, message[:6])
		e.tunnel.Dismiss([]byte("farewell"))
		e.say(e.backend, message[6:]+message)
		e.hear(e.client, message[6:]+"farewell")
		e.over(e.client)
		_, _ = io.Copy(io.Discard, e.backend) // closed, with or without what it had sent last
		_ = e.client.Close()
		e.ended()
	})
	t.Run("at rest", func(t *testing.T) {
		e := open(t, "", "")
		e.tunnel.Dismiss([]byte("farewell"))
		e.hear(e.client, "farewell")
		e.over(e.client)
		e.over(e.backend)
		_ = e.client.Close()
		e.ended()
	})
	t.Run("at once", func(t *testing.T) {
		e := open(t, "", "")
		e.tunnel.Close([]byte("farewell"))
		e.hear(e.client, "farewell")
		e.ended()
	})
}
