package proxy_test

import (
	"testing"
	"time"

	"weir/proxy/status"
)

// The time that a client waited is that from its asking for a backend to its having one: not what it thought before, not what its
// query took afterwards (trap 24). What the test measures around it from outside is the yardstick.
func TestWaitTimeIsWhatTheClientWaited(t *testing.T) {
	// The clocks of test and loop are read at different moments; what must be told apart is several times as long.
	const tolerance = 50 * time.Millisecond
	const think, hold, run = 200 * time.Millisecond, 250 * time.Millisecond, "0.2"
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	holder, waiter := enter(t, w, d), enter(t, w, d)
	waiter.Query("SELECT 1") // long ago
	holder.Query("BEGIN")
	before := w.Proxy.Snapshot().Pools[0]
	time.Sleep(think) // the subject of the test: time that must not be counted

	asked := time.Now()
	waiter.inBackground("SELECT pg_sleep(" + run + ")")
	expectWaiting(t, w, 1)
	queued := time.Now()
	time.Sleep(hold)
	oldest := w.Proxy.Snapshot().Pools[0].OldestWait
	if least, most := time.Since(queued)-tolerance, time.Since(asked)+tolerance; oldest < least || oldest > most {
		t.Errorf("the oldest wait is %s while a client waits for %s to %s", oldest, least, most)
	}
	atLeast := time.Since(queued)
	holder.Query("COMMIT")
	atMost := time.Since(asked)
	waiter.Answer()
	whole := time.Since(asked)

	after := w.Proxy.Snapshot().Pools[0]
	waited := after.Wait.Sum - before.Wait.Sum
	if waited < atLeast-tolerance || waited > atMost+tolerance {
		t.Errorf("the wait is counted as %s, it took %s to %s; with its query %s", waited, atLeast, atMost, whole)
	}
	if n := after.Wait.Count() - before.Wait.Count(); n != 1 {
		t.Errorf("%d waits were counted, want 1", n)
	}
	if after.OldestWait != 0 || after.Clients[status.ClientWaiting] != 0 {
		t.Errorf("nobody waits, and the oldest wait is %s", after.OldestWait)
	}

	// A client that finds a backend free has not waited, whatever its query takes.
	waiter.Query("SELECT pg_sleep(" + run + ")")
	free := w.Proxy.Snapshot().Pools[0]
	if waited := free.Wait.Sum - after.Wait.Sum; waited > tolerance {
		t.Errorf("a client that did not wait is counted with %s", waited)
	}
	// And the query's time is not the wait's: it is counted on its own.
	if took := after.Query.Sum - before.Query.Sum; took > whole-atLeast+tolerance {
		t.Errorf("the queries are counted with %s, of %s in all, %s of them in the queue", took, whole, atLeast)
	}
}
