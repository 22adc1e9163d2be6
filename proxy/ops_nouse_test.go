package proxy_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/proxy"
	"weir/proxy/status"
	"weir/proxy/wire"
)

// letsIn listens as a server that lets everybody in, after some time, and then does as then says until it returns.
func letsIn(t *testing.T, after time.Duration, then func(nc net.Conn)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = nc.Close() }()
				if !readStartup(nc) {
					return
				}
				time.Sleep(after)
				if _, err := nc.Write(greetingOfServer()); err == nil {
					then(nc)
				}
			})
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

func readStartup(nc net.Conn) bool {
	var length [4]byte
	if _, err := io.ReadFull(nc, length[:]); err != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(length[:]))-4)
	return err == nil
}

func greetingOfServer() []byte {
	p := wire.AppendAuthenticationOk(nil)
	for _, s := range [][2]string{{"server_version", "15.8"}, {"client_encoding", "UTF8"}, {"standard_conforming_strings", "on"}} {
		p = wire.AppendParameterStatus(p, s[0], s[1])
	}
	p = append(p, wire.ServerBackendKeyData, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2)
	return wire.AppendReadyForQuery(p, wire.TxIdle)
}

// readMessage reads and forgets one message of weir's.
func readMessage(nc net.Conn) bool {
	var header [wire.HeaderLen]byte
	if _, err := io.ReadFull(nc, header[:]); err != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(header[1:]))-4)
	return err == nil
}

func to(port int, timeouts string) string {
	return inPlainText + fmt.Sprintf("[timeouts]\n%s\n[databases.odd]\nhost = \"127.0.0.1\"\nport = %d\n", timeouts, port)
}

func TestWaitForServerThatEndsItsConnectionsHasAnEnd(t *testing.T) {
	d := database(t)
	// The login takes longer than what weir has asked a server is true, so it asks each backend.
	port := letsIn(t, 1200*time.Millisecond, func(nc net.Conn) { readMessage(nc) })
	w := start(t, d, to(port, `query_wait_timeout = "2s"`))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://app@%s/odd?sslmode=disable", w.Addr))
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "57P03" || !strings.HasPrefix(refused.Message, "the server has given no answer within ") {
		t.Errorf("the login: %v", err)
	}
}

func TestServerThatDoesNotAnswerWeirKeepsNobodyFromLoggingIn(t *testing.T) {
	d := database(t)
	port := letsIn(t, 0, func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) })
	var o proxy.Options
	o.SweepEvery(sweepEvery)
	o.SpreadPools()
	w := startWith(t, d, "[loops]\ncount = 3\n"+to(port, `query_wait_timeout = "1m"`), o)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 6 { // the others do not wait again, on whichever loop
		c, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://app@%s/odd?sslmode=disable", w.Addr))
		if err != nil {
			t.Fatalf("the login: %v", err)
		}
		defer func() { _ = c.Close(ctx) }()
	}
}

func TestServerThatAnswersWeirTwiceIsClosed(t *testing.T) {
	d := database(t)
	answer := wire.AppendReadyForQuery(wire.AppendReadyForQuery(nil, wire.TxIdle), wire.TxIdle)
	port := letsIn(t, 0, func(nc net.Conn) {
		for readMessage(nc) {
			if _, err := nc.Write(answer); err != nil {
				return
			}
		}
	})
	w := start(t, d, to(port, ""))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://app@%s/odd?sslmode=disable", w.Addr))
	if err != nil {
		t.Fatalf("the login: %v", err)
	}
	defer func() { _ = c.Close(ctx) }()
	eventually(t, func() string {
		if !w.Log.Contains("a ReadyForQuery that nobody has asked for") {
			return "weir has not said why it closed the backend"
		}
		return ""
	})
}

func TestLoginsInTheFirstMomentOfAWeirWaitForItsFirstAnswer(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\nquery_wait_timeout = \"10s\"\n")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c, err := pgconn.Connect(t.Context(), w.DSN(d))
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close(t.Context())
		})
	}
	all.Wait()
}

// TestServerThatAnswersWeirWithNonsenseIsNotStormed: each backend is closed at weir's first command; the next one is dialled, but not at once.
func TestServerThatAnswersWeirWithNonsenseIsNotStormed(t *testing.T) {
	d := database(t)
	var dials atomic.Int32
	port := letsIn(t, 0, func(nc net.Conn) {
		dials.Add(1)
		for readMessage(nc) {
			if _, err := nc.Write([]byte("!\x00\x00\x00\x04")); err != nil {
				return
			}
		}
	})
	w := startAsUsual(t, d, to(port, `query_wait_timeout = "2s"`))
	_, err := tryDial(t, w.Addr, "app", "odd", "application_name", "patient")
	refused(t, err, "57P03")
	if n := strings.Count(w.Log.String(), "backend closed: a message that no server sends"); n < 1 || n > 10 {
		t.Errorf("%d lines", n)
	}
	if n := dials.Load(); n < 2 || n > 10 {
		t.Errorf("%d dials", n)
	}
}

// TestBackendThatIsUnwantedWhenItIsThereIsAskedNothing: weir says goodbye to it, or the server logs an error when it sends its answer.
func TestBackendThatIsUnwantedWhenItIsThereIsAskedNothing(t *testing.T) {
	d := database(t)
	for order, heard := range map[string]func(p status.Pool) bool{
		"RECONNECT odd": func(p status.Pool) bool { return p.Stale == 1 },
		"PAUSE odd":     func(p status.Pool) bool { return p.Paused },
	} {
		t.Run(order, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			w, _ := consoleWeir(t, d, to(l.Addr().(*net.TCPAddr).Port, ""))
			boss := w.console(t, "boss")
			newClient(t, dialRaw(t, w.Addr)).Send(startupOf("odd"))
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			if !readStartup(server) {
				t.Fatal("weir does not log in")
			}
			done := inOwnTime(boss, order)
			expectPoolOf(t, w, "odd", "told", heard)
			_, _ = server.Write(greetingOfServer())
			var first [1]byte
			if _, err := io.ReadFull(server, first[:]); err != io.EOF && first[0] != wire.ClientTerminate { // EOF: the test has taken its time
				t.Errorf("weir says %q, %v", first, err)
			}
			if err := awaits(t, order, done); err != nil {
				t.Error(err)
			}
		})
	}
}
