package proxy_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// makeSequences makes what the tests of this file draw from: book, a table with a serial column, and ticket, a sequence.
func makeSequences(t *testing.T, d *pgserver.Database) {
	t.Helper()
	d.Exec(t, "CREATE TABLE book (id serial, title text)", "CREATE SEQUENCE ticket", "SELECT nextval('ticket') FROM generate_series(1, 1000)")
}

const (
	draws    = "INSERT INTO book (title) VALUES ('a')"
	undrawn  = "55000" // currval and lastval of a session that has drawn nothing, and weir's own refusal
	recalls  = "SELECT lastval()"
	recallsS = "SELECT currval('book_id_seq')"
)

// mixed is a weir with one backend that has served several clients, of which the last has drawn a value.
func mixed(t *testing.T, d *pgserver.Database, toml string) *weirUnderTest {
	t.Helper()
	w := start(t, d, "[pool]\npool_size = 1\n"+toml)
	for range 2 {
		c := enter(t, w, d)
		c.Query("SELECT nextval('ticket')")
		c.Terminate()
	}
	return w
}

// code is the SQLSTATE of an answer's error, "" if it has none.
func (a answer) code() string {
	if e, ok := errors.AsType[*serverError](a.Err()); ok {
		return e.Code
	}
	return ""
}

// TestSequencesAreForgottenUnderAnySettings: those of the client before are set back together with its sequences' values, in a transaction of
// weir's own where they could be in the way of that.
func TestSequencesAreForgottenUnderAnySettings(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	w := start(t, d, "[pool]\npool_size = 1\n")
	for _, set := range []string{
		"default_transaction_isolation TO serializable", "default_transaction_deferrable TO on", "default_transaction_read_only TO off",
		"statement_timeout TO '1h'", "lock_timeout TO '1h'", "jit TO off", "work_mem TO '1MB'",
	} {
		before, next := enter(t, w, d), enter(t, w, d)
		for _, sql := range []string{"SET " + set, draws, recalls} {
			if err := before.Run(sql).Err(); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		pid := before.Query("SELECT pg_backend_pid()")
		if code := next.Run(recalls).code(); code != undrawn {
			t.Errorf("after SET %s another client's lastval: %q", set, code)
		}
		if now := next.Query("SELECT pg_backend_pid()"); now != pid {
			t.Errorf("after SET %s the backend was given up", set)
		}
		before.Terminate()
		next.Terminate()
	}
}

func TestFirstUseOfSequencesFindsNoValueOfOthers(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	long := "SELECT /*" + strings.Repeat("-", 40<<10) + "*/ lastval()"
	for name, ask := range map[string]step{
		"simple":   queries(recalls),
		"unnamed":  parsesAndRuns(t, "", recalls),
		"named":    parsesAndRuns(t, "s", recalls),
		"apart":    inOneWrite(synced(t, parse("s", recalls)), runs(t, "s")),
		"pipeline": inOneWrite(queries("SELECT 1"), parsesAndRuns(t, "", "SELECT 2"), queries(recalls)),
		"text":     queries("SELECT 1; SELECT lastval()"),
		"long":     queries(long),
		"parsed":   parsesAndRuns(t, "", long),
		"batch":    synced(t, parse("", "SELECT 1"), &pgproto3.Bind{}, &pgproto3.Execute{}, parse("", recalls), &pgproto3.Bind{}, &pgproto3.Execute{}),
		"do":       queries("DO $$BEGIN PERFORM lastval(); END$$"),
		"cursor":   queries("BEGIN; DECLARE c CURSOR FOR SELECT lastval(); FETCH c; COMMIT"),
		"prepare":  queries("PREPARE p AS SELECT lastval(); EXECUTE p"),
		"block":    queries("BEGIN", recalls),
		"currval":  queries("BEGIN", draws, "SELECT currval('ticket')"),
		"another":  queries("BEGIN", draws, "SELECT currval('book_id_seq'), currval('ticket')"),
		"column":   queries("BEGIN", draws, "SELECT currval(name::regclass) FROM (VALUES ('ticket')) AS n(name)"),
		"missing":  queries("BEGIN", draws, "SELECT lastval(), currval(oid) FROM pg_class WHERE relname = 'ticket'"),
		"call":     {encode(t, &pgproto3.FunctionCall{Function: 2559}), 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := mixed(t, d, "")
			c := enter(t, w, d)
			c.SendBytes(ask.send)
			var last answer
			for range ask.answers {
				last = c.Answer()
			}
			if last.code() != undrawn {
				t.Errorf("another client's value: %+v", last)
			}
			c.Run("ROLLBACK")
			if got := c.Run(recalls); got.code() != undrawn {
				t.Errorf("another client's value at the second try: %+v", got)
			}
			drawn := c.Query("INSERT INTO book (title) VALUES ('a') RETURNING id")
			for _, sql := range []string{recalls, recallsS} {
				if got := c.Query(sql); got != drawn {
					t.Errorf("%s gives %s, the client has drawn %s", sql, got, drawn)
				}
			}
			c.Terminate()
		})
	}
}

