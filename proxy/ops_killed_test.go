package proxy_test

import (
	"context"
	"testing"

	"weir/internal/faultnet"
	"weir/proxy/status"
)

// stillRuns asks the server whether a backend is at work.
const stillRuns = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid = "

// A client that was killed amid a query has no use for its answer: the query is cancelled, and the backend serves the next.
func TestKilledClientGivesItsBackendBack(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for way, die := range ways {
		for name, prepare := range map[string]func(c *wireClient){
			"amid a query": func(*wireClient) {},
			"amid a transaction": func(c *wireClient) {
				c.Query("BEGIN")
			},
			"with state of its own": func(c *wireClient) {
				c.Query("SET work_mem = '1234kB'")
			},
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				c, next := enter(t, w, d), enter(t, w, d)
				pid := c.Query(pidQuery)
				prepare(c)
				c.inBackground("SELECT pg_sleep(60)")
				expectActive(t, w, 1)
				next.inBackground(pidQuery + ", current_setting('work_mem'), now() = statement_timestamp()")
				expectWaiting(t, w, 1)
				die(c)
				if a := next.Answer(); a.Err() != nil || a.Rows[0][1] != "4MB" || a.Rows[0][2] != "t" {
					t.Errorf("the next client's answer is %v %v", a.Rows, a.Err())
				}
				eventually(t, func() string {
					if ask(t, direct(t, d), stillRuns+pid+" AND query LIKE '%pg_sleep%'") != "0" {
						return "the query runs"
					}
					return ""
				})
				next.Terminate()
			})
		}
	}
}

// A client that has sent its last byte, and reads on, gets its answer, however late that comes.
func TestHalfClosedClientGetsItsAnswer(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 2")
	holder := enter(t, w, d)
	holder.Query("BEGIN; LOCK book")
	c := enter(t, w, d)
	c.SendBytes(inOneWrite(queries("INSERT INTO book VALUES ('x') RETURNING title"), parsesAndRuns(t, "", "SELECT 'the end'")).send)
	expectActive(t, w, 2)
	if err := c.conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // others are served, and so weir has read the FIN
		holder.Query("SELECT 1")
	}
	holder.Query("COMMIT")
	if a := c.Answer(); a.First() != "x" {
		t.Errorf("%v %v", a.Rows, a.Err())
	}
	if a := c.Answer(); a.First() != "the end" {
		t.Errorf("%v %v", a.Rows, a.Err())
	}
	if e := c.ExpectClosed(); e != nil {
		t.Errorf("and then it is told %v", e)
	}
}

// The network may take the client's end to weir late, and in the middle of a result.
func TestKilledClientGivesItsBackendBackAmidAResult(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	n := faultnet.New(t, "tcp", w.Addr)
	c, next := dial(t, n.Addr(), d.Server.Superuser(), d.Name), enter(t, w, d)
	c.inBackground(largeRows.sql(""))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.WaitFor(ctx, func(s faultnet.Stats) bool { return s.Bytes[faultnet.ToClient] > 1<<20 }); err != nil {
		t.Fatal(err)
	}
	next.inBackground("SELECT 'next'")
	expectPool(t, w, "parked", func(p status.Pool) bool { return p.ParkedBytes > 0 })
	n.Cut()
	if got := next.Answer().First(); got != "next" {
		t.Errorf("got %q", got)
	}
}

// A client that has shut down its sending side while it waits for a backend is answered, as by PostgreSQL.
func TestClientThatSendsNoMoreIsAnsweredAfterItsWait(t *testing.T) {
	bothWays(t, func(t *testing.T, start starter) {
		d := database(t)
		w := start(t, d, "[pool]\npool_size = 1")
		holder, half, next := enter(t, w, d), enter(t, w, d), enter(t, w, d)
		holder.Query("BEGIN")
		half.inBackground("SELECT 'read on'")
		expectWaiting(t, w, 1)
		if err := half.conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		next.inBackground("SELECT 'next'")
		expectWaiting(t, w, 2)
		holder.Query("COMMIT")
		if a := half.Answer(); a.Err() != nil {
			t.Fatal(a.Err())
		}
		if a := next.Answer(); a.Err() != nil {
			t.Fatal(a.Err())
		}
	})
}

// Transactions that do not come to their end count apart, once each: a client may have gone before its backend is lost.
func TestTransactionsThatAreCutShortAreCounted(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 3")
	leaves, loses, idle := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	idle.Query("SELECT 1")
	idle.Terminate()
	leaves.Query("BEGIN")
	loses.Query("BEGIN")
	killBackend(t, d, loses.Query(pidQuery))
	loses.expectLastError("57P01")
	leaves.Vanish()
	expectPool(t, w, "counting what was cut short", func(p status.Pool) bool {
		return p.Totals.Unfinished == [status.TransactionEnds]uint64{status.TransactionLeft: 1, status.TransactionLost: 1}
	})
}
