package faultnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience ends a wait that would otherwise be for ever; no test passes or
// fails by it while the proxy works.
const patience = 20 * time.Second

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// target is a listener whose connections the test gets in its hands.
func target(t *testing.T) (addr string, conns <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan net.Conn, 16)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			ch <- c
		}
	}()
	return l.Addr().String(), ch
}

// pair is a client and the target's end of its connection through the proxy.
type pair struct {
	proxy          *Proxy
	client, server net.Conn
}

func newPair(t *testing.T) pair {
	t.Helper()
	addr, conns := target(t)
	p := New(t, "tcp", addr)
	client := dial(t, p)
	return pair{p, client, receive(t, conns)}
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial(p.listenAddr.Network(), p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return owned(t, c)
}

func receive(t *testing.T, conns <-chan net.Conn) net.Conn {
	t.Helper()
	select {
	case c := <-conns:
		return owned(t, c)
	case <-soon(t).Done():
		t.Fatal("no connection arrived at the target")
		return nil
	}
}

func owned(t *testing.T, c net.Conn) net.Conn {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	buf := make([]byte, len(text))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
		t.Fatalf("read %q, %v; want %q", buf[:n], err, text)
	}
}

func expectError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, want) {
		t.Fatalf("read %d bytes, %v; want %v", n, err, want)
	}
}

func waitFor(t *testing.T, p *Proxy, cond func(Stats) bool) {
	t.Helper()
	if err := p.WaitFor(soon(t), cond); err != nil {
		t.Fatal(err)
	}
}

func TestForwardsBothWaysAndCounts(t *testing.T) {
	p := newPair(t)
	send(t, p.client, "ping")
	expect(t, p.server, "ping")
	send(t, p.server, "answer")
	expect(t, p.client, "answer")
	waitFor(t, p.proxy, func(s Stats) bool {
		return s == Stats{Accepted: 1, Open: 1, Bytes: [directions]int64{4, 6}, Writes: [directions]int64{1, 1}}
	})
}

func TestEndOfFilePassesOneWayAtATime(t *testing.T) {
	p := newPair(t)
	if err := p.client.(halfCloser).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	expectError(t, p.server, io.EOF)
	send(t, p.server, "late answer")
	expect(t, p.client, "late answer")
	_ = p.server.Close()
	expectError(t, p.client, io.EOF)
	waitFor(t, p.proxy, func(s Stats) bool { return s.Open == 0 })
}

func TestResetPassesOn(t *testing.T) {
	p := newPair(t)
	reset(p.server)
	expectError(t, p.client, syscall.ECONNRESET)
}

func TestPauseStopsOneDirectionAndPushesBack(t *testing.T) {
	p := newPair(t)
	p.proxy.Pause(ToTarget)
	sent := fill(t, p.client)

	// The other direction goes on.
	send(t, p.server, "answer")
	expect(t, p.client, "answer")
	if got := p.proxy.Stats().Bytes[ToTarget]; got != 0 {
		t.Fatalf("%d bytes passed a paused direction", got)
	}

	p.proxy.Resume(ToTarget)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(p.server, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatal("bytes were lost or changed by pause and resume")
	}
}

