package proxy_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// lastWords are what a client may say last, as the lines of a script. In none of them it is PostgreSQL's choice when it sends what, because
// what is not flushed is short; and none ends amid the data of a COPY, of which PostgreSQL complains to one who does not read that any more.
var lastWords = []struct{ name, says string }{
	{"nothing", ``},
	{"a query", `Query {"String":"select 1"}`},
	{"two queries", "Query {\"String\":\"select 1\"}\nQuery {\"String\":\"insert into sink values (1) returning v\"}"},
	{"a query that fails", `Query {"String":"select 1/0"}`},
	{"a slow query", `Query {"String":"select pg_sleep(0.2)"}`},
	{"a batch", "Parse {\"Query\":\"insert into sink values (2) returning v\"}\nBind\nDescribe {\"ObjectType\":\"P\"}\nExecute\nSync"},
	{"a batch with a Flush", "Parse {\"Query\":\"select 1\"}\nBind\nExecute\nFlush"},
	{"a slow batch with a Flush", "Parse {\"Query\":\"select pg_sleep(0.2)\"}\nBind\nExecute\nFlush"},
	{"an insert with a Flush", "Parse {\"Query\":\"insert into sink values (3) returning v\"}\nBind\nExecute\nFlush"},
	{"a large result with a Flush", "Parse {\"Query\":\"select repeat('x', 70000) from generate_series(1, 30)\"}\nBind\nExecute\nFlush"},
	{"a Parse with a Flush", "Parse {\"Name\":\"a\",\"Query\":\"select 1\"}\nDescribe {\"ObjectType\":\"S\",\"Name\":\"a\"}\nFlush"},
	{"a Flush after each", "Parse {\"Query\":\"select 1\"}\nFlush\nBind\nFlush\nDescribe {\"ObjectType\":\"P\"}\nFlush\nExecute\nFlush"},
	{"a Flush alone", "Flush"},
	{"a Flush amid a batch", "Parse {\"Query\":\"select 1\"}\nBind\nExecute\nFlush\nBind\nExecute"},
	{"a batch without an end", "Parse {\"Query\":\"insert into sink values (4)\"}\nBind\nExecute"},
	{"a portal in parts", "Parse {\"Query\":\"select generate_series(1, 3)\"}\nBind\nExecute {\"MaxRows\":1}\nFlush\nExecute {\"MaxRows\":1}\nFlush"},
	{"a Close with a Flush", "Close {\"ObjectType\":\"S\",\"Name\":\"none\"}\nFlush"},
	{"an error with a Flush", "Parse {\"Query\":\"select 1/0\"}\nBind\nExecute\nFlush"},
	{"a wrong Parse with a Flush", "Parse {\"Query\":\"selec\"}\nFlush"},
	{"more after an error", "Parse {\"Query\":\"selec\"}\nFlush\nBind\nExecute\nFlush"},
	{"a batch after an error", "Parse {\"Query\":\"selec\"}\nFlush\nSync\nParse {\"Query\":\"select 1\"}\nBind\nExecute\nFlush"},
	{"a batch and one with a Flush", "Parse {\"Query\":\"select 1\"}\nBind\nExecute\nSync\nParse {\"Query\":\"select 2\"}\nBind\nExecute\nFlush"},
	{"a query and a batch with a Flush", "Query {\"String\":\"select 1\"}\nParse {\"Query\":\"select 2\"}\nBind\nExecute\nFlush"},
	{"a transaction and a batch with a Flush", "Query {\"String\":\"begin; insert into sink values (5)\"}\nParse {\"Query\":\"select v from sink\"}\nBind\nExecute\nFlush"},
	{"a setting and a batch with a Flush", "Query {\"String\":\"set datestyle = german\"}\nParse {\"Query\":\"show datestyle\"}\nBind\nExecute\nFlush"},
	{"a function with a Flush", "FunctionCall {\"Function\":882,\"Arguments\":[\" a\"]}\nFlush"},
	{"a COPY out", `Query {"String":"copy (select generate_series(1, 3)) to stdout"}`},
	{"a COPY out with a Flush", "Parse {\"Query\":\"copy (select generate_series(1, 3)) to stdout\"}\nBind\nExecute\nFlush"},
	{"a COPY in", "Query {\"String\":\"copy sink from stdin\"}\nCopyData {\"Data\":\"6\\n\"}\nCopyDone"},
	{"a COPY in with a Flush", "Parse {\"Query\":\"copy sink from stdin\"}\nBind\nExecute\nFlush\nCopyData {\"Data\":\"7\\n\"}\nCopyDone\nFlush"},
}

// A client that sends no more, because it has said goodbye or has shut down its sending side, gets through weir what PostgreSQL sends,
// to the last message, and the same of what it did lasts.
func TestWhoSendsNoMoreHearsWhatPostgresSays(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE sink (v int)")
	w := start(t, d, "[pool]\npool_size = 1\n")
	onlooker := direct(t, d)
	for _, last := range lastWords {
		for _, end := range []string{"FIN", "Terminate", "Terminate and FIN", "half a message and FIN"} {
			t.Run(last.name+"/"+end, func(t *testing.T) {
				straight, err := tryDial(t, d.Server.Addr(), d.Server.Superuser(), d.Name)
				if err != nil {
					t.Fatal(err)
				}
				want := append(hearLast(t, straight, last.says, end), ask(t, onlooker, "WITH d AS (DELETE FROM sink RETURNING v) SELECT * FROM d"))
				got := append(hearLast(t, enter(t, w, d), last.says, end), ask(t, onlooker, "WITH d AS (DELETE FROM sink RETURNING v) SELECT * FROM d"))
				if !slices.Equal(got, want) {
					t.Errorf("through weir:\n%s\nfrom PostgreSQL:\n%s", strings.Join(tail(got), "\n"), strings.Join(tail(want), "\n"))
				}
			})
		}
	}
}

// hearLast says something, ends, and returns all that comes.
func hearLast(t *testing.T, c *wireClient, says, end string) (heard []string) {
	t.Helper()
	p, err := parseMessages(says)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.HasPrefix(end, "Terminate"):
		p = append(p, 'X', 0, 0, 0, 4)
	case strings.HasPrefix(end, "half"):
		p = append(p, "Q\x00\x00\x00\x20insert into"...)
	}
	if len(p) > 0 {
		c.SendBytes(p)
	}
	if strings.HasSuffix(end, "FIN") {
		_ = c.conn.CloseWrite()
	}
	for {
		m, err := c.TryReceive()
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Fatal("the connection stays open")
		}
		if err != nil {
			return heard
		}
		if _, ok := m.(*pgproto3.ParameterStatus); !ok { // with which weir finds out whether it is there still
			heard = append(heard, printMessage(m))
		}
	}
}
