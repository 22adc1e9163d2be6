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
				w := start(t, d, "[pool]\npool_size = 1\n"+serverAt(g.listener.Addr().String()))
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
