package proxy_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// A Query behind an Execute without a Sync breaks a backend of PostgreSQL 18: it answers ReadyForQuery "idle", and fails at
// whatever comes next (trap 5). On older servers it is harmless. The next client must not meet such a backend, whether the first
// one waits, goes on or leaves.
func TestQueryBehindAnUnsyncedExecuteHurtsNobodyElse(t *testing.T) {
	batch := func(sql string, then ...pgproto3.FrontendMessage) []pgproto3.FrontendMessage {
		return append([]pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}}, then...)
	}
	query := func(sql string) pgproto3.FrontendMessage { return &pgproto3.Query{String: sql} }
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	other := enter(t, w, d)
	for _, c := range []struct {
		name     string
		messages []pgproto3.FrontendMessage
		readies  int // how many ReadyForQuery come; an error behind the Execute takes one away
	}{
		{"a read", batch("SELECT 1", query("SELECT 2"), &pgproto3.Sync{}), 2},
		{"a write", batch("INSERT INTO book VALUES ('x')", query("INSERT INTO book VALUES ('y')"), &pgproto3.Sync{}), 2},
		{"an empty query", batch("SELECT 1", query(""), &pgproto3.Sync{}), 2},
		{"a query that fails", batch("SELECT 1", query("SELECT 1/0"), &pgproto3.Sync{}), 2},
		{"without the Sync", batch("SELECT 1", query("SELECT 2")), 1},
		{"a Flush between", batch("SELECT 1", &pgproto3.Flush{}, query("SELECT 2"), &pgproto3.Sync{}), 2},
		{"a transaction of its own", batch("SELECT 1", query("BEGIN; SELECT 2; COMMIT"), &pgproto3.Sync{}), 2},
		{"an Execute that fails", batch("SELECT 1/0", query("SELECT 'thrown away'"), &pgproto3.Sync{}), 1},
		{"the Execute has no rows", batch("", query("SELECT 2"), &pgproto3.Sync{}), 2},
		{"only a Parse before it", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT 1"}, query("SELECT 2"), &pgproto3.Sync{}}, 2},
		{"only a Bind before it", []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, query("SELECT 2"), &pgproto3.Sync{}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			for what, then := range map[string]func(*wireClient){
				"stays":   func(*wireClient) {},
				"goes on": func(c *wireClient) { c.Run("SELECT 3") }, // which a broken backend of its own may refuse
				"leaves":  (*wireClient).Terminate,
				"dies":    (*wireClient).reset,
			} {
				odd := enter(t, w, d)
				odd.Send(c.messages...)
				for range c.readies {
					odd.Answer()
				}
				if odd.status != 'I' { // without the Sync PostgreSQL 18 says itself that it is not over
					odd.Send(&pgproto3.Sync{})
					odd.Answer()
				}
				then(odd)
				for n := range 3 {
					other.expectOwnAnswer(fmt.Sprintf("when the first %s, %d", what, n))
				}
				if what != "leaves" && what != "dies" {
					odd.Vanish()
				}
			}
			for n := range 3 { // it does not even read its answers
				odd := enter(t, w, d)
				odd.Send(c.messages...)
				odd.Vanish()
				other.expectOwnAnswer(fmt.Sprint("beside one that vanishes, ", n))
			}
		})
	}
}
