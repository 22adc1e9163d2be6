package proxy_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// ways are the ways in which a client dies.
var ways = map[string]func(*wireClient){
	"FIN": (*wireClient).Vanish,
	"RST": (*wireClient).reset,
}

// A client that dies in its transaction leaves nothing behind, and its backend serves the next.
func TestClientDiesInTransaction(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	for way, die := range ways {
		t.Run(way, func(t *testing.T) {
			c, next := enter(t, w, d), enter(t, w, d)
			c.Query("BEGIN")
			c.Query("INSERT INTO book VALUES ('left behind')")
			pid := c.Query(pidQuery)
			next.inBackground("SELECT pg_backend_pid() || ' ' || (SELECT count(*) FROM book) || ' ' || (now() = statement_timestamp())")
			expectWaiting(t, w, 1)
			die(c)
			if got := next.Answer().First(); got != pid+" 0 true" {
				t.Errorf("the next client sees %q, want backend %s without rows or transaction", got, pid)
			}
		})
	}
}

// A client that dies in mid-query: the answer is thrown away, nobody else sees it.
func TestClientDiesInQuery(t *testing.T) {
	d := database(t)
	w := startAsUsual(t, d, "[pool]\npool_size = 1")
	for way, die := range ways {
		t.Run(way, func(t *testing.T) {
			c, next := enter(t, w, d), enter(t, w, d)
			pid := c.Query(pidQuery)
			draw := runBolted(t, d, c)
			next.inBackground(pidQuery)
			expectWaiting(t, w, 1)
			die(c)
			draw()
			if got := next.Answer().First(); got != pid {
				t.Errorf("the next client got %q, want backend %s", got, pid)
			}
		})
	}
}

// A client that is killed in a long query gives its backend back in seconds: the query is cancelled, and what is pipelined after it. The
// queries here outlast the test.
func TestQueriesOfAKilledClientAreCancelled(t *testing.T) {
	killed := map[string]func(*wireClient){
		"FIN": func(c *wireClient) { _ = c.netConn().Close() },
		"RST": (*wireClient).reset,
	}
	const slow = "SELECT pg_sleep(3000)"
	bothWays(t, func(t *testing.T, start starter) {
		d := database(t)
		w := start(t, d, "[pool]\npool_size = 1")
		for way, kill := range killed {
			t.Run(way, func(t *testing.T) {
				c, next := enter(t, w, d), enter(t, w, d)
				c.SendBytes(append(queryBytes(slow), queryBytes(slow)...))
				expectActive(t, w, 1)
				kill(c)
				next.Query("SELECT 1")
			})
		}
	})
}

// What a client asked for before it said goodbye is carried out, even if it does not wait for the answer.
func TestQueryBeforeAGoodbyeIsCarriedOut(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	c, next := enter(t, w, d), enter(t, w, d)
	// Longer than it takes to find out that the client is not there any more.
	c.SendBytes(append(queryBytes("INSERT INTO book SELECT 'kept' FROM pg_sleep(3)"), encode(t, &pgproto3.Terminate{})...))
	expectActive(t, w, 1)
	c.Vanish()
	if got := next.Query("SELECT count(*) FROM book"); got != "1" {
		t.Errorf("%s rows, want 1", got)
	}
}

func TestClientThatDiesWhileItWaitsLeavesTheQueueAtOnce(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for way, die := range ways {
		t.Run(way, func(t *testing.T) {
			holder, dying, next := enter(t, w, d), enter(t, w, d), enter(t, w, d)
			leases := w.Proxy.Snapshot().Pools[0].Totals.Leases
			holder.Query("BEGIN")
			dying.inBackground("SELECT 'nobody reads this'")
			expectWaiting(t, w, 1)
			die(dying)
			expectWaiting(t, w, 0)
			next.inBackground("SELECT 'next'")
			expectWaiting(t, w, 1)
			holder.Query("COMMIT")
			if got := next.Answer().First(); got != "next" {
				t.Errorf("the next client got %q", got)
			}
			if n := w.Proxy.Snapshot().Pools[0].Totals.Leases - leases; n != 2 { // the holder's and the next one's
				t.Errorf("%d leases: the dead client got one", n)
			}
		})
	}
}

func TestClientDiesInCopy(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	for way, die := range ways {
		t.Run(way, func(t *testing.T) {
			c, next := enter(t, w, d), enter(t, w, d)
			c.inBackground("COPY book FROM STDIN")
			if _, ok := c.Receive().(*pgproto3.CopyInResponse); !ok {
				t.Fatal("no CopyInResponse")
			}
			c.Send(&pgproto3.CopyData{Data: []byte("half a book\n")})
			die(c)
			if got := next.Query("SELECT count(*) FROM book"); got != "0" {
				t.Errorf("%s rows were left behind", got)
			}
		})
	}
}

// Half a message is nothing (below what weir looks at), or the end of its backend (beyond): never the beginning of another
// client's.
func TestClientDiesInMidMessage(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	long := binary.BigEndian.AppendUint32([]byte{'Q'}, 1<<20)
	long = append(long, "SELECT 'not yours'; -- "...)
	for name, p := range map[string][]byte{
		"in a header":       {'Q', 0, 0},
		"in a short body":   {'Q', 0, 0, 0, 30, 'S', 'E', 'L'},
		"in a long message": append(long, make([]byte, 100<<10)...),
		"between messages":  encode(t, &pgproto3.Parse{Query: "SELECT 'not yours'"}, &pgproto3.Bind{}, &pgproto3.Execute{}),
	} {
		for way, die := range ways {
			t.Run(name+" "+way, func(t *testing.T) {
				c, next := enter(t, w, d), enter(t, w, d)
				c.SendBytes(p)
				die(c)
				for range 3 {
					if got := next.Query("SELECT 'mine'"); got != "mine" {
						t.Fatalf("the next client got %q", got)
					}
				}
				expectPool(t, w, "one client", func(p status.Pool) bool { return clientCount(p) == 1 })
				next.Terminate()
				expectPool(t, w, "no client", func(p status.Pool) bool { return clientCount(p) == 0 })
			})
		}
	}
}

// A client whose peer vanished while a result was on its way to it does not keep its backend.
func TestClientDiesInMidResult(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c, next := enter(t, w, d), enter(t, w, d)
	c.inBackground("SELECT repeat('x', 1000) FROM generate_series(1, 30000)")
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	c.reset()
	next.Query("SELECT 1")
}

func TestManyClientsThatComeAndGoLeaveNothing(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 3")
	for i := range 60 {
		c := enter(t, w, d, "application_name", fmt.Sprint("app", i%4))
		c.Query("SELECT 1")
		if i%3 == 0 {
			c.reset()
		} else if i%3 == 1 {
			c.Vanish()
		} else {
			c.Terminate()
		}
	}
	expectPool(t, w, "empty", func(p status.Pool) bool { return p.Clients == [status.ClientStates]int{} && p.ParkedBytes == 0 })
	if n := w.Proxy.Snapshot().Limits.Clients; n != 0 {
		t.Errorf("%d clients are still counted", n)
	}
}
