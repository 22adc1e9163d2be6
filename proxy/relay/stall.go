package relay

import (
	"time"

	"weir/proxy/pgerror"
	"weir/proxy/socket"
	"weir/proxy/status"
)

// client_stall_timeout: a client that takes nothing of what it is being sent keeps its backend, which is not read for as long, and with it
// the locks of its transaction; so does one that stops amid a message. A client that is gone is the kernel's business; this one is there.
// One that stops amid a batch is idle in the transaction that the batch is, which idle_transaction_timeout is for.

// stall is a client that may stand still.
type stall struct {
	at    halt
	mark  int   // what would be another if it had gone on since the last look
	since int64 // when it last was
}

// halt is where a client may stand still.
type halt uint8

const (
	haltTaking   halt = iota // what it is sent is parked; the mark is the bytes that it has not taken
	haltMessage              // it has sent a message in part; the mark is the bytes that are missing
	haltSyncless             // it has had all answers of a batch that it has not ended; the mark is how many it has asked for
)

// goesOn reports whether a client has gone on between two looks.
func (before stall) goesOn(now stall) bool {
	if before.at == haltTaking && now.at == haltTaking {
		return now.mark < before.mark
	}
	return before.at != now.at || before.mark != now.mark
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

// swept forgets the clients that have gone on, or are gone.
func (s stalls) swept() {
	for c := range s {
		if _, halted := c.halt(); !halted {
			delete(s, c)
		}
	}
}

// halt is where the client stands still, if it does not go on.
func (c *Client) halt() (s stall, halted bool) {
	switch {
	case c.ending.decided():
		return stall{}, false
	case c.sock.Parked():
		return stall{at: haltTaking, mark: c.sock.ParkedLen() + socket.Unsent(c.sock.FD())}, true
	case c.state != clientLeased || c.unread || c.obstacle() != obstacleNone || c.copies():
		// weir would take nothing, or may not expect anything: libpq sends rows of a COPY in blocks of 8 KiB, so that whoever has none to send for
		// a while may stop in the middle of one.
		return stall{}, false
	case c.talk.Amid() || len(c.carry) > 0:
		return stall{at: haltMessage, mark: int(c.talk.Lacks()) - len(c.carry)}, true
	case c.backend.talk.Lingers():
		return stall{at: haltSyncless, mark: int(c.backend.talk.Asked())}, true
	}
	return stall{}, false
}

// lookForStall ends a client that has stood still for too long.
func (c *Client) lookForStall() {
	now, halted := c.halt()
	if !halted {
		return
	}
	e, limits := c.lane.engine, c.limits.Load()
	limit := limits.Stall
	if now.at == haltSyncless {
		limit = limits.IdleTransaction
	}
	if limit <= 0 {
		return
	}
	now.since = max(e.loop.Now(), 1)
	if before, known := e.stalls[c]; known && !before.goesOn(now) {
		now.since = before.since
	}
	e.stalls[c] = now
	if e.over(now.since, limit) {
		c.stalled(now, limit)
	}
}

func (c *Client) stalled(s stall, limit time.Duration) {
	lasted := c.lane.engine.since(s.since)
	if s.at == haltSyncless {
		c.timedOut(status.IdleTransactionTimeout, limit, lasted)
		c.failWith(pgerror.IdleTransactionTimeout(limit))
		return
	}
	c.because(status.ClientStallTimeout)
	c.timedOut(status.StalledClientTimeout, limit, lasted)
	if s.at == haltMessage {
		c.kill(pgerror.ClientStopsAmidMessage(limit))
	} else {
		c.kill(pgerror.ClientStallTimeout(limit))
	}
}
