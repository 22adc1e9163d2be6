package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// A change of the schema that is made past weir does not show in what clients prepare after it, although the text was prepared before.
func TestTextsPreparedBeforeAChangeMadePastWeirAreHealed(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	early, first, second, directly := enter(t, w, d), enter(t, w, d), enter(t, w, d), enterDirectly(t, d)
	admin := enterDirectly(t, d)
	const text = "SELECT * FROM t"
	describe := func(kind byte, name string) pgproto3.FrontendMessage {
		return &pgproto3.Describe{ObjectType: kind, Name: name}
	}
	bind, execute := &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}
	each := &pgproto3.Bind{PreparedStatement: "s", ResultFormatCodes: []int16{1, 1}}
	for name, steps := range map[string][]step{
		"described first":       {synced(t, parse("s", text), describe('S', "s")), synced(t, bind, execute)},
		"in two batches":        {synced(t, parse("s", text)), synced(t, describe('S', "s")), synced(t, bind, execute)},
		"all at once":           {synced(t, parse("s", text), bind, describe('P', ""), execute), synced(t, bind, execute)},
		"not described":         {synced(t, parse("s", text), bind, execute)},
		"with formats":          {synced(t, parse("s", text), each, describe('P', ""), execute)},
		"closed and prepared":   {synced(t, &pgproto3.Close{ObjectType: 'S', Name: "s"}, parse("s", text), bind, execute)},
		"described while bound": {synced(t, parse("s", text)), synced(t, bind, describe('P', ""), execute)},
	} {
		t.Run(name, func(t *testing.T) {
			admin.Query("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT 1 AS a")
			early.take(synced(t, &pgproto3.Close{ObjectType: 'S', Name: "s"}))
			if got := early.first(parsesAndRuns(t, "s", text)); got != "1" {
				t.Fatalf("the first to prepare it gets %q", got)
			}
			admin.Query("ALTER TABLE t ADD b text DEFAULT 'new'")
			clients := []*wireClient{directly, first, second}
			for _, s := range steps {
				want := clients[0].take(s)
				for i, c := range clients[1:] {
					if got := c.take(s); !slices.Equal(got, want) {
						t.Errorf("client %d, %.60q:\n%s\ndirectly\n%s", i+1, s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				}
			}
			for _, c := range clients {
				c.take(synced(t, &pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Close{ObjectType: 'S', Name: "s2"}))
			}
			for range 3 { // as often as it asks
				heard := strings.Join(early.take(runs(t, "s")), "\n")
				if !strings.Contains(heard, "0A000") {
					t.Errorf("the one that knows the old columns is not told, as it would be directly: %s", heard)
				}
			}
		})
	}
}

// TestColumnsThatAClientDoesNotKnowAreRefusedAlike: a backend that has not had a statement prepares it with the columns of today. A client that was told of
// others is refused there in the words in which the server refuses it elsewhere, at which drivers prepare it anew: it would take an int4 for a float4. Of a
// change that was made past weir a moment ago it is the server that knows, if the client gives a format for each column.
func TestColumnsThatAClientDoesNotKnowAreRefusedAlike(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\n[loops]\ncount = 1\n")
	c, directly, admin := enter(t, w, d), enterDirectly(t, d), enterDirectly(t, d)
	others := []*wireClient{enter(t, w, d), enter(t, w, d)}
	binary, each := []int16{1}, []int16{1, 1}
	for table, x := range map[string]struct {
		change  string
		by      *wireClient
		formats []int16
		same    bool // as before
	}{
		"more":      {change: "ALTER TABLE more ADD c int", by: admin, formats: each},
		"fewer":     {change: "ALTER TABLE fewer DROP b", by: admin, formats: each},
		"many":      {change: "ALTER TABLE many ADD c int", by: others[0], formats: binary},
		"retyped":   {change: "ALTER TABLE retyped ALTER b TYPE real", by: others[0], formats: each},
		"renamed":   {change: "ALTER TABLE renamed RENAME b TO c", by: others[0]},
		"unrelated": {change: "CREATE TABLE other ()", by: others[0], formats: binary, same: true},
		"made anew": {change: `DROP TABLE "made anew"; CREATE TABLE "made anew" AS SELECT 3 AS a, 4 AS b`, by: others[0], formats: binary, same: true},
	} {
		admin.Query(`CREATE TABLE "` + table + `" AS SELECT 1 AS a, 2 AS b`)
		bind := &pgproto3.Bind{PreparedStatement: table, ResultFormatCodes: x.formats}
		first := synced(t, parse(table, `SELECT * FROM "`+table+`"`), &pgproto3.Describe{ObjectType: 'S', Name: table}, bind, &pgproto3.Execute{})
		c.Query("BEGIN")
		had := c.Query("SELECT pg_backend_pid()")
		c.take(first)
		c.Query("COMMIT")
		directly.take(first)
		x.by.Query(x.change)
		for _, other := range others {
			other.Query("BEGIN")
		}
		for _, other := range others {
			if other.Query("SELECT pg_backend_pid()") != had {
				other.Query("COMMIT") // its backend has not had the statement, and is the only free one
			}
		}
		again := synced(t, bind, &pgproto3.Execute{})
		for range 2 { // as often as it asks
			got, want := c.take(again), directly.take(again)
			if !slices.Equal(got, want) {
				t.Errorf("%s:\n%s\ndirectly\n%s", x.change, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if refused := strings.Contains(strings.Join(want, ""), "0A000"); refused == x.same {
				t.Errorf("%s: refused: %v", x.change, refused)
			}
		}
		for _, other := range others {
			if other.status != 'I' {
				other.Query("COMMIT")
			}
		}
	}
}

// TestFormatsOfAMistakenClient: nothing has changed since a client has prepared what it binds in the same batch, also if others have prepared it before.
func TestFormatsOfAMistakenClient(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	for range 2 {
		c, directly := enter(t, w, d), enterDirectly(t, d)
		for _, name := range []string{"", "a", "b"} {
			batch := synced(t, parse(name, "SELECT 1"), &pgproto3.Bind{PreparedStatement: name, ResultFormatCodes: []int16{1, 1}}, &pgproto3.Execute{})
			if got, want := c.take(batch), directly.take(batch); !slices.Equal(got, want) {
				t.Errorf("statement %q: %s\ndirectly %s", name, got, want)
			}
		}
	}
}

// Nor does it keep a client waiting that has sent a Flush in place of a Sync, or whose settings go ahead of the batch.
func TestBatchesAreHealedWithTheirSettingsAheadAndWithAFlush(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c, other, admin := enter(t, w, d, "search_path", "public, a"), enter(t, w, d, "search_path", "public, b"), enterDirectly(t, d)
	admin.Query("CREATE TABLE t AS SELECT 1 AS a")
	c.take(parsesAndRuns(t, "s", "SELECT * FROM t"))
	bind, describe, execute := &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}
	for name, messages := range map[string][]pgproto3.FrontendMessage{
		"settings ahead": {bind, describe, execute, &pgproto3.Sync{}},
		"a Flush":        {bind, describe, execute, &pgproto3.Flush{}},
	} {
		for range 2 { // how the server spells the settings is learnt first
			other.Query("SELECT 1")
			c.take(runs(t, "s"))
		}
		other.Query("SELECT 1")
		admin.Query("ALTER TABLE t ADD b text DEFAULT 'new'")
		c.Send(messages...)
		if _, bound := c.Receive().(*pgproto3.BindComplete); !bound {
			t.Fatalf("%s: the statement is not bound", name)
		}
		if row, is := c.Receive().(*pgproto3.RowDescription); !is || len(row.Fields) != 2 {
			t.Errorf("%s: the new column is not described", name)
		}
		if name == "a Flush" {
			c.Send(&pgproto3.Sync{})
		}
		c.take(step{nil, 1})
		admin.Query("ALTER TABLE t DROP b")
		c.take(synced(t, &pgproto3.Close{ObjectType: 'S', Name: "s"}))
		c.take(synced(t, parse("s", "SELECT * FROM t"), &pgproto3.Describe{ObjectType: 'S', Name: "s"}))
	}
}

// A function may say that a statement is missing, or that its columns have changed, each time it is called: that is its client's error.
func TestErrorsThatAFunctionMakesUpAreToldOnce(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c, other := enter(t, w, d, "search_path", "public, a"), enter(t, w, d, "search_path", "public, b")
	c.Query("CREATE TABLE t AS SELECT 1 AS a")
	for name, when := range map[string]string{"plans": "IMMUTABLE", "runs": "VOLATILE"} {
		c.Query(fmt.Sprintf(`CREATE FUNCTION lies_when_it_%s() RETURNS int %s LANGUAGE plpgsql AS $$ BEGIN
			RAISE 'prepared statement "%%" does not exist', (SELECT name FROM pg_prepared_statements ORDER BY statement LIKE 'UPDATE%%' DESC, name LIMIT 1)
			USING ERRCODE = '26000'; END $$`, name, when))
	}
	const text = "UPDATE t SET a = lies_when_it_plans()"
	c.take(parsesAndRuns(t, "held", "SELECT 1"))
	other.take(parsesAndRuns(t, "others", "SELECT 2"))
	for range 2 { // how the server spells the settings is learnt first
		other.Query("SELECT 1")
		c.Query("SELECT 1")
	}
	for name, s := range map[string]step{
		"a Query":              queries(text),
		"a Query with rows":    queries("SELECT a, lies_when_it_runs() FROM t"),
		"an unnamed statement": synced(t, parse("", text), &pgproto3.Bind{}, &pgproto3.Execute{}),
		"a named statement":    synced(t, &pgproto3.Close{ObjectType: 'S', Name: "s1"}, parse("s1", text), &pgproto3.Bind{PreparedStatement: "s1"}),
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				other.Query("SELECT 1")
				heard := strings.Join(c.take(s), "\n")
				if strings.Count(heard, "26000") != 1 || strings.Count(heard, "RowDescription") > 1 {
					t.Errorf("not told once: %s", heard)
				}
				if got := other.first(runs(t, "others")); got != "2" {
					t.Errorf("another client's statement gives %q", got)
				}
			}
		})
	}
}
