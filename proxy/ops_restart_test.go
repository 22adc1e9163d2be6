package proxy_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/pgserver"
	"weir/proxy"
)

// The parts of TestProgram about the change from one weir to the next.

// graceBeforeTheDrain: load balancers see that it stops before the first client is refused.
func graceBeforeTheDrain(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[timeouts]\nshutdown_grace = \"1h\"\n", "")
	idle := dial(t, p.Addr, "postgres", d.Name)
	p.signal(syscall.SIGTERM)
	eventually(t, func() string {
		if code, body := p.ready(); code != http.StatusServiceUnavailable {
			return fmt.Sprintf("/readyz says %d %s", code, body)
		}
		return ""
	})
	dial(t, p.Addr, "postgres", d.Name).Query("SELECT 1")
	idle.Query("SELECT 1")
	p.signal(syscall.SIGTERM)
	idle.expectLastError("57P01")
	p.expectExit()
}

// cancelInADrain: what the drain waits for can be cancelled.
func cancelInADrain(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[timeouts]\nshutdown_grace = \"100ms\"\ndrain_timeout = \"0s\"", "")
	c := dial(t, p.Addr, "postgres", d.Name)
	c.inBackground("SELECT pg_sleep(3000)")
	expectRunning(t, d, "SELECT pg_sleep(3000)", 1)
	p.signal(syscall.SIGTERM)
	p.expectRefusing()
	cancelRequest(t, p.Addr, c.pid, c.secret)
	refused(t, c.Answer().Err(), "57014")
	c.expectLastError("57P01")
	p.expectExit()
}

// sameAddresses launches a weir where another one listens.
func sameAddresses(t *testing.T, path string, d *pgserver.Database, first *weirProcess, more string) *weirProcess {
	t.Helper()
	return launch(t, path, d, fmt.Sprintf("[listen]\naddresses = [%q]\n%s[http]\naddress = %q\n", first.Addr, more, first.HTTP), "")
}

// nextTakesOver: a weir that is about to end is in nobody's way, with whatever it waits for.
func nextTakesOver(t *testing.T, path string) {
	d := database(t)
	old := launch(t, path, d, "[timeouts]\ndrain_timeout = \"0s\"", "")
	busy := dial(t, old.Addr, "postgres", d.Name)
	busy.Query("BEGIN")
	old.signal(syscall.SIGTERM)
	old.expectRefusing()
	next := sameAddresses(t, path, d, old, "")
	eventually(t, func() string { // the old one sees it in a moment
		if code, body := next.ready(); code != http.StatusOK {
			return fmt.Sprintf("/readyz says %d %s", code, body)
		}
		if c, err := tryDial(t, next.Addr, "postgres", d.Name); err != nil {
			return err.Error()
		} else {
			c.Terminate()
		}
		return ""
	})
	for range 50 { // the old one is out of the way
		dial(t, next.Addr, "postgres", d.Name).Terminate()
	}
	busy.Query("SELECT 1")
	busy.Query("COMMIT")
	busy.expectLastError("57P01")
	old.expectExit()
	dial(t, next.Addr, "postgres", d.Name).Query("SELECT 1")
}

// twoOnOnePort: with reuse_port the next one is there before the first is told to stop, and no client is refused. Without it a second
// weir by mistake is refused, not the clients' confusion.
func twoOnOnePort(t *testing.T, path string) {
	d := database(t)
	const both = "reuse_port = true\n"
	old := launch(t, path, d, "[listen]\naddresses = [\"127.0.0.1:0\"]\n"+both+"[timeouts]\ndrain_timeout = \"0s\"\n", "")
	busy := dial(t, old.Addr, "postgres", d.Name)
	busy.Query("BEGIN")
	next := sameAddresses(t, path, d, old, both)
	ctx, stop := context.WithCancel(context.Background())
	var logins sync.WaitGroup
	var served atomic.Int64
	for range 4 {
		logins.Go(func() {
			for ctx.Err() == nil {
				if c, err := tryDial(t, next.Addr, "postgres", d.Name); isCode(err, "57P03") {
					t.Errorf("a login was refused although the next one is there: %v", err)
					return
				} else if err == nil {
					c.Terminate()
					served.Add(1)
				}
			}
		})
	}
	old.signal(syscall.SIGTERM)
	eventually(t, func() string {
		if !old.Log.Contains("msg=draining") {
			return "it does not drain"
		}
		return ""
	})
	enough := served.Load() + 50
	eventually(t, func() string {
		if got := served.Load(); got < enough && !t.Failed() {
			return fmt.Sprintf("%d logins, want %d", got, enough)
		}
		return ""
	})
	stop()
	logins.Wait()
	busy.Query("COMMIT")
	busy.expectLastError("57P01")
	old.expectExit()
	dial(t, next.Addr, "postgres", d.Name).Query("SELECT 1")
}

// ownedSocket listens as a service manager does, which hands the socket to weir as a file, and keeps it.
func ownedSocket(t *testing.T) (net.Listener, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	owned, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owned.Close() })
	return l, owned
}

