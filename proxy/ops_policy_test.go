package proxy_test

import (
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/config"
	"weir/proxy/status"
)

// refusedState is the error of a statement that session_state = "reject" does not let pass.
func refusedState(t *testing.T, c *wireClient, a answer, what string) {
	t.Helper()
	if len(a.Errs) != 1 || a.Errs[0].Code != "0A000" || a.Errs[0].Severity != "ERROR" || !strings.HasPrefix(a.Errs[0].Message, what+" is refused") {
		t.Fatalf("%s: %v, want the refusal of %s", c.name, a.Errs, what)
	}
}

var (
	bindIt    = &pgproto3.Bind{}
	executeIt = &pgproto3.Execute{}
	syncIt    = &pgproto3.Sync{}
)

// TestSessionStateIsRefused: with session_state = "reject" a statement that changes the session gets weir's error, in each form, and a
// transaction fails as one of the server's would. What ends with its transaction, and what takes changes back, goes on.
func TestSessionStateIsRefused(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nsession_state = \"reject\"\n")
	c, other := enter(t, w, d, "application_name", "careful"), enter(t, w, d)
	for sql, what := range map[string]string{
		"set work_mem = '5MB'": "SET", "/* x */ SET SESSION work_mem = 1024": "SET", "set time zone 'UTC'": "SET", "set role none": "SET",
		"select 1; set work_mem = 1024": "SET", "select set_config('work_mem', '5MB', false)": "set_config", "listen a": "LISTEN",
		"create temp table x (a int)": "a temporary object", "select 1 as a into temp y": "a temporary object",
		"select pg_advisory_lock(1)": "a session-level advisory lock", "declare c cursor with hold for select 1": "a cursor WITH HOLD",
		"prepare p as select 1": "PREPARE", "load 'plpgsql'": "LOAD", "select setseed(0.5)": "setseed",
	} {
		refusedState(t, c, c.Run(sql), what)
		c.Send(parse("", sql), bindIt, executeIt, syncIt)
		refusedState(t, c, c.Answer(), what)
		c.Send(parse("named", sql), syncIt)
		refusedState(t, c, c.Answer(), what)
		// A pipeline: what comes before and after its run is carried out, the rest of the run is not.
		c.Send(parse("", "select 'before'"), bindIt, executeIt, syncIt, parse("", sql), bindIt, executeIt, parse("", "select 1/0"), syncIt, &pgproto3.Query{String: sql},
			parse("", "select 'after'"), bindIt, executeIt, syncIt)
		if a := c.Answer(); a.First() != "before" || a.Err() != nil {
			t.Fatalf("before it: %+v", a)
		}
		refusedState(t, c, c.Answer(), what)
		refusedState(t, c, c.Answer(), what)
		if a := c.Answer(); a.First() != "after" || a.Err() != nil {
			t.Fatalf("after it: %+v", a)
		}
	}
	c.Query("begin")
	refusedState(t, c, c.Run("set work_mem = '5MB'"), "SET")
	if c.status != 'E' {
		t.Errorf("the transaction is %c after the refusal", c.status)
	}
	if a := c.Run("set work_mem = '5MB'"); a.Err() == nil || a.Errs[0].Code != "25P02" {
		t.Errorf("in a failed transaction: %v", a.Err())
	}
	c.Query("rollback")
	for _, sql := range []string{
		"begin; set local work_mem = '5MB'; commit", "begin isolation level serializable; set transaction read only; commit", "reset all", "discard all",
		"select set_config('work_mem', '5MB', true)", "select pg_advisory_unlock_all()", "unlisten *", "close all", "deallocate all",
		"do $$ begin perform 1; end $$", "select 'set work_mem = 1'", "select pg_try_advisory_xact_lock(1)",
	} {
		if a := c.Run(sql); a.Err() != nil {
			t.Errorf("%s: %v", sql, a.Err())
		}
	}
	c.Query("discard all")  // what DO may have done
	other.Query("select 1") // the pool's only backend is free
	if got := c.Query("show application_name"); got != "careful" {
		t.Errorf("application_name is %s", got)
	}
}

