package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/faultnet"
	"weir/proxy/status"
)

// A query beyond query_timeout is cancelled on the server: the client has an ordinary error and keeps its session.
func TestQueryTimeout(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n[timeouts]\nquery_timeout = \"1s\"")
	c := enter(t, w, d)
	e := refused(t, c.Run("SELECT pg_sleep(60)").Err(), "57014")
	if e.Severity != "ERROR" || e.Message != "canceling statement due to statement timeout" || !strings.Contains(e.Hint, "query_timeout (1s") {
		t.Errorf("told %v", e)
	}
	expectLine(t, w, "timeout: server asked to cancel", "setting=query_timeout", "limit=1s", "pool="+d.Name+"/postgres", "peer=127.0.0.1", "backend=")
	expectTimeouts(t, w, status.QueryTimeout, 1)
	if last := w.Proxy.LastErrors(); len(last) != 1 || !last[0].Weirs || last[0].Text != e.Message {
		t.Errorf("among the last errors it is %+v", last)
	}
	// A batch of the extended protocol, whose Parse alone is answered before.
	c.Send(&pgproto3.Parse{Query: "SELECT pg_sleep(60)"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if e := refused(t, c.Answer().Err(), "57014"); e.Hint == "" {
		t.Errorf("told %v", e)
	}
	// What the user cancels is the user's.
	c.inBackground("SELECT pg_sleep(60)")
	expectRunning(t, d, "SELECT pg_sleep", 1)
	cancelRequest(t, w.Addr, c.pid, c.secret)
	if e := refused(t, c.Answer().Err(), "57014"); e.Message != "canceling statement due to user request" {
		t.Logf("the timeout was faster: %v", e)
	}
	c.Query("SELECT 1")
}

// expectLine waits for a line of the log with all these parts.
func expectLine(t *testing.T, w *weirUnderTest, parts ...string) {
	t.Helper()
	eventually(t, func() string {
		if !w.Log.Contains(parts...) {
			return fmt.Sprintf("no line with %q", parts)
		}
		return ""
	})
}

func expectTimeouts(t *testing.T, w *weirUnderTest, which status.Timeout, n uint64) {
	t.Helper()
	expectPool(t, w, fmt.Sprintf("counting %d of %s", n, which), func(p status.Pool) bool { return p.Totals.Timeouts[which] == n })
}

// Where the server does not take the cancel request either, the client is let go and the backend is closed.
func TestQueryTimeoutOfAServerThatHangs(t *testing.T) {
	d := database(t)
	n := faultnet.New(t, "tcp", d.Server.Addr())
	w := start(t, d, behind(n)+"[pool]\npool_size = 1\n[timeouts]\nquery_timeout = \"1s\"\ncancel_wait_timeout = \"300ms\"")
	c := enter(t, w, d)
	c.Query("SELECT 1")
	expectPool(t, w, "with a free backend", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 }) // and asked what it has to be asked
	n.Pause(faultnet.ToTarget)
	c.inBackground("SELECT 2")
	c.expectLastError("57014")
	expectLine(t, w, "timeout: server did not cancel, client disconnected", "setting=query_timeout")
	expectPool(t, w, "without the backend", func(p status.Pool) bool {
		return backendCount(p) == 0 && p.Totals.BackendsBy[status.BackendTooLong] == 1
	})
	n.Resume(faultnet.ToTarget)
	enter(t, w, d).Query("SELECT 3")
}

func TestIdleTransactionTimeout(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n[timeouts]\nidle_transaction_timeout = \"300ms\"")
	c, idle := enter(t, w, d), enter(t, w, d)
	pid := c.Query("BEGIN; " + pidQuery)
	c.expectLastError("25P03")
	expectLine(t, w, "timeout: client disconnected", "setting=idle_transaction_timeout", "limit=300ms", "backend="+pid)
	expectTimeouts(t, w, status.IdleTransactionTimeout, 1)
	if got := idle.Query("SELECT pg_backend_pid() || ' ' || (now() = statement_timestamp())"); got != pid+" true" {
		t.Errorf("the next client sees %q, want backend %s outside of a transaction", got, pid)
	}
}

