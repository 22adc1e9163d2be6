package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// Clients beyond a limit are told which one, and how to raise it; one that leaves makes room.
func TestLimitsOnClients(t *testing.T) {
	d := database(t)
	other := &pgserver.Database{Server: d.Server, Name: "postgres"}
	for setting, c := range map[string]struct {
		message   string
		elsewhere *pgserver.Database // where there is still room; nil: nowhere
	}{
		"max_client_conn":             {"too many clients", nil},
		"max_db_client_connections":   {`too many clients for database "` + d.Name + `"`, other},
		"max_user_client_connections": {`too many clients for user "postgres"`, nil},
	} {
		t.Run(setting, func(t *testing.T) {
			w := start(t, d, fmt.Sprintf("[limits]\n%s = 2", setting))
			clients := enterMany(t, w, d, 2)
			_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
			e := refused(t, err, "53300")
			if e.Severity != "FATAL" || e.Message != c.message || !strings.Contains(e.Hint, setting+" (2") {
				t.Errorf("told %v, hint %q", e, e.Hint)
			}
			eventuallyLogged(t, w, "login failed", "reason=full")
			if c.elsewhere != nil {
				enter(t, w, c.elsewhere).Query("SELECT 1")
			}
			clients[0].Vanish()
			eventually(t, func() string {
				if _, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name); err != nil {
					return err.Error()
				}
				return ""
			})
			clients[1].Query("SELECT 1")
		})
	}
}

// totalBackends are weir's backends over all pools.
func totalBackends(w *weirUnderTest) int {
	n := 0
	for _, p := range w.Proxy.Snapshot().Pools {
		n += backendCount(p)
	}
	return n
}

// A limit on a user's backends holds over databases. An idle backend of one pool makes room for the client of another; a busy
// one does not, and the client waits for it.
func TestBackendsOverPools(t *testing.T) {
	d, second := database(t), database(t)
	w := start(t, d, "[limits]\nmax_user_connections = 2\n[timeouts]\nquery_wait_timeout = \"1500ms\"")
	a, b := enter(t, w, d), enter(t, w, d)
	a.Query("BEGIN")
	b.Query("BEGIN")
	b.Query("COMMIT")
	// One is busy, one is idle: the idle one is reclaimed.
	c := enter(t, w, second)
	c.Query("BEGIN")
	if n := totalBackends(w); n != 2 {
		t.Errorf("%d backends, want 2", n)
	}
	// Both are busy.
	e := refused(t, b.Run("SELECT 1").Err(), "53300")
	if !strings.Contains(e.Hint, "max_user_connections (2, set in [limits])") {
		t.Errorf("the hint names another limit: %q", e.Hint)
	}
	b.inBackground("SELECT 'served'")
	eventually(t, func() string {
		for _, p := range w.Proxy.Snapshot().Pools {
			if p.Database == d.Name && p.Clients[status.ClientWaiting] == 1 {
				return ""
			}
		}
		return "nobody waits"
	})
	c.Query("COMMIT") // its backend becomes idle, and nobody asks again unless weir does
	if got := b.Answer(); got.Err() != nil || got.First() != "served" {
		t.Errorf("the client that waited has %q, %v", got.First(), got.Err())
	}
	a.Query("COMMIT")
}

// A limit on a database's backends holds over users.
func TestBackendsOfADatabaseOverUsers(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
	w := start(t, d, "[limits]\nmax_db_connections = 1")
	a := enter(t, w, d)
	b := dial(t, w.Addr, "reader", d.Name)
	for range 3 {
		if got := a.Query("SELECT current_user"); got != "postgres" {
			t.Errorf("a is %s", got)
		}
		if got := b.Query("SELECT current_user"); got != "reader" {
			t.Errorf("b is %s", got)
		}
		if n := totalBackends(w); n > 1 {
			t.Errorf("%d backends, want 1", n)
		}
	}
	w.Stop()
	d.Exec(t, "DROP ROLE reader")
}

// The reserve is opened for those who have waited for reserve_pool_timeout.
func TestReservePool(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nreserve_pool_size = 1\nreserve_pool_timeout = \"100ms\"")
	a, b, c := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	a.Query("BEGIN")
	b.Query("BEGIN")
	c.inBackground("SELECT 'last'")
	expectWaiting(t, w, 1)
	if n := totalBackends(w); n != 2 {
		t.Errorf("%d backends, want 2", n)
	}
	b.Query("COMMIT")
	if got := c.Answer().First(); got != "last" {
		t.Errorf("got %q", got)
	}
	a.Query("COMMIT")
	expectPool(t, w, "back at its size", func(p status.Pool) bool { return backendCount(p) == 1 })
}

// A pool with min_pool_size has its backends before anybody comes, and gets them back.
func TestMinPoolSize(t *testing.T) {
	d := database(t)
	w := start(t, d, fmt.Sprintf("[pool]\nmin_pool_size = 3\n[databases.%s]\nhost = \"127.0.0.1\"\nport = %d\nuser = \"postgres\"", d.Name, d.Server.Port()))
	three := func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 3 }
	expectPool(t, w, "3 idle", three)
	for pid := range backendsOf(d) {
		killBackend(t, d, pid)
	}
	expectPool(t, w, "3 idle again", three)
}

// query_wait_timeout is an error of the request alone: it names who holds the backend, and the next try may work.
func TestQueryWaitTimeout(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	holder, c := enter(t, w, d, "application_name", "nightly report"), enter(t, w, d)
	holder.Query("BEGIN")
	w.hurry(t)
	e := refused(t, c.Run("SELECT 1; SELECT 2").Err(), "53300")
	if e.Severity != "ERROR" || !strings.Contains(e.Detail, `"nightly report"`) || !strings.Contains(e.Hint, "pool_size (1, set in [pool])") {
		t.Errorf("told %v: %s %s", e, e.Detail, e.Hint)
	}
	// A login that needs a backend, to learn its parameters, fails as logins do.
	_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name, "search_path", "pg_catalog")
	if e := refused(t, err, "53300"); e.Severity != "FATAL" {
		t.Errorf("a login was told %v", e)
	}
	holder.Query("COMMIT")
	if got := c.Query("SELECT 'now'"); got != "now" {
		t.Errorf("got %q", got)
	}
}

// FIFO: who waits longest is served first, however many come behind.
func TestWaitersAreServedInOrder(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE turn (n serial, who int)")
	w := start(t, d, "[pool]\npool_size = 1")
	holder, clients := enter(t, w, d), enterMany(t, w, d, 10)
	holder.Query("BEGIN")
	for i, c := range clients {
		c.inBackground(fmt.Sprintf("INSERT INTO turn (who) VALUES (%d)", i))
		expectWaiting(t, w, i+1)
	}
	holder.Query("COMMIT")
	for _, c := range clients {
		c.Answer()
	}
	if got := holder.Query("SELECT string_agg(who::text, ' ' ORDER BY n) FROM turn"); got != "0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("served in the order %s", got)
	}
}

// The limits that pools share are shown with each of them.
func TestSharedLimitsAreShown(t *testing.T) {
	d := database(t)
	user := d.Server.Superuser()
	w := start(t, d, "[limits]\nmax_db_connections = 7\nmax_db_client_connections = 8\n[users."+user+"]\nmax_user_connections = 9\nmax_user_client_connections = 10\n")
	enter(t, w, d)
	if got, want := w.pool().Shared, (status.SharedLimits{DBBackends: 7, UserBackends: 9, DBClients: 8, UserClients: 10}); got != want {
		t.Errorf("got %+v", got)
	}
}
