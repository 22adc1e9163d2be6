package relay

import "time"

// A pool notices by itself that its server has become a standby, or that another has taken its place: where the server says that its role
// has changed, and where it refuses to write. Backends on a server that does not fit the pool go as soon as they are free. Where every
// server fits, and the one that refuses to write is a standby, its address may lead to another by now: that is tried, with a
// connection of its own, and if it does, all backends are replaced.

const (
	// roleEvery bounds what a client that keeps writing on a standby costs: a connection in so long.
	roleEvery = int64(time.Second)
	// roleEveryMost bounds roles.every, and is for how long one replacement counts when the next comes.
	roleEveryMost = int64(time.Minute)
)

// roles is what a lane does about its servers' roles.
type roles struct {
	asked   int64 // when it was last found out where a new connection leads; 0: never
	asking  bool
	every   int64 // how long that is left alone: longer where one name leads to a primary and standbys by turns
	renewed int64 // when all backends were last replaced; 0: never
}

// fits reports whether a server of that role may serve the pool.
func (l *Lane) fits(standby bool) bool { return l.config.Fits == nil || l.config.Fits(standby) }

// hearRole does what follows from what the backend's server has shown of its role.
func (b *Backend) hearRole() {
	_, denied := b.talk.RoleNews()
	if b.doomed() || b.state == backendGone || b.state == backendDialling {
		return
	}
	l := b.lane
	standby, known := b.talk.Standby()
	switch {
	case known && !l.fits(standby):
		l.engine.warn("the server's role has changed: backend replaced", "pool", l.Name(), "backend", b.pid, "server", b.addr, "standby", standby)
		l.expel(b)
	case !denied || known && !standby: // a read-only transaction
	case !l.roleDue():
	case known:
		l.askWritable(b.addr)
	default: // only a login can tell
		l.expel(b)
	}
}

// roleDue reports whether the lane may look for its server's role again.
func (l *Lane) roleDue() bool {
	now := l.engine.loop.Now()
	if l.roles.asking || l.roles.asked != 0 && now-l.roles.asked < max(l.roles.every, roleEvery) {
		return false
	}
	l.roles.asked = max(now, 1)
	return true
}

func (l *Lane) expel(b *Backend) {
	l.pool.Expel(l.now(), b.id)
	l.decided()
}

// askWritable finds out whether there is a server now that is no standby, and has all backends replaced if so.
func (l *Lane) askWritable(was string) {
	if l.config.Writable == nil {
		return
	}
	l.roles.asking = true
	go func() {
		writable := l.config.Writable(l.ctx)
		l.engine.loop.Post(func() {
			l.roles.asking = false
			if writable {
				l.engine.warn("a new connection leads to a primary, and backends are on a standby: all are replaced", "pool", l.Name(), "server", was)
				l.roles.replaced(l.engine.loop.Now())
				l.config.Lanes.each((*Lane).moveOn)
			}
		})
	}()
}

// moveOn has the lane's backends replaced, and its listener connection.
func (l *Lane) moveOn() {
	l.renew()
	l.listener.move()
}

// replaced notes that all backends are replaced. Where that has happened a moment ago, the next time may wait.
func (r *roles) replaced(now int64) {
	every := roleEvery
	if r.renewed != 0 && now-r.renewed < roleEveryMost {
		every = min(2*max(r.every, roleEvery), roleEveryMost)
	}
	r.every, r.renewed = every, max(now, 1)
}

// gone tells that the backend has ended, where it is none of a lane's.
func (d *Dialled) gone() {
	if d.Gone != nil {
		d.Gone()
	}
}
