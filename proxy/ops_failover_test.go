package proxy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/internal/faultnet"
	"weir/internal/pgserver"
	"weir/proxy/status"
)

// standbyOf is a streaming standby of d's server.
func standbyOf(t *testing.T, d *pgserver.Database) *pgserver.Database {
	t.Helper()
	s, err := d.Server.Standby(context.Background())
	if err != nil {
		if strings.Contains(err.Error(), "no pg_basebackup") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return &pgserver.Database{Server: s, Name: d.Name}
}

func promote(t *testing.T, d *pgserver.Database) {
	t.Helper()
	if err := d.Server.Promote(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// ledBy is a database that clients find under a name of its own, at these servers.
func ledBy(name, more string, servers ...*pgserver.Database) string {
	var hosts, ports []string
	for _, s := range servers {
		hosts, ports = append(hosts, `"127.0.0.1"`), append(ports, fmt.Sprint(s.Server.Port()))
	}
	return fmt.Sprintf("[databases.%s]\nhost = [%s]\nport = [%s]\ndbname = %q\n%s\n", name, strings.Join(hosts, ", "), strings.Join(ports, ", "), servers[0].Name, more)
}

// as enters a database under another name than its own.
func as(t *testing.T, w *weirUnderTest, d *pgserver.Database, name string) *wireClient {
	t.Helper()
	return enter(t, w, &pgserver.Database{Server: d.Server, Name: name})
}

// expectPoolOf waits until a database's pools, of which there is one at least, satisfy cond.
func expectPoolOf(t *testing.T, w *weirUnderTest, name, what string, cond func(status.Pool) bool) {
	t.Helper()
	eventually(t, func() string {
		found := false
		for _, p := range w.Proxy.Snapshot().Pools {
			if p.Database == name && !cond(p) {
				return fmt.Sprintf("not %s: clients %v, backends %v", what, p.Clients, p.Backends)
			}
			found = found || p.Database == name
		}
		if !found {
			return "no pool of " + name
		}
		return ""
	})
}

// hostAt is what weir knows of a server.
func hostAt(w *weirUnderTest, d *pgserver.Database) status.Server {
	for _, h := range w.Proxy.Snapshot().Servers {
		if h.Name == d.Server.Addr() {
			return h
		}
	}
	return status.Server{}
}

// TestFailover goes through what befalls a primary and its standby; its parts follow on each other.
func TestFailover(t *testing.T) {
	first := privateServer(t, pgserver.Options{})
	first.Exec(t, "CREATE TABLE book (title text)")
	second := standbyOf(t, first)
	t.Run("each database gets a server of its role", func(t *testing.T) { rolesAreTold(t, first, second) })
	t.Run("a primary is demoted behind its address", func(t *testing.T) { demotedBehindAddress(t, first, second) })
	first.Server.Stop()
	third := standbyOf(t, second)
	t.Run("a switchover that is planned", func(t *testing.T) { plannedSwitchover(t, second, third) })
	second.Server.Stop()
	fourth := standbyOf(t, third)
	t.Run("a primary is killed under load", func(t *testing.T) { killedUnderLoad(t, third, fourth) })
}

func rolesAreTold(t *testing.T, primary, standby *pgserver.Database) {
	w := start(t, primary, ledBy("rw", `target_session_attrs = "read-write"`, standby, primary)+
		ledBy("main", `target_session_attrs = "primary"`, standby, primary)+
		ledBy("ro", `target_session_attrs = "read-only"`, primary, standby)+
		ledBy("copy", `target_session_attrs = "standby"`, primary, standby)+
		ledBy("prefer", `target_session_attrs = "prefer-standby"`, primary, standby)+
		ledBy("fallback", `target_session_attrs = "prefer-standby"`, primary)+
		ledBy("any", "", standby, primary)+
		ledBy("none", "target_session_attrs = \"primary\"\nquery_wait_timeout = \"300ms\"", standby)+
		ledBy("mistaken", `target_session_attrs = "primary"`, standby, primary)+
		"[databases.named]\nhost = \"localhost\"\nport = ["+fmt.Sprint(primary.Server.Port())+"]\ndbname = \"private\"\ntarget_session_attrs = \"primary\"\n")
	for name, standby := range map[string]string{
		"rw": "f", "main": "f", "named": "f", "ro": "t", "copy": "t", "prefer": "t", "fallback": "f", "any": "t",
	} {
		if got := as(t, w, primary, name).Query("SELECT pg_is_in_recovery()"); got != standby {
			t.Errorf("%s: in recovery is %s, want %s", name, got, standby)
		}
	}
	_, err := tryDial(t, w.Addr, primary.Server.Superuser(), "none")
	if e := refused(t, err, "08001"); !strings.Contains(e.Detail, "is a standby") {
		t.Errorf("no primary: %+v", e)
	}
	for name, refused := range map[string]string{"any": "INSERT INTO book VALUES ('x')", "main": "BEGIN READ ONLY; INSERT INTO book VALUES ('x')"} {
		c := as(t, w, primary, name)
		pid := c.Query("SELECT pg_backend_pid()")
		for range 20 {
			if code := c.Run(refused).code(); code != "25006" {
				t.Fatalf("%s: %s", name, code)
			}
			c.Run("ROLLBACK")
		}
		if now := c.Query("SELECT pg_backend_pid()"); now != pid {
			t.Errorf("%s: what refuses to write for a reason that lasts was left for another backend", name)
		}
	}
	for d, role := range map[*pgserver.Database]string{primary: "primary", standby: "standby"} {
		if h := hostAt(w, d); h.Role != role || !h.Up || h.Backends == 0 || h.Since.IsZero() {
			t.Errorf("%s: %+v", role, h)
		}
	}
}

// demotedBehindAddress: an address that led to a primary leads to a standby, and then to another primary.
func demotedBehindAddress(t *testing.T, old, next *pgserver.Database) {
	n := faultnet.New(t, "tcp", old.Server.Addr())
	_, port, _ := strings.Cut(n.Addr(), ":")
	section := func(name, more string) string {
		return fmt.Sprintf("[databases.%s]\nhost = \"127.0.0.1\"\nport = %s\ndbname = \"private\"\n%s\n", name, port, more)
	}
	w := start(t, old, section("plain", "")+section("writes", `target_session_attrs = "read-write"`))
	const insert = "INSERT INTO book VALUES ('x')"
	plain, writes, idle := as(t, w, old, "plain"), as(t, w, old, "writes"), as(t, w, old, "writes")
	for _, c := range []*wireClient{plain, writes, idle} {
		c.Query(insert)
	}
	if err := old.Server.Demote(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plain", "writes"} {
		expectPoolOf(t, w, name, "without backends", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 0 })
	}
	eventually(t, func() string {
		if a, err := plain.TryRun(insert); err != nil || a.code() != "25006" {
			return fmt.Sprintf("a standby takes writes: %+v, %v", a, err)
		}
		return ""
	})
	writes.inBackground(insert)
	expectPoolOf(t, w, "writes", "waited for", func(p status.Pool) bool { return p.Clients[status.ClientWaiting] == 1 })
	promote(t, next)
	n.Retarget(next.Server.Addr())
	if err := writes.Answer().Err(); err != nil {
		t.Errorf("who waited for a primary got %v", err)
	}
	eventually(t, func() string {
		if err := plain.Run(insert).Err(); err != nil {
			return fmt.Sprintf("the new primary is not found: %v", err)
		}
		return ""
	})
	if err := idle.Run(insert).Err(); err != nil {
		t.Errorf("who was idle got %v", err)
	}
}

// killedUnderLoad: clients lose what was under way on the server that dies, and nothing else: what comes next waits for the new primary.
func killedUnderLoad(t *testing.T, primary, standby *pgserver.Database) {
	const size = 3
	w := start(t, standby, fmt.Sprintf("[pool]\npool_size = %d\n", size)+ledBy("rw", `target_session_attrs = "primary"`, primary, standby))
	idle := as(t, w, standby, "rw")
	if got := idle.Query("SELECT pg_is_in_recovery()"); got != "f" {
		t.Fatal("it is at a standby")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var mu sync.Mutex
	var all sync.WaitGroup
	won, lost := 0, 0
	var work func(c *wireClient)
	work = func(c *wireClient) {
		for ctx.Err() == nil {
			a, err := c.TryRun("INSERT INTO book VALUES ('x')")
			mu.Lock()
			switch {
			case err == nil && a.code() == "":
				won++
			case a.code() == "08006" || strings.HasPrefix(a.code(), "57P"): // its server has died in the middle
				lost++
				all.Go(func() { work(as(t, w, standby, "rw")) })
				mu.Unlock()
				return
			default:
				t.Errorf("a client that had nothing under way got %v, %v", a.Err(), err)
				stop()
			}
			mu.Unlock()
		}
	}
	for range 6 {
		c := as(t, w, standby, "rw")
		all.Go(func() { work(c) })
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return won }
	reached := func(n int) func() string {
		return func() string {
			if got := count(); got < n {
				return fmt.Sprintf("%d commits, want %d", got, n)
			}
			return ""
		}
	}
	eventually(t, reached(100))
	primary.Server.Kill()
	eventually(t, func() string {
		if h := hostAt(w, primary); h.Up {
			return "the dead server is up"
		}
		return ""
	})
	before := count()
	promote(t, standby)
	eventually(t, reached(before+100))
	stop()
	all.Wait()
	if lost > size {
		t.Errorf("%d clients lost what they had under way, on %d backends", lost, size)
	}
	if got := idle.Query("SELECT pg_is_in_recovery()"); got != "f" {
		t.Error("who was idle is at a standby")
	}
	if h := hostAt(w, standby); h.Role != "primary" {
		t.Errorf("the new primary: %+v", h)
	}
}

// plannedSwitchover: with PAUSE, RECONNECT and RESUME clients at work get not one error.
func plannedSwitchover(t *testing.T, primary, standby *pgserver.Database) {
	w, _ := consoleWeir(t, standby, "[pool]\npool_size = 3\n"+ledBy("rw", `target_session_attrs = "primary"`, primary, standby))
	boss := w.console(t, "boss")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var won atomic.Int64
	var all sync.WaitGroup
	for range 6 {
		c := as(t, w, standby, "rw")
		all.Go(func() {
			for ctx.Err() == nil {
				a, err := c.TryRun("BEGIN; INSERT INTO book VALUES ('planned'); COMMIT")
				if err != nil || a.Err() != nil {
					t.Errorf("a client got %v, %v", a.Err(), err)
					stop()
					return
				}
				won.Add(1)
			}
		})
	}
	more := func() {
		t.Helper()
		enough := won.Load() + 50
		eventually(t, func() string {
			if got := won.Load(); ctx.Err() == nil && got < enough {
				return fmt.Sprintf("%d commits, want %d", got, enough)
			}
			return ""
		})
	}
	more()
	ask(t, boss, "PAUSE rw")
	lsn := ask(t, direct(t, primary), "SELECT pg_current_wal_insert_lsn()")
	eventually(t, func() string {
		if got := ask(t, direct(t, standby), "SELECT pg_last_wal_replay_lsn() >= '"+lsn+"'"); got != "t" {
			return "the standby lags"
		}
		return ""
	})
	if err := primary.Server.Demote(context.Background()); err != nil {
		t.Fatal(err)
	}
	promote(t, standby)
	ask(t, boss, "RECONNECT rw")
	ask(t, boss, "RESUME rw")
	more()
	stop()
	all.Wait()
	if got := ask(t, direct(t, standby), "SELECT count(*) FROM book WHERE title = 'planned'"); got != fmt.Sprint(won.Load()) {
		t.Errorf("%s rows for %d commits", got, won.Load())
	}
}
