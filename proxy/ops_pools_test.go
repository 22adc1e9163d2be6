package proxy_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/config"
	"weir/internal/pgserver"
	"weir/proxy/status"
)

// poolNames are the pools that there are.
func poolNames(w *weirUnderTest) []string {
	var names []string
	for _, p := range w.Proxy.Snapshot().Pools {
		names = append(names, p.Database+"/"+p.User)
	}
	return names
}

// expectPools waits until there are these pools and no other.
func expectPools(t *testing.T, w *weirUnderTest, want ...string) {
	t.Helper()
	slices.Sort(want) // t9 comes after t10
	eventually(t, func() string {
		if got := poolNames(w); strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Sprintf("the pools are %q, want %q", got, want)
		}
		return ""
	})
}

const forgetful = "[timeouts]\npool_idle_timeout = \"500ms\"\n"

// scraped is what /metrics says.
func scraped(t *testing.T, w *weirUnderTest) string {
	t.Helper()
	r, err := http.Get("http://" + w.Proxy.HTTPAddress() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v", r.Status, err)
	}
	return string(text)
}

// A pool without clients gives its idle backends back to the server and is forgotten with its series; one with a client is not. A
// client that comes later gets a new one.
func TestPoolWithoutClientsIsForgotten(t *testing.T) {
	d, other := database(t), database(t)
	w := start(t, d, forgetful+"[http]\naddress = \"127.0.0.1:0\"\n[loops]\ncount = 2\n")
	stays := enter(t, w, other)
	stays.Query("SELECT 1")
	c := enter(t, w, d)
	c.Query("SELECT 1")
	expectPools(t, w, d.Name+"/postgres", other.Name+"/postgres")
	c.Terminate()
	expectPools(t, w, other.Name+"/postgres")
	expectBackends(t, d, 0)
	if text := scraped(t, w); strings.Contains(text, `database="`+d.Name) || !strings.Contains(text, `database="`+other.Name) {
		t.Error("the series are not those of the pools")
	}
	stays.Query("SELECT 1")
	enter(t, w, d).Query("SELECT 1")
}

// What the console tells of a database, and of all, never falls: monitoring would take that for a restart. What clients have named has an end.
func TestStatsOfTheConsoleOutliveThePools(t *testing.T) {
	d := database(t)
	w := start(t, d, fmt.Sprintf(forgetful+"[admin]\nadmin_users = [\"boss\"]\n"+
		"[databases.shop]\nhost = \"127.0.0.1\"\nport = %d\ndbname = %q\n", d.Server.Port(), d.Name)+serverAt(fmt.Sprintf("127.0.0.1:%d", d.Server.Port())))
	boss := w.console(t, "boss")
	counted := func(database string) []string {
		return column(t, boss, "SHOW STATS_TOTALS", "xact_count", is("database", database))
	}
	for n := range 2 {
		for _, name := range []string{"shop", d.Name} {
			c := dial(t, w.Addr, d.Server.Superuser(), name)
			c.Query("SELECT 1")
			c.Query("SELECT 2")
			c.Terminate()
		}
		eventually(t, func() string {
			if pools := column(t, boss, "SHOW POOLS", "database", nil); len(pools) != 1 {
				return fmt.Sprintf("there are pools of %q", pools)
			}
			return ""
		})
		if got, want := counted("shop"), fmt.Sprint(2*(n+1)); !slices.Equal(got, []string{want}) {
			t.Errorf("of the configured database %q transactions are told, want %s", got, want)
		}
		if got := counted(d.Name); len(got) != 0 {
			t.Errorf("of the named database %q are told", got)
		}
		sum, console := atoi(t, one(t, boss, "SHOW TOTALS", "value", is("name", "total_xact_count"))), atoi(t, counted("pgbouncer")[0])
		if got := sum - console; got < 4*(n+1)-1 || got > 4*(n+1) {
			t.Errorf("of all %d are told, want %d", got, 4*(n+1))
		}
	}
}

