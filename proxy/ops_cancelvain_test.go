package proxy_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// Who does not know the secret cancels nothing, and the server is not even asked.
func TestCancelWithAWrongKeyDoesNothing(t *testing.T) {
	d := database(t)
	g, reached := countCancels(t, d.Server.Addr())
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 2")
	victim, other, gone := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	gone.Terminate()
	expectPool(t, w, "two clients", func(p status.Pool) bool { return clientCount(p) == 2 })
	draw := runBolted(t, d, victim)
	for what, key := range map[string][2]uint32{
		"the secret off by one bit":   {victim.pid, victim.secret ^ 1},
		"no secret":                   {victim.pid, 0},
		"another client's secret":     {victim.pid, other.secret},
		"the secret at another slot":  {other.pid, victim.secret},
		"a slot that nobody has":      {victim.pid + 1000, victim.secret},
		"a loop that is none":         {^uint32(0), victim.secret},
		"no process":                  {0, victim.secret},
		"a client that has left":      {gone.pid, gone.secret},
		"the backend's own processID": {uint32(atoi(t, other.Query(pidQuery))), victim.secret},
	} {
		if err := tryCancel(w.Addr, key[0], key[1]); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	draw()
	if a := victim.Answer(); a.First() != "ended" {
		t.Errorf("the query was cancelled: %v", a.Err())
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

// A key that was given to a new client is not the old one's, although the place is.
func TestCancelWithTheKeyOfAClientThatLeftDoesNotHitItsSuccessor(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for range 5 {
		old := enter(t, w, d)
		old.Terminate()
		expectPool(t, w, "no client", func(p status.Pool) bool { return clientCount(p) == 0 })
		c := enter(t, w, d)
		if c.pid != old.pid {
			t.Logf("the new client has another place: %x, not %x", c.pid, old.pid)
		}
		if c.secret == old.secret {
			t.Fatal("two clients have one secret")
		}
		draw := bolt(t, d)
		c.inBackground(boltedQuery)
		expectActive(t, w, 1)
		cancelRequest(t, w.Addr, old.pid, old.secret)
		cancelRequest(t, w.Addr, c.pid, old.secret)
		draw()
		if a := c.Answer(); a.First() != "ended" {
			t.Fatalf("the query was cancelled: %v", a.Err())
		}
		c.Terminate()
		expectPool(t, w, "no client", func(p status.Pool) bool { return clientCount(p) == 0 })
	}
}

// Where there is nothing to cancel, nothing is cancelled later: neither the same client's next query nor another's.
func TestCancelOfAnIdleClientDoesNothing(t *testing.T) {
	d := database(t)
	g, reached := countCancels(t, d.Server.Addr())
	w := start(t, d, serverAt(g.listener.Addr().String())+"[pool]\npool_size = 1")
	idle, other := enter(t, w, d), enter(t, w, d)
	cancelRequest(t, w.Addr, idle.pid, idle.secret) // it has never asked for anything
	idle.Query("SELECT 1")
	for range 5 {
		draw := bolt(t, d)
		other.inBackground(boltedQuery)
		expectActive(t, w, 1)
		cancelRequest(t, w.Addr, idle.pid, idle.secret)
		draw()
		if a := other.Answer(); a.First() != "ended" {
			t.Fatalf("the other client's query was cancelled: %v", a.Err())
		}
		cancelRequest(t, w.Addr, idle.pid, idle.secret)
		idle.Query("SELECT 1 FROM pg_sleep(0.01)")
	}
	idle.Query("BEGIN")
	cancelRequest(t, w.Addr, idle.pid, idle.secret) // idle in its transaction, with a backend
	idle.Query("SELECT 1 FROM pg_sleep(0.05)")
	idle.Query("COMMIT")
	if n := reached.Load(); n != 0 {
		t.Errorf("%d requests reached the server, where nothing was running for them", n)
	}
}

// A request that waits for a backend is cancelled where it is: it never reaches one, and its client goes on.
func TestCancelOfAWaitingClientTakesItsRequestFromTheQueue(t *testing.T) {
	requests := map[string][]pgproto3.FrontendMessage{
		"simple": {&pgproto3.Query{String: "INSERT INTO book VALUES ('never')"}},
		"extended": {
			&pgproto3.Parse{Query: "INSERT INTO book VALUES ($1)"}, &pgproto3.Bind{Parameters: [][]byte{[]byte("never")}},
			&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{},
		},
		"the beginning of a transaction": {&pgproto3.Query{String: "BEGIN; INSERT INTO book VALUES ('never')"}},
		"a named statement":              {&pgproto3.Parse{Name: "s", Query: "SELECT 1"}, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{}},
	}
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	holder, waiter, third := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			holder.Query("BEGIN")
			before := w.Proxy.Snapshot().Pools[0].Totals
			waiter.Send(request...)
			expectWaiting(t, w, 1)
			third.inBackground("SELECT 'served'")
			expectWaiting(t, w, 2)
			cancelRequest(t, w.Addr, waiter.pid, waiter.secret)
			a := waiter.Answer() // while the holder holds
			if e := refused(t, a.Err(), "57014"); e.Severity != "ERROR" || len(a.Errs) != 1 || waiter.status != 'I' {
				t.Errorf("%v in status %c, want one ERROR in status I", a.Errs, waiter.status)
			}
			expectWaiting(t, w, 1)
			holder.Query("COMMIT")
			if got := third.Answer().First(); got != "served" {
				t.Errorf("who waited behind it got %q", got)
			}
			if got := waiter.Query("SELECT count(*) FROM book"); got != "0" {
				t.Errorf("the cancelled request was carried out")
			}
			after := w.Proxy.Snapshot().Pools[0].Totals
			if n := after.Leases - before.Leases; n != 3-1 { // the holder has its own from before
				t.Errorf("%d leases, want those of the third client and of the last question only", n)
			}
			if after.Cancels != before.Cancels+1 {
				t.Errorf("%d cancels were counted, want 1", after.Cancels-before.Cancels)
			}
		})
	}
}

