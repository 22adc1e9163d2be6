package proxy_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/config"
	"weir/internal/pgserver"
	"weir/proxy"
	"weir/proxy/status"
)

// reloadable is a weir whose configuration a test changes.
type reloadable struct {
	*weirUnderTest
	d    *pgserver.Database
	text string
}

func startReloadable(t *testing.T, d *pgserver.Database, toml string) *reloadable {
	t.Helper()
	r := &reloadable{d: d, text: toml}
	options := proxy.Options{Level: new(slog.LevelVar), Load: func() (*config.Config, error) {
		text := r.text
		if !speaksOfTLS(text) {
			text += r.protected
		}
		return config.Parse("test.toml", []byte(complete(d, text)), func(string) (string, bool) { return "", false })
	}}
	options.SweepEvery(sweepEvery)
	r.weirUnderTest = startWith(t, d, toml, options)
	return r
}

// reload has weir read another configuration.
func (r *reloadable) reload(toml string) {
	r.t.Helper()
	r.text = toml
	if err := r.Proxy.Reload(); err != nil {
		r.t.Fatalf("%v\n%s", err, toml)
	}
}

// expectLogged wants lines of the log: each of words in one.
func (r *reloadable) expectLogged(words ...string) {
	r.t.Helper()
	for _, w := range words {
		if !r.Log.Contains(w) {
			r.t.Errorf("the log does not say %s", w)
		}
	}
}

// A configuration with a fault changes nothing, whatever else is in it, and the error and the log say what is wrong.
func TestReloadOfABadConfigurationChangesNothing(t *testing.T) {
	d := database(t)
	const good = "[pool]\npool_size = 1\n"
	w := startReloadable(t, d, good)
	c := enter(t, w.weirUnderTest, d)
	folder := t.TempDir()
	for says, bad := range map[string]string{
		"expected":                 "[pool]\npool_size = 7\n[pool",
		`unknown setting "pool"`:   "[pool]\npool_size = 7\npool = 1\n",
		"no such file":             "[pool]\npool_size = 7\n[client_tls]\ncert_file = \"" + folder + "/none\"\nkey_file = \"" + folder + "/none\"\n",
		"auth_file cannot be read": "[pool]\npool_size = 7\n[auth]\ntype = \"trust\"\nauth_file = \"" + folder + "/none\"\n",
	} {
		w.text = bad
		err := w.Proxy.Reload()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the error is %v, want %s", err, says)
		}
	}
	if n := strings.Count(w.Log.String(), `level=ERROR msg="configuration not reloaded; weir goes on with the one it has"`); n < 4 {
		t.Errorf("%d lines of the log for four reloads in vain", n)
	}
	c.Query("SELECT 1")
	expectPool(t, w.weirUnderTest, "as it was", func(p status.Pool) bool { return p.Size == 1 })
	w.reload(good) // which the harness had changed
	w.reload(good)
	w.expectLogged(`msg="configuration reloaded" changes=0`)
}

// What needs a restart is named, and stays as it is, also for whoever asks what holds.
func TestReloadNamesWhatNeedsARestart(t *testing.T) {
	d := database(t)
	w := startReloadable(t, d, "[loops]\ncount = 0\n[pool]\npool_size = 1\n")
	before := w.Proxy.Addresses()
	for range 2 { // it is still to be done
		w.reload("[listen]\naddresses = [\"127.0.0.1:1\"]\n[loops]\ncount = 3\n[pool]\npool_size = 2\n")
	}
	if now := w.Proxy.Addresses(); !slices.Equal(before, now) {
		t.Errorf("weir listens at %v, not at %v", now, before)
	}
	const restart = `level=WARN msg="configuration not changed: it needs a restart" change=`
	for _, change := range []string{
		`"[listen] addresses: [\"127.0.0.1:0\"] -> [\"127.0.0.1:1\"] (needs a restart)"`, `"[loops] count: 0 -> 3 (needs a restart)"`,
	} {
		if n := strings.Count(w.Log.String(), restart+change); n != 2 {
			t.Errorf("%d lines %s in two reloads:\n%s", n, change, w.Log)
		}
	}
	w.expectLogged(`msg="configuration changed" change="[pool] pool_size: 1 -> 2"`)
	w.expectLogged(`msg="configuration reloaded" changes=0 need_restart=2`)
	enter(t, w.weirUnderTest, d).Query("SELECT 1")
}

