package proxy_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/proxy"
	"weir/proxy/status"
)

// A cancel request that comes while its client's request is not yet at the server, or while the server is at something of weir's own, ends that
// request all the same; and it ends nothing else.

const endless = "SELECT pg_sleep(3600)"

// inEachMode runs a test in each pool mode, with one backend.
func inEachMode(t *testing.T, f func(t *testing.T, d *pgserver.Database, mode, pool string)) {
	for _, mode := range []string{"transaction", "session", "statement"} {
		t.Run(mode, func(t *testing.T) { f(t, database(t), mode, "[pool]\npool_size = 1\npool_mode = \""+mode+"\"\n") })
	}
}

// startInsisting runs a weir that takes no request to have begun, however slow the machine is.
func startInsisting(t *testing.T, d *pgserver.Database, toml string) *weirUnderTest {
	t.Helper()
	var o proxy.Options
	o.SweepEvery(sweepEvery)
	o.BegunAfter(time.Hour)
	return startWith(t, d, toml, o)
}

// expectCancelled expects that the request under way ends with 57014, and that the client works on.
func expectCancelled(t *testing.T, c *wireClient) {
	t.Helper()
	refused(t, c.Answer().Err(), "57014")
	if got := c.Query("SELECT 'goes on' FROM pg_sleep(0.2)"); got != "goes on" { // nothing is left of the request
		t.Errorf("the next query: %q", got)
	}
}

// latch is a lock on a table, of the system's or not.
type latch struct {
	t               *testing.T
	d               *pgserver.Database
	holder, watcher *pgconn.PgConn // logged in before: the table may be one that logins need
}

func locked(t *testing.T, d *pgserver.Database, table string) *latch {
	t.Helper()
	l := &latch{t, d, direct(t, d), direct(t, d)}
	l.blocked() // with all that it needs in its caches
	ask(t, l.holder, "BEGIN; LOCK TABLE "+table)
	return l
}

// release may be called more than once.
func (l *latch) release() {
	l.t.Helper()
	ask(l.t, l.holder, "ROLLBACK")
}

// expectBlocked waits until a session waits for the lock, which autovacuum may do as well.
func (l *latch) expectBlocked() {
	l.t.Helper()
	eventually(l.t, func() string { return differ(l.blocked(), "1") })
}

func (l *latch) blocked() string {
	return ask(l.t, l.watcher, "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND backend_type = 'client backend' AND datname = '"+l.d.Name+"'")
}

// The loop is behind: the query is in the client's socket when the cancel request reaches the loop.
func TestCancelOfAQueryThatWeirHasNotReadYet(t *testing.T) {
	inEachMode(t, func(t *testing.T, d *pgserver.Database, mode, pool string) {
		w := start(t, d, pool)
		c := enter(t, w, d)
		states := []string{"idle", "in a transaction"}
		if c.Query("SELECT 1"); mode == "statement" {
			states = states[:1]
		}
		for _, state := range states {
			if state != "idle" {
				c.Query("BEGIN")
			}
			release := w.Proxy.HoldLoopOf(c.pid)
			c.inBackground(endless)
			w.Proxy.CancelBehind(c.pid, c.secret)
			release()
			if e := refused(t, c.Answer().Err(), "57014"); e.Severity != "ERROR" {
				t.Errorf("%s: %v", state, e)
			}
			c.Query("ROLLBACK")
			c.Query("SELECT 1 FROM pg_sleep(0.2)")
		}
	})
}

// The same where all backends are taken: the query then waits for one.
func TestCancelOfAQueryThatIsAboutToWait(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	holder, c := enter(t, w, d), enter(t, w, d)
	holder.Query("BEGIN")
	release := w.Proxy.HoldLoopOf(c.pid)
	c.inBackground("SELECT 'never'")
	w.Proxy.CancelBehind(c.pid, c.secret)
	release()
	refused(t, c.Answer().Err(), "57014")
	holder.Query("COMMIT")
	if got := c.Query("SELECT 'goes on'"); got != "goes on" {
		t.Errorf("after that the client got %q", got)
	}
}