// What a transaction has drawn itself it is told, even if it is the first of its pool to ask.
func TestTransactionIsToldWhatItHasDrawn(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	w := start(t, d, "[pool]\npool_size = 1")
	for _, sql := range []string{recalls, recallsS, "SELECT currval(pg_get_serial_sequence('book', 'id'))"} {
		c := enter(t, w, d)
		drawn := c.first(queries("BEGIN", "INSERT INTO book (title) VALUES ('a') RETURNING id"))
		if got := c.first(parsesAndRuns(t, "", sql)); got != drawn {
			t.Errorf("%s gives %s, the transaction has drawn %s", sql, got, drawn)
		}
		c.Query("ROLLBACK")
		c.Terminate()
	}
	w.Stop()

	for name, ask := range map[string]func(sql string) step{
		"simple":  func(sql string) step { return queries(sql) },
		"unnamed": func(sql string) step { return parsesAndRuns(t, "", sql) },
		"named": func(sql string) step {
			return inOneWrite(parsesAndRuns(t, "s", sql), synced(t, &pgproto3.Close{ObjectType: 'S', Name: "s"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := mixed(t, d, "")
			c := enter(t, w, d)
			drawn := c.first(queries("BEGIN", "SAVEPOINT a", "INSERT INTO book (title) VALUES ('a') RETURNING id", "ROLLBACK TO a"))
			for _, sql := range []string{
				recalls, recallsS, "SELECT lastval()::int4", `SELECT lastval() WHERE CurrVal ( 'public."book_id_seq"' :: regclass ) > 0`,
				"SELECT currval(pg_get_serial_sequence('public.book', 'id'))",
			} {
				if got := c.first(ask(sql)); got != drawn {
					t.Errorf("%s gives %s, the transaction has drawn %s", sql, got, drawn)
				}
			}
			c.Query("COMMIT")
			c.Terminate()
		})
	}
}

// TestTransactionIsToldWhatItHasDrawnByAParameter: so PDO's lastInsertId asks. What the parameter names otherwise is another's, for all that is known.
func TestTransactionIsToldWhatItHasDrawnByAParameter(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	d.Exec(t, "CREATE SCHEMA shelf", "CREATE SEQUENCE shelf.book_id_seq", `CREATE SEQUENCE shelf."Row"`)
	const asks = "SELECT CURRVAL($1)"
	atOnce := func(t *testing.T, sql, name string) []step {
		return []step{synced(t, parse("", sql), &pgproto3.Bind{Parameters: [][]byte{[]byte(name)}}, &pgproto3.Execute{})}
	}
	apart := func(t *testing.T, sql, name string) []step {
		return []step{synced(t, parse("s", sql), &pgproto3.Describe{ObjectType: 'S', Name: "s"}), runs(t, "s", name)}
	}
	behindSet := func(t *testing.T, sql, name string) []step { // which has the name mean another one
		both := apart(t, sql, name)
		return []step{both[0], queries("SET LOCAL search_path = shelf"), both[1]}
	}
	for name, c := range map[string]struct {
		draw      []string
		sql, name string
		own       bool
	}{
		"by its name":                {[]string{"SELECT nextval('book_id_seq')"}, asks, "book_id_seq", true},
		"with the schema":            {[]string{"SELECT nextval('book_id_seq')"}, asks, "public.book_id_seq", true},
		"quoted":                     {[]string{`SELECT nextval('shelf."Row"')`}, "SELECT currval ( $1 :: text::regclass )", `shelf."Row"`, true},
		"one of two":                 {[]string{"SELECT nextval('ticket')", "SELECT nextval('book_id_seq')"}, asks, "book_id_seq", true},
		"of another schema":          {[]string{"SELECT nextval('shelf.book_id_seq')"}, asks, "book_id_seq", false},
		"another one":                {[]string{"SELECT nextval('book_id_seq')"}, asks, "ticket", false},
		"another one beside it":      {[]string{"SELECT nextval('book_id_seq')"}, "SELECT currval($1), currval('ticket')", "book_id_seq", false},
		"not where it stands":        {[]string{"SELECT nextval('book_id_seq')"}, "SELECT currval('tick' || $1)", "et", false},
		"none has been drawn":        {nil, asks, "book_id_seq", false},
		"another schema is in front": {[]string{"SELECT nextval('book_id_seq')", "SET LOCAL search_path = shelf"}, asks, "book_id_seq", false},
	} {
		for how, steps := range map[string]func(t *testing.T, sql, name string) []step{"at once": atOnce, "apart": apart, "behind SET": behindSet} {
			if how == "behind SET" && name != "by its name" {
				continue
			}
			own := c.own && how != "behind SET"
			t.Run(name+", "+how, func(t *testing.T) {
				w := mixed(t, d, "")
				other := enter(t, w, d)
				other.Query("SELECT nextval('ticket'), nextval('book_id_seq'), nextval('shelf.book_id_seq')")
				other.Terminate()
				client := enter(t, w, d)
				client.Query("BEGIN")
				var drawn string
				for _, sql := range c.draw {
					if got := client.Query(sql); got != "" {
						drawn = got
					}
				}
				var got answer
				for _, s := range steps(t, c.sql, c.name) {
					client.SendBytes(s.send)
					got = client.Answer()
				}
				if own && got.First() != drawn || !own && got.code() != undrawn {
					t.Errorf("%v, %v; the transaction has drawn %s", got.Rows, got.Err(), drawn)
				}
				client.Query("ROLLBACK")
				client.Terminate()
				w.Stop()
			})
		}
	}
}

// A function, a view or a default that recalls values is found by looking through the database.
func TestHiddenUseOfSequencesIsFound(t *testing.T) {
	for name, object := range map[string]struct{ make, ask string }{
		"function":     {"CREATE FUNCTION f() RETURNS int8 LANGUAGE plpgsql AS $$BEGIN RETURN LastVal(); END$$", "SELECT f()"},
		"sql function": {"CREATE FUNCTION f() RETURNS int8 LANGUAGE sql AS $$SELECT currval('ticket')$$", "SELECT f()"},
		"body":         {"CREATE FUNCTION f() RETURNS int8 LANGUAGE sql RETURN lastval()", "SELECT f()"},
		"view":         {"CREATE VIEW v AS SELECT lastval() AS last", "SELECT last FROM v"},
		"default":      {"CREATE TABLE copies (of int8 DEFAULT currval('ticket'))", "INSERT INTO copies DEFAULT VALUES RETURNING of"},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			makeSequences(t, d)
			d.Exec(t, object.make)
			w := mixed(t, d, `session_audit = "learn"`)
			c := enter(t, w, d)
			if got := c.Run(object.ask); got.code() != undrawn {
				t.Errorf("another client's value: %+v", got)
			}
			drawn := c.Query("SELECT nextval('ticket')")
			if got := c.Query(object.ask); got != drawn {
				t.Errorf("%s, drawn was %s", got, drawn)
			}
			c.Terminate()
		})
	}
	t.Run("made by a client", func(t *testing.T) {
		d := database(t)
		makeSequences(t, d)
		w := mixed(t, d, `session_audit = "learn"`)
		c := enter(t, w, d)
		c.Query("CREATE FUNCTION f() RETURNS int8 LANGUAGE plpgsql AS $$BEGIN RETURN lastval(); END$$")
		other := enter(t, w, d)
		other.Query("SELECT nextval('ticket')")
		if got := c.Run("SELECT f()"); got.code() != undrawn {
			t.Errorf("another client's value: %+v", got)
		}
		other.Terminate()
		c.Terminate()
	})
}

