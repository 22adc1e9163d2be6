package relay

import (
	"sync"
	"sync/atomic"
	"time"
)

// Notifiers knows the backends of all engines by their processes, so that notifications name the client that has sent them: clients know
// each other by the process IDs that weir gives them. Any goroutine.
type Notifiers struct {
	mu    sync.RWMutex
	known map[process]*notifier
}

// process is a server's process.
type process struct {
	addr string
	pid  uint32
}

// notifier is who may have sent what a backend's process notifies. A notification comes on another connection than the backend's own
// answers, a moment sooner or later, so it may be the present client's or the one's before. The loop of the backend writes; two words are
// all that a lease costs.
type notifier struct {
	clients atomic.Uint64 // process IDs: the present client's, or the last one's, and below it the one's before
	state   atomic.Uint64 // when the present client got the backend, by the loop's clock, and below it the two marks
}

// Marks in a notifier's state: a text of the client's has mentioned NOTIFY.
const (
	presentNotifies = 1 << iota
	formerNotified
	marksMask = presentNotifies | formerNotified
	marksBits = 2
)

// lateMost is for how long a notification may be that of the client before. The clocks of the loops differ by much less.
const lateMost = int64(time.Second)

func (n *Notifiers) add(p process, b *notifier) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[process]*notifier{}
	}
	n.known[p] = b
}

func (n *Notifiers) remove(p process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.known, p)
}

// client is what clients know a process by: one of weir's backends by the client that has it, any other as it is.
func (n *Notifiers) client(p process, now int64) uint32 {
	n.mu.RLock()
	b := n.known[p]
	n.mu.RUnlock()
	if b == nil {
		return p.pid
	}
	clients, state := b.clients.Load(), b.state.Load()
	present, former := uint32(clients>>32), uint32(clients)
	switch {
	case present == 0:
		return p.pid
	case former != 0 && state&marksMask == formerNotified && now-int64(state>>marksBits) < lateMost:
		return former
	}
	return present
}

// lease notes that a client has got the backend.
func (n *notifier) lease(client uint32, now int64) {
	marks := n.state.Load() & presentNotifies << 1
	n.clients.Store(uint64(client)<<32 | n.clients.Load()>>32)
	n.state.Store(uint64(now)<<marksBits | marks)
}

// mark notes that the present client may notify.
func (n *notifier) mark() {
	if state := n.state.Load(); state&presentNotifies == 0 {
		n.state.Store(state | presentNotifies)
	}
}

// clientPID is what clients know a process of the lane's server by.
func (l *Lane) clientPID(server uint32) uint32 {
	return l.engine.env.Notifiers.client(process{l.addr, server}, l.engine.loop.Now())
}
