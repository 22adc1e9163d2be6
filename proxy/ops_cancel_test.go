package proxy_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/config"
	"weir/internal/pgserver"
	"weir/proxy/status"
)

// A cancel request reaches the query that it was meant for, or none (trap 10). Two clients share one backend. One is cancelled all
// the time, and the way of the requests is slow at random: many arrive when their query is over. The other must never notice.
func TestCancelNeverHitsAnotherClient(t *testing.T) {
	const rounds = 100
	d := database(t)
	var chance sync.Mutex
	source := rand.New(rand.NewPCG(1, 2))
	pause := func(most time.Duration) {
		chance.Lock()
		wait := time.Duration(source.Int64N(int64(most)))
		chance.Unlock()
		time.Sleep(wait)
	}
	var passed atomic.Int32
	g := newGate(t, d.Server.Addr(), func(pass func()) {
		pause(3 * time.Millisecond)
		pass()
		passed.Add(1)
		pause(3 * time.Millisecond)
	})
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1")
	victim, bystander := enter(t, w, d), enter(t, w, d)

	over := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if err := tryCancel(w.Addr, victim.pid, victim.secret); err != nil {
				t.Error(err)
				return
			}
			pause(2 * time.Millisecond)
		}
	})
	served := 0
	all.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			a, err := bystander.TryRun("SELECT 'mine' FROM pg_sleep(0.002)")
			if err != nil || a.Err() != nil || a.First() != "mine" {
				t.Errorf("query %d of the bystander: %q, %v, %v", served, a.First(), a.Err(), err)
				return
			}
			served++
			pause(8 * time.Millisecond) // the victim's turn
		}
	})
	ended, cancelled := 0, 0
	for n := range rounds {
		// Some are over before a request can arrive, some wait for one.
		a, err := victim.TryRun(fmt.Sprintf("SELECT 'victim' FROM pg_sleep(%v)", []float64{0.002, 0.02}[n%2]))
		if err != nil {
			t.Errorf("query %d of the victim: %v", n, err)
			break
		}
		switch e, _ := a.Err().(*serverError); {
		case e == nil && a.First() == "victim":
			ended++
		case e != nil && e.Code == "57014":
			cancelled++
		default:
			t.Errorf("query %d of the victim: %q, %v", n, a.First(), a.Err())
		}
	}
	close(over)
	all.Wait()
	totals := w.Proxy.Snapshot().Pools[0].Totals
	inQueue := int(totals.Cancels) - int(passed.Load()) // these never went to the server
	inTime := cancelled - inQueue
	late := int(passed.Load()) - inTime
	t.Logf("the victim's queries: %d ended, %d cancelled in the queue, %d by the server; %d requests came too late; the bystander's: %d",
		ended, inQueue, inTime, late, served)
	if ended == 0 || inTime == 0 || late == 0 || served == 0 {
		t.Error("there was no race: some requests must come in time and some too late")
	}
	if totals.Dials != 1 {
		t.Errorf("%d backends were needed, want 1", totals.Dials)
	}
}

// countCancels is a gate that counts the cancel requests which it lets pass.
func countCancels(t *testing.T, server string) (g *gate, reached *atomic.Int32) {
	t.Helper()
	reached = new(atomic.Int32)
	return newGate(t, server, func(pass func()) { reached.Add(1); pass() }), reached
}

// heldCancel is a gate where cancel requests wait until the test lets them pass.
func heldCancel(t *testing.T, server string) (g *gate, arrived <-chan struct{}, release func()) {
	t.Helper()
	came, open := make(chan struct{}, 1000), make(chan struct{})
	release = sync.OnceFunc(func() { close(open) })
	g = newGate(t, server, func(pass func()) {
		came <- struct{}{}
		<-open
		pass()
	})
	return g, came, release
}

func expectArrival(t *testing.T, arrived <-chan struct{}) {
	t.Helper()
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Fatal("no cancel request arrives at the server")
	}
}

// boltedQuery runs until the bolt is drawn.
const boltedQuery = "SELECT 'ended' FROM (SELECT count(*) FROM bolt) AS waited"

// runBolted has c run a boltedQuery.
func runBolted(t *testing.T, d *pgserver.Database, c *wireClient) (draw func()) {
	t.Helper()
	draw = bolt(t, d)
	c.inBackground(boltedQuery)
	expectRunning(t, d, boltedQuery, 1)
	return draw
}

