package proxy_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/faultnet"
	"weir/proxy/status"
)

// knownRows is a result whose rows can be told apart: %06d and n letters.
type knownRows struct{ size, count int }

var (
	smallRows = knownRows{150, 250_000}
	largeRows = knownRows{200_000, 200}
)

func (k knownRows) sql(where string) string {
	return fmt.Sprintf("SELECT lpad(i::text, 6, '0') || repeat(chr(65 + i %% 26), %d) AS v FROM generate_series(1, %d) i %s", k.size, k.count, where)
}

func (k knownRows) row(i int) string {
	return fmt.Sprintf("%06d", i) + strings.Repeat(string(rune('A'+i%26)), k.size)
}

// expect judges all that has come to a client since its query: each message that is whole is one that a server sends, and each
// row is the next one. It returns how many rows there are, and how the rest looks.
func (k knownRows) expect(t *testing.T, stream []byte) (rows int, then string) {
	t.Helper()
	for _, m := range frames(stream) {
		if !complete5(m) {
			return rows, then + " and a piece"
		}
		switch m[0] {
		case 'D', 'd':
			rows++
			want := k.row(rows)
			got := string(m[5:])
			if m[0] == 'D' {
				want = "\x00\x01" + string(binary.BigEndian.AppendUint32(nil, uint32(len(want)))) + want
			} else {
				want += "\n"
			}
			if got != want {
				t.Errorf("row %d is whole, and the server has not sent it: its end is %q", rows, got[max(0, len(got)-80):])
			}
		case 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(m[5:]); err != nil || e.Severity == "" || len(e.Code) != 5 || e.Message == "" {
				t.Errorf("a damaged error: %q", m)
			}
			then += " " + e.Code
		case 'T', 'H', 'C', 'c', 'N', 'S', 'Z':
		default:
			t.Errorf("a message of type %q after row %d", m[0], rows)
		}
	}
	return rows, then
}

// streamUntil reads bytes until these are enough, or the connection ends.
func (c *wireClient) streamUntil(so []byte, enough func([]byte) bool) []byte {
	c.t.Helper()
	buf := make([]byte, 64<<10)
	for !enough(so) {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := c.reader.Read(buf)
		so = append(so, buf[:n]...)
		if netErr := net.Error(nil); errors.As(err, &netErr) && netErr.Timeout() {
			c.t.Fatalf("after %d bytes the connection stays open, and nothing comes", len(so))
		}
		if err != nil {
			break
		}
	}
	return so
}

// answered reports whether a stream ends with a ReadyForQuery.
func answered(stream []byte) bool {
	return len(stream) >= 6 && string(stream[len(stream)-6:len(stream)-1]) == "Z\x00\x00\x00\x05"
}

// halfRow has a client read as far as its server has sent, which thinks then: a part of a row.
func (k knownRows) halfRow(t *testing.T, c *wireClient, format string) []byte {
	t.Helper()
	c.inBackground(fmt.Sprintf(format, k.sql("WHERE i <> 80 OR pg_sleep(60) IS NOT NULL")))
	const served = 8192 // is how much a server collects before it sends it
	so := c.streamUntil(nil, func(so []byte) bool { return len(so) >= served-k.size })
	all := frames(so)
	if complete5(all[len(all)-1]) {
		t.Fatalf("the server has stopped between two rows, after %d bytes", len(so))
	}
	return so
}

