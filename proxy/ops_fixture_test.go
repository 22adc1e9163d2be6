package proxy_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"strconv"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/faultnet"
	"weir/internal/pgserver"
	"weir/proxy/status"
)

// privateServer is a PostgreSQL of the test's own, for what the shared one must not suffer: restarts, crashes, a full house.
func privateServer(t *testing.T, opts pgserver.Options) *pgserver.Database {
	t.Helper()
	return privateServerWith(t, opts, "private")
}

// privateServerWith is one whose database has that name. It offers TLS where the tests are to use it.
func privateServerWith(t *testing.T, opts pgserver.Options, name string) *pgserver.Database {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	if *everywhereTLS {
		settings := map[string]string{"ssl": "on"}
		maps.Copy(settings, opts.Settings)
		opts.Settings, opts.Files = settings, serverFiles()
	}
	s, err := pgserver.Start(context.Background(), opts)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(s.Stop)
	if err := s.CreateDatabase(context.Background(), name); err != nil {
		t.Fatal(err)
	}
	return &pgserver.Database{Server: s, Name: name}
}

// behind is a configuration's section that leads every database through a misbehaving network.
func behind(n *faultnet.Proxy) string { return serverAt(n.Addr()) }

// serverAt is a configuration's section that looks for every database at this address.
func serverAt(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("[databases.\"*\"]\nhost = %q\nport = %s\n", host, port)
}

// enter logs a superuser in to d through weir.
func enter(t *testing.T, w *weirUnderTest, d *pgserver.Database, params ...string) *wireClient {
	t.Helper()
	if !w.secret {
		return dial(t, w.Addr, d.Server.Superuser(), d.Name, params...)
	}
	c, err := tryDialOver(t, startTLS(t, dialRaw(t, w.Addr)), d.Server.Superuser(), d.Name, params...)
	if err != nil {
		t.Fatalf("log in at %s with TLS: %v", w.Addr, err)
	}
	return c
}

// starter is start, or start with TLS.
type starter func(t *testing.T, d *pgserver.Database, toml string) *weirUnderTest

// bothWays runs a test in plain text and with TLS on both sides.
func bothWays(t *testing.T, f func(t *testing.T, start starter)) {
	t.Run("plain", func(t *testing.T) { f(t, start) })
	t.Run("tls", func(t *testing.T) { f(t, startWithTLS) })
}

// startWithTLS is start with TLS demanded of clients and server.
func startWithTLS(t *testing.T, d *pgserver.Database, toml string) *weirUnderTest {
	t.Helper()
	w := start(t, d, toml+"\n"+bothTLS(t))
	w.secret = true
	return w
}

// expectPool waits until weir's only pool satisfies cond.
func expectPool(t *testing.T, w *weirUnderTest, what string, cond func(status.Pool) bool) {
	t.Helper()
	eventually(t, func() string {
		pools := w.Proxy.Snapshot().Pools
		if len(pools) != 1 {
			return fmt.Sprintf("%d pools", len(pools))
		}
		if !cond(pools[0]) {
			return fmt.Sprintf("not %s: clients %v, backends %v", what, pools[0].Clients, pools[0].Backends)
		}
		return ""
	})
}

// unpinned reports whether no client keeps a backend. One that is being asked is not pinned for that moment, but leased.
func unpinned(p status.Pool) bool { return p.Pinned == 0 && p.Backends[status.BackendActive] == 0 }

// hurry has clients wait for a backend for a moment only, from now on. It is called when nothing is waited for but what is to fail: a dial takes
// what it takes on a busy machine.
func (w *weirUnderTest) hurry(t *testing.T) { w.queryWait(t, "100ms") }

// unhurry has them wait as usual again.
func (w *weirUnderTest) unhurry(t *testing.T) { w.queryWait(t, "2m") }

func (w *weirUnderTest) queryWait(t *testing.T, most string) {
	t.Helper()
	if err := w.Proxy.Set("timeouts", "query_wait_timeout", most); err != nil {
		t.Fatal(err)
	}
}

// expectWaiting waits until n clients wait for a backend.
func expectWaiting(t *testing.T, w *weirUnderTest, n int) {
	t.Helper()
	expectPool(t, w, fmt.Sprintf("%d waiting", n), func(p status.Pool) bool { return p.Clients[status.ClientWaiting] == n })
}

// expectActive waits until n backends are leased.
func expectActive(t *testing.T, w *weirUnderTest, n int) {
	t.Helper()
	expectPool(t, w, fmt.Sprintf("%d active", n), func(p status.Pool) bool { return p.Backends[status.BackendActive] == n })
}

func backendCount(p status.Pool) int {
	n := 0
	for _, k := range p.Backends {
		n += k
	}
	return n
}

func clientCount(p status.Pool) int {
	n := 0
	for _, k := range p.Clients {
		n += k
	}
	return n
}

// inBackground sends a Query whose answer is read later.
func (c *wireClient) inBackground(sql string) {
	c.t.Helper()
	c.Send(&pgproto3.Query{String: sql})
}

// expectLastError reads to the end of the connection, which must come with exactly one error, and with this SQLSTATE.
func (c *wireClient) expectLastError(code string) *serverError {
	c.t.Helper()
	var found []*serverError
	for {
		m, err := c.TryReceive()
		if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
			c.t.Fatalf("the connection stays open")
		}
		if err != nil {
			break
		}
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			found = append(found, &serverError{*e})
		}
	}
	if len(found) != 1 || found[0].Code != code {
		c.t.Fatalf("before the end came the errors %v, want one %s", found, code)
	}
	return found[0]
}

// refused wants an error of this SQLSTATE.
func refused(t *testing.T, err error, code string) *serverError {
	t.Helper()
	e, ok := errors.AsType[*serverError](err)
	if !ok || e.Code != code {
		t.Fatalf("got %v, want an error %s", err, code)
	}
	return e
}

// killBackend ends a backend on the server and waits until it is gone.
func killBackend(t *testing.T, d *pgserver.Database, pid string) {
	t.Helper()
	if err := d.Server.Exec(context.Background(), "postgres", "SELECT pg_terminate_backend("+pid+")"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if backendsOf(d)[pid] {
			return "backend " + pid + " is there"
		}
		return ""
	})
}

// expectBackends waits until the server has so many backends for d at most: each ends in its own time after weir has closed its connection.
func expectBackends(t *testing.T, d *pgserver.Database, most int) {
	t.Helper()
	eventually(t, func() string {
		if n := len(backendsOf(d)); n > most {
			return fmt.Sprintf("%d backends, want %d at most", n, most)
		}
		return ""
	})
}

// netConn is the connection without TLS.
func (c *wireClient) netConn() *net.TCPConn {
	if top, ok := c.conn.(*tls.Conn); ok {
		return top.NetConn().(*net.TCPConn)
	}
	return c.conn.(*net.TCPConn)
}

// reset ends the connection with a RST instead of a FIN.
func (c *wireClient) reset() {
	_ = c.netConn().SetLinger(0)
	_ = c.netConn().Close()
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
