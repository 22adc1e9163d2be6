package proxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"weir/internal/faultnet"
	"weir/internal/pgserver"
	"weir/proxy/status"
)

const pidQuery = "SELECT pg_backend_pid()"

// A backend that ends while nobody uses it is nobody's trouble (trap 9: a dead idle backend).
func TestNobodyNoticesTheEndOfAnIdleBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c := enter(t, w, d)
	for range 5 {
		old := c.Query(pidQuery)
		killBackend(t, d, old)
		if pid := c.Query(pidQuery); pid == old {
			t.Fatalf("the backend is still %s", pid)
		}
	}
}

func TestEndOfABusyBackendIsToldToItsClientOnly(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	busy, other := enter(t, w, d), enter(t, w, d)
	busy.Query("BEGIN")
	pid := busy.Query(pidQuery)
	other.Query("BEGIN")
	busy.inBackground("SELECT pg_sleep(60)")
	killBackend(t, d, pid)
	busy.expectLastError("57P01")
	if got := other.Query("SELECT 1"); got != "1" {
		t.Errorf("the other client's answer is %q", got)
	}
	other.Query("COMMIT")
}

func TestEndOfABackendInATransactionIsToldAtOnce(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c := enter(t, w, d)
	c.Query("BEGIN")
	killBackend(t, d, c.Query(pidQuery))
	c.expectLastError("57P01")
}

// TestServerRestart: idle clients notice nothing; those in mid-query get one error; those that wait are served afterwards.
func TestServerRestart(t *testing.T) {
	d := privateServer(t, pgserver.Options{})
	w := start(t, d, "[pool]\npool_size = 2")
	idle, busy, waiting := enterMany(t, w, d, 3), enterMany(t, w, d, 2), enterMany(t, w, d, 3)
	for _, c := range busy {
		c.inBackground("SELECT pg_sleep(60)")
	}
	expectActive(t, w, 2)
	for _, c := range waiting {
		c.inBackground("SELECT 'served'")
	}
	expectWaiting(t, w, 3)
	if err := d.Server.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range busy {
		c.expectLastError("57P01")
	}
	for i, c := range waiting {
		if a := c.Answer(); a.Err() != nil || a.First() != "served" {
			t.Errorf("waiting client %d: %q, %v", i, a.First(), a.Err())
		}
	}
	for _, c := range idle {
		c.Query("SELECT 1")
	}
	enter(t, w, d).Query("SELECT 1")
}

// TestServerCrash: the server gives nobody a last word, so weir does.
func TestServerCrash(t *testing.T) {
	d := privateServer(t, pgserver.Options{})
	w := start(t, d, "[pool]\npool_size = 2")
	victim, other, idle := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	victim.Query("BEGIN")
	pid := atoi(t, victim.Query(pidQuery))
	victim.inBackground("SELECT pg_sleep(60)")
	other.inBackground("SELECT pg_sleep(60)")
	expectActive(t, w, 2)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	e := victim.expectLastError("08006")
	if !strings.Contains(e.Detail, "not known") {
		t.Errorf("the client is not told that the outcome is in doubt: %q", e.Detail)
	}
	other.expectLastError("08006")
	idle.Query("SELECT 1") // waits until the server has recovered
}

func enterMany(t *testing.T, w *weirUnderTest, d *pgserver.Database, n int) []*wireClient {
	t.Helper()
	clients := make([]*wireClient, n)
	for i := range clients {
		clients[i] = enter(t, w, d)
	}
	return clients
}

// Who comes while the server is away waits for it, and gets in when it is there.
func TestServerThatComesLateIsWaitedFor(t *testing.T) {
	d := database(t)
	n := faultnet.New(t, "tcp", d.Server.Addr())
	if err := n.SetMode(faultnet.Refuse); err != nil {
		t.Fatal(err)
	}
	w := start(t, d, behind(n))
	type login struct {
		c   *wireClient
		err error
	}
	done := make(chan login)
	go func() {
		c, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
		done <- login{c, err}
	}()
	expectPool(t, w, "a failed dial", func(p status.Pool) bool { return p.Totals.DialsFailed > 0 })
	if err := n.SetMode(faultnet.Forward); err != nil {
		t.Fatal(err)
	}
	l := <-done
	if l.err != nil {
		t.Fatal(l.err)
	}
	l.c.Query("SELECT 1")
}

