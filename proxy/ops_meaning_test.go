package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// TestTextsMeanWhatTheyMeanNow: what a text refers to may be another object once one has been made, or once one that was made has been rolled
// back. A client that prepares the text then is answered as on a connection of its own, although others have prepared it before.
func TestTextsMeanWhatTheyMeanNow(t *testing.T) {
	const (
		sight = "SELECT v FROM t"
		fills = "INSERT INTO made VALUES ($1) RETURNING v::text"
		makes = "CREATE TYPE kind AS ENUM ('a', 'b'); CREATE TABLE made (v kind)"
		ends  = "DROP TABLE made; DROP TYPE kind"
	)
	for name, script := range map[string][]string{ // who: what it queries; or who = what it prepares, and a value
		"a table in an earlier schema":  {"a = " + sight, "a: CREATE TABLE early.t (v text)", "b = " + sight},
		"one of another pool's":         {"a = " + sight, "owner: CREATE TABLE early.t (v text)", "b = " + sight},
		"one that is filled":            {"a = " + sight, "a: BEGIN; CREATE TABLE early.t (v text); INSERT INTO early.t VALUES ('early'); COMMIT", "b = " + sight},
		"one that DO makes":             {"a = " + sight, "a: DO $$BEGIN CREATE TABLE early.t AS SELECT 'early' AS v; END$$", "b = " + sight},
		"one that a query fills":        {"a = " + sight, "a: CREATE TABLE early.t AS SELECT 'early' AS v", "b = " + sight},
		"the same, prepared":            {"a = " + sight, "owner = CREATE TABLE early.t AS SELECT 'early' AS v", "b = " + sight},
		"the same, explained":           {"a = " + sight, "a: EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) CREATE TABLE early.t AS SELECT 'early' AS v", "b = " + sight},
		"one that SELECT INTO makes":    {"a = " + sight, "owner: WITH x AS (SELECT 'early' AS v) SELECT v INTO early.t FROM x", "b = " + sight},
		"the same, rolled back":         {"a: BEGIN; SELECT 'early' AS v INTO early.t", "a = " + sight, "a: ROLLBACK", "a = " + sight, "b = " + sight},
		"one beside a temporary one":    {"a = " + sight, "a: BEGIN; CREATE TEMP TABLE x ON COMMIT DROP AS SELECT 'early' AS v; SELECT * INTO early.t FROM x; COMMIT", "b = " + sight},
		"the same, empty":               {"a = " + sight, "a: BEGIN; CREATE TEMP TABLE x () ON COMMIT DROP; CREATE TABLE early.t (v text); COMMIT", "b = " + sight},
		"a materialized view":           {"a = " + sight, "a: CREATE MATERIALIZED VIEW early.t AS SELECT 'early' AS v", "b = " + sight},
		"a view":                        {"a = " + sight, "owner: CREATE VIEW early.t AS SELECT 'view' AS v", "b = " + sight},
		"a function that fits better":   {"a = SELECT f(1)", "a: CREATE FUNCTION f(int) RETURNS text LANGUAGE sql AS $$SELECT 'int'$$", "b = SELECT f(1)"},
		"one of another pool's, better": {"a = SELECT f(1)", "owner: CREATE FUNCTION f(int) RETURNS text LANGUAGE sql AS $$SELECT 'int'$$", "b = SELECT f(1)"},
		"a table made anew": {
			"owner: CREATE TABLE made (v int)", "a = " + fills + " 1", "owner: DROP TABLE made; CREATE TABLE made (v text)", "b = " + fills + " word",
		},
		"a type rolled back": {"a: BEGIN; " + makes, "a = " + fills + " a", "a: ROLLBACK", "a: " + makes, "b = " + fills + " b"},
		"to a savepoint": {
			"a: BEGIN; SAVEPOINT s; " + makes, "a = " + fills + " a", "a: ROLLBACK TO s; " + makes, "a = " + fills + " b", "a: COMMIT", "b = " + fills + " a",
		},
		"made twice in a transaction that its client leaves": {
			"a: BEGIN; " + makes, "a = " + fills + " a", "a: " + ends + "; " + makes, "a = " + fills + " b", "a leaves", "b: " + makes, "b = " + fills + " b",
		},
		"a temporary table, and another": {
			"a: BEGIN; CREATE TEMP TABLE other (v text)", "a = " + sight, "a: CREATE TEMP TABLE t (v text)", "a = " + sight, "a: ROLLBACK", "b = " + sight,
		},
		"a temporary table, to a savepoint": {
			"a: BEGIN; CREATE TABLE made (v int); SAVEPOINT s; CREATE TEMP TABLE made (v text)", "a = " + fills + " word", "a: ROLLBACK TO s", "a = " + fills + " 1", "a: COMMIT",
		},
		"a temporary table, for a while": {
			"a = " + sight, "a: CREATE TEMP TABLE t (v text)", "a = " + sight, "a: DROP TABLE t", "a = " + sight, "b = " + sight,
		},
		"a search_path, and another in the same transaction": {
			"owner: CREATE TABLE early.t AS SELECT 1 AS v", "a: BEGIN; SET search_path = public", "a = " + sight, "a: SET search_path = early", "a = " + sight, "a: COMMIT", "a = " + sight, "b = " + sight,
		},
		"the same, for the transaction": {
			"owner: CREATE TABLE early.t AS SELECT 1 AS v", "a: BEGIN; SET LOCAL search_path = public", "a = " + sight, "a: SET LOCAL search_path = early", "a = " + sight, "a: ROLLBACK", "b = " + sight,
		},
		"the same, to a savepoint": {
			"owner: CREATE TABLE early.t AS SELECT 1 AS v", "a: BEGIN; SET search_path = public; SAVEPOINT s", "a = " + sight, "a: SET search_path = early", "a = " + sight, "a: ROLLBACK TO s", "a = " + sight, "a: COMMIT",
		},
		"the same, by set_config": {
			"owner: CREATE TABLE early.t AS SELECT 1 AS v", "a: BEGIN; SELECT set_config('search_path', 'public', false)", "a = " + sight,
			"a: SELECT set_config('search_path', 'early', false)", "a = " + sight, "a: COMMIT", "a = " + sight,
		},
		"a temporary table that goes with its transaction": {
			"a: BEGIN; CREATE TEMP TABLE made (v int) ON COMMIT DROP", "a = " + fills + " 1", "a: COMMIT",
			"a: BEGIN; CREATE TEMP TABLE made (v text) ON COMMIT DROP", "a = " + fills + " word", "a: COMMIT",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			owner := "owner_of_" + d.Name
			d.Exec(t, fmt.Sprintf("ALTER DATABASE %s SET search_path = early, public", d.Name), "CREATE ROLE "+owner+" LOGIN SUPERUSER")
			t.Cleanup(func() { d.Exec(t, "DROP OWNED BY "+owner, "DROP ROLE "+owner) })
			w := start(t, d, "[pool]\npool_size = 1\n")
			heard := map[string][]string{}
			for _, addr := range []string{d.Server.Addr(), w.Addr} {
				for _, keeps := range []bool{false, true} {
					d.Exec(t, "DROP SCHEMA IF EXISTS early, public CASCADE", "CREATE SCHEMA public", "CREATE SCHEMA early",
						"CREATE TABLE public.t AS SELECT 'late' AS v", "CREATE FUNCTION public.f(bigint) RETURNS text LANGUAGE sql AS $$SELECT 'bigint'$$")
					heard[addr] = append(heard[addr], meanings(map[string]*wireClient{
						"a": dial(t, addr, d.Server.Superuser(), d.Name), "b": dial(t, addr, d.Server.Superuser(), d.Name), "owner": dial(t, addr, owner, d.Name),
					}, script, keeps)...)
				}
			}
			if got, want := heard[w.Addr], heard[d.Server.Addr()]; !slices.Equal(got, want) {
				t.Errorf("through weir\n%s\ndirectly\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// meanings has clients run a script, says goodbye for those that are left, and returns what they were answered. keeps: they do not close what they
// have prepared.
func meanings(clients map[string]*wireClient, script []string, keeps bool) (heard []string) {
	for i, line := range script {
		who, does, _ := strings.Cut(line, " ")
		who = strings.TrimSuffix(who, ":")
		c := clients[who]
		text, prepares := strings.CutPrefix(does, "= ")
		var a answer
		switch {
		case does == "leaves":
			c.Terminate()
			delete(clients, who)
		case prepares:
			bind := &pgproto3.Bind{PreparedStatement: fmt.Sprint("s", i)}
			if strings.Contains(text, "$1") {
				at := strings.LastIndexByte(text, ' ')
				text, bind.Parameters = text[:at], [][]byte{[]byte(text[at+1:])}
			}
			c.Send(parse(bind.PreparedStatement, text), bind, &pgproto3.Execute{}, &pgproto3.Sync{})
			a = c.Answer()
			if !keeps {
				c.take(synced(c.t, &pgproto3.Close{ObjectType: 'S', Name: bind.PreparedStatement}))
			}
		default:
			a = c.Run(does)
		}
		heard = append(heard, fmt.Sprint(line, ": ", a.First(), " ", a.Tags, " ", a.Err()))
	}
	for _, c := range clients {
		c.Terminate()
	}
	return heard
}

// TestSharedStatementsMeanWhatTheirTextsMean: where a client has changed its settings since it has prepared a statement, a backend that has not had that
// reads the text under the new ones. Others that share the text find what it means under theirs.
func TestSharedStatementsMeanWhatTheirTextsMean(t *testing.T) {
	const sight = "SELECT v FROM t"
	for name, c := range map[string]struct{ text, change, ends string }{
		"DateStyle":                   {"SELECT '01/02/2020'::date - '2020-01-01'::date", "SET datestyle = 'SQL, DMY'", ""},
		"for the transaction":         {"SELECT '01/02/2020'::date - '2020-01-01'::date", "BEGIN; SET LOCAL datestyle = 'SQL, DMY'", "COMMIT"},
		"in a way that no text tells": {"SELECT '01/02/2020'::date - '2020-01-01'::date", "BEGIN; SELECT set_config(name, 'SQL, DMY', true) FROM pg_settings WHERE name = 'DateStyle'", "COMMIT"},
		"TimeZone":                    {"SELECT extract(epoch FROM '2020-01-01 00:00'::timestamptz)", "SET timezone = 'Asia/Tokyo'", ""},
		"client_encoding":             {"SELECT length('é')", "SET client_encoding = 'LATIN1'", ""},
		"standard_conforming_strings": {`SELECT length('a\\b')`, "SET standard_conforming_strings = off", ""},
		"transform_null_equals":       {"SELECT 1 = NULL IS NULL", "SET transform_null_equals = on", ""},
		"search_path":                 {sight, "SET search_path = early", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, "CREATE TABLE t AS SELECT 'late' AS v", "CREATE SCHEMA early", "CREATE TABLE early.t AS SELECT 1 AS v")
			want := dial(t, d.Server.Addr(), d.Server.Superuser(), d.Name).first(parsesAndRuns(t, "s", c.text))
			w := start(t, d, "[loops]\ncount = 1\n[pool]\npool_size = 2\n")
			client := dial(t, w.Addr, d.Server.Superuser(), d.Name)
			other, third := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
			client.first(parsesAndRuns(t, "s", c.text))
			other.Query("BEGIN") // takes the backend that has it
			client.Query(c.change)
			client.first(runs(t, "s"))
			if c.ends != "" {
				client.Query(c.ends)
			}
			third.Query("BEGIN")
			for i, who := range []*wireClient{other, third} {
				if got := who.first(parsesAndRuns(t, "s", c.text)); got != want {
					t.Errorf("on backend %d another client has %q, want %q", i+1, got, want)
				}
			}
		})
	}
}

// TestStatementsThatAServerReadsAnew: once a table has been analyzed, a server reads the text of a statement anew when that is used next, and keeps what
// its literals mean under the settings of that client. Others find what they mean under theirs.
func TestStatementsThatAServerReadsAnew(t *testing.T) {
	const text, want = "SELECT '01/02/2020'::date - '2020-01-01'::date FROM t", "1"
	for name, use := range map[string]func(*testing.T, *wireClient){
		"bound":            func(t *testing.T, c *wireClient) { c.first(runs(t, "s")) },
		"executed":         func(_ *testing.T, c *wireClient) { c.Query("EXECUTE s") },
		"in the same text": func(_ *testing.T, c *wireClient) { c.Query("SET datestyle = 'SQL, DMY'; EXECUTE s") },
		"for a transaction": func(_ *testing.T, c *wireClient) {
			c.Query("BEGIN; SET LOCAL datestyle = 'SQL, DMY'; EXECUTE s; COMMIT")
		},
		"described":          func(t *testing.T, c *wireClient) { c.take(synced(t, &pgproto3.Describe{ObjectType: 'S', Name: "s"})) },
		"prepared once more": func(t *testing.T, c *wireClient) { c.first(parsesAndRuns(t, "again", text)); c.first(runs(t, "s")) },
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			d.Exec(t, "CREATE TABLE t AS SELECT 1 AS a")
			w := start(t, d, "[pool]\npool_size = 1\n")
			client, other := dial(t, w.Addr, d.Server.Superuser(), d.Name), dial(t, w.Addr, d.Server.Superuser(), d.Name)
			for _, c := range []*wireClient{client, other} {
				c.first(parsesAndRuns(t, "s", text))
			}
			if !strings.Contains(name, "text") && !strings.Contains(name, "transaction") {
				client.Query("SET datestyle = 'SQL, DMY'")
			}
			d.Exec(t, "ANALYZE t")
			use(t, client)
			third := dial(t, w.Addr, d.Server.Superuser(), d.Name)
			for _, got := range []string{third.first(parsesAndRuns(t, "s", text)), other.first(runs(t, "s")), other.Query("EXECUTE s")} {
				if got != want {
					t.Errorf("others have %q, want %q", got, want)
				}
			}
		})
	}
}
