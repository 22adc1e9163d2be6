package relay

import (
	"weir/proxy/pgerror"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// client_stall_timeout: a client that takes nothing of what it is being sent keeps its backend, which is not read for as long, and with it
// the locks of its transaction. A client that is gone is the kernel's business; this one is there.

// stall is a client for which something is parked.
type stall struct {
	left  int   // bytes that it had not taken at the last look
	since int64 // when it last took some
}

// stalls are the clients that may stand still. A client takes something when its socket becomes writable, or when less is left of what the
// kernel has for it: a slow reader makes the socket writable seldom.
type stalls map[*Client]stall

// taken is for a client whose socket has become writable.
func (s stalls) taken(c *Client) {
	if len(s) > 0 {
		delete(s, c)
	}
}

// swept forgets the clients that have taken everything, or are gone.
func (s stalls) swept() {
	for c := range s {
		if !c.sock.Parked() || c.ending.decided() {
			delete(s, c)
		}
	}
}

// lookForStall ends a client that has stood still for too long.
func (c *Client) lookForStall() {
	if !c.sock.Parked() || c.ending.decided() {
		return
	}
	e, limit := c.lane.engine, c.limits.Load().Stall
	if limit <= 0 {
		return
	}
	left := c.sock.ParkedLen() + socket.Unsent(c.sock.FD())
	s, known := e.stalls[c]
	if !known || left < s.left {
		s.since = max(e.loop.Now(), 1)
	}
	s.left = left
	e.stalls[c] = s
	if e.over(s.since, limit) {
		c.because(status.ClientStallTimeout)
		c.timedOut(status.StalledClientTimeout, limit, e.since(s.since))
		c.kill(pgerror.ClientStallTimeout(limit))
	}
}