// fill writes until the socket takes no more and returns what it took.
func fill(t *testing.T, c net.Conn) []byte {
	t.Helper()
	const most = 64 << 20 // the socket buffers of two connections are far smaller
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sent []byte
	block := make([]byte, 64<<10)
	for len(sent) < most {
		for i := range block {
			block[i] = byte((len(sent) + i) % 251)
		}
		var n int
		var writeErr error
		if err := raw.Write(func(fd uintptr) bool {
			n, writeErr = syscall.Write(int(fd), block)
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if errors.Is(writeErr, syscall.EAGAIN) {
			return sent
		}
		if writeErr != nil {
			t.Fatal(writeErr)
		}
		sent = append(sent, block[:n]...)
	}
	t.Fatalf("the sender was not pushed back after %d bytes", most)
	return nil
}

func TestPauseInterruptsWriteUnderWay(t *testing.T) {
	// Nobody reads at the target, so a write of the proxy blocks there. Pause
	// must return all the same, and no byte may be lost.
	p := newPair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	wrote := make(chan error, 1)
	go func() {
		_, err := p.client.Write(sent)
		wrote <- err
	}()
	waitFor(t, p.proxy, func(s Stats) bool { return s.Bytes[ToTarget] >= 256<<10 })
	for range 100 {
		p.proxy.Pause(ToTarget)
		before := p.proxy.Stats().Bytes[ToTarget]
		runtime.Gosched()
		if after := p.proxy.Stats().Bytes[ToTarget]; after != before {
			t.Fatalf("%d bytes passed a paused direction", after-before)
		}
		p.proxy.Resume(ToTarget)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(p.server, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent) {
		t.Fatal("bytes were lost or changed by pause and resume")
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

func TestPauseHoldsForConnectionsToCome(t *testing.T) {
	addr, conns := target(t)
	p := New(t, "tcp", addr)
	p.Pause(ToClient)
	client := dial(t, p)
	server := receive(t, conns)
	send(t, server, "hello")
	send(t, client, "ping")
	expect(t, server, "ping")
	if got := p.Stats().Bytes[ToClient]; got != 0 {
		t.Fatalf("%d bytes passed a paused direction", got)
	}
	p.Resume(ToClient)
	expect(t, client, "hello")
}

func TestChunkBoundsEachWrite(t *testing.T) {
	p := newPair(t)
	p.proxy.Chunk(ToTarget, 5)
	send(t, p.client, "twelve bytes")
	expect(t, p.server, "twelve bytes")
	send(t, p.server, "one piece")
	expect(t, p.client, "one piece")
	waitFor(t, p.proxy, func(s Stats) bool {
		return s.Bytes == [directions]int64{12, 9} && s.Writes == [directions]int64{3, 1}
	})
}

func TestDelayWaitsBeforeEachWrite(t *testing.T) {
	p := newPair(t)
	const wait = 2 * time.Millisecond
	p.proxy.Chunk(ToTarget, 1)
	p.proxy.Delay(ToTarget, wait)
	start := time.Now()
	send(t, p.client, "slow")
	expect(t, p.server, "slow")
	if took := time.Since(start); took < 4*wait { // a lower bound holds on any machine
		t.Fatalf("4 writes with %v before each took %v", wait, took)
	}
}

func TestCutResetsBothSides(t *testing.T) {
	p := newPair(t)
	p.proxy.Pause(ToTarget) // a paused direction must not keep it
	p.proxy.Cut()
	expectError(t, p.client, syscall.ECONNRESET)
	expectError(t, p.server, syscall.ECONNRESET)
	waitFor(t, p.proxy, func(s Stats) bool { return s.Open == 0 })
}

func TestCutAfterStopsInsideAMessage(t *testing.T) {
	addr, conns := target(t)
	p := New(t, "tcp", addr)
	p.CutAfter(ToClient, 5)
	t.Run("first bytes of a new connection", func(t *testing.T) {
		client := dial(t, p)
		server := receive(t, conns)
		send(t, server, "hello, world")
		expect(t, client, "hello")
		expectError(t, client, syscall.ECONNRESET)
	})
	t.Run("lifted", func(t *testing.T) {
		p.CutAfter(ToClient, 0)
		client := dial(t, p)
		server := receive(t, conns)
		send(t, server, "hello, world")
		expect(t, client, "hello, world")
		t.Run("more bytes of an old connection", func(t *testing.T) {
			waitFor(t, p, func(s Stats) bool { return s.Bytes[ToClient] == 5+12 })
			p.CutAfter(ToClient, 3)
			send(t, server, "again")
			expect(t, client, "aga")
			expectError(t, client, syscall.ECONNRESET)
		})
	})
}

func TestCloseWriteEndsOneDirection(t *testing.T) {
	p := newPair(t)
	send(t, p.client, "before")
	expect(t, p.server, "before")
	p.proxy.CloseWrite(ToTarget)
	expectError(t, p.server, io.EOF)
	send(t, p.client, "unheard")
	send(t, p.server, "still here")
	expect(t, p.client, "still here")
	// Bytes are counted after they were handed on, hence the wait.
	waitFor(t, p.proxy, func(s Stats) bool { return s.Bytes[ToTarget] == int64(len("before")) })
}

func TestSilenceAcceptsAndSaysNothing(t *testing.T) {
	addr, conns := target(t)
	p := New(t, "tcp", addr)
	if err := p.SetMode(Silence); err != nil {
		t.Fatal(err)
	}
	silent := dial(t, p)
	waitFor(t, p, func(s Stats) bool { return s.Accepted == 1 && s.Open == 1 })
	if err := p.SetMode(Forward); err != nil {
		t.Fatal(err)
	}
	client := dial(t, p)
	server := receive(t, conns)
	send(t, client, "ping")
	expect(t, server, "ping") // the first to arrive, so the silent one never did
	p.Cut()
	expectError(t, silent, syscall.ECONNRESET)
}

func TestRefuseAndBack(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), ".s.PGSQL.5432")
			}
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			addr, conns := target(t)
			p, err := Start(l, "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			old, oldServer := dial(t, p), receive(t, conns)

			for range 3 {
				if err := p.SetMode(Refuse); err != nil {
					t.Fatal(err)
				}
				if c, err := net.Dial(network, p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Fatalf("dial: %v, %v; want a refusal", c, err)
				}
				send(t, old, "kept")
				expect(t, oldServer, "kept")
				if err := p.SetMode(Forward); err != nil {
					t.Fatal(err)
				}
				client := dial(t, p)
				server := receive(t, conns)
				send(t, client, "ping")
				expect(t, server, "ping")
			}
		})
	}
}

func TestUnreachableTargetResetsClient(t *testing.T) {
	addr, _ := target(t)
	first := New(t, "tcp", addr)
	if err := first.SetMode(Refuse); err != nil { // an address that surely refuses
		t.Fatal(err)
	}
	second := New(t, "tcp", first.Addr())
	c, err := net.Dial("tcp", second.Addr())
	if err == nil {
		_, err = owned(t, c).Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) { // of the read, or already of the connect
		t.Fatalf("error %v, want a reset", err)
	}
}

func TestWaitForSaysWhatItSaw(t *testing.T) {
	p := newPair(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := p.proxy.WaitFor(ctx, func(s Stats) bool { return s.Accepted == 2 })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "Accepted:1") {
		t.Fatalf("error %v names neither the reason nor the counters", err)
	}
}

func TestCloseEndsEveryGoroutine(t *testing.T) {
	addr, conns := target(t)
	p := New(t, "tcp", addr)
	client, server := dial(t, p), receive(t, conns)
	p.Pause(ToTarget)
	send(t, client, "held")
	p.Close() // waits for all of them, or this test hangs
	p.Close()
	// A reset, or an end where the link to the target was not yet through when Close came.
	if n, err := server.Read(make([]byte, 1)); err == nil {
		t.Errorf("the target still got %d bytes", n)
	}
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Fatalf("%v still listens", c.RemoteAddr())
	}
}
