package proxy_test

import (
	"fmt"
	"testing"
	"time"

	"weir/proxy/status"
)

// The time that a client waited is that from its asking for a backend to its having one: not what it thought before, not what its
// query took afterwards (trap 24). What the test measures around it from outside is the yardstick. Weir's clock is read once in each
// turn of the loop: a turn that was under way already when something happened, which one in many is, has it too early. Then the test
// is repeated.
func TestWaitTimeIsWhatTheClientWaited(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	holder, waiter := enter(t, w, d), enter(t, w, d)
	amiss := ""
	for range 3 {
		if amiss = waitOnce(t, w, holder, waiter); amiss == "" {
			return
		}
		t.Log(amiss)
	}
	t.Error(amiss)
}

// waitOnce lets waiter wait for holder's backend and says what was counted wrongly, or "".
func waitOnce(t *testing.T, w *weirUnderTest, holder, waiter *wireClient) string {
	t.Helper()
	const think, hold, run = 200 * time.Millisecond, 250 * time.Millisecond, "0.2"
	waiter.Query("SELECT 1") // long ago
	holder.Query("BEGIN")
	before := w.Proxy.Snapshot().Pools[0]
	time.Sleep(think) // the subject of the test: time that must not be counted

	asked := time.Now()
	waiter.inBackground("SELECT pg_sleep(" + run + ")")
	expectWaiting(t, w, 1)
	queued := time.Now()
	time.Sleep(hold)
	least := time.Since(queued)
	oldest := w.Proxy.Snapshot().Pools[0].OldestWait
	if most := time.Since(asked); oldest < least || oldest > most {
		return fmt.Sprintf("the oldest wait is %s while a client waits for %s to %s", oldest, least, most)
	}
	atLeast := time.Since(queued)
	holder.Query("COMMIT")
	atMost := time.Since(asked)
	waiter.Answer()
	whole := time.Since(asked)

	after := w.Proxy.Snapshot().Pools[0]
	waited := after.Wait.Sum - before.Wait.Sum
	if n := after.Wait.Count() - before.Wait.Count(); n != 1 {
		t.Errorf("%d waits were counted, want 1", n)
	}
	if after.OldestWait != 0 || after.Clients[status.ClientWaiting] != 0 {
		t.Errorf("nobody waits, and the oldest wait is %s", after.OldestWait)
	}
	if waited < atLeast || waited > atMost {
		return fmt.Sprintf("the wait is counted as %s, it took %s to %s; with its query %s", waited, atLeast, atMost, whole)
	}
	// The query's time is not the wait's: it is counted on its own, with the COMMIT's.
	if took, most := after.Query.Sum-before.Query.Sum, whole-atLeast+atMost-atLeast; took > most {
		return fmt.Sprintf("the queries are counted with %s, want %s at most", took, most)
	}

	// A client that finds a backend free has not waited, whatever its query takes.
	waiter.Query("SELECT pg_sleep(" + run + ")")
	free := w.Proxy.Snapshot().Pools[0]
	if waited := free.Wait.Sum - after.Wait.Sum; waited != 0 {
		t.Errorf("a client that did not wait is counted with %s", waited)
	}
	return ""
}
