package relay

import (
	"weir/proxy/pgerror"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// client_stall_timeout: a client that takes nothing of what it is being sent keeps its backend, which is not read for as long, and with it
// the locks of its transaction; so does one that stops amid a message. A client that is gone is the kernel's business; this one is there.

// stall is a client for which something is parked, or that has sent a message in part.
type stall struct {
	gives bool  // it is to send something, and not to take it
	left  int   // bytes that it had not taken, or not sent, at the last look
	since int64 // when that last changed
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

// swept forgets the clients that have taken or sent everything, or are gone.
func (s stalls) swept() {
	for c := range s {
		if !c.sock.Parked() && !c.amid() || c.ending.decided() {
			delete(s, c)
		}
	}
}

// amid reports whether the client keeps a backend with a message that it has sent in part, and the rest of which weir would take. Not the data of a COPY:
// libpq sends rows in blocks of 8 KiB, so that whoever has none to send for a while may stop in the middle of one.
func (c *Client) amid() bool {
	return c.state == clientLeased && (c.talk.Amid() || len(c.carry) > 0) && !c.unread && c.obstacle() == obstacleNone && !c.copies()
}

// lookForStall ends a client that has stood still for too long.
func (c *Client) lookForStall() {
	var now stall
	switch {
	case c.ending.decided():
		return
	case c.sock.Parked():
		now.left = c.sock.ParkedLen() + socket.Unsent(c.sock.FD())
	case c.amid():
		now.gives, now.left = true, int(c.talk.Lacks())-len(c.carry)
	default:
		return
	}
	e, limit := c.lane.engine, c.limits.Load().Stall
	if limit <= 0 {
		return
	}
	if s, known := e.stalls[c]; known && s.gives == now.gives && (now.left == s.left || !now.gives && now.left > s.left) {
		now.since = s.since
	} else {
		now.since = max(e.loop.Now(), 1)
	}
	e.stalls[c] = now
	if e.over(now.since, limit) {
		c.because(status.ClientStallTimeout)
		c.timedOut(status.StalledClientTimeout, limit, e.since(now.since))
		if now.gives {
			c.kill(pgerror.ClientStopsAmidMessage(limit))
		} else {
			c.kill(pgerror.ClientStallTimeout(limit))
		}
	}
}