// A row is a row of the server's, however its end comes: what weir has to say never becomes a part of one.
func TestNoRowIsMadeUpOfAnError(t *testing.T) {
	d := database(t)
	limit := func(t *testing.T, w *weirUnderTest) { // no sooner: the server may take its time until it has sent the first rows
		if err := w.Proxy.Set("timeouts", "transaction_timeout", "1ms"); err != nil {
			t.Fatal(err)
		}
	}
	for name, format := range map[string]string{"rows": "%s", "copy": "COPY (%s) TO STDOUT"} {
		for how, end := range map[string]func(*testing.T, *weirUnderTest, *faultnet.Proxy, string){
			"terminated": func(t *testing.T, _ *weirUnderTest, _ *faultnet.Proxy, pid string) { killBackend(t, d, pid) },
			"cut":        func(_ *testing.T, _ *weirUnderTest, n *faultnet.Proxy, _ string) { n.Cut() },
			"stop":       func(_ *testing.T, w *weirUnderTest, _ *faultnet.Proxy, _ string) { w.Stop() },
			"timeout":    func(t *testing.T, w *weirUnderTest, _ *faultnet.Proxy, _ string) { limit(t, w) },
			"frozen": func(t *testing.T, w *weirUnderTest, n *faultnet.Proxy, _ string) {
				n.Pause(faultnet.ToClient)
				limit(t, w)
			},
		} {
			if how == "timeout" && name == "copy" || how == "frozen" && name == "rows" {
				continue // three seconds each
			}
			t.Run(how+" amid "+name, func(t *testing.T) {
				n := faultnet.New(t, "tcp", d.Server.Addr())
				toml := "[pool]\npool_size = 1\n" + behind(n)
				if how == "frozen" {
					toml += "[timeouts]\ncancel_wait_timeout = \"300ms\"\n"
				}
				w := start(t, d, toml)
				c := enter(t, w, d)
				pid := c.Query(pidQuery)
				so := smallRows.halfRow(t, c, format)
				end(t, w, n, pid)
				so = c.streamUntil(so, answered)
				rows, then := smallRows.expect(t, so)
				if rows < 40 {
					t.Errorf("%d rows", rows)
				}
				t.Logf("%d rows,%s", rows, then)
				n.Cut() // and nothing goes on
				killBackend(t, d, pid)
			})
		}
	}
}

// The connection to the server ends so many bytes before the end of a large row.
func TestNoRowIsMadeUpOfAnErrorWhereverTheServerIsCutOff(t *testing.T) {
	d := database(t)
	for name, format := range map[string]string{"rows": "%s", "copy": "COPY (%s) TO STDOUT"} {
		for _, missing := range []int{1, 10, 100, 200, 1000, 100_000, 200_007, 200_010} {
			t.Run(fmt.Sprint(missing, " bytes before the end, ", name), func(t *testing.T) {
				n := faultnet.New(t, "tcp", d.Server.Addr())
				w := start(t, d, "[pool]\npool_size = 1\n"+behind(n))
				c, next := enter(t, w, d), enter(t, w, d)
				c.Query("SELECT 1")
				head, row := 27, 5+2+4+6+largeRows.size // RowDescription, DataRow
				if name == "copy" {
					head, row = 10, 5+6+largeRows.size+1
				}
				n.CutAfter(faultnet.ToClient, int64(head+3*row-missing))
				c.inBackground(fmt.Sprintf(format, largeRows.sql("")))
				rows, then := largeRows.expect(t, c.streamUntil(nil, answered))
				if rows > 2 {
					t.Errorf("%d rows", rows)
				}
				t.Logf("%d rows,%s", rows, then)
				n.CutAfter(faultnet.ToClient, 0)
				next.Query("SELECT 1")
			})
		}
	}
}

