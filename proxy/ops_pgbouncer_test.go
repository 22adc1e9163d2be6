package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/config/pgbouncer"
	"weir/internal/pgserver"
	"weir/proxy"
)

// startFile runs a weir that serves a file of PgBouncer's as it is.
func startFile(t *testing.T, d *pgserver.Database, ini, users string) *weirUnderTest {
	t.Helper()
	before := footprintOf(d)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.txt"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	document, err := pgbouncer.Read("test.ini", func(string) ([]byte, error) { return []byte(ini), nil })
	if err != nil {
		t.Fatal(err)
	}
	result, err := pgbouncer.Translate(document, dir)
	if err != nil || result.Unservable != nil {
		t.Fatal(err, result.Unservable)
	}
	w := &weirUnderTest{t: t, Log: new(logCapture)}
	var o proxy.Options
	o.SweepEvery(sweepEvery)
	if w.Proxy, err = proxy.Start(context.Background(), result.Served(), slog.New(slog.NewTextHandler(w.Log, nil)), o); err != nil {
		t.Fatal(err)
	}
	w.Addr = w.Proxy.Addresses()[0]
	t.Cleanup(func() {
		w.Stop()
		before.expect(t, d)
		if t.Failed() {
			t.Logf("weir's log:\n%s", w.Log.tail())
		}
	})
	return w
}

func TestFileOfPgBouncersIsServedInItsWords(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS bouncer_app", "CREATE ROLE bouncer_app LOGIN", "DROP ROLE IF EXISTS bouncer_few", "CREATE ROLE bouncer_few LOGIN")
	w := startFile(t, d, fmt.Sprintf(`
[databases]
shop = host=127.0.0.1 port=%d dbname=%s pool_mode=transaction query_wait_timeout=1
slow = host=127.0.0.1 port=%d dbname=%s
stmt = host=127.0.0.1 port=%d dbname=%s pool_mode=statement
none = host=127.0.0.1 port=%d dbname=no_such_database
[users]
bouncer_few = max_user_client_connections=1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 0
unix_socket_dir =
auth_type = trust
auth_file = users.txt
server_tls_sslmode = disable
default_pool_size = 1
query_wait_notify = 0
query_timeout = 2
stats_period = 1
`, d.Server.Port(), d.Name, d.Server.Port(), d.Name, d.Server.Port(), d.Name, d.Server.Port()), "\"bouncer_app\" \"\"\n\"bouncer_few\" \"\"")
	t.Cleanup(func() {
		w.Stop()
		d.Exec(t, "DROP ROLE bouncer_app, bouncer_few")
	})
	refusedAs := func(err error, code, text string) {
		t.Helper()
		e, ok := errors.AsType[*serverError](err)
		if !ok || e.Severity != "FATAL" || e.Code != code || e.Message != text {
			t.Errorf("got %v, want FATAL %s %s", err, code, text)
		}
	}
	_, err := tryDial(t, w.Addr, "stranger", "shop")
	refusedAs(err, "08P01", `"trust" authentication failed`)
	_, err = tryDial(t, w.Addr, "bouncer_app", "absent")
	refusedAs(err, "08P01", "no such database: absent")
	_, err = tryDial(t, w.Addr, "bouncer_app", "none")
	refusedAs(err, "3D000", `database "no_such_database" does not exist`)

	first, second := dial(t, w.Addr, "bouncer_app", "shop"), dial(t, w.Addr, "bouncer_app", "shop")
	third := dial(t, w.Addr, "bouncer_app", "stmt")
	few := dial(t, w.Addr, "bouncer_few", "shop")
	_, err = tryDial(t, w.Addr, "bouncer_few", "shop")
	few.Terminate()
	refusedAs(err, "08P01", "client connections exceeded (max_user_client_connections)")
	_, err = tryDial(t, w.Addr, "bouncer_app", "shop", "options", "-d 5")
	refusedAs(err, "08P01", "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed")
	slow := dial(t, w.Addr, "bouncer_app", "slow")
	slow.SendBytes(queryBytes("SELECT pg_sleep(60)"))
	first.Query("BEGIN")
	second.SendBytes(queryBytes("SELECT 1"))
	refusedAs(second.ExpectClosed(), "08P01", "query_wait_timeout")
	third.SendBytes(queryBytes("BEGIN"))
	refusedAs(third.ExpectClosed(), "08P01", "transaction blocks not allowed in statement pooling mode")
	refusedAs(slow.ExpectClosed(), "08P01", "query timeout")
	first.Query("COMMIT")
	for _, text := range []string{`closing because: "trust" authentication failed (age=`, "closing because: no such database: absent", "closing because: query_wait_timeout (age=", "stats: ", " B/s, xact "} {
		eventuallyLogged(t, w, strings.ReplaceAll(text, `"`, `\"`))
	}
}