func TestStatementModeRecallsNoValueOfOthers(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	w := mixed(t, d, "mode = \"statement\"")
	c, other := enter(t, w, d), enter(t, w, d)
	if got := c.Run(recalls); got.code() != undrawn {
		t.Errorf("another client's value: %+v", got)
	}
	drawn := c.Query("INSERT INTO book (title) VALUES ('a') RETURNING id")
	if got := c.first(parsesAndRuns(t, "s", recallsS)); got != drawn {
		t.Errorf("currval gives %s, drawn was %s", got, drawn)
	}
	other.Query("SELECT nextval('book_id_seq')")
	if got := c.first(queries("SELECT 1")); got != "1" {
		t.Error(got)
	}
	c.SendBytes(runs(t, "s").send)
	if got := c.Answer(); got.code() != undrawn {
		t.Errorf("after another client: %+v", got)
	}
	other.Terminate()
	c.Terminate()
}

func TestValuesOfSequencesEndWithTheirBackend(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	w := start(t, d, "[pool]\npool_size = 1")
	c := enter(t, w, d)
	drawn := c.Query("SELECT nextval('ticket')")
	if got := c.Query(recalls); got != drawn {
		t.Errorf("lastval gives %s, drawn was %s", got, drawn)
	}
	pid := c.Query("SELECT pg_backend_pid()")
	expectPool(t, w, "idle", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 })
	killBackend(t, d, pid)
	expectPool(t, w, "without a backend", func(p status.Pool) bool { return backendCount(p) == 0 })
	if got := c.Run(recalls); got.code() != undrawn {
		t.Errorf("after the backend's end: %+v", got)
	}
	c.Terminate()
}