// A client that does not read has a part of a row waiting in weir when its server ends, or its time.
func TestNoRowIsMadeUpOfAnErrorForASlowReader(t *testing.T) {
	d := database(t)
	for size, k := range map[string]knownRows{"small": smallRows, "large": largeRows} {
		for _, how := range []string{"terminated", "timeout", "stop"} {
			t.Run(how+" amid "+size+" rows", func(t *testing.T) {
				toml := "[pool]\npool_size = 1\n"
				w := startReloadable(t, d, toml)
				c := enter(t, w.weirUnderTest, d)
				pid := c.Query(pidQuery)
				c.inBackground(k.sql(""))
				expectPool(t, w.weirUnderTest, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
				switch how {
				case "terminated":
					killBackend(t, d, pid)
				case "timeout": // no sooner: the server may take its time until it has sent what does not fit into sockets
					w.reload(toml + "[timeouts]\ntransaction_timeout = \"1ms\"\n")
					expectPool(t, w.weirUnderTest, "over", func(p status.Pool) bool { return p.Totals.WeirErrors > 0 })
				case "stop":
					w.Stop()
				}
				rows, then := k.expect(t, c.streamUntil(nil, answered))
				t.Logf("%d rows,%s", rows, then)
			})
		}
	}
}

// What came whole before the server's stream ceased to make sense is the client's.
func TestRowBeforeNonsenseIsDelivered(t *testing.T) {
	d := database(t)
	g := newGate(t, d.Server.Addr(), nil)
	w := start(t, d, inPlainText+"[pool]\npool_size = 1\n"+serverAt(g.listener.Addr().String()))
	for _, nonsense := range []string{"y\x00\x00\x00\x18" + strings.Repeat("x", 20), "D\x00\x00\x00\x01"} {
		for _, text := range []string{"SELECT '%s' UNION ALL SELECT pg_sleep(60)::text", "COPY (SELECT '%s' UNION ALL SELECT pg_sleep(60)::text) TO STDOUT"} {
			c := enter(t, w, d)
			pid := c.Query(pidQuery)
			value := strings.Repeat("own", 3000) // more than a server collects
			c.inBackground(fmt.Sprintf(text, value))
			so := c.streamUntil(nil, func(so []byte) bool { return len(so) >= 8192 })
			g.say([]byte(tailOf(so, value) + nonsense))
			so = c.streamUntil(so, answered)
			found := false
			for _, m := range frames(so) {
				found = found || complete5(m) && (m[0] == 'D' || m[0] == 'd') && strings.Contains(string(m), value)
			}
			if !found {
				t.Errorf("before %q the row is not delivered: %d bytes, the last are %q", nonsense, len(so), so[max(0, len(so)-80):])
			}
			killBackend(t, d, pid)
		}
	}
}

// tailOf is what misses of the row with this value, of which a server has sent a part.
func tailOf(so []byte, value string) string {
	all := frames(so)
	last := all[len(all)-1]
	missing := 1 + int(binary.BigEndian.Uint32(last[1:])) - len(last)
	if last[0] == 'd' {
		return (value + "\n")[len(value)+1-missing:]
	}
	return value[len(value)-missing:]
}

// In statement mode a transaction ends the client. What it has asked for before has been carried out, and it is told so first.
func TestAnswersComeBeforeTheErrorInStatementMode(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE SEQUENCE drawn")
	w := start(t, d, "[pool]\npool_size = 1\nmode = \"statement\"")
	batch := func(sql string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{parse("", sql), &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	draws, begins := "SELECT nextval('drawn')", "BEGIN"
	for name, talk := range map[string]step{
		"one text":         queries(draws + "; " + begins),
		"two queries":      queries(draws, begins),
		"extended":         synced(t, append(batch(draws), batch(begins)...)...),
		"with a Sync each": inOneWrite(synced(t, batch(draws)...), synced(t, batch(begins)...)),
	} {
		t.Run(name, func(t *testing.T) {
			drawn := "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM drawn"
			admin := direct(t, d)
			before := atoi(t, ask(t, admin, drawn))
			c := enter(t, w, d)
			c.SendBytes(talk.send)
			var told []string
			for {
				m, err := c.TryReceive()
				if err != nil {
					break
				}
				if row, ok := m.(*pgproto3.DataRow); ok {
					told = append(told, string(row.Values[0]))
				}
				if e, ok := m.(*pgproto3.ErrorResponse); ok {
					told = append(told, e.Code)
				}
			}
			want := []string{"0A000"}
			if after := atoi(t, ask(t, admin, drawn)); after > before {
				want = []string{fmt.Sprint(after), "0A000"}
			}
			if fmt.Sprint(told) != fmt.Sprint(want) {
				t.Errorf("told %v, want %v", told, want)
			}
		})
	}
}
