package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// What a text means may depend on a setting that held when it was prepared.
func TestStatementPreparedUnderLocalSettingsIsNotShared(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE SCHEMA s", "CREATE TABLE book AS SELECT 'public' AS v", "CREATE TABLE s.book AS SELECT 's' AS v")
	w := start(t, d, "[pool]\npool_size = 1")
	const instant = "SELECT extract(epoch FROM '2020-01-01 00:00'::timestamptz)::int8"
	for name, c := range map[string]struct{ local, sql string }{
		"TimeZone":           {"SET LOCAL timezone = 'America/New_York'", instant},
		"DateStyle":          {"SET LOCAL datestyle = 'SQL, DMY'", "SELECT '01/02/2020'::date - '2020-01-01'::date"},
		"IntervalStyle":      {"SET LOCAL intervalstyle = 'sql_standard'", "SELECT extract(epoch FROM '-1 10:00'::interval)::int"},
		"search_path":        {"SET LOCAL search_path = s", "SELECT v FROM book"},
		"set_config":         {"SELECT set_config('search_path', 's', true)", "SELECT v || '' FROM book"},
		"hidden set_config":  {"DO $$BEGIN PERFORM set_config('TimeZone', 'Asia/Tokyo', true); END$$", instant + " + 1"},
		"transform_null":     {"SET LOCAL transform_null_equals = on", "SELECT (NULL::int = NULL) IS NULL"},
		"of a subtraction":   {"SAVEPOINT a; SET LOCAL timezone = 'Asia/Tokyo'; RELEASE a", instant + " + 2"},
		"conforming strings": {"SET LOCAL standard_conforming_strings = off", `SELECT length('a\\b')`},
	} {
		t.Run(name, func(t *testing.T) {
			first := enter(t, w, d)
			for _, s := range []step{queries("BEGIN", c.local), synced(t, parse("p", c.sql)), runs(t, "p")} {
				first.first(s)
			}
			first.Query("COMMIT")
			first.Terminate()
			other, directly := enter(t, w, d), enterDirectly(t, d)
			got, want := other.first(parsesAndRuns(t, "p", c.sql)), directly.first(parsesAndRuns(t, "p", c.sql))
			if got != want {
				t.Errorf("another client's %s gives %s, want %s", c.sql, got, want)
			}
			other.Terminate()
		})
	}
}

// Settings of the past, however many there were, are never taken for those of a client of today.
func TestScopesAreNeverReused(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nmax_prepared_statements = 1000")
	const sql = "SELECT '2020-01-01 00:00'::timestamptz AT TIME ZONE 'UTC'"
	c := enter(t, w, d, "TimeZone", "UTC")
	c.first(parsesAndRuns(t, "q", sql))
	c.Terminate()
	const many = 300
	for i := range many {
		c := enter(t, w, d, "application_name", fmt.Sprint("early ", i), "search_path", fmt.Sprint("s", i))
		c.Query("SELECT 1")
		c.Terminate()
	}
	for i := range many {
		c := enter(t, w, d, "TimeZone", "America/New_York", "search_path", fmt.Sprint("late", i))
		if got := c.first(parsesAndRuns(t, "q", sql)); got != "2020-01-01 05:00:00" {
			t.Fatalf("client %d got %s, as prepared in UTC", i, got)
		}
		c.Terminate()
	}
}

// The names that weir gives to statements on a backend are not names of its clients.
func TestDeallocateByAnothersNameEndsNothing(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for _, sql := range []string{
		"DEALLOCATE %s", "/* its own */ DEALLOCATE PREPARE \"%s\" -- or so it thinks", "DEALLOCATE ALL", "BEGIN; DEALLOCATE ALL; ROLLBACK",
		"DO $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$", "EXECUTE %s", "EXPLAIN EXECUTE %s",
	} {
		owner, third, odd := enter(t, w, d), enter(t, w, d), enter(t, w, d)
		owner.first(synced(t, parse("s", "SELECT 'mine'")))
		name := odd.Query("SELECT name FROM pg_prepared_statements WHERE statement = 'SELECT ''mine'''")
		if name == "" {
			t.Fatal("it is not on the backend")
		}
		if strings.Contains(sql, "%s") {
			sql = fmt.Sprintf(sql, name)
			refused(t, odd.Run(sql).Err(), "26000")
		} else {
			odd.Query(sql)
		}
		odd.Terminate()
		for who, got := range map[string]string{"the owner": owner.first(runs(t, "s")), "a third": third.first(parsesAndRuns(t, "t", "SELECT 'mine'"))} {
			if got != "mine" {
				t.Errorf("after %s %s got %q", sql, who, got)
			}
		}
		owner.Terminate()
	}
}

