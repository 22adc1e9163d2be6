package proxy_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
	"weir/proxy"
	"weir/proxy/status"
)

// spreading runs a weir whose pools have lanes on that many loops.
func spreading(t *testing.T, d *pgserver.Database, loops int, toml string) *weirUnderTest {
	t.Helper()
	var o proxy.Options
	o.SweepEvery(sweepEvery)
	o.SpreadPools()
	return startWith(t, d, fmt.Sprintf("[loops]\ncount = %d\n%s", loops, toml), o)
}

// Two clients on two loops take turns on the one backend that nobody keeps.
func TestABackendGoesToTheLoopWhoseClientWaits(t *testing.T) {
	d := database(t)
	w := spreading(t, d, 2, "[pool]\npool_size = 2\n")
	clients := enterMany(t, w, d, 3)
	clients[2].Query("BEGIN")
	pid := clients[0].Query("SELECT pg_backend_pid()")
	for i := range 40 {
		c := clients[i%2]
		if got := c.Query("SELECT pg_backend_pid()"); got != pid {
			t.Fatalf("turn %d: backend %s, not %s", i, got, pid)
		}
	}
	// While the one has it, the other waits, and gets it at the end.
	clients[0].Query("BEGIN")
	clients[1].Send(&pgproto3.Query{String: "SELECT pg_backend_pid()"})
	expectPool(t, w, "one waits", func(p status.Pool) bool { return p.Clients[status.ClientWaiting] == 1 })
	clients[0].Query("COMMIT")
	if got := clients[1].Answer().First(); got != pid {
		t.Errorf("backend %s, not %s", got, pid)
	}
	s := w.Proxy.Snapshot()
	if len(s.Pools) != 1 || s.Pools[0].Totals.Transfers < 40 {
		t.Errorf("%d pools, the first with %d transfers", len(s.Pools), s.Pools[0].Totals.Transfers)
	}
}

// At a limit over pools, a lane whose client listens gets its listener connection in the place of a backend that is idle on another lane: else the client
// would keep its backend until that one happens to be used.
func TestAListenerTakesTheIdlePlaceOfAnotherLoop(t *testing.T) {
	d := database(t)
	w := spreading(t, d, 2, "[pool]\npool_size = 4\n[limits]\nmax_db_connections = 2\n")
	clients := enterMany(t, w, d, 2)
	clients[0].Query("BEGIN")
	clients[1].Query("BEGIN") // which has a backend of its own for it
	clients[0].Query("COMMIT")
	clients[1].Query("COMMIT")
	expectPool(t, w, "two idle", func(p status.Pool) bool { return p.Backends[status.BackendIdle] == 2 })
	clients[1].Query("LISTEN a")
	expectPool(t, w, "listening", func(p status.Pool) bool { return p.Listen.Clients == 1 && p.Pinned == 0 })
}

// What a lane has counted stays in its pool's totals when the lane ends, which it does without clients: totals never fall.
func TestTotalsOutliveALane(t *testing.T) {
	d := database(t)
	w := spreading(t, d, 2, "[pool]\npool_size = 2\n[timeouts]\nserver_idle_timeout = \"10ms\"\n")
	for round := range 2 {
		clients := enterMany(t, w, d, 2) // the first of them is not on the pool's first loop, the second is
		for range 20 {
			clients[0].Query("SELECT 1")
			clients[1].Query("SELECT 1")
		}
		clients[0].Terminate()
		eventually(t, func() string {
			if n := w.Proxy.Lanes(); n != 1 {
				return fmt.Sprintf("%d lanes", n)
			}
			return ""
		})
		if p := w.pool(); p.Totals.Transactions < uint64(40*(round+1)) || p.Wait.Count() < uint64(40*(round+1)) {
			t.Errorf("%d transactions, %d waits", p.Totals.Transactions, p.Wait.Count())
		}
		clients[1].Terminate()
	}
}

