package proxy_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/faultnet"
	"weir/proxy/status"
)

// The tail of a COPY that has failed may still be parked for the server when the backend goes to another lane.
func TestTailOfACopyIsSentFromTheLaneThatTheBackendGoesTo(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE sink (v int)")
	n := faultnet.New(t, "tcp", d.Server.Addr())
	w := spreading(t, d, 2, "[pool]\npool_size = 2\nsession_audit = \"off\"\n"+behind(n))
	clients := enterMany(t, w, d, 3)
	c, next := clients[0], clients[1]
	clients[2].Query("BEGIN")
	if c.Query("SELECT pg_backend_pid()") != next.Query("SELECT pg_backend_pid()") {
		t.Fatal("there is more than one backend that nobody keeps")
	}
	given := w.pool().Totals.Transfers
	c.inBackground("COPY sink FROM STDIN")
	receiveUntil[*pgproto3.CopyInResponse](c)
	next.inBackground("SELECT 1")
	expectPool(t, w, "one waits", func(p status.Pool) bool { return p.Clients[status.ClientWaiting] == 1 })
	waits := w.pool().ParkedBytes // what the client that waits has sent
	n.Pause(faultnet.ToClient)
	c.SendBytes([]byte("d\x00\x00\x00\x07no\n"))
	server := direct(t, d)
	eventually(t, func() string {
		if ask(t, server, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY sink%' AND state = 'idle'") != "1" {
			return "the server has not refused the COPY"
		}
		return ""
	})
	n.Pause(faultnet.ToTarget)
	frame := []byte("d\x00\x00\x1f\xff" + strings.Repeat("x", 1<<13-5)) // weir reads each whole
	for parked := 0; parked == 0; {
		before := w.pool().Totals.ClientBytesIn
		c.SendBytes(frame)
		eventually(t, func() string {
			p := w.pool()
			if parked = p.ParkedBytes - waits; p.Totals.ClientBytesIn < before+uint64(len(frame)) {
				return "the client is not read"
			}
			return ""
		})
	}
	n.Resume(faultnet.ToClient)
	expectPool(t, w, "given away", func(p status.Pool) bool { return p.Totals.Transfers > given })
	n.Resume(faultnet.ToTarget)
	receiveUntil[*pgproto3.ReadyForQuery](next)
}

// How many of the Syncs amid the data of a COPY that fails the server answers is not known until it has been asked. A client that has ended by then gets all
// the same what it has asked for behind that.
func TestClientThatEndsBehindAFailedCopyGetsItsAnswers(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE sink (v int)")
	w := start(t, d, "[pool]\npool_size = 1\n")
	for name, end := range map[string]func(*wireClient){
		"Terminate": func(c *wireClient) { c.Send(&pgproto3.Terminate{}) },
		"FIN":       func(c *wireClient) { _ = c.conn.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			c := enter(t, w, d)
			c.Send(&pgproto3.Parse{Query: "COPY sink FROM STDIN"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			receiveUntil[*pgproto3.CopyInResponse](c)
			c.Send(&pgproto3.CopyData{Data: []byte("no\n")})
			receiveUntil[*pgproto3.ErrorResponse](c)
			c.Send(&pgproto3.CopyFail{Message: "no"}, &pgproto3.Sync{}, &pgproto3.Query{String: "SELECT pg_sleep(0.1)"}, &pgproto3.Query{String: "SELECT 'the last'"})
			end(c)
			for range 3 {
				receiveUntil[*pgproto3.ReadyForQuery](c)
			}
			if m, err := c.TryReceive(); err == nil {
				t.Errorf("the connection does not end: %s", printMessage(m))
			}
		})
	}
}