// underSystemd: sockets that are there before weir and after it, and notes of what becomes of it.
func underSystemd(t *testing.T, path string) {
	d := database(t)
	l, owned := ownedSocket(t)
	noted := filepath.Join(t.TempDir(), "notify")
	notes, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: noted, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = notes.Close() }()
	expectNote := func(want string) {
		t.Helper()
		_ = notes.SetReadDeadline(time.Now().Add(patience))
		var heard []string
		for {
			var b [512]byte
			n, err := notes.Read(b[:])
			if err != nil {
				t.Fatalf("no note %q, but %q: %v", want, heard, err)
			}
			heard = append(heard, string(b[:n]))
			if slices.Contains(strings.Split(string(b[:n]), "\n"), want) {
				return
			}
		}
	}
	prelude := fmt.Sprintf("export LISTEN_FDS=1 LISTEN_PID=$$ NOTIFY_SOCKET=%s WATCHDOG_USEC=100000 WATCHDOG_PID=$$; ", noted)
	run := func() *weirProcess {
		return launchInto(t, path, d, "[listen]\naddresses = [\"127.0.0.1:1\"]\n[timeouts]\ndrain_timeout = \"0s\"\n", prelude, nil, owned)
	}
	p := run()
	if p.Addr != l.Addr().String() {
		t.Errorf("it listens at %s", p.Addr)
	}
	expectNote("READY=1")
	expectNote("WATCHDOG=1")
	dial(t, p.Addr, "postgres", d.Name).Query("SELECT 1")
	p.signal(syscall.SIGHUP)
	expectNote("RELOADING=1")
	expectNote("READY=1")
	p.signal(syscall.SIGTERM)
	expectNote("STOPPING=1")
	p.expectExit()
	_ = os.Remove(noted)                                   // a supervisor that listens no more harms nothing
	between := newClient(t, dialRaw(t, l.Addr().String())) // waits in the backlog
	run()
	between.Send(startupOf(d.Name))
	if _, err := between.TryAnswer(); err != nil {
		t.Error(err)
	}
	between.Query("SELECT 1")
}

// What the console's SHUTDOWN asks for: clients stay for as long as they like, or those in no transaction go at once.
func TestDrainsOfTheConsole(t *testing.T) {
	d := database(t)
	for name, c := range map[string]struct {
		drain func(w *weirUnderTest)
		stay  bool
	}{
		"WAIT_FOR_CLIENTS": {func(w *weirUnderTest) { w.Proxy.DrainClients() }, true},
		"WAIT_FOR_SERVERS": {func(w *weirUnderTest) { w.Proxy.DrainServers() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, dir := consoleWeir(t, d, "[timeouts]\nshutdown_grace = \"1h\"\n")
			idle, busy := enter(t, w, d), enter(t, w, d)
			busy.Query("BEGIN")
			c.drain(w)
			expectRefusing(t, w.Addr, d.Name)
			if w.Proxy.Ready() == nil || w.Proxy.Reload() == nil {
				t.Error("it is ready, or reloads")
			}
			if got := one(t, consoleAt(t, w.unixDSN(t, dir, "pgbouncer")), "SHOW STATE", "value", is("key", "active")); got != "yes" {
				t.Errorf("the console on the unix socket says that weir is active: %q", got)
			}
			if !c.stay {
				idle.expectLastError("57P01")
				busy.Query("COMMIT")
				busy.expectLastError("57P01")
			} else {
				busy.Query("COMMIT")
				for _, c := range []*wireClient{idle, busy} {
					c.Query("SELECT 1")
					c.Terminate()
				}
			}
			w.expectStopped()
		})
	}
}

// Where another process owns the sockets, clients that come during a restart wait there. Those that this weir has taken before are not refused
// either: it takes no more, serves their logins, and drains then.
func TestLoginsThatHaveBegunAreServedByAWeirThatLeavesItsSockets(t *testing.T) {
	d := database(t)
	_, owned := ownedSocket(t)
	var o proxy.Options
	o.SweepEvery(sweepEvery)
	o.Sockets = []*os.File{owned}
	w := startWith(t, d, "[timeouts]\ndrain_timeout = \"0s\"\n", o)
	enter(t, w, d).Terminate() // what the server reports is known then
	begun := newClient(t, dialRaw(t, w.Addr))
	eventually(t, func() string {
		if now := w.Proxy.Snapshot().Logins.Now; now != 1 {
			return fmt.Sprintf("%d logins are in progress", now)
		}
		return ""
	})
	w.Proxy.Drain()
	eventually(t, func() string {
		if !w.Log.Contains("msg=draining") {
			return "it does not drain"
		}
		return ""
	})
	begun.Send(startupOf(d.Name))
	if a, err := begun.TryAnswer(); err != nil {
		t.Errorf("a login that had begun: %v %v", a.Errs, err)
	}
	w.expectStopped()
}
