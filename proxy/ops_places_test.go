package proxy_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"weir/proxy/status"
)

// A pool that comes later is not starved by one whose backends are never idle: under a limit over both, the one that has more
// gives up a backend.
func TestBusyPoolMakesRoomForAnother(t *testing.T) {
	d, late := database(t), database(t)
	w := start(t, d, "[limits]\nmax_user_connections = 2\n[timeouts]\nquery_wait_timeout = \"15s\"\n")
	user := d.Server.Superuser()
	const clients = 8
	var stop atomic.Bool
	ended := make(chan error, clients)
	for i := range clients {
		c := dial(t, w.Addr, user, d.Name)
		go func() {
			for !stop.Load() {
				if a, err := c.TryRun("SELECT pg_sleep(0.001)"); err != nil || a.Err() != nil {
					ended <- fmt.Errorf("client %d: %v, %v", i, err, a.Err())
					return
				}
			}
			ended <- nil
		}()
	}
	c, err := tryDial(t, w.Addr, user, late.Name)
	if err != nil {
		t.Fatalf("the late client: %v", err)
	}
	for range 50 {
		c.Query("SELECT 1")
	}
	stop.Store(true)
	for range clients {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// As long as others wait for places, idle backends do not wait for server_idle_timeout: those that were idle before, and those that become idle.
func TestContestedPoolKeepsNoIdleBackend(t *testing.T) {
	d := database(t)
	w := start(t, d, "")
	c := enter(t, w, d)
	c.Query("SELECT 1")
	none := func(p status.Pool) bool { return backendCount(p) == 0 }
	w.Proxy.Contest("max_db_connections")
	expectPool(t, w, "without the backend that was idle before", none)
	c.Query("SELECT 1")
	expectPool(t, w, "without the one that has become idle", none)
}
