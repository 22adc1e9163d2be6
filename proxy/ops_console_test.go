package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/config"
	"weir/internal/pgserver"
	"weir/proxy"
	"weir/proxy/status"
)

// consoleWeir is a weir with an administrator and a user who may look, and a unix socket.
func consoleWeir(t *testing.T, d *pgserver.Database, toml string) (w *weirUnderTest, dir string) {
	t.Helper()
	dir = t.TempDir()
	return start(t, d, fmt.Sprintf("[listen]\naddresses = [\"127.0.0.1:0\"]\nunix_socket_dir = %q\n[admin]\nadmin_users = [\"boss\"]\nstats_users = [\"watcher\"]\n%s", dir, toml)), dir
}

// console logs in to the console.
func (w *weirUnderTest) console(t *testing.T, user string) *pgconn.PgConn {
	t.Helper()
	return consoleAt(t, fmt.Sprintf("postgres://%s@%s/pgbouncer?sslmode=%s", user, w.Addr, map[bool]string{true: "require", false: "disable"}[w.secret]))
}

func consoleAt(t *testing.T, dsn string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatalf("log in to the console: %v", err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// A client on the unix socket has the number in that one's name, as PgBouncer shows it.
func TestClientsOfTheUnixSocketHaveItsPortAndTheirProcess(t *testing.T) {
	d := database(t)
	w, dir := consoleWeir(t, d, "")
	_, port, err := net.SplitHostPort(w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=%s dbname=%s application_name=near sslmode=disable", dir, port, d.Server.Superuser(), d.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	boss := consoleAt(t, w.unixDSN(t, dir, "pgbouncer"))
	for name, want := range map[string]string{"port": port, "local_port": port, "remote_pid": strconv.Itoa(os.Getpid()), "state": "idle"} {
		if runtime.GOOS != "linux" && name == "remote_pid" {
			want = "0"
		}
		if got := column(t, boss, "SHOW CLIENTS", name, nil); !slices.Equal(got, []string{want, want}) {
			t.Errorf("%s is %s, want %s of client and console", name, got, want)
		}
	}
}

// unixDSN leads to weir's unix socket, as this process's own account.
func (w *weirUnderTest) unixDSN(t *testing.T, dir, database string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", dir, port, account.Username, database)
}

// column is that of the console's answer, by name, with the rows that keep is content with.
func column(t *testing.T, c *pgconn.PgConn, sql, name string, keep func(row map[string]string) bool) (values []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	for _, r := range results {
		for _, values2 := range r.Rows {
			row := map[string]string{}
			for i, f := range r.FieldDescriptions {
				row[f.Name] = string(values2[i])
			}
			if keep == nil || keep(row) {
				values = append(values, row[name])
			}
		}
	}
	return values
}

// one is the only value of a column.
func one(t *testing.T, c *pgconn.PgConn, sql, name string, keep func(row map[string]string) bool) string {
	t.Helper()
	values := column(t, c, sql, name, keep)
	if len(values) != 1 {
		t.Fatalf("%s: %d rows, want one: %q", sql, len(values), values)
	}
	return values[0]
}

func is(name, value string) func(map[string]string) bool {
	return func(row map[string]string) bool { return row[name] == value }
}

// says wants an error with that text, and that the connection goes on.
func says(t *testing.T, c *pgconn.PgConn, sql, code, text string) {
	t.Helper()
	_, err := tryAsk(c, sql)
	var e *pgconn.PgError
	if err == nil || !asError(err, &e) || e.Code != code || !strings.Contains(e.Message, text) || e.Severity != "ERROR" {
		t.Errorf("%s: %v, want %s %s", sql, err, code, text)
	}
}

func asError(err error, e **pgconn.PgError) bool {
	found, ok := err.(*pgconn.PgError)
	*e = found
	return ok
}

// inOwnTime runs a command of the console whose answer takes its time.
func inOwnTime(c *pgconn.PgConn, sql string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := tryAsk(c, sql)
		done <- err
	}()
	return done
}

// awaits wants an answer.
func awaits(t *testing.T, what string, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatalf("%s has no answer", what)
		return nil
	}
}

// paused wants the console to say that a database is paused, or not.
func paused(t *testing.T, c *pgconn.PgConn, database, want string) {
	t.Helper()
	eventually(t, func() string {
		if got := one(t, c, "SHOW DATABASES", "paused", is("name", database)); got != want {
			return "paused is " + got
		}
		return ""
	})
}

func TestConsoleRoles(t *testing.T) {
	d := database(t)
	w, dir := consoleWeir(t, d, "")
	boss, watcher := w.console(t, "boss"), w.console(t, "watcher")
	if got := boss.ParameterStatus("server_version"); !strings.HasSuffix(got, "/bouncer") {
		t.Errorf("server_version is %q", got)
	}
	for _, name := range []string{"HELP", "POOLS", "STATS", "CLIENTS", "VERSION", "DATABASES"} {
		ask(t, watcher, "SHOW "+name)
	}
	for _, sql := range []string{"PAUSE", "RESUME", "RELOAD", "KILL_CLIENT 1", "SET query_timeout = 1", "SHUTDOWN", "DISABLE x"} {
		says(t, watcher, sql, "08P01", "admin access needed")
		eventuallyLogged(t, w, "console error", "admin access needed", sql)
	}
	if w.Log.Contains("console command") {
		t.Error("what was refused stands in the log as if it had been carried out")
	}
	says(t, boss, "SET query_timeout = abc", "08P01", "SET failed")
	eventuallyLogged(t, w, "console error", "SET failed", `query_timeout`, "abc")
	for _, key := range []string{"token", "password"} { // one that is a secret, and one that is no setting
		says(t, boss, "SET "+key+" = 'do not tell anybody'", "08P01", "SET failed")
		eventuallyLogged(t, w, "console error", "SET "+key+" = ***")
	}
	if w.Log.Contains("do not tell anybody") {
		t.Error("a secret stands in the log")
	}
	_, err := tryDial(t, w.Addr, "stranger", "pgbouncer")
	if e := refused(t, err, "28000"); e.Severity != "FATAL" || e.Message != "not allowed" {
		t.Errorf("a stranger is told %v", e)
	}
	_, err = tryDial(t, w.Addr, "boss", "pgbouncer", "replication", "database")
	refused(t, err, "0A000")
	for _, database := range []string{"weir", "pgbouncer"} {
		own := consoleAt(t, w.unixDSN(t, dir, database))
		ask(t, own, "SHOW POOLS")
		says(t, own, "RESUME", "08P01", "pooler is not paused/suspended")
	}
}

// The account that weir runs as gets in by the unix socket: with no password, and when nothing else does.
func TestConsoleIsThereWhenAllElseIsFull(t *testing.T) {
	d := database(t)
	w, dir := consoleWeir(t, d, "[auth]\ntype = \"scram-sha-256\"\n[users."+d.Server.Superuser()+"]\npassword = \"secret\"\n[limits]\nmax_client_conn = 1\n")
	c, err := pgconn.Connect(context.Background(), strings.Replace(w.DSN(d), "@", ":secret@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := pgconn.Connect(context.Background(), strings.Replace(w.DSN(d), "@", ":secret@", 1)); err == nil {
		t.Fatal("a second client is admitted")
	}
	own := consoleAt(t, w.unixDSN(t, dir, "pgbouncer"))
	if got := one(t, own, "SHOW LISTS", "items", is("list", "used_clients")); got != "2" {
		t.Errorf("%s clients are used, want 2", got)
	}
	if _, err := pgconn.Connect(context.Background(), w.unixDSN(t, dir, d.Name)); err == nil {
		t.Error("the account needs no password for another database either")
	}
	if _, err := pgconn.Connect(context.Background(), "postgres://boss@"+w.Addr+"/pgbouncer?sslmode=disable"); err == nil {
		t.Error("an administrator needs no password over TCP")
	}
}

func TestConsoleErrors(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, serverAt(fmt.Sprintf("127.0.0.1:%d", d.Server.Port()))+"[databases.shop]\nhost = \"127.0.0.1\"\n[databases.nowhere]\nhost = \"127.0.0.1\"\n")
	boss := w.console(t, "boss")
	for sql, want := range map[string]string{
		"SHOW ROOMS":                       "invalid command 'SHOW ROOMS', use SHOW HELP;",
		"SHOW FDS":                         "invalid command 'SHOW FDS', use SHOW HELP;",
		"SUSPEND":                          "invalid command 'SUSPEND', use SHOW HELP;",
		"SELECT * FROM pg_class":           "invalid command 'SELECT * FROM pg_class', use SHOW HELP;",
		"CREATE TABLE x ()":                "invalid command",
		"RESUME":                           "pooler is not paused/suspended",
		"RESUME shop":                      "database shop is not paused",
		"DISABLE":                          "a database is required",
		"ENABLE":                           "a database is required",
		"PAUSE pgbouncer":                  "cannot pause admin db: pgbouncer",
		"RECONNECT weir":                   "cannot reconnect admin db: weir",
		"DISABLE pgbouncer":                "cannot disable admin db: pgbouncer",
		"ENABLE pgbouncer":                 "cannot enable admin db: pgbouncer",
		"KILL pgbouncer":                   "cannot kill admin db: pgbouncer",
		"WAIT_CLOSE pgbouncer":             "cannot wait in admin db: pgbouncer",
		`PAUSE "*"`:                        "no such database: *",
		`RESUME "*"`:                       "no such database: *",
		"KILL_CLIENT x":                    "invalid client pointer supplied",
		"KILL_CLIENT 4000000000":           "client not found",
		"SET no_such_thing = 1":            "SET failed",
		"SET pool_mode = x":                "SET failed",
		"SET default_pool_size=0":          "SET failed",
		"SHUTDOWN tomorrow":                "invalid command",
		"PAUSE " + strings.Repeat("x", 64): "bad arguments",
	} {
		says(t, boss, sql, "08P01", want)
	}
	ask(t, boss, "SHOW VERSION") // the connection goes on
	if got := ask(t, boss, "SHOW POOLS; ; SHOW STATE"); !strings.Contains(got, "pgbouncer|pgbouncer") || !strings.Contains(got, "active|yes") {
		t.Errorf("two commands in one query answer %q", got)
	}
	if got := ask(t, boss, "-- ping"); got != "" {
		t.Errorf("a comment answers %q", got)
	}
}

func TestConsolePausesAndResumes(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "[pool]\npool_size = 2\n")
	boss, second := w.console(t, "boss"), w.console(t, "boss")
	busy, other := enter(t, w, d), enter(t, w, d)
	for _, name := range []string{"", " " + d.Name} {
		busy.Query("BEGIN")
		done := inOwnTime(boss, "PAUSE"+name)
		if name == "" {
			eventually(t, func() string {
				if got := one(t, second, "SHOW STATE", "value", is("key", "paused")); got != "yes" {
					return "paused is " + got
				}
				return ""
			})
			says(t, second, "PAUSE", "08P01", "already suspended/paused")
			says(t, second, "KILL", "08P01", "already suspended/paused")
		} else {
			paused(t, second, d.Name, "1")
		}
		other.inBackground("SELECT 'served'")
		expectWaiting(t, w, 1)
		eventually(t, func() string { // a dial may have been under way
			if got := one(t, second, "SHOW WAITS", "bound_by", nil); got != "paused" {
				return fmt.Sprintf("the client waits because of %q", got)
			}
			return ""
		})
		select {
		case err := <-done:
			t.Fatalf("PAUSE is answered while a transaction is open: %v", err)
		default:
		}
		if got := busy.Query("SELECT 1"); got != "1" {
			t.Errorf("the transaction gets %q", got)
		}
		busy.Query("COMMIT")
		if err := awaits(t, "PAUSE", done); err != nil {
			t.Fatalf("PAUSE: %v", err)
		}
		if got := column(t, second, "SHOW SERVERS", "id", nil); len(got) != 0 {
			t.Errorf("after PAUSE there are %d backends", len(got))
		}
		ask(t, boss, "RESUME"+name)
		if got := other.Answer().First(); got != "served" {
			t.Errorf("after RESUME the client gets %q", got)
		}
		paused(t, second, d.Name, "0")
	}
	t.Run("a new pool is paused, too, and dials nothing", func(t *testing.T) {
		ask(t, boss, "PAUSE")
		w2, err := pgconn.Connect(soonOver(t), strings.Replace(w.DSN(d), d.Server.Superuser()+"@", "someone@", 1))
		if err == nil {
			_ = w2.Close(context.Background())
			t.Error("a client of a new pool is served in a pause")
		}
		if w.Log.Contains("no backend", "pool="+d.Name+"/someone") {
			t.Error("the new pool has dialled in the pause")
		}
		ask(t, boss, "RESUME")
	})
	t.Run("a cancel request ends the wait and the pause", func(t *testing.T) {
		busy.Query("BEGIN")
		done := inOwnTime(boss, "PAUSE "+d.Name)
		paused(t, second, d.Name, "1")
		if err := boss.CancelRequest(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := awaits(t, "PAUSE", done); err == nil || !strings.Contains(err.Error(), "57014") {
			t.Errorf("the cancelled PAUSE: %v", err)
		}
		paused(t, second, d.Name, "0")
		busy.Query("COMMIT")
	})
	t.Run("who waits is told that another has ended the pause", func(t *testing.T) {
		busy.Query("BEGIN")
		done := inOwnTime(boss, "PAUSE "+d.Name)
		paused(t, second, d.Name, "1")
		ask(t, second, "RESUME "+d.Name)
		if err := awaits(t, "PAUSE", done); err == nil || !strings.Contains(err.Error(), "the pause was ended before all backends were closed") {
			t.Errorf("PAUSE, when nothing is paused: %v", err)
		}
		busy.Query("COMMIT")
	})
	t.Run("the end of the connection ends the wait and the pause", func(t *testing.T) {
		busy.Query("BEGIN")
		third := w.console(t, "boss")
		done := inOwnTime(third, "PAUSE "+d.Name)
		paused(t, second, d.Name, "1")
		_ = third.Conn().Close()
		_ = awaits(t, "PAUSE", done)
		paused(t, second, d.Name, "0")
		busy.Query("COMMIT")
	})
}

// soonOver ends after a quarter of a second.
func soonOver(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// query_wait_timeout counts in a pause, and the value that SET gives it holds at once.
func TestConsoleSetHoldsAtOnce(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	boss := w.console(t, "boss")
	c := enter(t, w, d)
	ask(t, boss, "SET query_wait_timeout = '0.2'")
	if got := one(t, boss, "SHOW CONFIG", "value", is("key", "query_wait_timeout")); got != "0.2" {
		t.Errorf("SHOW CONFIG says %q", got)
	}
	ask(t, boss, "PAUSE")
	if err := c.Run("SELECT 1").Err(); err == nil || !strings.Contains(err.Error(), "53300") {
		t.Errorf("the wait in a pause: %v", err)
	}
	ask(t, boss, "RESUME")
	if got := c.Query("SELECT 2"); got != "2" {
		t.Errorf("after RESUME: %q", got)
	}
	tag, err := boss.Exec(context.Background(), "SET max_client_conn = 7").ReadAll()
	if err != nil || tag[0].CommandTag.String() != "SET max_client_conn=7" {
		t.Errorf("SET answers %v, %v", tag, err)
	}
	if got := w.Proxy.Snapshot().Limits.MaxClients; got != 7 {
		t.Errorf("max_client_conn is %d", got)
	}
	ask(t, boss, "SET listen_backlog = 5")
	if got := one(t, boss, "SHOW CONFIG", "value", is("key", "listen_backlog")); got != "4096" {
		t.Errorf("a setting that needs a restart has become %s", got)
	}
}

func TestConsoleDisablesAndEnables(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	boss := w.console(t, "boss")
	c := enter(t, w, d)
	ask(t, boss, "DISABLE "+d.Name)
	if e := refusedLogin(t, w, d); e.Code != "57P03" || e.Message != `database "`+d.Name+`" is disabled` {
		t.Errorf("a new client is told %v", e)
	}
	if got := c.Query("SELECT 1"); got != "1" {
		t.Errorf("a client that was there gets %q", got)
	}
	if got := one(t, boss, "SHOW DATABASES", "disabled", is("name", d.Name)); got != "1" {
		t.Errorf("disabled is %s", got)
	}
	ask(t, boss, "ENABLE "+d.Name)
	enter(t, w, d)
}

func refusedLogin(t *testing.T, w *weirUnderTest, d *pgserver.Database) *pgconn.PgError {
	t.Helper()
	_, err := pgconn.Connect(context.Background(), w.DSN(d))
	for e := err; e != nil; {
		if found, ok := e.(*pgconn.PgError); ok {
			return found
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			if many, ok := e.(interface{ Unwrap() []error }); ok && len(many.Unwrap()) > 0 {
				e = many.Unwrap()[0]
				continue
			}
			break
		}
		e = u.Unwrap()
	}
	t.Fatalf("the login is answered %v", err)
	return nil
}

func TestConsoleReconnects(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "[pool]\npool_size = 2\n")
	boss := w.console(t, "boss")
	busy, other := enter(t, w, d), enter(t, w, d)
	was := busy.Query("BEGIN; SELECT pg_backend_pid()")
	idle := other.Query("SELECT pg_backend_pid()")
	ask(t, boss, "RECONNECT "+d.Name)
	if got := other.Query("SELECT pg_backend_pid()"); got == idle || got == was {
		t.Errorf("the other client still has backend %s", got)
	}
	if got := one(t, boss, "SHOW SERVERS", "close_needed", is("remote_pid", was)); got != "1" {
		t.Errorf("close_needed of the busy backend is %s", got)
	}
	done := inOwnTime(boss, "WAIT_CLOSE")
	if got := busy.Query("SELECT pg_backend_pid()"); got != was {
		t.Errorf("the transaction goes on with backend %s, was %s", got, was)
	}
	select {
	case err := <-done:
		t.Fatalf("WAIT_CLOSE is answered while the old backend is there: %v", err)
	default:
	}
	busy.Query("COMMIT")
	if err := awaits(t, "WAIT_CLOSE", done); err != nil {
		t.Error(err)
	}
	if got := busy.Query("SELECT pg_backend_pid()"); got == was {
		t.Errorf("the old backend %s is there after WAIT_CLOSE", got)
	}
}

func TestConsoleKills(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "[pool]\npool_size = 2\n")
	boss := w.console(t, "boss")
	t.Run("one client", func(t *testing.T) {
		c, other := enter(t, w, d, "application_name", "victim"), enter(t, w, d)
		c.inBackground("SELECT pg_sleep(60)")
		expectActive(t, w, 1)
		id := one(t, boss, "SHOW CLIENTS", "id", is("application_name", "victim"))
		ask(t, boss, "KILL_CLIENT "+id)
		if e := c.expectLastError("57P01"); e.Message != "admin forced disconnect" {
			t.Errorf("it is told %v", e)
		}
		if got := other.Query("SELECT 1"); got != "1" {
			t.Errorf("the other client gets %q", got)
		}
		says(t, boss, "KILL_CLIENT "+id, "08P01", "client not found")
		expectPool(t, w, "rid of the query", func(p status.Pool) bool {
			return p.Backends[status.BackendActive]+p.Backends[status.BackendCleaning] == 0
		})
	})
	t.Run("a database", func(t *testing.T) {
		sleeper, idle, waiter1, waiter2 := enter(t, w, d), enter(t, w, d), enter(t, w, d), enter(t, w, d)
		sleeper.inBackground("SELECT pg_sleep(60)")
		waiter1.inBackground("SELECT pg_sleep(60)")
		expectActive(t, w, 2)
		waiter2.inBackground("SELECT 1")
		expectWaiting(t, w, 1)
		ask(t, boss, "KILL "+d.Name)
		for _, c := range []*wireClient{sleeper, idle, waiter1, waiter2} {
			if e := c.expectLastError("57P01"); e.Message != "database removed" {
				t.Errorf("a client is told %v", e)
			}
		}
		expectBackends(t, d, 0)
		paused(t, boss, d.Name, "1")
		ask(t, boss, "RESUME "+d.Name)
		if got := enter(t, w, d).Query("SELECT 2"); got != "2" {
			t.Errorf("after RESUME: %q", got)
		}
	})
	t.Run("a client of the console", func(t *testing.T) {
		c, err := pgconn.Connect(context.Background(), fmt.Sprintf("postgres://watcher@%s/pgbouncer?sslmode=disable&application_name=gone", w.Addr))
		if err != nil {
			t.Fatal(err)
		}
		ask(t, boss, "KILL_CLIENT "+one(t, boss, "SHOW CLIENTS", "id", is("application_name", "gone")))
		if _, err := tryAsk(c, "SHOW STATE"); err == nil {
			t.Error("it is served still")
		}
		ask(t, boss, "SHOW STATE")
	})
	t.Run("everything", func(t *testing.T) {
		c := enter(t, w, d)
		ask(t, boss, "KILL")
		c.expectLastError("57P01")
		says(t, boss, "RESUME", "08P01", "but databases are, and each has to be resumed by its name: ") // else nobody would know why clients wait
		ask(t, boss, "RESUME "+d.Name)
	})
}