// Clients that come and go while their pool comes to its end are all served.
func TestClientsAreServedWhilePoolsAreForgotten(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\npool_idle_timeout = \"1ms\"\n[loops]\ncount = 2\n")
	for range 3 {
		// All wait for the end of the pool, and come back at once.
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 10 {
					c, err := tryDial(t, w.Addr, "postgres", d.Name)
					if err != nil {
						t.Error(err)
						return
					}
					if a, err := c.TryRun("SELECT 'served'"); err != nil || a.First() != "served" {
						t.Errorf("got %q, %v", a.First(), err)
					}
					_ = c.TrySendBytes([]byte{'X', 0, 0, 0, 4})
					c.Vanish()
				}
			})
		}
		all.Wait()
		expectPools(t, w)
	}
}

// What the server does not have, database or role, leaves no pool behind and is dialled no more, whatever min_pool_size says.
func TestPoolsOfWhatTheServerDoesNotHaveAreForgotten(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS passing", "CREATE ROLE passing LOGIN")
	w := start(t, d, "[pool]\nmin_pool_size = 1\n[timeouts]\nserver_login_retry = \"200ms\"\n")
	for i := range 5 {
		_, err := tryDial(t, w.Addr, "postgres", fmt.Sprint("no_such_", i))
		refused(t, err, "3D000")
		_, err = tryDial(t, w.Addr, fmt.Sprint("no_such_", i), d.Name)
		refused(t, err, "28000")
	}
	expectPools(t, w)
	c := dial(t, w.Addr, "passing", d.Name)
	c.Query("SELECT 1")
	c.Terminate()
	expectPools(t, w, d.Name+"/passing")
	d.Exec(t, "DROP ROLE passing")
	for pid := range backendsOf(d) {
		killBackend(t, d, pid)
	}
	expectPools(t, w)
}

// min_pool_size is kept for a database with a user of its own, and for others while there are clients.
func TestMinPoolSizeOutlivesClientsWhereTheDatabaseHasAUser(t *testing.T) {
	d, other := database(t), database(t)
	w := start(t, d, forgetful+fmt.Sprintf("[pool]\nmin_pool_size = 2\n[databases.%s]\nhost = \"127.0.0.1\"\nport = %d\nuser = \"postgres\"\n[databases.\"*\"]\nhost = \"127.0.0.1\"\nport = %d\n",
		d.Name, d.Server.Port(), d.Server.Port()))
	for _, db := range []*pgserver.Database{d, other} {
		enter(t, w, db).Terminate()
	}
	expectPools(t, w, d.Name+"/postgres")
	expectPool(t, w, "2 idle", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 2 })
}