// bolt keeps every boltedQuery from ending until draw is called; it may be called more than once.
func bolt(t *testing.T, d *pgserver.Database) (draw func()) {
	t.Helper()
	d.Exec(t, "CREATE TABLE IF NOT EXISTS bolt ()")
	holder := direct(t, d)
	ask(t, holder, "BEGIN; LOCK TABLE bolt")
	return func() { ask(t, holder, "ROLLBACK") }
}

// The backend whose query a request was meant for is given to nobody, its own client neither, while the request is on its way.
func TestBackendIsHeldWhileACancelRequestIsUnderWay(t *testing.T) {
	d := database(t)
	g, arrived, release := heldCancel(t, d.Server.Addr())
	defer release()
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1")
	victim, next := enter(t, w, d), enter(t, w, d)
	pid := victim.Query(pidQuery)
	draw := runBolted(t, d, victim)
	asked := make(chan error, 1)
	go func() { asked <- tryCancel(w.Addr, victim.pid, victim.secret) }()
	expectArrival(t, arrived)
	draw()
	if a := victim.Answer(); a.First() != "ended" {
		t.Fatalf("the request is not there yet, but the query ends with %v", a.Err())
	}
	next.inBackground("SELECT pg_backend_pid() FROM pg_sleep(0.2)")
	victim.inBackground("SELECT 'again' FROM pg_sleep(0.01)")
	expectPool(t, w, "held, with two waiting", func(p status.Pool) bool {
		return p.Backends[status.BackendHeld] == 1 && p.Clients[status.ClientWaiting] == 2
	})
	select {
	case err := <-asked:
		t.Errorf("who cancels is told that it is over before it is: %v", err)
	default:
	}
	release()
	if err := <-asked; err != nil {
		t.Error(err)
	}
	if a := next.Answer(); a.Err() != nil || a.First() != pid {
		t.Errorf("the next client has %q, %v; want backend %s", a.First(), a.Err(), pid)
	}
	if a := victim.Answer(); a.First() != "again" {
		t.Errorf("the victim's next query: %v", a.Err())
	}
}

// A request of which nobody knows whether it will arrive costs the pool a backend and nobody a query.
func TestCancelRequestThatNeverArrivesRetiresTheBackend(t *testing.T) {
	d := database(t)
	g, arrived, release := heldCancel(t, d.Server.Addr())
	defer release()
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 1\n[timeouts]\ncancel_wait_timeout = \"200ms\"")
	victim, next := enter(t, w, d), enter(t, w, d)
	pid := victim.Query(pidQuery)
	draw := runBolted(t, d, victim)
	cancelRequest(t, w.Addr, victim.pid, victim.secret) // returns: it has been given up
	expectArrival(t, arrived)
	draw()
	if a := victim.Answer(); a.First() != "ended" {
		t.Fatal(a.Err())
	}
	if got := next.Query(pidQuery); got == pid {
		t.Errorf("backend %s, which a cancel request may still reach, serves another client", pid)
	}
	eventuallyLogged(t, w, "level=WARN", "cancel request did not get through", "backend="+pid)
}

// A cancel request for a COPY ends it like any other statement, in both directions.
func TestCancelEndsACopy(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	c := enter(t, w, d)

	c.inBackground("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000000)) TO STDOUT")
	expectRunning(t, d, "COPY", 1)
	cancelRequest(t, w.Addr, c.pid, c.secret)
	refused(t, c.Answer().Err(), "57014")

	c.inBackground("COPY book FROM STDIN")
	if _, ok := c.Receive().(*pgproto3.CopyInResponse); !ok {
		t.Fatal("no CopyInResponse")
	}
	c.Send(&pgproto3.CopyData{Data: []byte("never\n")})
	cancelRequest(t, w.Addr, c.pid, c.secret)
	// The server sees it with the next data, or at once: it waits for data with the signal let through.
	c.Send(&pgproto3.CopyData{Data: []byte("never\n")}, &pgproto3.CopyDone{})
	refused(t, c.Answer().Err(), "57014")
	if got := enter(t, w, d).Query("SELECT count(*) FROM book"); got != "0" {
		t.Errorf("%s rows are there", got)
	}
}

// cancel_wait_timeout = "0s" switches the timeout off, and not cancelling.
func TestCancelWithoutTimeoutGetsThrough(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\ncancel_wait_timeout = \"0s\"")
	c := enter(t, w, d)
	c.inBackground("SELECT pg_sleep(60)")
	expectRunning(t, d, "SELECT pg_sleep", 1)
	cancelRequest(t, w.Addr, c.pid, c.secret)
	refused(t, c.Answer().Err(), "57014")
	c.Query("SELECT 1")
}