// TestRecalledValuesAreAsDirectly lets three clients share two backends, and compares what they are told of sequences with what sessions of
// their own are told that draw from sequences of the same kind in the same order: the same, or an error, and in the transaction that has
// drawn the same.
func TestRecalledValuesAreAsDirectly(t *testing.T) {
	through, control := database(t), database(t)
	makeSequences(t, through)
	makeSequences(t, control)
	w := start(t, through, "[pool]\npool_size = 2\nsession_audit = \"learn\"")
	const clients = 3
	var own, weirs [clients]*wireClient
	for i := range clients {
		own[i], weirs[i] = enterDirectly(t, control), enter(t, w, through)
	}
	asks := []string{recalls, recallsS, "SELECT currval('ticket')", "SELECT lastval(), currval('book_id_seq')"}
	rnd := rand.New(rand.NewPCG(7, 7))
	told, missing := 0, 0
	run := func(who int, sql string, mustTell bool) {
		s := []step{queries(sql), parsesAndRuns(t, "", sql), parsesAndRuns(t, fmt.Sprint("s", rnd.Uint64()), sql)}[rnd.IntN(3)]
		answers := [2]answer{}
		for i, c := range []*wireClient{own[who], weirs[who]} {
			c.SendBytes(s.send)
			answers[i] = c.Answer()
		}
		want, got := answers[0], answers[1]
		switch {
		case fmt.Sprint(got.Rows, got.code()) == fmt.Sprint(want.Rows, want.code()):
			told++
		case got.code() == undrawn && !mustTell:
			missing++
		default:
			t.Fatalf("client %d, %s: %+v, directly %+v", who, sql, got, want)
		}
	}
	for range 300 {
		who := rnd.IntN(clients)
		switch rnd.IntN(4) {
		case 0:
			run(who, draws, true)
		case 1:
			run(who, "SELECT nextval('ticket')", true)
		case 2:
			run(who, asks[rnd.IntN(len(asks))], false)
		default:
			run(who, "BEGIN", true)
			run(who, draws, true)
			run((who+1)%clients, draws, true)
			run(who, recalls, true)
			run(who, []string{"COMMIT", "ROLLBACK"}[rnd.IntN(2)], true)
		}
	}
	t.Logf("%d answers were as directly, %d clients had to draw again", told, missing)
	for i := range clients {
		own[i].Terminate()
		weirs[i].Terminate()
	}
}