// servedFile is the text of a file of PgBouncer's with one database, which has a user of its own, in transaction mode.
func servedFile(d *pgserver.Database, settings string) string {
	return fmt.Sprintf("[databases]\n%s = host=127.0.0.1 port=%d user=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 0\nunix_socket_dir =\n"+
		"pool_mode = transaction\nserver_tls_sslmode = disable\nquery_wait_notify = 0\n%s", d.Name, d.Server.Port(), d.Server.Superuser(), settings)
}

// query_timeout holds for the wait for a backend, too.
func TestQueryTimeoutHoldsInTheQueueOfAServedFile(t *testing.T) {
	d := database(t)
	w := startFile(t, d, servedFile(d, "auth_type = any\nadmin_users = boss\ndefault_pool_size = 1\n"), "")
	holder, waiter := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
	holder.Query("BEGIN")
	orders(t, w.console(t, "boss"), "SET query_timeout = '0.1'")
	waiter.SendBytes(queryBytes("SELECT 1"))
	if e := waiter.ExpectClosed(); e == nil || e.Severity != "FATAL" || e.Code != "08P01" || e.Message != "query_timeout" {
		t.Errorf("got %v", e)
	}
}

// orders gives a console a command that has no rows for an answer.
func orders(t *testing.T, c *pgconn.PgConn, command string) {
	t.Helper()
	if said := consoleSaid(t, c, command); said != "" {
		t.Fatalf("%s: %s", command, said)
	}
}

// A connection for replication is one of its pool's backends there.
func TestReplicationCountsUnderPoolSizeOfAServedFile(t *testing.T) {
	d := database(t)
	w := startFile(t, d, servedFile(d, "auth_type = any\nadmin_users = boss\ndefault_pool_size = 1\n"), "")
	boss, c := w.console(t, "boss"), dial(t, w.Addr, d.Server.Superuser(), d.Name)
	c.Query("BEGIN")
	orders(t, boss, "SET query_wait_timeout = '0.1'")
	_, err := tryReplica(w, d)
	serverSays(t, err, "08P01")
	eventuallyLogged(t, w, "closing because: query_wait_timeout")
	orders(t, boss, "SET query_wait_timeout = 120")
	c.Query("COMMIT")
	first := replica(t, w, d)
	orders(t, boss, "SET query_wait_timeout = '0.1'")
	c.SendBytes(queryBytes("SELECT 1"))
	if e := c.ExpectClosed(); e == nil || e.Message != "query_wait_timeout" {
		t.Errorf("a client beside a replica: %v", e)
	}
	orders(t, boss, "SET query_wait_timeout = 120")
	closeNow(first)
	dial(t, w.Addr, d.Server.Superuser(), d.Name).Query("SELECT 1")
}

// client_idle_timeout is for whoever is silent outside of a transaction, also with a backend of its own.
func TestClientIdleTimeoutReachesClientsThatKeepTheirBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, fmt.Sprintf(`
[databases.session]
host = "127.0.0.1"
port = %d
dbname = %q
mode = "session"
[databases."*"]
host = "127.0.0.1"
port = %d
`, d.Server.Port(), d.Name, d.Server.Port()))
	user := d.Server.Superuser()
	session, pinned, described, busy := dial(t, w.Addr, user, "session"), enter(t, w, d), enter(t, w, d), enter(t, w, d)
	session.Query("SELECT 1")
	pinned.Query("CREATE TEMP TABLE t (i int)")
	described.Send(&pgproto3.Parse{Query: "SELECT $1::int"}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Sync{})
	described.Answer()
	busy.inBackground("SELECT pg_sleep(3)")
	expectRunning(t, d, "SELECT pg_sleep(3)", 1)
	w.idleLimit(t, "300ms")
	for name, c := range map[string]*wireClient{"session mode": session, "pinned": pinned, "described": described} {
		if e := c.ExpectClosed(); e == nil || e.Code != "57P05" {
			t.Errorf("%s: got %v", name, e)
		}
	}
	if err := busy.Answer().Err(); err != nil {
		t.Errorf("a client that waits for its answer: %v", err)
	}
}