// Databases come, go and move. Transactions that are under way are not disturbed.
func TestReloadOfDatabases(t *testing.T) {
	d, other := database(t), database(t)
	section := func(name string, at *pgserver.Database) string {
		return fmt.Sprintf("[databases.%s]\nhost = \"127.0.0.1\"\nport = %d\ndbname = %q\n", name, at.Server.Port(), at.Name)
	}
	const where = "SELECT current_database()"
	// A name of its own in place of "*".
	w := startReloadable(t, d, section("moves", d)+section("goes", d)+section(`"*"`, d))
	if _, err := tryDial(t, w.Addr, "postgres", "comes"); err != nil {
		t.Fatal(err)
	}
	moves, busy := dial(t, w.Addr, "postgres", "moves"), dial(t, w.Addr, "postgres", "moves")
	goes, busyGoes := dial(t, w.Addr, "postgres", "goes"), dial(t, w.Addr, "postgres", "goes")
	moves.Query("SELECT 1")
	goes.Query("SELECT 1")
	busy.Query("BEGIN; CREATE TABLE mine AS SELECT 1")
	busyGoes.Query("BEGIN")
	w.reload(section("moves", other) + section("comes", other))

	if got := dial(t, w.Addr, "postgres", "comes").Query(where); got != other.Name {
		t.Errorf("the new database is %s", got)
	}
	if got := moves.Query(where); got != other.Name {
		t.Errorf("a client that was there is served by %s", got)
	}
	if got := busy.Query("SELECT current_database() || ' ' || count(*) FROM mine"); got != d.Name+" 1" {
		t.Errorf("the transaction goes on in %s", got)
	}
	busy.Query("COMMIT")
	if got := busy.Query(where); got != other.Name {
		t.Errorf("after the transaction it is served by %s", got)
	}
	if e := goes.expectLastError("57P01"); e.Message != "database removed" {
		t.Errorf("told %v", e)
	}
	if got := busyGoes.Query(where); got != d.Name {
		t.Errorf("the transaction of a database that is gone goes on in %s", got)
	}
	busyGoes.Query("COMMIT")
	busyGoes.expectLastError("57P01")
	if _, err := tryDial(t, w.Addr, "postgres", "goes"); !isCode(err, "3D000") {
		t.Errorf("a client that comes later: %v", err)
	}
	expectBackends(t, d, 0)
}

// A server that could not be reached is forgotten with its address: nobody waits for its back-off.
func TestReloadCorrectsAnAddress(t *testing.T) {
	d := database(t)
	w := startReloadable(t, d, serverAt("127.0.0.1:1")+"[timeouts]\nquery_wait_timeout = \"1m\"\n")
	waiter := newClient(t, dialRaw(t, w.Addr))
	waiter.Send(startupOf(d.Name))
	expectWaiting(t, w.weirUnderTest, 1)
	eventually(t, func() string {
		if !w.Log.Contains("no backend: dial failed") {
			return "no dial has failed"
		}
		return ""
	})
	w.reload("")
	if _, err := waiter.TryAnswer(); err != nil {
		t.Error(err)
	}
	waiter.Query("SELECT 1")
}

// A server that takes connections and does not answer holds up a dial for as long as that may take: not a PAUSE, and not the dials to the
// server that comes in its place.
func TestDialsThatHangAreGivenUp(t *testing.T) {
	d := database(t)
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.Close() }()
	w := startReloadable(t, d, serverAt(hung.Addr().String())+
		"[pool]\nmax_dials = 1\n[timeouts]\nserver_connect_timeout = \"10m\"\nquery_wait_timeout = \"10m\"\n")
	waiter := newClient(t, dialRaw(t, w.Addr))
	waiter.Send(startupOf(d.Name))
	dialling := func(p status.Pool) bool {
		return p.Clients[status.ClientWaiting] == 1 && p.Backends[status.BackendDialling] == 1 && p.Totals.DialsBy[status.DialFailed] == 0
	}
	expectPool(t, w.weirUnderTest, "dialling", dialling)
	done := make(chan error, 1)
	go func() { done <- w.Proxy.Pause() }()
	if err := awaits(t, "PAUSE", done); err != nil {
		t.Fatal(err)
	}
	if err := w.Proxy.Resume(); err != nil {
		t.Fatal(err)
	}
	expectPool(t, w.weirUnderTest, "dialling again", dialling)
	w.reload("")
	if _, err := waiter.TryAnswer(); err != nil {
		t.Error(err)
	}
	waiter.Query("SELECT 1")
	if w.Log.Contains("no backend: dial failed") {
		t.Error("the log says that the server cannot be reached; weir has given it up")
	}
}