// PostgreSQL refuses to drop, to rename and to copy a database while anybody is connected to it. weir's idle backends are not
// anybody, in whatever protocol a client asks, on whatever loop.
func TestDatabasesWithoutClientsCanBeDroppedRenamedAndCopied(t *testing.T) {
	d := database(t)
	w := start(t, d, "[loops]\ncount = 2\n")
	admin := enter(t, w, d)
	extended := func(sql string) error {
		admin.Send(&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		return admin.Answer().Err()
	}
	named := func(sql string) error {
		admin.Send(&pgproto3.Parse{Name: "ddl", Query: sql}, &pgproto3.Bind{PreparedStatement: "ddl"}, &pgproto3.Execute{},
			&pgproto3.Close{ObjectType: 'S', Name: "ddl"}, &pgproto3.Sync{})
		return admin.Answer().Err()
	}
	simple := func(sql string) error { return admin.Run(sql).Err() }
	for name, do := range map[string]func(string) error{"simple": simple, "extended": extended, "named": named} {
		t.Run(name, func(t *testing.T) {
			for _, sql := range []string{"/* nightly */ CREATE DATABASE pools_copy TEMPLATE pools_one", "ALTER DATABASE pools_one RENAME TO pools_two", "drop database pools_two"} {
				used := "pools_one"
				if strings.HasPrefix(sql, "drop") {
					used = "pools_two"
				} else if strings.HasPrefix(sql, "/*") {
					admin.Query("CREATE DATABASE pools_one")
				}
				c := dial(t, w.Addr, "postgres", used)
				c.Query("SELECT 1")
				c.Terminate()
				if err := do(sql); err != nil {
					t.Errorf("%s: %v", sql, err)
				}
			}
			admin.Query("DROP DATABASE IF EXISTS pools_copy")
			admin.Query("DROP DATABASE IF EXISTS pools_one")
		})
	}
	// Where a client is connected, PostgreSQL's answer stands.
	admin.Query("CREATE DATABASE pools_three")
	c := dial(t, w.Addr, "postgres", "pools_three")
	c.Query("SELECT 1")
	if e := refused(t, admin.Run("DROP DATABASE pools_three").Err(), "55006"); !strings.Contains(e.Message, "pools_three") {
		t.Errorf("told %v", e)
	}
	c.Query("SELECT 1")
	c.Terminate()
	admin.Query("DROP DATABASE pools_three")
}

// Nor are the sessions in which users are looked up, which are in the client's own database.
func TestDatabaseOfLookupsCanBeDropped(t *testing.T) {
	d := guarded(t)
	d.Exec(t, "CREATE DATABASE passing")
	w := start(t, d, asksForUsers)
	if got := logInAs(t, w, &pgserver.Database{Server: d.Server, Name: "passing"}, "app", "right"); got != "app" {
		t.Fatal(got)
	}
	c, err := pgconn.Connect(context.Background(), fmt.Sprintf("postgres://asker:ask@%s/%s?sslmode=disable", w.Addr, d.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := tryAsk(c, "DROP DATABASE passing"); err != nil {
		t.Error(err)
	}
}

// Load balancers connect, or log in, and hang up. That costs no pool, no dial and no line.
func TestHealthChecksOpenNoPool(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	startup := func(text string) []byte {
		p := binary.BigEndian.AppendUint32(nil, uint32(9+len(text)))
		p = binary.BigEndian.AppendUint32(p, 196608)
		return append(append(p, text...), 0)
	}
	lines := strings.Count(w.Log.String(), "\n")
	for name, check := range map[string]struct {
		say    []byte
		listen bool
	}{
		"connects":                    {nil, false},
		"half a packet":               {startup("user\x00check\x00")[:10], false},
		"logs in (HAProxy)":           {startup("user\x00check\x00"), true},
		"says goodbye":                {append(startup("user\x00check\x00"), 'X', 0, 0, 0, 4), true},
		"names a database":            {startup("user\x00check\x00database\x00nowhere\x00"), true},
		"names one that there is":     {startup("user\x00check\x00database\x00" + d.Name + "\x00"), true},
		"asks for TLS and that is it": {[]byte{0, 0, 0, 8, 4, 210, 22, 47}, true},
	} {
		for range 3 {
			nc := dialRaw(t, w.Addr)
			_, _ = nc.Write(check.say)
			if check.listen {
				_ = nc.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
					t.Errorf("%s: no answer: %v", name, err)
				}
			}
			_ = nc.Close()
		}
	}
	eventually(t, func() string {
		if n := w.Proxy.Snapshot().Logins.Now; n != 0 {
			return fmt.Sprintf("%d are logging in", n)
		}
		return ""
	})
	if names := poolNames(w); len(names) != 0 {
		t.Errorf("there are the pools %q", names)
	}
	if text := w.Log.String(); strings.Count(text, "\n") != lines {
		t.Errorf("the log says:\n%s", text)
	}
	if w.Proxy.Snapshot().Limits.Clients != 0 {
		t.Error("they are counted as clients")
	}
}

// Connections for replication are dialled within max_dials, whoever asks for them.
func TestReplicationIsDialledWithinMaxDials(t *testing.T) {
	d := database(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var held []net.Conn // those that weir has dialled, which a silent server keeps
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			held = append(held, nc)
			mu.Unlock()
		}
	})
	w := start(t, d, serverAt(l.Addr().String())+"[pool]\nmax_dials = 2\n")
	const clients = 7
	var asking sync.WaitGroup
	for i := range clients {
		asking.Go(func() {
			if _, err := tryDial(t, w.Addr, fmt.Sprint("user", i), fmt.Sprint("db", i), "replication", "database"); err == nil {
				t.Error("a login to a server that says nothing")
			}
		})
	}
	for served := 0; served < clients; {
		want := min(2, clients-served)
		eventually(t, func() string {
			mu.Lock()
			defer mu.Unlock()
			if len(held) < want {
				return fmt.Sprintf("%d of %d are dialled", served+len(held), clients)
			}
			return ""
		})
		mu.Lock()
		if len(held) > 2 {
			t.Errorf("%d are dialled at once", len(held))
		}
		served += len(held)
		for _, nc := range held {
			_ = nc.Close()
		}
		held = nil
		mu.Unlock()
	}
	asking.Wait()
	_ = l.Close()
	accepting.Wait()
}

