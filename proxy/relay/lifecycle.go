package relay

import (
	"errors"
	"maps"
	"slices"
	"time"

	"weir/proxy/pgerror"
	"weir/proxy/status"
)

// The life of a lane: NewLane and Open begin it; Reconfigure changes its settings; Close lets its clients go on and admits no more.
// It ends when it has neither clients nor backends and its owner agrees to forget it.

const (
	// emptySweeps is how many sweeps, about a second apart, must have found a lane without clients and backends before the one that ends
	// it: a client that tries again at once finds what is known of the server's trouble.
	emptySweeps = 1
	// vacateFor is how long PostgreSQL waits for other sessions to leave a database that is dropped, renamed or copied:
	// CountOtherDBBackends in its src/backend/storage/ipc/procarray.c.
	vacateFor = 5 * time.Second
	// vacateEvery bounds what clients that do so all the time cost: looking at every lane.
	vacateEvery = 100 * time.Millisecond
)

// Reconfigure gives the lane other settings. Backends and clients stay; what is under way goes on as it began. A lane cannot begin or
// cease to share prepared statements, nor go from or to session mode: see Reconfigurable. Any goroutine.
func (l *Lane) Reconfigure(s LaneSettings) {
	l.engine.loop.Post(func() { l.configure(s) })
}

func (l *Lane) configure(s LaneSettings) {
	if l.closed {
		s.Pool.MinSize, s.Pool.PoolIdleTimeout = 0, 1
	}
	renew := s.Login != l.config.Login
	l.config.LaneSettings = s
	l.talk.Reconfigure(s.rules())
	l.boundPins()
	l.listener.hub.LostChannel = s.ListenLostChannel
	l.pool.Configure(l.now(), s.Pool)
	l.decided()
	if renew {
		l.renew()
	}
}

var errMoved = errors.New("the database is another one now")

// Renew has all backends that have begun before replaced, wherever they are by the time: a lane that begins after this takes none of them.
// The lanes there are close theirs when they are told by Reconfigure or Lane.Renew. Any goroutine.
func (p *Lanes) Renew(now time.Duration) { p.pool.Renew(int64(now)) }

// Renew has clients served by backends that are dialled from now on: those there are lead to another server than Dial does. Each goes as
// soon as it is free. Any goroutine.
func (l *Lane) Renew() {
	l.engine.loop.Post(func() {
		l.talk.Renew()
		l.renew()
		l.listener.move()
	})
}

// Reconfigurable reports whether a lane may go from one to the other.
func (s LaneSettings) Reconfigurable(to LaneSettings) bool {
	return s.shares() == to.shares() && (s.Mode == Session) == (to.Mode == Session)
}

// Close has the lane end with its last client. No client may be admitted that has not been announced to the lane's owner before.
// Any goroutine.
func (l *Lane) Close() {
	l.engine.loop.Post(l.close)
}

func (l *Lane) close() {
	l.closed = true
	l.configure(l.config.LaneSettings)
}

// Dismiss is Close that does not wait for the clients: each gets err as soon as it is in no transaction. Any goroutine.
func (l *Lane) Dismiss(err *pgerror.Error) {
	l.engine.loop.Post(func() {
		l.close()
		l.dismiss(err)
	})
}

// dismiss sends away the clients that are in no transaction. The others go when theirs has ended: see Backend.follow.
func (l *Lane) dismiss(err *pgerror.Error) {
	l.farewell = err
	l.engine.walk((*Client).dismiss, func() {})
}

// dismiss sends the client away, if its lane is to have none any more and it is in no transaction.
func (c *Client) dismiss() {
	if err := c.lane.farewell; err != nil && c.dispensable() && !(err == pgerror.AdminShutdown && c.keepsSession()) {
		c.failWith(err)
	}
}

// Vacate closes the idle backends of pools that have no client, now and for as long as PostgreSQL waits for them to go. Any goroutine.
func (e *Engine) Vacate() { e.loop.Post(e.vacate) }

// vacate leaves to the sweeps what comes too soon after the last time.
func (e *Engine) vacate() {
	if e.vacating != 0 && e.since(e.vacating) < vacateEvery {
		return
	}
	e.vacating = max(e.loop.Now(), 1)
	e.eachLane((*Lane).vacate)
}

// vacateAll has all engines vacate.
func (e *Engine) vacateAll() {
	if e.env.Vacate != nil {
		e.env.Vacate()
	}
}

func (e *Engine) eachLane(f func(*Lane)) {
	for _, l := range e.lanes {
		f(l)
	}
}

func (l *Lane) vacate() {
	l.populated()
	if l.clients.empty() {
		l.listener.shut()
	}
	l.pool.Vacate(l.now())
	l.decided()
}

// populated tells the pool whether the lane has clients.
func (l *Lane) populated() {
	l.pool.Populated(l.now(), !l.clients.empty())
	l.decided()
}

// sweepLanes closes what is in the way, and takes the lanes whose time is over out of the table.
func (e *Engine) sweepLanes() {
	if e.vacating != 0 && e.since(e.vacating) < vacateFor {
		e.eachLane((*Lane).vacate)
	}
	e.lanes = slices.DeleteFunc(e.lanes, (*Lane).over)
	maps.DeleteFunc(e.past, func(of *Lanes, p *pastLane) bool {
		over := of.over.Load()
		if over {
			p.bury(p.counted)
		}
		return over
	})
}

// pastLane is what lanes of a pool have counted that have ended before it.
type pastLane struct {
	counted status.Pool
	bury    func(status.Pool)
}

// keepPast keeps what the lane has counted, which ends before its pool does: counters never fall.
func (l *Lane) keepPast() {
	counted, e := l.counted(), l.engine
	if before := e.past[l.config.Lanes]; before != nil {
		counted.AddLane(&before.counted)
	}
	if e.past == nil {
		e.past = map[*Lanes]*pastLane{}
	}
	e.past[l.config.Lanes] = &pastLane{counted, l.bury}
}

func (l *Lane) counted() status.Pool {
	now := l.snapshot()
	return now.Counted()
}

// bury hands on what lanes of the pool have counted, which is forgotten.
func (l *Lane) bury(counted status.Pool) {
	if l.config.Bury != nil {
		l.config.Bury(counted)
	}
}

// over ends the lane if its time is over, and reports that.
func (l *Lane) over() bool {
	l.populated()
	if !l.clients.empty() || !l.pool.Deserted() || !l.listener.shut() {
		l.empty = 0
		return false
	}
	if l.empty++; l.empty <= emptySweeps || l.config.Forget == nil || !l.config.Forget() {
		return false
	}
	if l.pool.First() {
		l.bury(l.counted())
	} else {
		l.keepPast()
	}
	l.sayWentIdle()
	l.engine.loop.Unset(&l.timer)
	l.engine.loop.Unset(&l.listener.timer)
	l.stop()
	l.withdraw()
	return true
}
