package proxy_test

import (
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// TestPreparedStatementsAreCounted follows two texts through two backends that keep one statement each.
func TestPreparedStatementsAreCounted(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\nmax_prepared_statements = 1")
	one, two := enter(t, w, d), enter(t, w, d)
	parse := func(c *wireClient, text string) {
		t.Helper()
		c.Send(&pgproto3.Parse{Name: "p" + text, Query: "select '" + text + "'"}, &pgproto3.Sync{})
		if err := c.Answer().Err(); err != nil {
			t.Fatal(err)
		}
	}
	use := func(c *wireClient, text string) {
		t.Helper()
		c.Send(&pgproto3.Bind{PreparedStatement: "p" + text}, &pgproto3.Execute{}, &pgproto3.Sync{})
		if got := c.Answer(); got.Err() != nil || got.First() != text {
			t.Fatalf("%v %v", got.Rows, got.Err())
		}
	}
	expect := func(want status.Prepared) {
		t.Helper()
		if got := w.Proxy.Snapshot().Pools[0].Prepared; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	parse(one, "a")
	parse(two, "a")
	expect(status.Prepared{Texts: 1, OnBackends: 1, Passed: 1, Saved: 1})
	one.Query("BEGIN") // the first backend is taken
	use(two, "a")
	expect(status.Prepared{Texts: 1, OnBackends: 2, Binds: 1, Passed: 1, Saved: 1, Repeated: 1})
	one.Query("COMMIT")
	parse(one, "b")
	expect(status.Prepared{Texts: 2, OnBackends: 2, Binds: 1, Passed: 2, Saved: 1, Repeated: 1, Closed: 1})
	one.Query("CREATE VIEW v AS SELECT 1")
	if got := w.Proxy.Snapshot().Pools[0].Prepared; got.Texts != 0 || got.Forgotten != 2 {
		t.Errorf("behind a change of the schema: %+v", got)
	}
}