// Names beyond 63 bytes are those that the server makes of them, so their tails make no pools, and evade no limit.
func TestLongNamesAreThoseOfTheServer(t *testing.T) {
	d := database(t)
	name := strings.Repeat("n", 63)
	ctx := context.Background()
	if err := d.Server.Exec(ctx, "postgres", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	w := start(t, d, "[limits]\nmax_db_client_connections = 2\n")
	for _, tail := range []string{"a", strings.Repeat("b", 9000)} {
		if got := dial(t, w.Addr, "postgres", name+tail).Query("SELECT current_database()"); got != name {
			t.Errorf("in %q", got)
		}
	}
	expectPools(t, w, name+"/postgres")
	_, err := tryDial(t, w.Addr, "postgres", name+"c")
	refused(t, err, "53300")
	w.Stop()
	if err := d.Server.Exec(ctx, "postgres", "DROP DATABASE "+name); err != nil {
		t.Fatal(err)
	}
}

// A second name for a database is no way past its limit.
func TestSecondNameIsNoWayPastMaxDBConnections(t *testing.T) {
	d := database(t)
	w := start(t, d, fmt.Sprintf("[limits]\nmax_db_connections = 1\n[timeouts]\nquery_wait_timeout = \"1s\"\n[databases.alias]\nhost = \"127.0.0.1\"\nport = %d\ndbname = %q\n[databases.\"*\"]\nhost = \"127.0.0.1\"\nport = %d\n",
		d.Server.Port(), d.Name, d.Server.Port()))
	c := enter(t, w, d)
	c.Query("BEGIN")
	_, err := tryDial(t, w.Addr, "postgres", "alias")
	if e := refused(t, err, "53300"); !strings.Contains(e.Hint, "max_db_connections (1, set in [limits])") {
		t.Errorf("the hint is %q", e.Hint)
	}
	c.Query("COMMIT")
	dial(t, w.Addr, "postgres", "alias").Query("SELECT 1")
	if n := totalBackends(w); n != 1 {
		t.Errorf("%d backends", n)
	}
}

// What a pool has counted stays in the metrics when another of the same names has taken its place, here of another mode.
func TestMetricsGoOnWithThePoolThatTakesAnothersPlace(t *testing.T) {
	d := database(t)
	mode := func(m string) string {
		return "[http]\naddress = \"127.0.0.1:0\"\n" + forgetful + "[pool]\nmode = \"" + m + "\"\n"
	}
	w := startReloadable(t, d, mode("transaction"))
	queries := regexp.MustCompile(`(?m)^weir_queries_total{database="` + d.Name + `",user="postgres"} (.*)$`)
	expect := func(when, want string) {
		t.Helper()
		if m := queries.FindStringSubmatch(scraped(t, w.weirUnderTest)); m == nil || m[1] != want {
			t.Errorf("%s: %q, want %s", when, m, want)
		}
	}
	former := enter(t, w.weirUnderTest, d)
	former.Query("SELECT 1")
	former.Query("SELECT 2")
	for i, m := range []string{"session", "transaction"} {
		w.reload(mode(m))
		next := enter(t, w.weirUnderTest, d)
		next.Query("SELECT 3")
		expect("beside each other", fmt.Sprint(3+i))
		former.Terminate()
		eventually(t, func() string {
			if n := len(w.Proxy.Snapshot().Pools); n != 1 {
				return fmt.Sprintf("there are %d pools", n)
			}
			return ""
		})
		expect("after the former", fmt.Sprint(3+i))
		former = next
	}
}

// Whatever bytes clients name, the metrics are served.
func TestNamesThatAreNoUTF8DoNotEndTheMetrics(t *testing.T) {
	d := database(t)
	w := start(t, d, "[http]\naddress = \"127.0.0.1:0\"\n")
	_, _ = tryDial(t, w.Addr, "postgres", d.Name, "application_name", "a\xff")
	c := enter(t, w, d)
	for _, class := range []string{"Q9", "QZ", "42"} {
		if err := c.Run("DO $$ BEGIN RAISE SQLSTATE '" + class + "000'; END $$").Err(); err == nil {
			t.Error("no error")
		}
	}
	for _, name := range []string{"\xff\xfe", "j\xf6rg", `a"b\c`, "line\nend", `\xff\xfe`} {
		_, _ = tryDial(t, w.Addr, name, d.Name)
		_, _ = tryDial(t, w.Addr, "postgres", name)
		_, _ = tryDial(t, w.Addr, "postgres", name, "replication", "database")
	}
	text := scraped(t, w)
	for _, want := range []string{`weir_logins_total{database="` + d.Name + `"`, `sqlstate="42000"`, `sqlstate="Q9000",user="postgres"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

// Pools follow a new configuration: what waits is served by it, what it does not have any more ends,
// and clients that come later find what it says.
func TestPoolsFollowANewConfiguration(t *testing.T) {
	d := database(t)
	w := start(t, d, forgetful+"[pool]\npool_size = 1\n")
	follow := func(toml string) {
		t.Helper()
		c, err := config.Parse("test.toml", []byte(complete(d, forgetful+toml+w.protected)), func(string) (string, bool) { return "", false })
		if err == nil {
			err = w.Proxy.Follow(c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a, b := enter(t, w, d), enter(t, w, d)
	a.Query("BEGIN")
	b.inBackground("SELECT 'served'")
	expectWaiting(t, w, 1)
	follow("[pool]\npool_size = 2\n")
	if got := b.Answer().First(); got != "served" {
		t.Errorf("got %q", got)
	}
	follow("[pool]\npool_size = 2\nmode = \"session\"\n")
	c := enter(t, w, d)
	c.Query("SET work_mem = '7MB'")
	eventually(t, func() string {
		modes := ""
		for _, p := range w.Proxy.Snapshot().Pools {
			modes += p.Mode + " "
		}
		if modes != "transaction session " && modes != "session transaction " {
			return "the modes are " + modes
		}
		return ""
	})
	a.Query("COMMIT")
	a.Query("SELECT 1")
	a.Terminate()
	b.Terminate()
	expectPool(t, w, "a pool in session mode", func(p status.Pool) bool { return p.Mode == "session" && clientCount(p) == 1 })
	follow("[databases.elsewhere]\nhost = \"127.0.0.1\"\n")
	if _, err := tryDial(t, w.Addr, "postgres", d.Name); !isCode(err, "3D000") {
		t.Errorf("a database that is not configured any more: %v", err)
	}
	c.expectLastError("57P01")
	expectPools(t, w)
}

func isCode(err error, code string) bool {
	e, ok := errors.AsType[*serverError](err)
	return ok && e.Code == code
}