func TestStartupParametersThatAreIgnoredHaveNoEffect(t *testing.T) {
	d := database(t)
	w := start(t, d, "[clients]\nignore_startup_parameters = [\"Work_Mem\", \"no_such_setting\"]")
	c := dial(t, w.Addr, d.Server.Superuser(), d.Name, "work_mem", "77kB", "no_such_setting", "1", "options", "-c work_mem=99kB -c lock_timeout=5s")
	if got := c.Query("SELECT current_setting('work_mem') || current_setting('lock_timeout')"); strings.Contains(got, "77") || strings.Contains(got, "99") || !strings.HasSuffix(got, "5s") {
		t.Errorf("got %s", got)
	}
}

func TestOptionsThatAreIgnoredHaveNoEffectSaveWhatPgBouncerFollows(t *testing.T) {
	d := database(t)
	w := start(t, d, "[clients]\nignore_startup_parameters = [\"options\"]")
	c := dial(t, w.Addr, d.Server.Superuser(), d.Name, "work_mem", "77kB", "options", "-c lock_timeout=5s --DateStyle=German -c no_such_setting=1")
	const asked = "SELECT concat_ws(' ', current_setting('work_mem'), current_setting('lock_timeout'), current_setting('DateStyle'))"
	if got := c.Query(asked); got != "77kB 0 German, DMY" {
		t.Errorf("got %s", got)
	}
	r := dial(t, w.Addr, d.Server.Superuser(), d.Name, "replication", "database", "options", "-c lock_timeout=5s")
	if got := r.Query("SHOW lock_timeout"); got != "5s" {
		t.Errorf("a client for replication got %s", got)
	}
}

func TestApplicationNameHasTheClientsAddress(t *testing.T) {
	d := database(t)
	w := start(t, d, "[clients]\napplication_name_add_host = true")
	for given, want := range map[string]string{"report": "report - 127.0.0.1:", "": "app - 127.0.0.1:"} {
		var params []string
		if given != "" {
			params = []string{"application_name", given}
		}
		c := dial(t, w.Addr, d.Server.Superuser(), d.Name, params...)
		_, port, _ := net.SplitHostPort(c.conn.LocalAddr().String())
		if got := c.Query("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"); got != want+port {
			t.Errorf("%q: got %q, want %s%s", given, got, want, port)
		}
	}
}

// notice is the next that a client gets, be it between an answer's messages.
func (c *wireClient) notice() *pgproto3.NoticeResponse {
	for {
		if n, ok := c.Receive().(*pgproto3.NoticeResponse); ok {
			return n
		}
	}
}

func TestClientsAreToldOfTheirWaitAndAtLogin(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n[clients]\nlogin_notify_message = \"be kind\"\nquery_wait_notify = \"100ms\"\n[admin]\nadmin_users = [\"boss\"]")
	holder := enter(t, w, d)
	holder.Query("BEGIN")
	c := newClient(t, dialRaw(t, w.Addr))
	c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{
		"user": d.Server.Superuser(), "database": d.Name,
	}})
	if got := c.notice().Message; got != "be kind" {
		t.Errorf("at login: %q", got)
	}
	c.Answer()
	c.inBackground("SELECT 1")
	if got := c.notice(); got.Message != "waiting for a backend" || !strings.HasPrefix(got.Detail, "The only backend of pool "+d.Name+"/") {
		t.Errorf("in the wait: %q, %q", got.Message, got.Detail)
	}
	holder.Query("COMMIT")
	if got := c.Answer().First(); got != "1" {
		t.Errorf("after it: %q", got)
	}
	admin := w.console(t, "boss")
	orders(t, admin, "PAUSE")
	c.inBackground("SELECT 1")
	if got := c.notice(); !strings.HasPrefix(got.Detail, "An operator has said PAUSE") {
		t.Errorf("in the pause: %q, %q", got.Message, got.Detail)
	}
	orders(t, admin, "RESUME")
	c.Answer()
}