// After server_login_retry the patience is over: clients get the reason, and who is logged in stays so.
func TestServerThatStaysAwayIsReported(t *testing.T) {
	d := database(t)
	n := faultnet.New(t, "tcp", d.Server.Addr())
	w := start(t, d, behind(n)+"[timeouts]\nserver_login_retry = \"300ms\"")
	old := enter(t, w, d)
	old.Query("SELECT 1")
	if err := n.SetMode(faultnet.Refuse); err != nil {
		t.Fatal(err)
	}
	n.Cut()
	e := refused(t, old.Run("SELECT 1").Err(), "08001")
	if e.Severity != "ERROR" || !strings.Contains(e.Detail, "refused") {
		t.Errorf("a logged-in client was told %+v", e)
	}
	refused(t, old.Run("SELECT 1").Err(), "08001")                                          // now at once
	_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name, "search_path", "pg_catalog") // must ask a backend for its parameters
	if e := refused(t, err, "08001"); e.Severity != "FATAL" {
		t.Errorf("a new client was told %+v", e)
	}
	eventuallyLogged(t, w, "level=WARN", "no backend", "refused")
	if err := n.SetMode(faultnet.Forward); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if err := old.Run("SELECT 1").Err(); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestServerThatSaysNothingIsGivenUp(t *testing.T) {
	d := database(t)
	n := faultnet.New(t, "tcp", d.Server.Addr())
	if err := n.SetMode(faultnet.Silence); err != nil {
		t.Fatal(err)
	}
	w := start(t, d, behind(n)+"[timeouts]\nserver_connect_timeout = \"200ms\"\nserver_login_retry = \"0s\"")
	_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
	e := refused(t, err, "08001")
	if !strings.Contains(e.Detail, "time") {
		t.Errorf("the reason is not named: %q", e.Detail)
	}
	if err := n.SetMode(faultnet.Forward); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		c, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
		if err != nil {
			return err.Error()
		}
		c.Vanish()
		return ""
	})
	n.Cut() // also what it has accepted in silence
}

func TestServersRefusalOfWeirsLoginIsPassedOn(t *testing.T) {
	d := privateServer(t, pgserver.Options{Auth: "scram-sha-256", Password: "right"})
	w := start(t, d, fmt.Sprintf(`
[databases."*"]
host = "127.0.0.1"
port = %d
password = "right"
[databases.wrong]
host = "127.0.0.1"
port = %d
password = "wrong"
[timeouts]
server_login_retry = "1s"
`, d.Server.Port(), d.Server.Port()))
	_, err := tryDial(t, w.Addr, "postgres", "wrong")
	if e := refused(t, err, "28P01"); !strings.Contains(e.Message, "password authentication failed") || !strings.Contains(e.Hint, "PGPASSWORD") {
		t.Errorf("wrong password for the server: %+v", e)
	}
	_, err = tryDial(t, w.Addr, "postgres", "nowhere")
	if e := refused(t, err, "3D000"); e.Message != `database "nowhere" does not exist` {
		t.Errorf("a database that the server does not have: %+v", e)
	}
	enter(t, w, d).Query("SELECT 1")
	if strings.Contains(w.Log.String(), `"wrong"`) || strings.Contains(w.Log.String(), "right") {
		t.Error("a password stands in the log")
	}
}

// TestFullServer: PostgreSQL answers 53300, the pool lives with what it has, clients wait and none fails.
func TestFullServer(t *testing.T) {
	d := privateServer(t, pgserver.Options{Settings: map[string]string{
		"max_connections": "6", "superuser_reserved_connections": "0", "max_wal_senders": "0",
	}})
	w := start(t, d, "[pool]\npool_size = 20")
	clients := enterMany(t, w, d, 20)
	var all sync.WaitGroup
	failed := make(chan error, len(clients))
	for _, c := range clients {
		all.Go(func() {
			for range 5 {
				if a, err := c.TryRun("SELECT pg_sleep(0.01)"); err != nil || a.Err() != nil {
					failed <- fmt.Errorf("%w %w", err, a.Err())
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	p := w.Proxy.Snapshot().Pools[0]
	// One that is being dialled may be refused yet.
	if n := backendCount(p) - p.Backends[status.BackendDialling]; n > 6 || p.Totals.DialsFailed == 0 {
		t.Errorf("%d backends on a server for 6, %d dials failed", n, p.Totals.DialsFailed)
	}
	w.Stop() // so that there is a place for those who look afterwards
}

// A backend that ends while it is being prepared for a client costs neither that client nor those who wait behind it anything.
func TestEndOfABackendBeforeItWasUsedIsNobodysTrouble(t *testing.T) {
	for _, behindIt := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d waiting", behindIt), func(t *testing.T) {
			d := database(t)
			n := faultnet.New(t, "tcp", d.Server.Addr())
			w := start(t, d, behind(n)+"[pool]\npool_size = 1")
			others := enterMany(t, w, d, behindIt+1)
			others[0].Query("SELECT 1")
			n.Pause(faultnet.ToClient)
			done := make(chan error)
			go func() {
				_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name, "search_path", "pg_catalog")
				done <- err
			}()
			expectActive(t, w, 0)
			expectPool(t, w, "switching", func(p status.Pool) bool { return p.Totals.Switches == 1 })
			for _, c := range others[1:] {
				c.inBackground("SELECT 'served'")
			}
			expectWaiting(t, w, behindIt)
			n.Cut()
			n.Resume(faultnet.ToClient)
			if err := <-done; err != nil {
				t.Error(err)
			}
			for _, c := range others[1:] {
				if a := c.Answer(); a.Err() != nil || a.First() != "served" {
					t.Errorf("a client that waited has %q, %v", a.First(), a.Err())
				}
			}
		})
	}
}