// Bytes that are no request are no reason to cancel a later one.
func TestCancelBesideBytesThatAreNoRequest(t *testing.T) {
	d := database(t)
	g, reached := countCancels(t, d.Server.Addr())
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1")
	c := enter(t, w, d)
	c.Query("SELECT 1")
	for what, p := range map[string][]byte{
		"the tail of a COPY":     encode(t, &pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}),
		"the first bytes of one": queryBytes("SELECT 1")[:3],
	} {
		release := w.Proxy.HoldLoopOf(c.pid)
		c.SendBytes(p)
		w.Proxy.CancelBehind(c.pid, c.secret)
		release()
		expectPool(t, w, "there", func(status.Pool) bool { return true }) // the loop has been round
		if what == "the first bytes of one" {
			c.SendBytes(queryBytes("SELECT 1")[3:])
			if a := c.Answer(); a.Err() != nil {
				t.Errorf("%s: %v", what, a.Err())
			}
		}
		if a := c.Run("SELECT pg_sleep(0.1)"); a.Err() != nil {
			t.Errorf("%s: the next query: %v", what, a.Err())
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// Its backend is being checked before it gets the query.
func TestCancelWhileTheBackendIsChecked(t *testing.T) {
	inEachMode(t, func(t *testing.T, d *pgserver.Database, mode, pool string) {
		d.Exec(t, "CREATE TABLE health ()")
		w := start(t, d, pool+"server_check_query = \"SELECT count(*) FROM public.health\"\nserver_check_delay = \"0s\"")
		if mode == "session" {
			enter(t, w, d).Terminate() // the pool has a backend
		}
		c := enter(t, w, d)
		if mode != "session" {
			c.Query("SELECT 1")
		}
		expectPool(t, w, "idle", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 })
		lock := locked(t, d, "health")
		c.inBackground(endless)
		lock.expectBlocked()
		cancelRequest(t, w.Addr, c.pid, c.secret)
		lock.release()
		expectCancelled(t, c)
	})
}

// Its backend fails the check, and the client is about to get another.
func TestCancelWhileTheBackendFailsItsCheck(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE health ()")
	w := start(t, d, "[pool]\npool_size = 1\nserver_check_query = \"SELECT count(*) FROM public.health\"\nserver_check_delay = \"0s\"")
	c := enter(t, w, d)
	pid := c.Query(pidQuery)
	lock := locked(t, d, "health")
	c.inBackground(endless)
	lock.expectBlocked()
	cancelRequest(t, w.Addr, c.pid, c.secret)
	killBackend(t, d, pid)
	lock.release()
	expectCancelled(t, c)
}

// A switch goes ahead of the query, and the request cancels the switch; the query is sent again after that.
func TestCancelThatHitsASwitchAhead(t *testing.T) {
	for _, mode := range []string{"transaction", "statement"} {
		for what, request := range map[string][]pgproto3.FrontendMessage{
			"simple":   {&pgproto3.Query{String: endless}},
			"extended": {parse("", endless), bindIt, executeIt, syncIt},
		} {
			t.Run(mode+" "+what, func(t *testing.T) {
				d := database(t)
				w := start(t, d, "[pool]\npool_size = 1\npool_mode = \""+mode+"\"")
				c, other := enter(t, w, d, "default_tablespace", "pg_default"), enter(t, w, d)
				c.Query("SELECT 1")
				other.Query("SELECT 1")
				lock := locked(t, d, "pg_tablespace") // which the server looks into for that setting
				c.Send(request...)
				lock.expectBlocked()
				cancelRequest(t, w.Addr, c.pid, c.secret)
				lock.release()
				expectCancelled(t, c)
			})
		}
	}
}

// Its backend is still being asked after its last transaction, and so the query is not read.
func TestCancelWhileTheBackendIsAsked(t *testing.T) {
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			d := database(t)
			w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"always\"\npool_mode = \""+mode+"\"")
			c := enter(t, w, d)
			asked := func() { // what the query before has left
				expectPool(t, w, "idle", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 1 })
			}
			c.Query("SELECT 1")
			asked()
			lock := locked(t, d, "pg_depend") // which tells whether there are temporary tables
			c.Query("SELECT 2")
			lock.expectBlocked()
			cancelRequest(t, w.Addr, c.pid, c.secret) // it has asked for nothing: nothing happens to its next query
			lock.release()
			c.Query("SELECT 3 FROM pg_sleep(0.2)")

			asked()
			lock = locked(t, d, "pg_depend")
			c.Query("SELECT 4")
			lock.expectBlocked()
			c.inBackground(endless)
			cancelRequest(t, w.Addr, c.pid, c.secret)
			lock.release()
			expectCancelled(t, c)
		})
	}
}