// A function can end all statements of its session unseen. That costs one request at most, and the backend is mended.
func TestStatementsThatAFunctionEndsAreSoonThereAgain(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE FUNCTION deallocates() RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$")
	w := start(t, d, "[pool]\npool_size = 1")
	owners, odd := enterMany(t, w, d, 3), enter(t, w, d)
	for i, c := range owners {
		c.first(synced(t, parse("s", fmt.Sprint("SELECT ", i)), parse("t", "SELECT 'of all'")))
	}
	odd.Query("SELECT deallocates()")
	failures := 0
	for range 2 {
		for i, c := range owners {
			for name, want := range map[string]string{"s": fmt.Sprint(i), "t": "of all"} {
				c.SendBytes(runs(t, name).send)
				switch a := c.Answer(); {
				case a.Err() != nil:
					refused(t, a.Err(), "26000")
					failures++
				case a.First() != want:
					t.Errorf("client %d: %s gives %q", i, name, a.First())
				}
			}
		}
	}
	if failures > 1 {
		t.Errorf("%d requests failed", failures)
	}
}

// SQL knows the statements that Parse has prepared, and the other way round, wherever the client's transaction finds itself.
func TestExecuteByNameOfWhatParsePrepared(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	prepares := synced(t, parse("s", "SELECT $1::int + 1"))
	holds, lets := enter(t, w, d), enter(t, w, d)
	for name, steps := range map[string][]step{
		"EXECUTE":                   {prepares, queries("EXECUTE s(1)")},
		"in the same write":         {inOneWrite(prepares, queries("EXECUTE s(1)"))},
		"with comments":             {prepares, queries("/* EXECUTE t */ EXECUTE -- of all\n s /* it is */ (1)")},
		"quoted":                    {synced(t, parse("Ä s", "SELECT 7")), queries(`EXECUTE "Ä s"`)},
		"folded":                    {prepares, queries("execute S(1)")},
		"EXPLAIN":                   {prepares, queries("EXPLAIN (COSTS off) EXECUTE s(1)")},
		"CREATE TABLE AS":           {prepares, queries("BEGIN; CREATE TEMP TABLE got AS EXECUTE s(2); SELECT * FROM got; ROLLBACK")},
		"several":                   {prepares, queries("EXECUTE s(1); EXECUTE s(2)")},
		"in a transaction":          {prepares, queries("BEGIN", "EXECUTE s(1)", "COMMIT")},
		"by Parse":                  {prepares, parsesAndRuns(t, "", "EXECUTE s(3)")},
		"PREPARE, then Bind":        {queries("PREPARE p AS SELECT $1::int + 2"), runs(t, "p", "4"), runs(t, "p", "5")},
		"PREPARE, EXECUTE by Parse": {queries("PREPARE p AS SELECT $1::int + 2"), parsesAndRuns(t, "", "EXECUTE p(3)")},
		"DEALLOCATE":                {prepares, runs(t, "s", "1"), queries("DEALLOCATE s"), runs(t, "s", "1"), queries("EXECUTE s(1)")},
		"DEALLOCATE of PREPARE":     {queries("PREPARE p AS SELECT $1::int + 2"), queries("DEALLOCATE p"), runs(t, "p", "1")},
		"no such name":              {prepares, queries("EXECUTE t(1)", "EXECUTE s(4)")},
		"what fails":                {synced(t, parse("f", "SELECT 1 / $1::int")), queries("EXECUTE f(0)", "EXECUTE f(1)")},
		"in a failed transaction":   {prepares, queries("BEGIN", "SELECT 1/0", "EXECUTE s(1)", "ROLLBACK"), queries("EXECUTE s(1)")},
	} {
		t.Run(name, func(t *testing.T) { expectAsDirectly(t, w, d, steps...) })
	}
	t.Run("on another backend", func(t *testing.T) {
		c := enter(t, w, d)
		c.Query("BEGIN")
		lets.Query("BEGIN")
		was := c.Query(pidQuery)
		c.first(synced(t, parse("s", "SELECT $1::int + 40")))
		c.Query("COMMIT")
		holds.Query("BEGIN")
		if lets.Query("COMMIT"); holds.Query(pidQuery) != was {
			t.Fatal("the backend is free")
		}
		if got := c.Query("EXECUTE s(2)"); got != "42" {
			t.Errorf("got %s", got)
		}
		if is := c.Query(pidQuery); is == was {
			t.Error("on the same backend")
		}
		holds.Query("COMMIT")
	})
}