func TestUnsharedStatementsAreSessionState(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nsession_state = \"reject\"\nmax_prepared_statements = 0\n")
	c := enter(t, w, d)
	c.Send(parse("named", "select 1"), syncIt)
	refusedState(t, c, c.Answer(), "a named prepared statement")
	c.Send(parse("", "select 1"), bindIt, executeIt, syncIt)
	if a := c.Answer(); a.First() != "1" {
		t.Errorf("%+v", a)
	}
}

// A name that is longer than what is looked at is no way past the policy.
func TestStatementsWithLongNamesAreSessionState(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\nsession_state = \"reject\"\n")
	c := enter(t, w, d)
	for _, length := range []int{9000, 300_000} {
		c.Send(parse(strings.Repeat("n", length), "set work_mem = '5MB'"), syncIt)
		refusedState(t, c, c.Answer(), "a named prepared statement")
	}
}

// TestSessionStateIsIgnored: with session_state = "ignore" no state keeps a backend or follows, but for what clients are told of.
func TestSessionStateIsIgnored(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nsession_state = \"ignore\"\n")
	a, b := enter(t, w, d, "application_name", "a"), enter(t, w, d, "application_name", "b", "DateStyle", "SQL, DMY")
	a.Query("set work_mem = '5MB'")
	a.Query("set TimeZone = 'Asia/Tokyo'")
	a.Query("create temp table left_behind (x int)")
	a.Query("select pg_advisory_lock(77)")
	for what, want := range map[string]string{
		"show work_mem": "5MB", "select count(*) from left_behind": "0", "show application_name": "b", "show DateStyle": "SQL, DMY",
		"show TimeZone": b.params["TimeZone"],
	} {
		if got := b.Query(what); got != want {
			t.Errorf("the other client: %s is %s, want %s", what, got, want)
		}
	}
	if got := a.Query("show TimeZone"); got != "Asia/Tokyo" || a.params["TimeZone"] != got {
		t.Errorf("the client's own TimeZone is %s, and it was told %s", got, a.params["TimeZone"])
	}
	late := enter(t, w, d)
	if late.params["TimeZone"] == "Asia/Tokyo" {
		t.Errorf("a new client is greeted with another's TimeZone")
	}
	expectPool(t, w, "no backend is pinned", func(p status.Pool) bool { return unpinned(p) && len(p.Pins) == 0 })
}

// TestSessionModeHasNoPolicy: there a client's backend is its own.
func TestSessionModeHasNoPolicy(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\nmode = \"session\"\nsession_state = \"reject\"\nmax_pinned = 1\npin_idle_timeout = \"1s\"\n")
	a, b := enter(t, w, d), enter(t, w, d)
	for _, c := range []*wireClient{a, b} {
		c.Query("set work_mem = '5MB'")
		c.Query("create temp table t (x int)")
	}
	if got := a.Query("show work_mem"); got != "5MB" {
		t.Errorf("work_mem is %s", got)
	}
}