func startupOf(database string) *pgproto3.StartupMessage {
	return &pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "postgres", "database": database},
	}
}

// Users come and go, passwords change: in the configuration, and in the file that it names.
func TestReloadOfUsers(t *testing.T) {
	d := database(t)
	list := filepath.Join(t.TempDir(), "userlist.txt")
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`"file" "first"` + "\n")
	d.Exec(t, "DROP ROLE IF EXISTS file", "DROP ROLE IF EXISTS app", "DROP ROLE IF EXISTS late", "CREATE ROLE file LOGIN", "CREATE ROLE app LOGIN", "CREATE ROLE late LOGIN")
	settings := fmt.Sprintf("[auth]\ntype = \"scram-sha-256\"\nauth_file = %q\n", list)
	w := startReloadable(t, d, settings+"[users.app]\npassword = \"first\"\n")
	t.Cleanup(func() {
		w.Stop()
		d.Exec(t, "DROP ROLE file", "DROP ROLE app", "DROP ROLE late")
	})
	in := func(user, password string, yes bool) {
		t.Helper()
		if got := logInAs(t, w.weirUnderTest, d, user, password); (got == user) != yes {
			t.Errorf("%s with the password %s: %s", user, password, got)
		}
	}
	in("app", "first", true)
	in("file", "first", true)
	in("late", "late", false)
	write(`"file" "second"` + "\n" + `"late" "late"` + "\n")
	in("file", "second", false) // it counts when it is read
	w.reload(settings + "[users.app]\npassword = \"second\"\n")
	in("app", "first", false)
	in("app", "second", true)
	in("file", "first", false)
	in("file", "second", true)
	in("late", "late", true)
	w.expectLogged(`change="[auth] auth_file: users: 1 added, 1 changed"`, `change="[users.app] password: changed"`)
	w.reload(settings)
	in("app", "second", false)
	if strings.Contains(w.Log.String(), "=second") {
		t.Error("a password is in the log")
	}
}

// A pool that logs in as a user of its own follows that user to another; clients that cannot follow are told.
func TestReloadOfTheUserForAll(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS one", "DROP ROLE IF EXISTS two", "CREATE ROLE one LOGIN", "CREATE ROLE two LOGIN")
	as := func(user string) string {
		s := fmt.Sprintf("[databases.%q]\nhost = \"127.0.0.1\"\nport = %d\n", d.Name, d.Server.Port())
		if user != "" {
			s += "user = \"" + user + "\"\n"
		}
		return s + "[limits]\nmax_user_connections = 1\n"
	}
	w := startReloadable(t, d, as("one"))
	t.Cleanup(func() {
		w.Stop()
		d.Exec(t, "DROP ROLE one", "DROP ROLE two")
	})
	const who = "SELECT session_user"
	idle, busy := enter(t, w.weirUnderTest, d), enter(t, w.weirUnderTest, d)
	busy.Query("BEGIN")
	w.reload(as("two"))
	if got := busy.Query(who); got != "one" {
		t.Errorf("the transaction goes on as %s", got)
	}
	busy.Query("COMMIT")
	for _, c := range []*wireClient{idle, busy, enter(t, w.weirUnderTest, d)} {
		if got := c.Query(who); got != "two" {
			t.Errorf("a client is served as %s", got)
		}
	}
	expectPools(t, w.weirUnderTest, d.Name+"/two")
	w.reload(as(""))
	if e := idle.expectLastError("57P01"); e.Message != "database configuration changed" {
		t.Errorf("told %v", e)
	}
	busy.expectLastError("57P01")
	if got := enter(t, w.weirUnderTest, d).Query(who); got != "postgres" {
		t.Errorf("a client that comes later is served as %s", got)
	}
}

