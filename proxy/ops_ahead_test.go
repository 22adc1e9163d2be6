package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// Settings that go ahead of a client's first batch, in the same write (see conversation/ahead.go), show in nothing: two clients, each with
// settings of its own and one backend between them, hear at each step what they would hear directly.
func TestSettingsThatGoAheadShowInNothing(t *testing.T) {
	d := database(t)
	for _, schema := range []string{"a", "b"} {
		d.Exec(t, "CREATE SCHEMA "+schema, fmt.Sprintf("CREATE TABLE %s.t AS SELECT '%s' AS v", schema, schema))
	}
	d.Exec(t, "CREATE TABLE u (v int UNIQUE DEFERRABLE INITIALLY DEFERRED)", "CREATE FUNCTION public.sets() RETURNS text LANGUAGE sql AS $$SELECT set_config('search_path', 'pg_catalog, public', false)$$")
	w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"learn\"")
	type pair struct{ through, directly *wireClient }
	var pairs []pair
	for _, params := range [][]string{
		{"search_path", "a, public", "TimeZone", "Asia/Tokyo", "app.tenant", "1", "application_name", "first"},
		{"search_path", "b,public", "work_mem", "8192", "DateStyle", "German", "app.tenant", "2", "statement_timeout", "60000"},
		{"search_path", `"A b", a, public`, "statement_timeout", "60000"},
		{"temp_buffers", "1MB"},
		{},
	} {
		pairs = append(pairs, pair{enter(t, w, d, params...), enterDirectly(t, d, params...)})
	}
	const shows = "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('work_mem'), coalesce(current_setting('app.tenant', true), ''), " +
		"current_setting('DateStyle'), current_setting('application_name') = '', '2020-12-31'::date::text, count(*) FROM pg_class WHERE relname = 't' AND pg_table_is_visible(oid)"
	one := func(s step) []step { return []step{s} }
	groups := [][]step{
		one(queries(shows)), one(queries("SELECT v FROM t")), one(parsesAndRuns(t, "", "SELECT v, $$"+shows[:6]+"$$ FROM t")),
		one(parsesAndRuns(t, "s", "SELECT v FROM t -- shared")), one(runs(t, "s")), one(synced(t, &pgproto3.Describe{ObjectType: 'S', Name: "s"})),
		one(runs(t, "nothing")), one(runs(t, "")), one(queries("SELECT 1/0")), one(queries(shows)),
		one(synced(t, parse("", "SELECT 1/0"), &pgproto3.Bind{}, &pgproto3.Execute{})), one(runs(t, "s")),
		one(queries("SELEC")), one(queries("")), one(queries("SELECT v FROM t; SELECT 1")), one(queries("  (SELECT v FROM t);")),
		one(queries("SELECT 1/0", "SELECT v FROM t")), one(inOneWrite(queries("SELECT 1/0"), runs(t, "s"), queries("SELECT v FROM t"))),
		one(inOneWrite(runs(t, "nothing"), queries("SELECT v FROM t"))),
		one(queries("INSERT INTO public.u VALUES (1), (1)")), one(parsesAndRuns(t, "", "INSERT INTO public.u VALUES (2), (2)")),
		one(queries("INSERT INTO public.u SELECT 3 WHERE false")), one(queries(shows)), one(queries("VACUUM public.u")),
		{queries("BEGIN ISOLATION LEVEL SERIALIZABLE"), queries("SELECT v FROM t"), queries("ROLLBACK")},
		one(queries("SELECT v FROM t")),
		one(queries("BEGIN", "SELECT 1/0", "ROLLBACK AND CHAIN", "SELECT v FROM t", "COMMIT")),
		{synced(t, parse("", "BEGIN"), &pgproto3.Bind{}, &pgproto3.Execute{}), queries("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), queries("COMMIT")},
		{synced(t, parse("", "SELECT 1"), &pgproto3.Bind{}, &pgproto3.Execute{}, parse("", "BEGIN"), &pgproto3.Bind{}, &pgproto3.Execute{}), queries("ROLLBACK")},
		one(queries(shows)), one(queries("LOCK TABLE t")), one(queries("SAVEPOINT x")), one(queries("COPY t TO STDOUT")),
		one(queries("SELECT set_config('app.tenant', '3', false)")), one(queries(shows)), one(queries("SET work_mem = '3MB'")), one(queries(shows)),
		one(queries("RESET work_mem")), one(queries("SELECT public.sets()")), one(queries(shows)), one(runs(t, "s")),
		one(queries("SELECT v FROM a.t FOR UPDATE")), one(queries("TABLE t")), one(queries("WITH x AS (INSERT INTO public.u SELECT 4 WHERE false RETURNING v) SELECT * FROM x")),
		one(queries("VALUES (1)")), one(queries("RESET ALL")), one(queries(shows)), one(queries("CREATE TEMP TABLE x ()", "DISCARD ALL")), one(queries(shows)),
	}
	for i, steps := range groups {
		for n, p := range pairs {
			for _, s := range steps {
				got, want := p.through.take(s), p.directly.take(s)
				if !slices.Equal(got, want) {
					t.Errorf("client %d, group %d, %.200q:\n%s\ndirectly\n%s", n+1, i+1, s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		}
	}
}

// A statement whose settings go ahead finds its transaction begun: that is how the test knows that they do.
func TestSettingsGoAheadOfReadingAndWriting(t *testing.T) {
	d := database(t)
	if ask(t, direct(t, d), "SELECT current_setting('server_version_num')::int >= 170000") == "t" {
		t.Skip("before a Query, which is what can tell, PostgreSQL 17 is sent them alone: it takes none behind an Execute")
	}
	d.Exec(t, "CREATE TABLE t (v bool)")
	w := start(t, d, "[pool]\npool_size = 1")
	a, b := enter(t, w, d, "search_path", "a, public"), enter(t, w, d, "search_path", "b, public")
	for range 2 { // how the server spells the settings is learnt first
		a.Query("SELECT 1")
		b.Query("SELECT 1")
	}
	const ahead = "SELECT now() < statement_timestamp()"
	for _, c := range []*wireClient{a, b, a, b} {
		if got := c.Query(ahead); got != "t" {
			t.Errorf("the settings were sent alone")
		}
	}
	if got := b.Query(ahead); got != "f" {
		t.Errorf("settings were sent to a backend that was in them")
	}
	if a.Run("SELECT 1/0").Err() == nil || a.Query(ahead) != "t" {
		t.Errorf("a statement that fails does not leave the backend in the settings that went ahead of it")
	}
	if b.Query("INSERT INTO t VALUES (now() < statement_timestamp()) RETURNING v") != "t" {
		t.Errorf("the settings were sent ahead of no INSERT")
	}
}