// TestPinsAreExplained: weir says which backends are kept, by what, since when and by which statement.
func TestPinsAreExplained(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE FUNCTION hides() RETURNS int LANGUAGE plpgsql AS $$ begin create temp table if not exists hidden (x int); return 1; end $$")
	w := start(t, d, "[pool]\npool_size = 2\nmax_pinned = 2\n")
	began := time.Now()
	a, b := enter(t, w, d, "application_name", "report"), enter(t, w, d)
	long := "create temp table basket (" + strings.Repeat("a", 60) + " int, item int, price numeric)"
	a.Query("select 1")
	a.Query("begin")
	a.Query(long)
	a.Query("declare c cursor with hold for select 1")
	a.Query("commit")
	b.Send(parse("", "select 1"), bindIt, executeIt, parse("", "select pg_advisory_lock(78)"), bindIt, executeIt, parse("", "select 2"), bindIt, executeIt, syncIt)
	if answer := b.Answer(); answer.Err() != nil {
		t.Fatal(answer.Err())
	}
	expectPool(t, w, "two pins", func(p status.Pool) bool { return p.Pinned == 2 && len(p.Pins) == 2 })
	p := w.Proxy.Snapshot().Pools[0]
	byPID := map[uint32]status.Pin{}
	for _, pin := range p.Pins {
		byPID[pin.Client] = pin
		if pin.Since.Before(began) || pin.Since.After(time.Now()) || pin.Backend == 0 || pin.Peer == "" {
			t.Errorf("%+v", pin)
		}
	}
	if pin := byPID[a.pid]; pin.Application != "report" || pin.Statement != long[:80] || strings.Join(pin.Reasons, ",") != "temporary object,held cursor" {
		t.Errorf("%+v", pin)
	}
	if pin := byPID[b.pid]; pin.Statement != "select pg_advisory_lock(78)" || strings.Join(pin.Reasons, ",") != "advisory lock" {
		t.Errorf("%+v", pin)
	}
	if p.PinnedBy["advisory lock"] != 1 || p.PinnedBy["held cursor"] != 1 {
		t.Errorf("%v", p.PinnedBy)
	}
	waiter := enter(t, w, d)
	w.hurry(t)
	refused := waiter.Run("select 1")
	kept := regexp.MustCompile(`session state keeps 2 of them, the longest: temporary object, held cursor for \d+s, by "create temp table basket`)
	if refused.Err() == nil || !kept.MatchString(refused.Errs[0].Detail) {
		t.Errorf("%+v", refused.Errs)
	}
	w.unhurry(t)
	b.Query("discard all")
	waiter.Query("select 1")
	expectPool(t, w, "one pin", func(p status.Pool) bool { return len(p.Pins) == 1 })
}