// A client that keeps its backend over the end of a transaction whose own values it has asked for goes on: what the backend had of others before is
// discarded then.
func TestClientThatKeepsItsBackendAfterItsOwnValuesGoesOn(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	w := mixed(t, d, "[limits]\nmax_db_connections = 1\n") // which leave no place for a listener connection
	c := enter(t, w, d)
	c.Query("LISTEN a")
	c.Query("BEGIN")
	drawn := c.Query("SELECT nextval('ticket')")
	if got := c.Query("SELECT currval('ticket')"); got != drawn {
		t.Errorf("currval is %s, not %s", got, drawn)
	}
	c.Query("COMMIT")
	if got := c.Query("SELECT 1"); got != "1" {
		t.Errorf("the next answer is %q", got)
	}
	if got := c.Run("SELECT currval('ticket')").code(); got != undrawn {
		t.Errorf("currval afterwards: %q", got)
	}
}

// A DISCARD that takes back only a part of the session leaves the transaction of its pipeline alone: what comes before it is undone by an error
// behind it.
func TestPartOfTheSessionDiscardedInAPipeline(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c := enter(t, w, d)
	for _, part := range []string{"PLANS", "SEQUENCES", "TEMP"} {
		var pipeline []pgproto3.FrontendMessage
		for _, q := range []string{"SET bytea_output = 'escape'", "DISCARD " + part, "SELECT 1/0"} {
			pipeline = append(pipeline, &pgproto3.Parse{Query: q}, &pgproto3.Bind{}, &pgproto3.Execute{})
		}
		c.Send(append(pipeline, &pgproto3.Sync{})...)
		if err := c.Answer().Err(); err == nil || !strings.Contains(err.Error(), "22012") {
			t.Errorf("%s: %v", part, err)
		}
		if got := c.Query("SHOW bytea_output"); got != "hex" {
			t.Errorf("%s: bytea_output is %s", part, got)
		}
	}
}

// TestPoolThatComesAgainKeepsValuesApart: that its clients ask for values is not to be found out anew, which a transaction that makes up the name
// of its sequence pays for with an error.
func TestPoolThatComesAgainKeepsValuesApart(t *testing.T) {
	d := database(t)
	makeSequences(t, d)
	w := start(t, d, "[pool]\npool_size = 1\n"+forgetful)
	first := enter(t, w, d)
	first.Query(draws)
	first.Query(recalls)
	first.Terminate()
	expectPools(t, w)

	enter(t, w, d).Query(draws)
	c := enter(t, w, d)
	c.Query("BEGIN")
	c.Query(draws)
	c.Send(parse("", "SELECT currval(lower($1)::regclass)"), &pgproto3.Bind{Parameters: [][]byte{[]byte("book_id_seq")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if got := c.Answer(); got.Err() != nil || got.First() != "3" {
		t.Errorf("%v, %v", got.Rows, got.Err())
	}
}
