package proxy_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// A pool that comes later is not starved by one whose backends are never idle: under a limit over both, the one that has more
// gives up a backend.
func TestBusyPoolMakesRoomForAnother(t *testing.T) {
	d, late := database(t), database(t)
	w := start(t, d, "[limits]\nmax_user_connections = 2\n[timeouts]\nquery_wait_timeout = \"15s\"\n")
	user := d.Server.Superuser()
	stop := keepBusy(t, w, user, d)
	c, err := tryDial(t, w.Addr, user, late.Name)
	if err != nil {
		t.Fatalf("the late client: %v", err)
	}
	for range 50 {
		c.Query("SELECT 1")
	}
	stop()
}

// keepBusy has clients that ask without a pause, until stop is called: it tells of those that were not answered.
func keepBusy(t *testing.T, w *weirUnderTest, user string, d *pgserver.Database) (stop func()) {
	t.Helper()
	const clients = 8
	var stopped atomic.Bool
	ended := make(chan error, clients)
	for i := range clients {
		c := dial(t, w.Addr, user, d.Name)
		go func() {
			for !stopped.Load() {
				if a, err := c.TryRun("SELECT pg_sleep(0.001)"); err != nil || a.Err() != nil {
					ended <- fmt.Errorf("client %d: %v, %v", i, err, a.Err())
					return
				}
			}
			ended <- nil
		}()
	}
	return func() {
		stopped.Store(true)
		for range clients {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

// Nor is it where PostgreSQL itself has no place left, whether the other pool has many or one: what that gives up it does not take again before the
// late one has it. The limit is that of the database, by whatever name clients know it.
func TestBusyPoolMakesRoomAtAFullServer(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS reader, writer", "CREATE ROLE reader LOGIN", "CREATE ROLE writer LOGIN")
	for _, limit := range []string{"3", "1"} {
		d.Exec(t, `ALTER DATABASE "`+d.Name+`" CONNECTION LIMIT `+limit)
		w := start(t, d, "[timeouts]\nquery_wait_timeout = \"15s\"\n"+serverAt(d.Server.Addr())+
			fmt.Sprintf("[databases.alias]\nhost = \"127.0.0.1\"\nport = %d\ndbname = %q\n", d.Server.Port(), d.Name))
		stop := keepBusy(t, w, "reader", d)
		late, err := tryDial(t, w.Addr, "writer", "alias")
		if err != nil {
			t.Fatalf("limit %s: the late client: %v", limit, err)
		}
		for range 50 {
			late.Query("SELECT 1")
		}
		stop()
		w.Stop()
	}
	d.Exec(t, "DROP ROLE reader, writer")
}

// Of many pools that want a place at a full server each gets its turn, those, too, that do not dial because what has come free is another's.
func TestManyPoolsTakeTurnsAtAFullServer(t *testing.T) {
	const roles, clients, visits = 60, 16, 15
	d := database(t)
	for i := range roles {
		d.Exec(t, fmt.Sprintf("DROP ROLE IF EXISTS turn%d", i), fmt.Sprintf("CREATE ROLE turn%d LOGIN", i))
	}
	d.Exec(t, `ALTER DATABASE "`+d.Name+`" CONNECTION LIMIT 4`)
	w := start(t, d, "[timeouts]\nquery_wait_timeout = \"10s\"\n")
	ended := make(chan error, clients)
	for i := range clients {
		go func() {
			for v := range visits {
				c, err := tryDial(t, w.Addr, fmt.Sprintf("turn%d", (i+7*v)%roles), d.Name)
				if err != nil {
					ended <- err
					return
				}
				if a, err := c.TryRun("SELECT current_user"); err != nil || a.Err() != nil {
					ended <- fmt.Errorf("client %d: %v, %v", i, err, a.Err())
					return
				}
				c.Terminate()
			}
			ended <- nil
		}()
	}
	for range clients {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	w.Stop()
	for i := range roles {
		d.Exec(t, fmt.Sprintf("DROP ROLE turn%d", i))
	}
}

// As long as others wait for places, idle backends do not wait for server_idle_timeout: those that were idle before, and those that become idle.
func TestContestedPoolKeepsNoIdleBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	c := enter(t, w, d)
	c.Query("SELECT 1")
	none := func(p status.Pool) bool { return backendCount(p) == 0 }
	w.Proxy.Contest(d.Name, d.Server.Superuser(), "max_db_connections")
	expectPool(t, w, "without the backend that was idle before", none)
	c.Query("SELECT 1")
	expectPool(t, w, "without the one that has become idle", none)
}

// PostgreSQL has no place left for a backend, because another pool has idle ones: of these one makes room.
func TestFullServerGetsRoomFromIdlePools(t *testing.T) {
	d, second := database(t), database(t)
	d.Exec(t, "DROP ROLE IF EXISTS reader, writer", "CREATE ROLE reader LOGIN CONNECTION LIMIT 1", "CREATE ROLE writer LOGIN",
		`ALTER DATABASE "`+second.Name+`" CONNECTION LIMIT 1`)
	w := start(t, d, "")
	a, b, c := dial(t, w.Addr, "reader", d.Name), dial(t, w.Addr, "reader", second.Name), dial(t, w.Addr, "writer", second.Name)
	for range 2 {
		for _, client := range []*wireClient{a, b, c} {
			client.Query("SELECT 1")
		}
	}
	w.Stop()
	d.Exec(t, "DROP ROLE reader, writer")
}

// A wait that fails because the server lets weir have no more backends is not blamed on pool_size: raising that would help nobody.
func TestWaitAtFullServerIsNotBlamedOnThePool(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS crowded", "CREATE ROLE crowded LOGIN CONNECTION LIMIT 1")
	w := start(t, d, "[pool]\npool_size = 20")
	holder, waiter := dial(t, w.Addr, "crowded", d.Name), dial(t, w.Addr, "crowded", d.Name)
	holder.Query("BEGIN")
	waiter.inBackground("SELECT 1")
	full := func(p status.Pool) bool { return p.Totals.DialsBy[status.DialFull] > 0 }
	expectPool(t, w, "refused for want of room", full)
	w.hurry(t)
	e := refused(t, waiter.Answer().Err(), "53300")
	if !strings.Contains(e.Detail, "The only backend of pool") || !strings.Contains(e.Detail, "the connection limit of the role is reached") ||
		strings.Contains(e.Hint, "pool_size") {
		t.Errorf("the client was told %+v", e)
	}
	// Without any backend the server's own words are what there is to say.
	holder.Query("COMMIT")
	w.Stop()
	d.Exec(t, "ALTER ROLE crowded CONNECTION LIMIT 0")
	w = start(t, d, "")
	done := make(chan error)
	go func() {
		_, err := tryDial(t, w.Addr, "crowded", d.Name)
		done <- err
	}()
	expectPool(t, w, "refused for want of room", full)
	w.hurry(t)
	if e := refused(t, <-done, "53300"); !strings.Contains(e.Detail, "too many connections for role") || !strings.Contains(e.Hint, "raise the limit there") {
		t.Errorf("the client was told %+v", e)
	}
	w.Stop()
	d.Exec(t, "DROP ROLE crowded")
}