// The server forgets a cancel request that comes before the query. It is asked once more.
func TestCancelThatTheServerForgets(t *testing.T) {
	inEachMode(t, func(t *testing.T, d *pgserver.Database, mode, pool string) {
		var asked atomic.Int32
		g := newGate(t, d.Server.Addr(), func(pass func()) {
			if asked.Add(1) > 2 {
				pass()
			}
		})
		w := startInsisting(t, d, serverAt(g.listener.Addr().String())+inPlainText+pool)
		c := enter(t, w, d)
		c.inBackground(endless)
		expectRunning(t, d, endless, 1)
		cancelRequest(t, w.Addr, c.pid, c.secret)
		expectCancelled(t, c)
		if n := asked.Load(); n != 3 {
			t.Errorf("the server was asked %d times, want 3", n)
		}
	})
}

// A query that the server has had for long has begun. It is cancelled once: what a function does after it has caught that is left alone.
func TestCancelIsNotRepeatedWhereTheQueryHasBegun(t *testing.T) {
	d := database(t)
	g, asked := countCancels(t, d.Server.Addr())
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1")
	c := enter(t, w, d)
	// PostgreSQL signals the process and then its group: the second signal may come when the first has been caught already.
	const catches = "DO $$BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN " +
		"BEGIN PERFORM pg_sleep(0.3); EXCEPTION WHEN query_canceled THEN NULL; END; PERFORM pg_sleep(1); END$$"
	c.inBackground(catches)
	expectRunning(t, d, catches, 1)
	time.Sleep(1100 * time.Millisecond) // begunAfter
	cancelRequest(t, w.Addr, c.pid, c.secret)
	if a := c.Answer(); a.Err() != nil {
		t.Errorf("what came after the error was cancelled, too: %v", a.Err())
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

// A server that does not react is asked for some time, and then left alone.
func TestCancelThatIsOfNoUseIsGivenUp(t *testing.T) {
	d := database(t)
	var asked atomic.Int32
	g := newGate(t, d.Server.Addr(), func(func()) { asked.Add(1) })
	w := startInsisting(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1")
	c := enter(t, w, d)
	c.inBackground("SELECT 'ended' FROM pg_sleep(4)")
	cancelRequest(t, w.Addr, c.pid, c.secret)
	if a := c.Answer(); a.First() != "ended" {
		t.Error(a.Err())
	}
	if n := asked.Load(); n < 2 || n > 6 {
		t.Errorf("the server was asked %d times", n)
	}
}

// The connection to the server breaks. The request is sent once more.
func TestCancelWhoseConnectionFails(t *testing.T) {
	d := database(t)
	over := make(chan struct{})
	defer close(over)
	var asked atomic.Int32
	g := newGate(t, d.Server.Addr(), func(pass func()) {
		if asked.Add(1) == 1 {
			<-over // it is not closed in time
			return
		}
		pass()
	})
	w := startInsisting(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1\n[timeouts]\ncancel_wait_timeout = \"200ms\"")
	c := enter(t, w, d)
	c.inBackground(endless)
	cancelRequest(t, w.Addr, c.pid, c.secret)
	expectCancelled(t, c)
}

// What is executed without a Sync can be cancelled, too.
func TestCancelOfAnExecuteWithoutASync(t *testing.T) {
	inEachMode(t, func(t *testing.T, d *pgserver.Database, mode, pool string) {
		w := start(t, d, pool)
		c := enter(t, w, d)
		c.Send(parse("", endless), bindIt, executeIt, &pgproto3.Flush{})
		expectRunning(t, d, endless, 1)
		cancelRequest(t, w.Addr, c.pid, c.secret)
		receiveUntil[*pgproto3.ErrorResponse](c)
		c.Send(syncIt)
		c.Answer()
		c.Query("SELECT 1 FROM pg_sleep(0.2)")
	})
}

// A text executes a statement that has to be prepared on its backend first, and that is what is cancelled.
func TestCancelThatHitsTheParseOfAnExecutedStatement(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	c := enter(t, w, d)
	c.Send(parse("s", "SELECT count(*) FROM book"), syncIt)
	c.Answer()
	for _, begin := range []string{"SELECT 1", "BEGIN"} {
		killBackend(t, d, enter(t, w, d).Query(pidQuery)) // the next one has not prepared it
		c.Query(begin)
		lock := locked(t, d, "book")
		c.inBackground("EXECUTE s")
		lock.expectBlocked()
		cancelRequest(t, w.Addr, c.pid, c.secret)
		a := c.Answer()
		if refused(t, a.Err(), "57014"); len(a.Errs) != 1 {
			t.Errorf("%v, want one error", a.Errs)
		}
		if begin == "BEGIN" && c.status != 'E' {
			t.Errorf("the transaction is in state %c", c.status)
		}
		lock.release()
		c.Query("ROLLBACK")
		if got := c.Query("EXECUTE s"); got != "0" {
			t.Errorf("EXECUTE gives %q", got)
		}
	}
}

// A request that comes late hits neither its own client's next statement nor what weir has the server do next.
func TestLateCancelHitsNoLaterStatement(t *testing.T) {
	inEachMode(t, func(t *testing.T, d *pgserver.Database, mode, pool string) {
		g, arrived, release := heldCancel(t, d.Server.Addr())
		defer release()
		w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+pool)
		c := enter(t, w, d)
		if mode != "statement" {
			c.Query("BEGIN")
		}
		draw := runBolted(t, d, c)
		asked := make(chan error, 1)
		go func() { asked <- tryCancel(w.Addr, c.pid, c.secret) }()
		expectArrival(t, arrived)
		draw()
		if a := c.Answer(); a.First() != "ended" {
			t.Fatal(a.Err())
		}
		c.inBackground("SELECT 'next' FROM pg_sleep(0.5)")
		time.Sleep(100 * time.Millisecond) // a weir that sends it has sent it
		release()
		if err := <-asked; err != nil {
			t.Error(err)
		}
		if a := c.Answer(); a.First() != "next" {
			t.Errorf("the next statement: %v", a.Err())
		}
	})
}

// What a login gave is set again after DISCARD ALL, before the client hears of its end. A late request must not hit that.
func TestLateCancelDoesNotHitTheRestoreAfterADiscard(t *testing.T) {
	d := database(t)
	g, arrived, release := heldCancel(t, d.Server.Addr())
	defer release()
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1")
	c := enter(t, w, d, "default_tablespace", "pg_default")
	d.Exec(t, "CREATE TABLE bolt ()")
	c.Query(boltedQuery) // its backend has looked into pg_tablespace for the plan
	draw := bolt(t, d)
	c.Send(&pgproto3.Query{String: boltedQuery}, &pgproto3.Query{String: "DISCARD ALL"})
	expectRunning(t, d, boltedQuery, 1)
	asked := make(chan error, 1)
	go func() { asked <- tryCancel(w.Addr, c.pid, c.secret) }()
	expectArrival(t, arrived)
	lock := locked(t, d, "pg_tablespace")
	draw()
	if a := c.Answer(); a.First() != "ended" {
		t.Fatal(a.Err())
	}
	time.Sleep(100 * time.Millisecond) // a weir that restores has begun
	release()
	if err := <-asked; err != nil {
		t.Error(err)
	}
	time.Sleep(100 * time.Millisecond)
	lock.release()
	if a := c.Answer(); a.Err() != nil {
		t.Errorf("DISCARD ALL: %v", a.Err())
	}
	if got := c.Query("SHOW default_tablespace"); got != "pg_default" {
		t.Errorf("default_tablespace is %q", got)
	}
	if n := w.Proxy.Snapshot().Pools[0].Totals.Dials; n != 1 {
		t.Errorf("%d backends were needed", n)
	}
}

// Nor the reset after its client.
func TestLateCancelDoesNotHitTheReset(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE latch ()")
	g, arrived, release := heldCancel(t, d.Server.Addr())
	defer release()
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1\npool_mode = \"session\"\nserver_reset_query = \"SELECT count(*) FROM public.latch\"")
	c := enter(t, w, d)
	pid := c.Query(pidQuery)
	draw := runBolted(t, d, c)
	asked := make(chan error, 1)
	go func() { asked <- tryCancel(w.Addr, c.pid, c.secret) }()
	expectArrival(t, arrived)
	lock := locked(t, d, "latch")
	draw()
	if a := c.Answer(); a.First() != "ended" {
		t.Fatal(a.Err())
	}
	c.Terminate()
	time.Sleep(100 * time.Millisecond) // a weir that resets has begun
	release()
	if err := <-asked; err != nil {
		t.Error(err)
	}
	time.Sleep(100 * time.Millisecond)
	lock.release()
	if got := enter(t, w, d).Query(pidQuery); got != pid {
		t.Errorf("backend %s is gone, and %s serves the next client", pid, got)
	}
}
