package proxy_test

import (
	"fmt"
	"testing"

	"weir/proxy/status"
)

// TestWaitTimeIsWhatTheClientWaited: the time that a client waits ends when it has a backend, whatever its query takes then (trap 24). It is counted
// before the query ends, which a lock holds up, and not changed when it does.
func TestWaitTimeIsWhatTheClientWaited(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	pool := func() *status.Pool { return &w.Proxy.Snapshot().Pools[0] }
	lock := direct(t, d)
	ask(t, lock, "SELECT pg_advisory_lock(24)")
	holder, waiter := enter(t, w, d), enter(t, w, d)
	waiter.Query("SELECT 1") // long ago
	holder.Query("BEGIN")
	before := pool()
	if before.OldestWait != 0 {
		t.Errorf("nobody waits yet, and the oldest wait is %s", before.OldestWait)
	}

	waiter.inBackground("SELECT pg_advisory_xact_lock(24)")
	expectWaiting(t, w, 1)
	least := pool().OldestWait
	eventually(t, func() string {
		if now := pool().OldestWait; now <= least {
			return fmt.Sprintf("the oldest wait is %s, after %s", now, least)
		}
		return ""
	})
	least = pool().OldestWait
	holder.Query("COMMIT")
	eventually(t, func() string { // the query has begun
		if n := pool().Wait.Count() - before.Wait.Count(); n != 1 {
			return fmt.Sprintf("%d waits were counted, want 1", n)
		}
		return ""
	})
	running := pool()
	if waited := running.Wait.Sum - before.Wait.Sum; waited < least {
		t.Errorf("the wait is counted as %s, and had lasted %s before it was over", waited, least)
	}
	if running.OldestWait != 0 || running.Clients[status.ClientWaiting] != 0 {
		t.Errorf("nobody waits, and the oldest wait is %s", running.OldestWait)
	}

	ask(t, lock, "SELECT pg_advisory_unlock(24)")
	waiter.Answer()
	waiter.Query("SELECT 1") // finds the backend free
	after := pool()
	if more := after.Wait.Sum - running.Wait.Sum; more != 0 {
		t.Errorf("a query that was running, and a client that did not wait, are counted with %s", more)
	}
	if n := after.Query.Count() - running.Query.Count(); n != 2 {
		t.Errorf("%d queries were counted since, want 2", n)
	}
}
