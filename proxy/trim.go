package proxy

import (
	"runtime/debug"
	"sync"
	"time"

	"weir/proxy/status"
)

const (
	// trimAfter is how many logins leave enough garbage to be worth a collection: each some 20 KiB of stacks, buffers and
	// connections that the client does not need once it is on its loop. A pool's series in a scrape leave more than that, as does a pool that is
	// forgotten.
	trimAfter = 100
	// trimDelay is how long there must have been nothing of the kind: the collection of a storm waits for its end.
	trimDelay = time.Second
)

// trimmer gives memory back to the system after many logins, and what else leaves much behind. In the steady state nothing is allocated, so the
// collector would not run for a long time, and what the logins needed would count as the price of idle clients.
type trimmer struct {
	mu    sync.Mutex
	left  int
	timer *time.Timer
}

// leaves says that so many logins are over, that pools are forgotten, or that the series of pools were scraped. Any goroutine.
func (t *trimmer) leaves(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left += n
	switch {
	case n == 0 || t.left < trimAfter:
	case t.timer == nil:
		t.timer = time.AfterFunc(trimDelay, t.trim)
	default:
		t.timer.Reset(trimDelay)
	}
}

func (t *trimmer) trim() {
	t.mu.Lock()
	t.left = 0
	t.mu.Unlock()
	debug.FreeOSMemory()
}

// scrapes is the source of scrapes.
type scrapes struct{ *Proxy }

// Snapshot implements status.Source.
func (s scrapes) Snapshot() status.Snapshot {
	now := s.Proxy.Snapshot()
	s.trimmer.leaves(len(now.Pools))
	return now
}