// TestCancelOfAWaitingClientHitsTheFirstOfItsRequests: as with PostgreSQL, those that are pipelined after it are carried out. They keep their place in
// the queue.
func TestCancelOfAWaitingClientHitsTheFirstOfItsRequests(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	holder, waiter, third := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	holder.Query("CREATE TABLE book (title text); BEGIN")
	waiter.Send(
		&pgproto3.Parse{Query: "INSERT INTO book VALUES ('first')"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
		&pgproto3.Query{String: "INSERT INTO book VALUES ('second')"},
		&pgproto3.Query{String: "INSERT INTO book VALUES ('third')"},
	)
	expectWaiting(t, w, 1)
	third.inBackground("SELECT string_agg(title, ' ') FROM book")
	expectWaiting(t, w, 2)
	for i := range 2 {
		cancelRequest(t, w.Addr, waiter.pid, waiter.secret)
		a := waiter.Answer()
		if e := refused(t, a.Err(), "57014"); e.Severity != "ERROR" || len(a.Errs) != 1 || waiter.status != 'I' {
			t.Errorf("cancelled %d: %v in status %c, want one ERROR in status I", i, a.Errs, waiter.status)
		}
		expectWaiting(t, w, 2)
	}
	holder.Query("COMMIT")
	if err := waiter.Answer().Err(); err != nil {
		t.Errorf("a request after the cancelled ones: %v", err)
	}
	if got := third.Answer().First(); got != "third" {
		t.Errorf("who waited behind it found %q", got)
	}
}

// A request that has not come whole, because it is large or its Sync is missing, is cancelled in the queue, too. What is still to come
// of it is thrown away, as a server would, and the session goes on.
func TestCancelOfAWaitingClientWhoseRequestIsNotWhole(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	holder := enter(t, w, d)
	holder.Query("BEGIN")
	for name, request := range map[string][]pgproto3.FrontendMessage{
		"a long text":    {&pgproto3.Query{String: "SELECT length('" + strings.Repeat("x", 300<<10) + "')"}},
		"without a Sync": {&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{}},
	} {
		t.Run(name, func(t *testing.T) {
			waiter := enter(t, w, d)
			waiter.Send(request...)
			expectWaiting(t, w, 1)
			cancelRequest(t, w.Addr, waiter.pid, waiter.secret)
			if name == "without a Sync" {
				waiter.Send(&pgproto3.Parse{Query: "SELECT 2"}, &pgproto3.Sync{}) // thrown away, but for the Sync
			}
			a := waiter.Answer()
			if e := refused(t, a.Err(), "57014"); e.Severity != "ERROR" || len(a.Errs) != 1 || len(a.Rows) != 0 || waiter.status != 'I' {
				t.Errorf("%v in status %c, want one ERROR in status I", a.Errs, waiter.status)
			}
			holder.Query("COMMIT")
			if got := waiter.Query("SELECT 'goes on'"); got != "goes on" {
				t.Errorf("after that the client got %q", got)
			}
			holder.Query("BEGIN")
			waiter.Terminate()
			expectPool(t, w, "rid of it", func(p status.Pool) bool { return clientCount(p) == 1 })
		})
	}
	holder.Query("COMMIT")
}

// A flood of cancel requests for one query, for none and with wrong keys: the server gets a bounded number, other clients are
// served meanwhile, and the flood leaves nothing behind.
func TestFloodOfCancelRequestsIsBounded(t *testing.T) {
	const requests, atOnce, bound = 600, 60, 4
	d := database(t)
	var under, most, reached atomic.Int32
	g := newGate(t, d.Server.Addr(), func(pass func()) {
		reached.Add(1)
		n := under.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(5 * time.Millisecond) // so that they would pile up
		pass()
		under.Add(-1)
	})
	w := start(t, d, serverAt(g.listener.Addr().String())+inPlainText+"[pool]\npool_size = 2")
	victim, other, idle := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	other.Query("SELECT 1")

	over := make(chan struct{})
	var bystander, flood sync.WaitGroup
	served := 0
	bystander.Go(func() {
		for ; ; served++ {
			select {
			case <-over:
				return
			default:
			}
			if a, err := other.TryRun("SELECT 'mine' FROM pg_sleep(0.001)"); err != nil || a.First() != "mine" {
				t.Errorf("query %d of the bystander: %v %v", served, a.Err(), err)
				return
			}
		}
	})
	victim.inBackground("SELECT pg_sleep(60)")
	expectRunning(t, d, "SELECT pg_sleep(60)", 1)
	work := make(chan int)
	for range atOnce {
		flood.Go(func() {
			for n := range work {
				c, secret := []*wireClient{victim, idle, victim}[n%3], uint32(n%3/2) // the last with a wrong secret
				if err := tryCancel(w.Addr, c.pid, c.secret^secret); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range requests {
		work <- n
	}
	close(work)
	flood.Wait()
	refused(t, victim.Answer().Err(), "57014")
	close(over)
	bystander.Wait()
	t.Logf("%d of %d requests reached the server, %d at once; %d queries beside it", reached.Load(), requests, most.Load(), served)
	if most.Load() > bound || reached.Load() > requests/3 || reached.Load() == 0 {
		t.Errorf("%d requests reached the server, %d at once, want %d at once at most", reached.Load(), most.Load(), bound)
	}
	if served == 0 {
		t.Error("the other client was not served")
	}
	if got := victim.Query("SELECT 'goes on' FROM pg_sleep(0.02)"); got != "goes on" {
		t.Errorf("the victim's next query: %q", got)
	}
}