func TestPinnedBackendsAreBounded(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 3\nmax_pinned = 1\n")
	a, b := enter(t, w, d), enter(t, w, d)
	a.Query("create temp table kept (x int)")
	refused := b.Run("create temp table kept (x int)")
	kept := regexp.MustCompile(`Longest kept: temporary object for \d+s, by "create temp table kept`)
	if refused.Err() == nil || refused.Errs[0].Code != "53400" || !kept.MatchString(refused.Errs[0].Detail) {
		t.Fatalf("%+v", refused.Errs)
	}
	b.Send(parse("", "select pg_advisory_lock(79)"), bindIt, executeIt, syncIt)
	if refused = b.Answer(); refused.Err() == nil || refused.Errs[0].Code != "53400" {
		t.Fatalf("%+v", refused.Errs)
	}
	b.Query("set work_mem = '5MB'") // follows
	if got := b.Query("show work_mem"); got != "5MB" {
		t.Errorf("work_mem is %s", got)
	}
	a.Query("create temp table more (x int)") // its backend is pinned already
	a.Query("discard all")
	gets := func(c *wireClient, table string) {
		t.Helper()
		eventually(t, func() string { // the other's backend may have to be reset first, or be on another loop
			if err := c.Run("create temp table " + table + " (x int)").Err(); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	gets(b, "kept")
	b.Terminate()
	gets(a, "again")
}

// TestIdlePinsEnd: a client that is idle while its session keeps a backend is ended; one in a transaction, or without a pin, is not.
func TestIdlePinsEnd(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 3\npin_idle_timeout = \"1ms\"\n")
	idle, busy, free := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	free.Query("set work_mem = '5MB'")
	busy.Query("begin")
	busy.Query("create temp table t (x int)")
	idle.Query("create temp table t (x int)")
	last := idle.ExpectClosed()
	if last == nil || last.Code != "57P05" || last.Severity != "FATAL" || !strings.Contains(last.Detail, `temporary object for`) || !strings.Contains(last.Detail, `by "create temp table t`) {
		t.Fatalf("%+v", last)
	}
	eventuallyLogged(t, w, "client ended: pin_idle_timeout", "create temp table t", "temporary object")
	busy.Query("rollback")
	busy.Query("select 1")
	if got := free.Query("show work_mem"); got != "5MB" {
		t.Errorf("work_mem is %s", got)
	}
}

// TestNamedFunctions: what the operator says of functions counts as if their texts showed it.
func TestNamedFunctions(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE SCHEMA app", "CREATE FUNCTION app.hides() RETURNS int LANGUAGE plpgsql AS 'begin execute ''create temp table made (x int)''; return 1; end'", "CREATE PROCEDURE app.cleans() LANGUAGE sql AS 'SELECT 1'")
	w := start(t, d, "[pool]\npool_size = 2\nsession_audit = \"off\"\n[session]\nopaque_functions = [\"app.hides\"]\nclean_functions = [\"app.cleans\"]\n")
	c := enter(t, w, d)
	c.Query("call app.cleans()")
	c.Query("select hides from (select 1 as hides) x")
	expectPool(t, w, "no pin", unpinned)
	c.Query(`select "app" . Hides ()`)
	expectPool(t, w, "a pin", func(p status.Pool) bool { return p.Pinned == 1 })
}

// TestWhatIsAskedAfterEachTime: what may run any text is, unless the operator says that it leaves nothing, also what calls it and writes into the
// table of its trigger. What reads that table is not, nor is what runs a text of which the function shows how it begins.
func TestWhatIsAskedAfterEachTime(t *testing.T) {
	d := database(t)
	d.Exec(t, "create function runs(sql text) returns text language plpgsql as 'begin execute sql; return sql; end'",
		"create function calls(sql text) returns text language sql as 'select public.runs(sql)'",
		"create function audits() returns trigger language plpgsql as 'begin execute tg_argv[0]; return new; end'",
		"create table audited (a int)", "create trigger t before insert on audited for each row execute function audits('select 1')",
		`create function logs() returns trigger language plpgsql as $$declare q text; begin
			q := format('insert into %I ', tg_argv[0]); q := q || 'values ($1)'; execute q using new.a; return new; end$$`,
		"create function makes() returns int language plpgsql as $$begin execute 'create table if not exists log ()'; return 1; end$$",
		"create table log (a int)", "create table logged (a int)", "create trigger t before insert on logged for each row execute function logs('log')")
	for _, c := range []struct {
		sql, clean string
		asks       bool
	}{
		{"select runs('select 1')", "", true},
		{"select runs('select 1')", `"runs"`, false},
		{"select calls('select 1')", "", true},
		{"select calls('select 1')", `"public.runs"`, false},
		{"insert into audited values (1)", "", true},
		{"insert into audited values (1)", `"audits"`, false},
		{"select count(*) from audited", "", false},
		{"insert into logged values (1)", "", false},
		{"select makes()", "", false},
	} {
		t.Run(c.sql+" ["+c.clean+"]", func(t *testing.T) {
			w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"learn\"\n[session]\nclean_functions = ["+c.clean+"]\n")
			client := enter(t, w, d)
			questions := func() (n uint64) {
				for range 10 {
					client.Query(c.sql)
				}
				client.Query("select 1")
				for _, p := range w.Proxy.Snapshot().Pools {
					n += p.Questions.Asked
				}
				return n
			}
			questions()
			before := questions()
			if got := questions() - before; (got >= 10) != c.asks {
				t.Errorf("ten more runs were asked after %d times", got)
			}
		})
	}
}

// TestBackendsBeginAsConfigured: settings of a database and of a user hold from the login on, also after a RESET, and a connect_query has
// been run on each backend.
func TestBackendsBeginAsConfigured(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE ROLE greta LOGIN")
	t.Cleanup(func() { d.Exec(t, "DROP OWNED BY greta", "DROP ROLE greta") })
	toml := func(workMem int) string {
		return "[pool]\npool_size = 2\nconnect_query = \"select set_config('app.made', '42', false); set TimeZone = 'Asia/Tokyo'\"\n" +
			serverAt(net.JoinHostPort("127.0.0.1", strconv.Itoa(d.Server.Port()))) + "[databases.\"*\".settings]\nstatement_timeout = \"31s\"\nwork_mem = " +
			strconv.Itoa(workMem) + "\n\"app.tenant\" = \"none\"\n[users.greta.settings]\nwork_mem = \"8MB\"\n"
	}
	w := start(t, d, toml(7777))
	c := enter(t, w, d)
	if c.params["TimeZone"] != "Asia/Tokyo" {
		t.Errorf("the client is told TimeZone %s", c.params["TimeZone"])
	}
	if got := c.Query("show app.made"); got != "42" {
		t.Errorf("the connect_query has made %s", got)
	}
	c.Query("set statement_timeout = '5s'; set work_mem = '1MB'")
	c.Query("reset all")
	for what, want := range map[string]string{
		"show statement_timeout": "31s", "show work_mem": "7777kB", "show app.tenant": "none",
	} {
		if got := c.Query(what); got != want {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	if got := ask(t, connectAs(t, w, d, "greta"), "select current_setting('work_mem'), current_setting('statement_timeout')"); got != "8MB|31s" {
		t.Errorf("the user has %s", got)
	}
	own := enter(t, w, d, "statement_timeout", "32s")
	if got := own.Query("show statement_timeout"); got != "32s" {
		t.Errorf("what the client asked for does not count: %s", got)
	}
	again, err := config.Parse("test.toml", []byte(complete(d, toml(8888)+w.protected)), func(string) (string, bool) { return "", false })
	if err == nil {
		err = w.Proxy.Follow(again)
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return differ(enter(t, w, d).Query("show work_mem"), "8888kB") })
}

// What a connect_query sets at its beginning is every client's, on a backend that they share, whatever they reset, in each mode.
func TestWhatAConnectQuerySetsIsEveryClients(t *testing.T) {
	d := database(t)
	for _, mode := range []string{"transaction", "session"} {
		w := start(t, d, "[pool]\nmode = \""+mode+"\"\npool_size = 1\nconnect_query = \"set app.made = '42'; SET search_path = pg_catalog; select 1\"\n")
		for range 2 {
			c := enter(t, w, d)
			for _, first := range []string{"select 1", "reset all", "set app.made = 'mine'; set search_path = public", "discard all"} {
				c.Run(first)
				want := "42|pg_catalog"
				if strings.HasPrefix(first, "set") {
					want = "mine|public"
				}
				if got := c.Query("select concat_ws('|', current_setting('app.made'), current_setting('search_path'))"); got != want {
					t.Errorf("%s: after %s: %s, want %s", mode, first, got, want)
				}
			}
			c.Run("set app.made = 'mine'")
			c.Terminate()
		}
		w.Stop()
	}
}

// A role that the connect_query takes on is every client's: to be the user of the login would be more than the operator wanted.
func TestRoleOfAConnectQueryIsEveryClients(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS humble", "CREATE ROLE humble")
	for _, mode := range []string{"transaction", "session"} {
		w := start(t, d, "[pool]\nmode = \""+mode+"\"\npool_size = 1\nconnect_query = \"SET ROLE humble\"\n")
		for range 2 {
			c := enter(t, w, d)
			for _, first := range []string{"select 1", "reset role", "discard all", "set role humble"} {
				c.Run(first)
				if got := c.Query("select current_user"); got != "humble" || c.params["is_superuser"] != "off" {
					t.Errorf("%s: after %s the client is %s, and told is_superuser %s", mode, first, got, c.params["is_superuser"])
				}
			}
			c.Terminate()
		}
		w.Stop()
	}
	d.Exec(t, "DROP ROLE humble")
}

func TestFailedConnectQueryIsAFailedDial(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\nconnect_query = \"select * from nowhere_at_all\"\n")
	_, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name)
	if err == nil || !strings.Contains(err.Error(), "connect_query failed on a new backend") {
		t.Fatalf("the client is told: %v", err)
	}
	eventuallyLogged(t, w, "no backend: dial failed", "connect_query failed", "nowhere_at_all")
}