// A server that was away is back when any lane has reached it, also for the lane that has found it away and needs no backend since.
func TestAServerIsBackForAllLanes(t *testing.T) {
	d := database(t)
	w := spreading(t, d, 2, "[pool]\npool_size = 2\n[timeouts]\nserver_login_retry = \"1m\"\n")
	clients := enterMany(t, w, d, 3) // the first and the third are on the pool's second lane
	postgres := direct(t, &pgserver.Database{Server: d.Server, Name: "postgres"})
	ask(t, postgres, "ALTER DATABASE "+d.Name+" ALLOW_CONNECTIONS false")
	ask(t, postgres, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '"+d.Name+"'")
	expectPool(t, w, "without backends", func(p status.Pool) bool { return p.Backends == [status.BackendStates]int{} })
	clients[0].Send(&pgproto3.Query{String: "SELECT 1"})
	expectPool(t, w, "down", func(p status.Pool) bool { return p.ServerDown })
	clients[0].Vanish()
	expectPool(t, w, "two clients", func(p status.Pool) bool {
		return p.Clients[status.ClientWaiting] == 0 && p.Clients[status.ClientIdle] == 2
	})
	ask(t, postgres, "ALTER DATABASE "+d.Name+" ALLOW_CONNECTIONS true")
	clients[1].Query("SELECT 1")
	if p := w.pool(); p.ServerDown || p.ServerError != "" {
		t.Errorf("the server is said to be away: %s", p.ServerError)
	}
}

// Clients of one pool on four loops, each with settings, statements and values of its own, get what is theirs, and the servers are never more
// than the pool may have.
func TestOnePoolOnAllLoops(t *testing.T) {
	const clients, size, rounds = 24, 6, 30
	d := database(t)
	w := spreading(t, d, 4, fmt.Sprintf("[admin]\nadmin_users = [\"boss\"]\n[pool]\npool_size = %d\nsession_audit = \"learn\"\n", size))
	d.Exec(t, "CREATE TABLE lanes (client int PRIMARY KEY, n int NOT NULL)")
	all := enterMany(t, w, d, clients)
	stop, watched := make(chan struct{}), make(chan int)
	go func() { watched <- mostBackends(t, d, stop) }()
	work(t, all, 0, rounds)()
	close(stop)
	if most := <-watched; most > size || most == 0 {
		t.Errorf("the server has had %d backends of the pool, which may have %d", most, size)
	}
	// Once more, while the pool is paused and resumed.
	finish := work(t, all, rounds, rounds)
	for range 5 {
		if err := w.Proxy.Pause(); err != nil {
			t.Errorf("pause: %v", err)
		}
		if n := w.pool().Backends; n != ([status.BackendStates]int{}) {
			t.Errorf("paused, there are backends: %v", n)
		}
		if err := w.Proxy.Resume(); err != nil {
			t.Errorf("resume: %v", err)
		}
	}
	finish()
	if got, want := ask(t, direct(t, d), "SELECT count(*) || ' ' || sum(n) FROM lanes"), fmt.Sprintf("%d %d", clients, 2*clients*rounds); got != want {
		t.Errorf("committed: %s, want %s", got, want)
	}
	if p := w.pool(); p.Totals.Transfers == 0 || p.Clients[status.ClientIdle] != clients {
		t.Errorf("%d transfers, clients %v", p.Totals.Transfers, p.Clients)
	}
	boss := w.console(t, "boss")
	one(t, boss, "SHOW POOLS", "database", is("database", d.Name))
	if shown := column(t, boss, "SHOW STATEMENTS", "query", is("database", d.Name)); len(shown) != clients { // each client has a text of its own
		t.Errorf("SHOW STATEMENTS has %d rows for %d statements", len(shown), clients)
	}
	for i, l := range w.Proxy.Snapshot().Loops {
		if l.Reads < clients {
			t.Errorf("loop %d has nothing to do", i)
		}
	}
}

// Clients of one pool that come one by one, and so are nearly all accepted by one loop, are served by all.
func TestClientsOfOnePoolAreServedByAllLoops(t *testing.T) {
	const loops, clients = 4, 96
	d := database(t)
	w := startWith(t, d, fmt.Sprintf("[loops]\ncount = %d\n[pool]\npool_size = 16\n", loops), proxy.Options{})
	enterMany(t, w, d, clients/8)
	if on := w.Proxy.ClientsByLoop(); slices.Max(on) != clients/8 {
		t.Errorf("%d clients, too few for several loops: %v", clients/8, on)
	}
	enterMany(t, w, d, clients-clients/8)
	on := w.Proxy.ClientsByLoop()
	if least, most := slices.Min(on), slices.Max(on); most > least+least/2 {
		t.Errorf("of %d clients the loops serve %v", clients, on)
	}
	if n := w.Proxy.Seats(); n != clients {
		t.Errorf("%d seats for %d clients", n, clients)
	}
}

// mostBackends watches how many backends the server has at a time.
func mostBackends(t *testing.T, d *pgserver.Database, stop chan struct{}) (most int) {
	watcher := direct(t, d)
	for {
		select {
		case <-stop:
			return most
		default:
			n, _ := strconv.Atoi(ask(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"))
			most = max(most, n)
		}
	}
}

// work has all clients work at once; the function that is returned waits for their end.
func work(t *testing.T, all []*wireClient, from, rounds int) (finish func()) {
	var working sync.WaitGroup
	for i, c := range all {
		working.Go(func() {
			if err := laneClient(c, i, from, rounds); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	return working.Wait
}

// laneClient is one of many that do the same with values of their own.
func laneClient(c *wireClient, i, from, rounds int) error {
	run := func(sql, want string) error {
		a, err := c.TryRun(sql)
		if err == nil {
			err = a.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		if got := a.First(); want != "" && got != want {
			return fmt.Errorf("%s: %q, want %q", sql, got, want)
		}
		return nil
	}
	own := fmt.Sprintf("%dkB", 1000+i)
	var steps [][2]string
	if from == 0 {
		steps = [][2]string{{"SET work_mem = '" + own + "'"}, {fmt.Sprintf("INSERT INTO lanes VALUES (%d, 0)", i)}}
	}
	for n := from; n < from+rounds; n++ {
		steps = append(steps, [2]string{"SHOW work_mem", own}, [2]string{fmt.Sprintf("BEGIN; UPDATE lanes SET n = n + 1 WHERE client = %d; COMMIT", i)},
			[2]string{fmt.Sprintf("SELECT n FROM lanes WHERE client = %d", i), strconv.Itoa(n + 1)})
	}
	for k, s := range steps {
		if err := run(s[0], s[1]); err != nil {
			return err
		}
		if got, err := prepared(c, i, from+k == 0); err != nil || got != strconv.Itoa(100+i) {
			return fmt.Errorf("the prepared statement gives %q, %w", got, err)
		}
	}
	return nil
}

// prepared runs the client's prepared statement, which adds 100 to its number.
func prepared(c *wireClient, i int, first bool) (string, error) {
	var m []pgproto3.FrontendMessage
	if first {
		m = append(m, &pgproto3.Parse{Name: "mine", Query: fmt.Sprintf("SELECT %d + $1::int", i)})
	}
	m = append(m, &pgproto3.Bind{PreparedStatement: "mine", Parameters: [][]byte{[]byte("100")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if err := c.TrySendBytes(encode(c.t, m...)); err != nil {
		return "", err
	}
	a, err := c.TryAnswer()
	if err == nil {
		err = a.Err()
	}
	return a.First(), err
}

// An order that comes while the loops are still being told of an earlier one holds on all of them.
func TestOrdersReachAllLoopsInTheSameSuccession(t *testing.T) {
	d := database(t)
	w := spreading(t, d, 2, "[pool]\npool_size = 4\n[timeouts]\nquery_wait_timeout = \"2s\"\n")
	enterMany(t, w, d, 2) // a lane on each loop
	killed, resumed := make(chan error, 1), make(chan error, 1)
	_, first := w.Proxy.Hold(0)
	defer first()
	go func() { killed <- w.Proxy.Kill(d.Name) }()
	eventually(t, func() string {
		if !w.Proxy.Paused(d.Name) {
			return "KILL has not begun"
		}
		return ""
	})
	go func() { resumed <- w.Proxy.ResumeDatabase(d.Name) }()
	time.Sleep(50 * time.Millisecond) // RESUME is behind KILL now, wherever that is
	_, second := w.Proxy.Hold(0)
	defer second()
	first()
	select { // it may overtake KILL, which has more to say to the first loop
	case err := <-resumed:
		resumed <- err
	case <-time.After(200 * time.Millisecond):
	}
	second()
	if err := errors.Join(<-killed, <-resumed); err != nil {
		t.Fatal(err)
	}
	for i, c := range enterMany(t, w, d, 2) {
		if got := c.Query("SELECT 1"); got != "1" {
			t.Errorf("client %d gets %q after RESUME", i, got)
		}
	}
}
