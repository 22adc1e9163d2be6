//go:build invariants

package relay

import (
	"fmt"

	"weir/proxy/socket"
)

// invariants: an impossible state ends the process, so that a test sees it.
const invariants = true

// turns counts what each connection has read since the last poll.
type turns struct {
	poll  uint64
	reads map[*socket.Conn]int
}

// reading is called before each read of the data path: between two polls, in which others are found ready, a connection reads no more than a
// turn's worth.
func (t *turns) reading(poll uint64, s *socket.Conn) {
	if t.poll != poll || t.reads == nil {
		t.poll, t.reads = poll, map[*socket.Conn]int{}
	}
	if t.reads[s]++; t.reads[s] > readsPerTurn {
		panic(fmt.Sprintf("relay: a connection has read %d times in one iteration", t.reads[s]))
	}
}
