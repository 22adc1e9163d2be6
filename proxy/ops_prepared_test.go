package proxy_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// TestPreparedStatementsAreCounted follows two texts through two backends that keep one statement each.
func TestPreparedStatementsAreCounted(t *testing.T) {
	d := database(t)
	w := start(t, d, "[loops]\ncount = 1\n[pool]\npool_size = 2\nmax_prepared_statements = 1")
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

// A portal whose name is longer than what weir looks at is refused as such, and the session goes on.
func TestPortalsWithLongNamesAreRefused(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	c := enter(t, w, d)
	for _, length := range []int{16_300, 300_000} { // between them it depends on how much comes at once
		c.Send(&pgproto3.Parse{Name: "s", Query: "SELECT $1::text"},
			&pgproto3.Bind{DestinationPortal: strings.Repeat("n", length), PreparedStatement: "s", Parameters: [][]byte{bytes.Repeat([]byte("x"), 20_000)}},
			&pgproto3.Execute{Portal: strings.Repeat("n", 63)}, &pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
		a := c.Answer()
		if length == 16_300 {
			if len(a.First()) != 20_000 {
				t.Errorf("%d bytes: %v", length, a.Err())
			}
		} else if e := refused(t, a.Err(), "42622"); e.Message != "portal name is too long" {
			t.Errorf("%d bytes: %v", length, e)
		}
		c.Send(&pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
		if err := c.Answer().Err(); err != nil {
			t.Error(err)
		}
	}
}

// A statement whose name is longer than what weir looks at can be used as on PostgreSQL itself, and is gone for the next client.
func TestStatementsWithLongNames(t *testing.T) {
	d := database(t)
	for _, length := range []int{9000, 300_000} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			w := start(t, d, "[pool]\npool_size = 1\n")
			name := strings.Repeat("n", length)
			bind := &pgproto3.Bind{PreparedStatement: name, Parameters: [][]byte{[]byte("abc")}}
			c := enter(t, w, d)
			c.Send(&pgproto3.Parse{Name: name, Query: "SELECT $1::text"}, &pgproto3.Sync{})
			if err := c.Answer().Err(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				c.Send(bind, &pgproto3.Execute{}, &pgproto3.Sync{})
				if a := c.Answer(); a.Err() != nil || a.First() != "abc" {
					t.Fatalf("%v %v", a.Rows, a.Err())
				}
			}
			c.Terminate()
			next := enter(t, w, d)
			next.Send(bind, &pgproto3.Execute{}, &pgproto3.Sync{})
			if a := next.Answer(); len(a.Errs) == 0 || a.Errs[0].Code != "26000" {
				t.Errorf("the next client got %v %v", a.Rows, a.Err())
			}
		})
	}
}
