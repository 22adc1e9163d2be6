package proxy_test

import (
	"fmt"
	"testing"
)

// TestOneClientNeedsOneBackend has a client come again and again, and leave while weir still asks its backend what it has left there: the next
// one waits for that backend, and no other is dialled. An answer may take longer than the next client waits, on a machine that is
// busy with other things; so it must go well once in some attempts.
func TestOneClientNeedsOneBackend(t *testing.T) {
	const attempts, clients = 8, 20
	var said string
	for range attempts {
		d := database(t)
		w := start(t, d, "[loops]\ncount = 1\n[pool]\npool_size = 5\nsession_audit = \"always\"")
		for i := range clients {
			c := enter(t, w, d)
			c.Query(fmt.Sprintf("SELECT set_config('app.client', '%d', false)", i))
			c.SendBytes([]byte{'X', 0, 0, 0, 4})
			c.Vanish()
		}
		var dials uint64
		for _, p := range w.Proxy.Snapshot().Pools {
			dials += p.Totals.Dials
		}
		w.Stop()
		if dials == 1 {
			return
		}
		said = fmt.Sprintf("%d clients, one after the other, had %d backends", clients, dials)
	}
	t.Error(said)
}
