package proxy_test

import (
	"fmt"
	"testing"

	"weir/proxy/status"
)

// modeConfig sets a pool mode in one of the three places where it may stand; the others say something else.
func modeConfig(place, mode, database, user string, port int) string {
	other := "transaction"
	if mode == other {
		other = "session"
	}
	modes := map[string]string{"pool": other, "database": other, "user": other}
	switch place {
	case "pool":
		delete(modes, "database")
		delete(modes, "user")
	case "database":
		delete(modes, "user")
	}
	modes[place] = mode
	toml := fmt.Sprintf("[pool]\npool_size = 1\nmode = %q\n", modes["pool"])
	toml += fmt.Sprintf("[databases.%s]\nhost = \"127.0.0.1\"\nport = %d\n", database, port)
	if m := modes["database"]; m != "" {
		toml += fmt.Sprintf("mode = %q\n", m)
	}
	if m := modes["user"]; m != "" {
		toml += fmt.Sprintf("[users.%s]\nmode = %q\n", user, m)
	}
	return toml
}

func TestPoolModes(t *testing.T) {
	d := database(t)
	for _, place := range []string{"pool", "database", "user"} {
		for mode, check := range map[string]func(*testing.T, *weirUnderTest, *wireClient, *wireClient){
			"session": sessionMode, "transaction": transactionMode, "statement": statementMode,
		} {
			t.Run(mode+" of the "+place, func(t *testing.T) {
				w := start(t, d, modeConfig(place, mode, d.Name, d.Server.Superuser(), d.Server.Port()))
				check(t, w, enter(t, w, d), enter(t, w, d))
			})
		}
	}
}

// In session mode a client keeps its backend from its first request to its end, and leaves it as new.
func sessionMode(t *testing.T, w *weirUnderTest, c, next *wireClient) {
	pid := c.Query(pidQuery)
	c.Query("CREATE TEMP TABLE mine ()")
	c.Query("SET work_mem = '1234kB'")
	w.hurry(t)
	refused(t, next.Run("SELECT 1").Err(), "53300")
	w.unhurry(t)
	c.Query("TABLE mine")
	c.Terminate()
	if got := next.Query("SELECT pg_backend_pid() || ' ' || coalesce(to_regclass('mine')::text, 'none') || ' ' || current_setting('work_mem')"); got != pid+" none 4MB" {
		t.Errorf("the next client sees %q, want backend %s as new", got, pid)
	}
}

func transactionMode(t *testing.T, w *weirUnderTest, c, next *wireClient) {
	c.Query("BEGIN")
	w.hurry(t)
	refused(t, next.Run("SELECT 1").Err(), "53300")
	c.Query("COMMIT")
	next.Query("SELECT 1")
	c.Query("BEGIN; SELECT 1")
	refused(t, next.Run("SELECT 1").Err(), "53300")
	refused(t, c.Run("SELECT nonsense").Err(), "42703")
	refused(t, next.Run("SELECT 1").Err(), "53300") // a failed transaction is one
	c.Query("ROLLBACK")
	next.Query("SELECT 1")
}

// In statement mode a transaction block ends the client, and is rolled back.
func statementMode(t *testing.T, w *weirUnderTest, c, next *wireClient) {
	c.Query("SELECT 1")
	next.Query("SELECT 1; SELECT 2")
	c.inBackground("BEGIN")
	if e := c.ExpectClosed(); e == nil || e.Code != "0A000" || e.Hint == "" {
		t.Errorf("told %v", e)
	}
	if got := next.Query("SELECT now() = statement_timestamp()"); got != "t" {
		t.Error("the next client is in the transaction of the one before")
	}
	expectPool(t, w, "one backend, idle", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 && backendCount(p) == 1 })
}
