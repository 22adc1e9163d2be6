package relay

import (
	"time"

	"weir/proxy/socket"
)

// tendsPerLimit is how often a backend's connection is tended within the limit of its silence.
const tendsPerLimit = 4

// TendSilence looks after the connections to servers that the kernel ends when a server is silent for that long: one that only takes
// nothing in for the time being is not silent. A later call changes the limit; 0 is none. Any goroutine.
func (e *Engine) TendSilence(limit time.Duration) {
	e.loop.Post(func() {
		e.loop.Unset(&e.tender)
		if limit <= 0 {
			return
		}
		e.tender.Func = func() {
			e.tend(limit)
			e.loop.Set(&e.tender, limit/tendsPerLimit)
		}
		e.tender.Func()
	})
}

// tend costs two system calls for each backend, idle ones included: a limit that is off is set again.
func (e *Engine) tend(limit time.Duration) {
	for _, l := range e.lanes {
		if n := l.listener.hosts; n != nil && n.conn != nil {
			_ = socket.TendUserTimeout(n.conn.sock.FD(), limit)
		}
		for _, b := range l.backends {
			if b != nil && b.sock.FD() >= 0 {
				_ = socket.TendUserTimeout(b.sock.FD(), limit) // a unix socket has no limit
			}
		}
	}
}