// Sizes go up for those who wait, and down without cutting anything short.
func TestReloadOfSizes(t *testing.T) {
	d := database(t)
	size := func(n int) string { return fmt.Sprintf("[pool]\npool_size = %d\n", n) }
	w := startReloadable(t, d, size(1))
	a, b := enter(t, w.weirUnderTest, d), enter(t, w.weirUnderTest, d)
	a.Query("BEGIN")
	b.inBackground("BEGIN")
	expectWaiting(t, w.weirUnderTest, 1)
	w.reload(size(2))
	if err := b.Answer().Err(); err != nil {
		t.Fatal(err)
	}
	w.reload(size(1))
	a.Query("SELECT 1")
	b.Query("SELECT 1")
	a.Query("COMMIT")
	expectPool(t, w.weirUnderTest, "smaller", func(p status.Pool) bool { return backendCount(p) == 1 })
	b.Query("COMMIT")
	w.reload(fmt.Sprintf("[pool]\nmin_pool_size = 3\n[databases.%q]\nhost = \"127.0.0.1\"\nport = %d\nuser = \"postgres\"\n", d.Name, d.Server.Port()))
	expectPool(t, w.weirUnderTest, "filled", func(p status.Pool) bool { return backendCount(p) == 3 })
}

// Time limits and limits of numbers hold for clients that are there, too.
func TestReloadOfLimitsAndTimeouts(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS batch", "CREATE ROLE batch LOGIN")
	w := startReloadable(t, d, "[limits]\nmax_client_conn = 3\n")
	t.Cleanup(func() {
		w.Stop()
		d.Exec(t, "DROP ROLE batch")
	})
	idle, busy, batch := enter(t, w.weirUnderTest, d), enter(t, w.weirUnderTest, d), dial(t, w.Addr, "batch", d.Name)
	busy.Query("BEGIN")
	batch.Query("BEGIN")
	_, err := tryDial(t, w.Addr, "postgres", d.Name)
	refused(t, err, "53300")
	w.reload("[limits]\nmax_client_conn = 4\nmax_db_client_connections = 4\n[timeouts]\nidle_transaction_timeout = \"100ms\"\n[users.batch]\nidle_transaction_timeout = \"0s\"\n")
	last := enter(t, w.weirUnderTest, d)
	busy.expectLastError("25P03")
	batch.Query("COMMIT")
	w.reload("[timeouts]\nclient_idle_timeout = \"100ms\"\n")
	for _, c := range []*wireClient{idle, batch, last} {
		c.expectLastError("57P05")
	}
}

// Clients have TLS, and must have it, when the configuration says so.
func TestReloadOfTLS(t *testing.T) {
	d := database(t)
	dir := tlsFolder(t)
	w := startReloadable(t, d, inPlainText)
	there := enter(t, w.weirUnderTest, d)
	plain := there.Query(pidQuery)
	with := func() string { return logInWithTLS(t, w.weirUnderTest, d, url.User("postgres"), sslParams(dir, "")) }
	if got := with(); !strings.Contains(got, "refused TLS") {
		t.Errorf("TLS before there is a certificate: %s", got)
	}
	w.reload(clientTLS(dir, "require", "") + serverTLS(dir))
	if got := with(); got != "postgres" {
		t.Errorf("TLS: %s", got)
	}
	_, err := tryDial(t, w.Addr, "postgres", d.Name)
	refused(t, err, "28000")
	const encrypted = "SELECT ssl::text || ' ' || (pid = " // of the backend
	if got := there.Query(encrypted + plain + ")::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()"); got != "true false" {
		t.Errorf("the backend of a client that was there: encrypted, the same: %s", got)
	}
}

// Rules for logins are read again.
func TestReloadOfRules(t *testing.T) {
	d := database(t)
	file := filepath.Join(t.TempDir(), "hba")
	rules := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	toml := fmt.Sprintf("[auth]\ntype = \"hba\"\nhba_file = %q\n", file)
	rules("host all postgres 127.0.0.1/32 trust\n")
	w := startReloadable(t, d, toml)
	there := enter(t, w.weirUnderTest, d)
	rules("host all postgres 127.0.0.1/32 reject\n")
	w.reload(toml)
	_, err := tryDial(t, w.Addr, "postgres", d.Name)
	refused(t, err, "28000")
	there.Query("SELECT 1")
	w.expectLogged(`change="[auth] hba_file: what it says has changed"`)
	rules("host all postgres 127.0.0.1/32 tru\n")
	if err := w.Proxy.Reload(); err == nil || !strings.Contains(err.Error(), file+":1") {
		t.Errorf("of a faulty rule: %v", err)
	}
}

