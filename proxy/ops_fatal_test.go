package proxy_test

import (
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/pgerror"
	"weir/proxy/wire"
)

// A server's last word is FATAL. What has said that and leaves the connection open, as another pooler between may, keeps no client.
func TestServerThatSaysFatalAndStaysIsLeft(t *testing.T) {
	d := database(t)
	last := wire.AppendErrorResponse(nil, pgerror.AdminShutdown)
	for name, begin := range map[string]func(c *wireClient){
		"in a query":           func(c *wireClient) { c.inBackground("SELECT pg_sleep(60)") },
		"in a batch":           func(c *wireClient) { c.Send(flushed("SELECT pg_sleep(60)")...) },
		"in a transaction":     func(c *wireClient) { c.Query("BEGIN") },
		"with its own backend": func(c *wireClient) { c.Query("CREATE TEMP TABLE own (v int)") },
	} {
		for way, say := range map[string]func(g *gate){
			"in one piece":  func(g *gate) { g.say(last) },
			"in two pieces": func(g *gate) { g.say(last[:9]); g.say(last[9:]) },
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				g := newGate(t, d.Server.Addr(), nil)
				w := start(t, d, inPlainText+"[pool]\npool_size = 1\n"+serverAt(g.listener.Addr().String()))
				c, next := enter(t, w, d), enter(t, w, d)
				begin(c)
				expectActive(t, w, 1)
				say(g)
				c.expectLastError(pgerror.CodeAdminShutdown)
				next.Query("SELECT 1")
				d.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()")
			})
		}
	}
}

// flushed is a batch that a Flush ends.
func flushed(sql string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{}}
}

// TestRequestThatMeetsTheEndOfAnIdleSessionGoesElsewhere: the server has done nothing of it, and weir has it still where it begins with a statement that
// clients share. What may have been done, and what is in a session of the client's own, ends with its backend.
func TestRequestThatMeetsTheEndOfAnIdleSessionGoesElsewhere(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)", "INSERT INTO book VALUES ('Emma')")
	const text = "SELECT title FROM book"
	prepared, idle := runs(t, "s"), pgerror.ClientIdleTimeout(0)
	for name, c := range map[string]struct {
		before  string
		request step
		says    *pgerror.Error
		goesOn  bool
		pool    string
	}{
		"a statement that is prepared":      {before: "SELECT 1", request: prepared, says: idle, goesOn: true},
		"the server is told to stop":        {before: "SELECT 1", request: prepared, says: pgerror.AdminShutdown},
		"in a transaction":                  {before: "BEGIN", request: prepared, says: idle},
		"with a backend of its own":         {before: "CREATE TEMP TABLE own (v int)", request: prepared, says: idle},
		"in a session of its own":           {before: "SELECT 1", request: prepared, says: idle, pool: "pool_mode = \"session\"\n"},
		"a batch after another":             {before: "SELECT 1", request: inOneWrite(runs(t, "one"), prepared), says: idle},
		"a simple query, which is not kept": {before: "SELECT 1", request: queries(text), says: idle},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, d.Server.Addr(), nil)
			w := start(t, d, inPlainText+"[pool]\npool_size = 1\n"+c.pool+serverAt(g.listener.Addr().String()))
			client := enter(t, w, d)
			for _, s := range []step{parsesAndRuns(t, "s", text), parsesAndRuns(t, "one", "SELECT 1"), queries(c.before)} {
				for range s.answers {
					client.SendBytes(s.send)
					if err := client.Answer().Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			l := locked(t, d, "book")
			client.SendBytes(c.request.send)
			l.expectBlocked()
			for range c.request.answers - 1 {
				client.Answer()
			}
			g.say(wire.AppendErrorResponse(nil, c.says))
			if !c.goesOn {
				client.expectLastError(c.says.Code)
				l.release()
				return
			}
			eventually(t, func() string { return differ(l.blocked(), "2") }) // the gate's other end has not noticed
			l.release()
			if got := client.Answer(); got.First() != "Emma" {
				t.Errorf("%v %v", got.Rows, got.Err())
			}
			if w.Log.Contains("level=WARN") {
				t.Error("the log warns of a client that was hurt")
			}
		})
	}
}
