package proxy

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	// trimAfter is how many logins leave enough garbage to be worth a collection: each some 20 KiB of stacks, buffers and
	// connections that the client does not need once it is on its loop.
	trimAfter = 100
	// trimDelay is how long there must have been no login: the collection of a storm waits for its end.
	trimDelay = time.Second
)

// trimmer gives memory back to the system after many logins. In the steady state nothing is allocated, so the collector would not
// run for a long time, and what the logins needed would count as the price of idle clients.
type trimmer struct {
	mu     sync.Mutex
	logins int
	timer  *time.Timer
}

// loggedIn counts one more login.
func (t *trimmer) loggedIn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.logins++
	switch {
	case t.logins < trimAfter:
	case t.timer == nil:
		t.timer = time.AfterFunc(trimDelay, t.trim)
	default:
		t.timer.Reset(trimDelay)
	}
}

func (t *trimmer) trim() {
	t.mu.Lock()
	t.logins = 0
	t.mu.Unlock()
	debug.FreeOSMemory()
}