// The log's level follows.
func TestReloadOfTheLogsLevel(t *testing.T) {
	d := database(t)
	w := startReloadable(t, d, "")
	w.reload("[log]\nlevel = \"error\"\n")
	before := w.Log.String()
	w.reload("[log]\nlevel = \"error\"\n[pool]\npool_size = 3\n")
	if now := w.Log.String(); now != before {
		t.Errorf("at level error it says %s", now[len(before):])
	}
}

// Where the configuration wants it, a change of one of its files is enough. A fault is told once, and the next change is seen.
func TestChangedFilesAreReadAnew(t *testing.T) {
	d := database(t)
	folder := t.TempDir()
	file, list := filepath.Join(folder, "weir.toml"), filepath.Join(folder, "users")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	toml := func(size string) string {
		return complete(d, fmt.Sprintf("[reload]\nwatch = true\n[auth]\ntype = \"trust\"\nauth_file = %q\n[pool]\npool_size = %s\n", list, size))
	}
	write(list, "")
	write(file, toml("1"))
	options := proxy.Options{Load: func() (*config.Config, error) { return config.Load(file) }}
	options.WatchEvery(10 * time.Millisecond)
	w := startWith(t, d, toml("1"), options)
	if err := w.Proxy.Reload(); err != nil { // the harness has parsed a text, not the file
		t.Fatal(err)
	}
	enter(t, w, d).Query("SELECT 1")
	size := func(n int) {
		t.Helper()
		expectPool(t, w, fmt.Sprintf("of size %d", n), func(p status.Pool) bool { return p.Size == n })
	}
	logged := func(line string, n int) {
		t.Helper()
		eventually(t, func() string {
			if got := strings.Count(w.Log.String(), line); got < n {
				return fmt.Sprintf("%d lines %s", got, line)
			}
			return ""
		})
	}
	write(file, toml("22"))
	size(22)
	write(file, toml("two"))
	logged("configuration not reloaded", 1)
	write(file, toml("333"))
	size(333)
	write(list, "\"app\" \"secret\"\n")
	logged("users: 1 added", 1)
	if n := strings.Count(w.Log.String(), "configuration not reloaded"); n != 1 {
		t.Errorf("a fault is told %d times", n)
	}
}

// Whatever is reloaded, clients that work notice nothing.
func TestReloadsUnderLoad(t *testing.T) {
	d := database(t)
	w := startReloadable(t, d, "")
	var over atomic.Bool
	var served atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		c := enter(t, w.weirUnderTest, d)
		clients.Go(func() {
			for n := 0; !over.Load(); n++ {
				for _, sql := range []string{"BEGIN", fmt.Sprintf("SELECT %d", n), "COMMIT"} {
					a, err := c.TryRun(sql)
					if err == nil {
						err = a.Err()
					}
					if err != nil {
						t.Errorf("%s: %v", sql, err)
						return
					}
				}
				served.Add(1)
			}
		})
	}
	server := func(host string) string {
		return fmt.Sprintf("[databases.\"*\"]\nhost = %q\nport = %d\n", host, d.Server.Port())
	}
	var reloads sync.WaitGroup
	for i := range 40 {
		before := served.Load()
		host := []string{"127.0.0.1", "localhost"}[i%2]
		w.text = server(host) + fmt.Sprintf("[pool]\npool_size = %d\nmax_prepared_statements = %d\n[timeouts]\nserver_lifetime = \"%dm\"\n", 1+i%5, 100+i%3, 1+i%7)
		for range 2 { // at the same time
			reloads.Go(func() {
				if err := w.Proxy.Reload(); err != nil {
					t.Error(err)
				}
			})
		}
		reloads.Wait()
		eventually(t, func() string {
			if served.Load() < before+8 {
				return "the clients stand still"
			}
			return ""
		})
	}
	over.Store(true)
	clients.Wait()
}