// A statement that is prepared again for its client must not be refused where its text would not be.
func TestRollbackWithCommentsIsTakenByAFailedTransaction(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for _, text := range []string{
		"ROLLBACK", "/* app */ ROLLBACK", "-- app\nROLLBACK", "ROLLBACK;--x", " ;ROLLBACK", "/*/* in */ out */ ROLLBACK WORK /* so */;",
		"ABORT", "rollback to savepoint a", "/* a */ COMMIT", "END -- it", "SELECT 1 -- ROLLBACK", "/* ROLLBACK */ SELECT 1",
	} {
		t.Run(text, func(t *testing.T) {
			other := enter(t, w, d)
			other.take(synced(t, parse("r", text)))
			expectAsDirectly(t, w, d, queries("BEGIN; SAVEPOINT a"), queries("SELECT 1/0"), parsesAndRuns(t, "r", text), runs(t, "r"), queries("ROLLBACK"))
			other.Terminate()
		})
	}
}

// The unnamed statement lives until the next Parse of it, or the next Query, on whichever backend its client is.
func TestUnnamedStatementOutlivesItsBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c, other := enter(t, w, d), enter(t, w, d)
	heard := strings.Join(c.take(synced(t, parse("", "SELECT $1::int + 1"), &pgproto3.Describe{ObjectType: 'S'})), " ")
	if !strings.Contains(heard, "ParameterDescription") {
		t.Fatal(heard)
	}
	for i := range 3 {
		pid := other.Query(pidQuery) // c holds no backend
		other.first(parsesAndRuns(t, "", "SELECT 'the other'"))
		killBackend(t, d, pid)
		if got := c.first(runs(t, "", fmt.Sprint(i))); got != fmt.Sprint(i+1) {
			t.Errorf("use %d gives %q", i, got)
		}
	}
	c.first(parsesAndRuns(t, "named", "BEGIN"))
	if got := c.first(runs(t, "", "6")); got != "7" {
		t.Errorf("in a transaction: %q", got)
	}
	c.first(synced(t, parse("end", "COMMIT"), &pgproto3.Bind{PreparedStatement: "end"}, &pgproto3.Execute{}))
	other.Query("SELECT 1")
	if got := c.first(runs(t, "", "7")); got != "8" {
		t.Errorf("after a transaction: %q", got)
	}
	c.Query("SELECT 1") // ends it
	c.SendBytes(runs(t, "", "8").send)
	refused(t, c.Answer().Err(), "26000")
}

// An application_name does not change what a text means: it costs neither a wait at login nor the sharing of statements.
func TestNewApplicationNameNeedsNoBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	holder := enter(t, w, d)
	holder.first(parsesAndRuns(t, "p", "SELECT 'shared'"))
	holder.Query("BEGIN")
	var all []*wireClient
	for i := range 5 {
		name := fmt.Sprint("job ", i)
		c := enter(t, w, d, "application_name", name) // while the only backend is taken
		if c.params["application_name"] != name {
			t.Errorf("told that it is %q", c.params["application_name"])
		}
		all = append(all, c)
	}
	holder.Query("COMMIT")
	for _, c := range slices.Concat(all, all[:2]) {
		if c.first(synced(t, parse("", "SELECT current_setting('application_name')"), &pgproto3.Bind{}, &pgproto3.Execute{})) != c.params["application_name"] {
			t.Error("it has another name")
		}
	}
	for _, c := range all {
		c.first(parsesAndRuns(t, "p", "SELECT 'shared'"))
	}
	expectPool(t, w, "five Parses saved", func(p status.Pool) bool { return p.Prepared.Saved >= 5 && p.Prepared.Passed == 1 })
}

// TestSettingThatTheServerHasTakenAwayHarmsNoOtherClient: a library that is loaded takes away the settings under its name that it does not
// know, and then the server refuses to reset them. The client that comes next has never heard of them.
func TestSettingThatTheServerHasTakenAwayHarmsNoOtherClient(t *testing.T) {
	d := database(t)
	d.Exec(t, "create function loads() returns int language plpgsql as 'begin return 1; end'")
	w := start(t, d, "[pool]\npool_size = 1\n")
	first := enter(t, w, d)
	for range 8 { // until nothing is asked after it any more
		first.Query("select loads()")
	}
	killBackend(t, d, first.Query("select pg_backend_pid()"))
	expectPool(t, w, "without backends", func(p status.Pool) bool { return backendCount(p) == 0 })
	first.Query("set plpgsql.gone = 'x'")
	first.Query("select loads()")
	next := enter(t, w, d, "application_name", "next")
	if got := next.Query("show application_name"); got != "next" {
		t.Errorf("the next client is called %q", got)
	}
}