func TestQueryTimeoutHoldsWhereCancelRequestsHaveNone(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\ncancel_wait_timeout = \"0s\"\nquery_timeout = \"1s\"")
	c := enter(t, w, d)
	c.inBackground("SELECT pg_sleep(60)")
	refused(t, c.Answer().Err(), "57014") // the server's: it was asked to cancel
	c.Query("SELECT 1")
}

// Clients of every loop get keys that are theirs alone, and cancel with them: on as many loops as the configuration allows, the
// last ones included.
func TestClientsOfEveryLoopCanCancel(t *testing.T) {
	d := database(t)
	const loops = 256
	if _, err := config.Parse("test.toml", fmt.Appendf(nil, "[loops]\ncount = %d", loops+1), func(string) (string, bool) { return "", false }); err == nil {
		t.Error("loops.count may be higher than what is tested here")
	}
	toml := fmt.Sprintf("[loops]\ncount = %d\n[limits]\nmax_user_connections = 10\n", loops)
	for i := range loops {
		toml += fmt.Sprintf("[databases.alias%d]\nhost = \"127.0.0.1\"\nport = %d\ndbname = %q\n", i, d.Server.Port(), d.Name)
	}
	w := startAsUsual(t, d, toml)
	seen := map[uint32]int{}
	for i := range loops { // a pool on each loop
		c := dial(t, w.Addr, d.Server.Superuser(), fmt.Sprintf("alias%d", i))
		if other, taken := seen[c.pid]; taken || c.pid == 0 {
			t.Fatalf("the clients of loops %d and %d have the process ID %d", i, other, c.pid)
		}
		seen[c.pid] = i
		if i%50 == 0 || i > loops-3 {
			c.inBackground("SELECT pg_sleep(60)")
			expectRunning(t, d, "SELECT pg_sleep", 1)
			cancelRequest(t, w.Addr, c.pid, c.secret)
			refused(t, c.Answer().Err(), "57014")
		}
		c.Terminate()
	}
}

// Whoever asks for a cancel by libpq's way waits for the end of that connection, and then the signal has been sent.
func TestCancelIsOverWhenItsConnectionIs(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	c := enter(t, w, d)
	for n := range 10 {
		c.inBackground(fmt.Sprintf("SELECT pg_sleep(60 + %d)", n))
		expectRunning(t, d, fmt.Sprintf("SELECT pg_sleep(60 + %d)", n), 1)
		cancelRequest(t, w.Addr, c.pid, c.secret)
		refused(t, c.Answer().Err(), "57014")
	}
}

// TestLongCancelKeys: a client of protocol 3.2 gets a long secret, one of 3.0 a short one, and both cancel, whichever version the
// server speaks. What begins like the long one, or is as short as others', does not.
func TestLongCancelKeys(t *testing.T) {
	d := database(t)
	for _, server := range []string{"3.0", "3.2"} {
		for client, length := range map[string]int{"3.0": 4, "3.2": 32} {
			t.Run("client "+client+", server "+server, func(t *testing.T) {
				w := start(t, d, inPlainText+"[pool]\npool_size = 1\nmax_protocol_version = \""+server+"\"")
				conn, err := pgconn.Connect(t.Context(), w.DSN(d, "max_protocol_version", client))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close(t.Context()) }()
				if got := len(conn.SecretKey()); got != length {
					t.Errorf("a secret of %d bytes, want %d", got, length)
				}
				cancelByKey(t, d, w, conn)
			})
		}
	}
}

// cancelByKey cancels a query with the key that the client got, and sees that others do not.
func cancelByKey(t *testing.T, d *pgserver.Database, w *weirUnderTest, conn *pgconn.PgConn) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := tryAsk(conn, "SELECT pg_sleep(60)")
		ended <- err
	}()
	expectRunning(t, d, "SELECT pg_sleep(60)", 1) // for the server forgets a cancel request for a query that it has not read
	for _, wrong := range [][]byte{{1, 2, 3, 4}, make([]byte, 32), append(conn.SecretKey()[:4:4], 0)} {
		if err := cancelOver(dialRaw(t, w.Addr), conn.PID(), wrong); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("a wrong secret cancels: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := cancelOver(dialRaw(t, w.Addr), conn.PID(), conn.SecretKey()); err != nil {
		t.Error(err)
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](<-ended); !ok || refusal.Code != "57014" {
		t.Errorf("%v, want 57014", refusal)
	}
}