func TestConsoleShowsWhoWaitsWhoIsPinnedAndWhatFailed(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "[pool]\npool_size = 1\n")
	watcher := w.console(t, "watcher")
	holder, waiter := enter(t, w, d, "application_name", "nightly report"), enter(t, w, d, "application_name", "till")
	holder.Query("CREATE TEMP TABLE t ()")
	if got := one(t, watcher, "SHOW PINS", "reason", is("application_name", "nightly report")); got != "temporary object" {
		t.Errorf("the pin's reason is %q", got)
	}
	waiter.inBackground("SELECT 1")
	expectWaiting(t, w, 1)
	row := func(name string) string { return one(t, watcher, "SHOW WAITS", name, nil) }
	eventually(t, func() string { // while the holder's backend is expected back, nothing holds another one up
		if got := row("bound_by"); got != "size" {
			return fmt.Sprintf("SHOW WAITS: bound_by is %q", got)
		}
		return ""
	})
	for name, want := range map[string]string{
		"application_name": "till", "holder": "nightly report", "holder_state": "idle", "holder_pins": "temporary object", "position": "1",
	} {
		if got := row(name); got != want {
			t.Errorf("SHOW WAITS: %s is %q, want %q", name, got, want)
		}
	}
	if got := one(t, watcher, "SHOW CLIENTS", "state", is("application_name", "till")); got != "waiting" {
		t.Errorf("the waiter is %q", got)
	}
	if got := one(t, watcher, "SHOW POOLS", "cl_waiting", is("database", d.Name)); got != "1" {
		t.Errorf("cl_waiting is %s", got)
	}
	link := one(t, watcher, "SHOW CLIENTS", "link", is("application_name", "nightly report"))
	if got := one(t, watcher, "SHOW SERVERS", "ptr", nil); got != link {
		t.Errorf("the client's link is %s, its server's ptr %s", link, got)
	}
	holder.Query("DISCARD ALL")
	waiter.Answer()
	if waiter.Run("SELECT 1/0").Err() == nil {
		t.Fatal("no error")
	}
	if got := one(t, watcher, "SHOW ERRORS", "message", is("sqlstate", "22012")); got != "division by zero" {
		t.Errorf("the error is %q", got)
	}
	if got := one(t, watcher, "SHOW ERRORS", "application_name", is("sqlstate", "22012")); got != "till" {
		t.Errorf("it was %q's", got)
	}
	waiter.Send(&pgproto3.Parse{Name: "s1", Query: "SELECT $1::int + 41"}, &pgproto3.Sync{})
	waiter.Answer()
	if got := one(t, watcher, "SHOW STATEMENTS", "backends", is("query", "SELECT $1::int + 41")); got != "1" {
		t.Errorf("%s backends hold the statement", got)
	}
	if got := one(t, watcher, "SHOW CLIENTS", "prepared_statements", is("application_name", "till")); got != "1" {
		t.Errorf("the client has %s statements", got)
	}
	waiter.Send(&pgproto3.Bind{PreparedStatement: "s1", Parameters: [][]byte{[]byte("1")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	waiter.Answer()
	for name, want := range map[string]string{
		"bind_count": "1", "client_parse_count": "1", "server_parse_count": "1", "client_login_count": "2", "xact_count": "6", "query_count": "5",
	} {
		if got := one(t, watcher, "SHOW STATS_TOTALS", name, is("database", d.Name)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	holder.Query("LISTEN news")
	eventually(t, func() string { // the pool's listener connection takes over from the backend
		if got := column(t, watcher, "SHOW LISTENERS", "channel", is("clients", "1")); len(got) != 1 || got[0] != "news" {
			return fmt.Sprintf("those that listen are %q", got)
		}
		return ""
	})
	port := strconv.Itoa(d.Server.Port())
	if got := one(t, watcher, "SHOW HOSTS", "state", is("host", "127.0.0.1:"+port)); got != "up" {
		t.Errorf("the server is %q", got)
	}
}

func TestConsoleShutsDown(t *testing.T) {
	d := database(t)
	t.Run("at once", func(t *testing.T) {
		w, _ := consoleWeir(t, d, "")
		c := enter(t, w, d)
		if _, err := tryAsk(w.console(t, "boss"), "SHUTDOWN"); err == nil {
			t.Error("SHUTDOWN is answered")
		}
		w.expectStopped()
		c.expectLastError("57P01")
	})
	t.Run("waiting for clients", func(t *testing.T) {
		w, dir := consoleWeir(t, d, "")
		c := enter(t, w, d)
		ask(t, w.console(t, "boss"), "SHUTDOWN WAIT_FOR_CLIENTS")
		expectRefusing(t, w.Addr, d.Name)
		if _, err := tryDial(t, w.Addr, "boss", "pgbouncer"); err == nil {
			t.Error("the console is reached over TCP")
		}
		if got := c.Query("SELECT 1"); got != "1" {
			t.Errorf("the client gets %q", got)
		}
		own := consoleAt(t, w.unixDSN(t, dir, "pgbouncer"))
		says(t, own, "SHUTDOWN WAIT_FOR_CLIENTS", "08P01", "pooler is shutting down")
		if _, err := pgconn.Connect(context.Background(), w.unixDSN(t, dir, d.Name)); err == nil || !strings.Contains(err.Error(), "57P03") {
			t.Errorf("a new client on the unix socket: %v", err)
		}
		if w.Proxy.Ready() == nil {
			t.Error("weir still says that it is ready")
		}
		c.Terminate()
		w.expectStopped()
	})
	t.Run("waiting for servers", func(t *testing.T) {
		w, _ := consoleWeir(t, d, "")
		idle, busy := enter(t, w, d), enter(t, w, d)
		busy.Query("BEGIN")
		ask(t, w.console(t, "boss"), "SHUTDOWN WAIT_FOR_SERVERS")
		idle.expectLastError("57P01")
		idle.Vanish()
		busy.Query("COMMIT")
		busy.expectLastError("57P01")
		busy.Vanish()
		w.expectStopped()
	})
	t.Run("and then at once", func(t *testing.T) {
		w, _ := consoleWeir(t, d, "")
		enter(t, w, d)
		ask(t, w.console(t, "boss"), "SHUTDOWN WAIT_FOR_CLIENTS")
	})
}

// RELOAD reads the file anew, which ends what SET has changed; a file with a mistake changes nothing, and the console says why.
func TestConsoleReloads(t *testing.T) {
	d := database(t)
	const good = "[admin]\nadmin_users = [\"boss\"]\n[pool]\npool_size = 3\n"
	var file atomic.Value // of string
	file.Store(good)
	w := startWith(t, d, good, proxy.Options{Load: func() (*config.Config, error) {
		return config.Parse("test.toml", []byte(complete(d, file.Load().(string))), func(string) (string, bool) { return "", false })
	}})
	boss := w.console(t, "boss")
	size := func() string { return one(t, boss, "SHOW CONFIG", "value", is("key", "default_pool_size")) }
	ask(t, boss, "SET default_pool_size = 5")
	if got := size(); got != "5" {
		t.Errorf("after SET it is %s", got)
	}
	file.Store(good + "pool_sise = 4\n")
	_, err := tryAsk(boss, "RELOAD")
	var e *pgconn.PgError
	if err == nil || !asError(err, &e) || e.Code != "F0000" || e.Message != "RELOAD failed, see logs for additional details" || !strings.Contains(e.Detail, "pool_sise") {
		t.Errorf("RELOAD of a file with a mistake: %v", err)
	}
	eventuallyLogged(t, w, "console error", "RELOAD failed")
	if n := strings.Count(w.Log.String(), "pool_sise"); n != 1 {
		t.Errorf("the mistake is logged %d times", n)
	}
	if got := size(); got != "5" {
		t.Errorf("after a RELOAD that failed it is %s", got)
	}
	file.Store(good)
	ask(t, boss, "RELOAD")
	if got := size(); got != "3" {
		t.Errorf("after RELOAD it is %s", got)
	}
}