// With PgBouncer's file the notice has PgBouncer's words.
func TestClientsOfAServedFileAreToldOfTheirWaitInItsWords(t *testing.T) {
	d := database(t)
	w := startFile(t, d, servedFile(d, "auth_type = any\ndefault_pool_size = 1\nquery_wait_notify = 1\n"), "")
	holder, waiter := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
	holder.Query("BEGIN")
	waiter.inBackground("SELECT 1")
	if got := waiter.notice(); got.Message != "No server connection available in postgres backend, client being queued" || got.Detail != "" {
		t.Errorf("in the wait: %q, %q", got.Message, got.Detail)
	}
}

func TestTypeAnyOpensDatabasesThatHaveAUserOfTheirOwn(t *testing.T) {
	d := database(t)
	w := start(t, d, fmt.Sprintf("[auth]\ntype = \"any\"\n[databases.own]\nhost = \"127.0.0.1\"\nport = %d\ndbname = %q\nuser = %q\n"+
		"[databases.\"*\"]\nhost = \"127.0.0.1\"\nport = %d", d.Server.Port(), d.Name, d.Server.Superuser(), d.Server.Port()))
	if got := dial(t, w.Addr, "anybody", "own").Query("SELECT current_user"); got != d.Server.Superuser() {
		t.Errorf("got %q", got)
	}
	_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
	refused(t, err, "28000")
}

func TestUnixSocketHasTheGroupAndPortOfTheConfiguration(t *testing.T) {
	d := database(t)
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	group := os.Getgid()
	start(t, d, fmt.Sprintf("[listen]\naddresses = [\"127.0.0.1:0\"]\nunix_socket_dir = %q\nunix_socket_port = 7777\nunix_socket_group = %q\nunix_socket_mode = \"0660\"",
		dir, strconv.Itoa(group)))
	info, err := os.Stat(filepath.Join(dir, ".s.PGSQL.7777"))
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("got %v, %v", info, err)
	}
}

// Clients whose password is stored in clear text hash it as often as is configured, and strangers see the same number.
func TestSCRAMIterationsAreThoseOfTheConfiguration(t *testing.T) {
	d := database(t)
	w := start(t, d, "[auth]\ntype = \"scram-sha-256\"\nscram_iterations = 7777\n[users.someone]\npassword = \"secret\"")
	for _, user := range []string{"someone", "stranger"} {
		c := newClient(t, dialRaw(t, w.Addr))
		c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": user, "database": d.Name}})
		c.Receive()
		c.Send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte("n,,n=,r=abcdefgh")})
		if m, ok := c.Receive().(*pgproto3.AuthenticationSASLContinue); !ok || !strings.HasSuffix(string(m.Data), ",i=7777") {
			t.Errorf("%s: got %v", user, m)
		}
	}
}

func TestRoundRobinUsesAllBackendsAlike(t *testing.T) {
	d := database(t)
	w := start(t, d, "[loops]\ncount = 1\n[pool]\npool_size = 2\nmin_pool_size = 2\nserver_round_robin = true")
	first, second := enter(t, w, d), enter(t, w, d)
	first.Query("BEGIN")
	second.Query("BEGIN")
	first.Query("COMMIT")
	second.Query("COMMIT")
	if a, b := first.Query(pidQuery), first.Query(pidQuery); a == b {
		t.Errorf("%s served twice in a row", a)
	}
}

// What a line of [databases] gives its server connections is there before a client is, and what a client asks for wins over it.
func TestFileOfPgBouncersGivesItsBackendsSettings(t *testing.T) {
	d := database(t)
	w := startFile(t, d, fmt.Sprintf(`
[databases]
shop = host=127.0.0.1 port=%d dbname=%s user=%s timezone=Asia/Tokyo application_name='the shop' connect_query='SELECT set_config(''app.greeted'', ''yes'', false)'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 0
unix_socket_dir =
auth_type = any
server_tls_sslmode = disable
`, d.Server.Port(), d.Name, d.Server.Superuser()), "")
	const seen = "SELECT concat_ws(' ', current_setting('timezone'), current_setting('application_name'), current_setting('app.greeted'))"
	if got := dial(t, w.Addr, "anyone", "shop").Query(seen); got != "Asia/Tokyo the shop yes" {
		t.Errorf("got %q", got)
	}
	if got := dial(t, w.Addr, "anyone", "shop", "TimeZone", "UTC").Query(seen); got != "UTC the shop yes" {
		t.Errorf("a client that asks for UTC got %q", got)
	}
}