// A batch without a Sync is a transaction, too: a client that has had all answers to it and sends no more is idle in that. One whose
// query runs is not, nor is one that goes on, nor one that is amid a COPY.
func TestIdleTransactionTimeoutAmidABatch(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 6\n[timeouts]\nidle_transaction_timeout = \"1s\"")
	copies, goesOn := enter(t, w, d), enter(t, w, d)
	copies.Query("CREATE TABLE lines (line text)")
	copies.Send(flushed("COPY lines FROM STDIN")...)

	idle := map[string]*wireClient{}
	for name, batch := range map[string][]pgproto3.FrontendMessage{
		"answered":         flushed("SELECT 1"),
		"not asked for":    flushed("SELECT 1")[:3],
		"refused":          flushed("SELECT 1/0"),
		"a portal in part": {&pgproto3.Parse{Query: "SELECT generate_series(1, 3)"}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Flush{}},
	} {
		idle[name] = enter(t, w, d)
		idle[name].Send(batch...)
	}
	for _, sql := range []string{"SELECT pg_sleep(1.5)", "SELECT pg_sleep(0.7)", "SELECT pg_sleep(0.7)"} {
		goesOn.Send(flushed(sql)...)
		for done := false; !done; _, done = goesOn.Receive().(*pgproto3.CommandComplete) {
		}
	}
	goesOn.Send(&pgproto3.Sync{})
	if err := goesOn.Answer().Err(); err != nil {
		t.Error(err)
	}
	copies.Send(&pgproto3.CopyData{Data: []byte("a line\n")}, &pgproto3.CopyDone{}, &pgproto3.Sync{})
	if err := copies.Answer().Err(); err != nil {
		t.Error(err)
	}
	for name, c := range idle {
		if name == "refused" {
			c.Receive() // ParseComplete; the planner meets the division in Bind
			if m, is := c.Receive().(*pgproto3.ErrorResponse); !is || m.Code != "22012" {
				t.Errorf("told %v", m)
			}
		}
		c.expectLastError("25P03")
	}
	expectTimeouts(t, w, status.IdleTransactionTimeout, uint64(len(idle)))
}

// Work counts against transaction_timeout, too; what is outside of a transaction does not.
func TestTransactionTimeout(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\n[timeouts]\ntransaction_timeout = \"600ms\"")
	c, working, idle := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	c.Query("BEGIN")
	working.Query("BEGIN")
	working.inBackground("SELECT pg_sleep(3)")
	c.expectLastError("25P04")
	working.expectLastError("25P04")
	expectLine(t, w, "timeout: client disconnected", "setting=transaction_timeout", "limit=600ms")
	expectTimeouts(t, w, status.TransactionTimeout, 2)
	idle.Query("SELECT 1")
}

func TestClientIdleTimeout(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	c, inTransaction := enter(t, w, d), enter(t, w, d)
	inTransaction.Query("BEGIN")
	w.idleLimit(t, "300ms")
	c.expectLastError("57P05")
	expectLine(t, w, "timeout: client disconnected", "setting=client_idle_timeout", "limit=300ms")
	expectTimeouts(t, w, status.IdleClientTimeout, 1)
	inTransaction.Query("COMMIT")
}

// idleLimit sets client_idle_timeout, where clients are to be busy before it holds.
func (w *weirUnderTest) idleLimit(t *testing.T, limit string) {
	t.Helper()
	if err := w.Proxy.Set("timeouts", "client_idle_timeout", limit); err != nil {
		t.Fatal(err)
	}
}

// A user's own timeouts win, and hold for that user only.
func TestTimeoutsOfAUser(t *testing.T) {
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS batch", "CREATE ROLE batch LOGIN")
	w := start(t, d, "[timeouts]\nquery_timeout = \"300ms\"\n[users.batch]\nquery_timeout = \"1m\"")
	batch, other := dial(t, w.Addr, "batch", d.Name), enter(t, w, d)
	batch.inBackground("SELECT pg_sleep(2.5)")
	refused(t, other.Run("SELECT pg_sleep(60)").Err(), "57014")
	if err := batch.Answer().Err(); err != nil {
		t.Error(err)
	}
	w.Stop()
	d.Exec(t, "DROP ROLE batch")
}

func TestServerIdleTimeout(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\nserver_idle_timeout = \"200ms\"")
	c := enter(t, w, d)
	old := c.Query(pidQuery)
	expectPool(t, w, "empty", func(p status.Pool) bool { return backendCount(p) == 0 })
	if pid := c.Query(pidQuery); pid == old {
		t.Errorf("backend %s is still there", pid)
	}
}

// A backend beyond its lifetime is closed once it is free, not before.
func TestServerLifetime(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n[timeouts]\nserver_lifetime = \"200ms\"")
	c := enter(t, w, d)
	c.Query("BEGIN")
	old := c.Query(pidQuery)
	c.Query("SELECT pg_sleep(0.5)")
	if pid := c.Query(pidQuery); pid != old {
		t.Errorf("the backend changed in a transaction: %s, %s", old, pid)
	}
	c.Query("COMMIT")
	if pid := c.Query(pidQuery); pid == old {
		t.Errorf("backend %s is still used", pid)
	}
	expectPool(t, w, "without a loss", func(p status.Pool) bool { return p.Totals.BackendsLost == 0 })
}

// A client that leaves in a transaction does not make the next client's transaction a long one.
func TestTransactionBeginsWithItsOwnClient(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n")
	c := enter(t, w, d)
	c.Query("BEGIN")
	c.Query("SELECT pg_sleep(0.2)")
	c.Terminate()
	expectPool(t, w, "with a free backend", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 })
	next := enter(t, w, d)
	before, began := w.pool().Transact.Sum, time.Now()
	next.Query("SELECT 1")
	if took, most := w.pool().Transact.Sum-before, time.Since(began); took > most {
		t.Errorf("the next client's transaction took %s, of the %s since it came", took, most)
	}
}
