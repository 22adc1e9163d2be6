package pool

import (
	"fmt"
	"time"
)

const (
	// backoffFirst is long enough for a login that failed for want of a moment
	// (a restart's last step), too short for a client to notice.
	backoffFirst = 100 * time.Millisecond
	// awayRetryMost bounds the wait for a server that is away: a probe a second
	// costs nothing, and after a long outage clients are served a second after
	// the server is.
	awayRetryMost = time.Second
	// fullRetryMost bounds the wait for a place at a full server: each probe
	// costs the server a fork, and each second without costs the waiters.
	fullRetryMost = 5 * time.Second
	// fullMemory is how long after its last 53300 a server is grown into one
	// backend at a time.
	fullMemory = time.Minute
	// flapWithin is how soon after its login a backend that is lost without having served anybody counts as a flap. What lives longer cannot be opened
	// more often than once a second anyway.
	flapWithin = awayRetryMost
	// flapMemory is for how long a flap is evidence: where leases last for hours, no backend is freed that would refute it.
	flapMemory = 10 * time.Second
	// limitedRetry covers a missing Nudge, and limits for which no Nudge comes.
	limitedRetry = time.Second
)

// FailureKind says what a failed dial means for the next.
type FailureKind uint8

const (
	// Unreachable: no connection, or one that broke, or the server is starting
	// or shutting down (57P03). Another attempt may succeed although nothing was
	// changed. The zero value: in doubt, try again.
	Unreachable FailureKind = iota
	// Refused: the server said no, and will until something is changed
	// (class 28, 3D000, a certificate that does not fit).
	Refused
	// Full: the server has no place left (53300).
	Full
	// Limited: a limit over several pools refused; the server was not asked.
	Limited
)

// String returns the word that scripts use.
func (k FailureKind) String() string {
	switch k {
	case Unreachable:
		return "unreachable"
	case Refused:
		return "refused"
	case Full:
		return "full"
	case Limited:
		return "limited"
	}
	return fmt.Sprintf("failure(%d)", uint8(k))
}

// Failure is why a dial failed. The caller keeps the error itself.
type Failure struct {
	Kind FailureKind
}

// obstacle is something that dials ran into. While it stands (strikes > 0)
// dials go out one at a time and not before retry.
type obstacle struct {
	strikes int     // how often in a row, dials under way at the same time counted once
	last    Instant // when last
	retry   Instant // when to try again
}

// meet notes that a dial begun at started ran into o just now. Dials that were
// under way when another met o are no further evidence and change no back-off.
func (o *obstacle) meet(now, started Instant) (again bool) {
	again = o.strikes == 0 || started >= o.last
	if again {
		o.strikes++
	}
	o.last = now
	return again
}

// holds reports whether o forbids one more dial.
func (o *obstacle) holds(now Instant, dialling int) bool {
	return o.strikes > 0 && (dialling > 0 || now < o.retry)
}

// due returns when o allows a dial if none is under way.
func (o *obstacle) due() Instant {
	if o.strikes == 0 {
		return 0
	}
	return o.retry
}

// backoff returns the time before the next dial: backoffFirst, doubled with each
// strike after the first, at most most, and by chance up to a quarter less, so
// that pools that failed together do not come back together.
func (p *Pool) backoff(strikes int, most time.Duration) time.Duration {
	most = max(most, backoffFirst)
	d := most
	// Beyond 30 doublings even a year is exceeded; the shift stays in range.
	if n := strikes - 1; n < 30 {
		d = min(most, backoffFirst<<n)
	}
	return d - p.jitter(d/4)
}

// jitter returns a random duration below d.
func (p *Pool) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(p.random.Uint64() % uint64(d))
}

// failed draws the conclusions from a dial that was begun at started.
func (p *Pool) failed(now, started Instant, f Failure) {
	switch f.Kind {
	case Limited:
		p.limited.meet(now, started)
		p.limited.retry = now.plus(limitedRetry)
	case Full:
		// A server that counts its connections is there.
		p.trouble = obstacle{}
		if p.full.meet(now, started) {
			p.full.retry = now.plus(p.backoff(p.full.strikes, fullRetryMost))
		}
	case Unreachable, Refused:
		if f.Kind == Refused && started <= p.pardoned {
			return
		}
		// A trouble that no dial has met for so long is over: the next one
		// gets its own grace. Twice: a probe that comes late by its timer must
		// not count as a pause.
		if started > p.trouble.last.plus(p.cfg.ServerLoginRetry).plus(p.cfg.ServerLoginRetry) {
			p.trouble = obstacle{}
		}
		if p.trouble.strikes == 0 {
			p.since = started
		}
		if p.trouble.meet(now, started) {
			most := p.cfg.ServerLoginRetry
			if f.Kind == Unreachable {
				most = min(most, awayRetryMost)
			}
			p.trouble.retry = now.plus(p.backoff(p.trouble.strikes, most))
		}
		p.refused = f.Kind == Refused
		if p.waiting > 0 && p.hopeless(now) {
			p.giveUp(now)
		}
	}
}

// flapped draws the conclusions from the loss of a backend: the server lets weir in and closes what it has let in before that is of use. Dials do not go
// out one at a time for it: that is for servers that say no. A stale one says nothing of where the next is dialled.
func (p *Pool) flapped(now Instant, be *backend) {
	if be.proven || be.stale || now > be.born.plus(flapWithin) {
		return
	}
	if now > p.flaps.last.plus(flapMemory) {
		p.flaps = obstacle{}
	}
	p.unasked = be.state != Leased && (p.unasked || p.flaps.strikes == 0)
	if p.flaps.meet(now, be.began) {
		p.flaps.retry = now.plus(p.backoff(p.flaps.strikes, awayRetryMost))
	}
}

// flapsDue returns when flaps allow a dial. Those of idle backends alone, which the server may close for being idle, hold up no client.
func (p *Pool) flapsDue() Instant {
	if p.unasked && p.waiting > 0 {
		return 0
	}
	return p.flaps.due()
}

// prove notes that a backend has served somebody, and reports whether that is news that allows dials.
func (p *Pool) prove(be *backend) (news bool) {
	if be.proven || be.stale {
		return false
	}
	be.proven = true
	news = p.flaps.strikes > 0
	p.flaps = obstacle{}
	return news
}

// succeeded draws the conclusions from a login whose dial was begun at started.
func (p *Pool) succeeded(now, started Instant) {
	p.board.Reach(int64(now))
	p.trouble = obstacle{}
	p.turnedAway = false
	if started >= p.limited.last {
		p.limited = obstacle{}
	}
	switch {
	case p.full.strikes == 0 || started < p.full.last:
	case p.board.Live() >= p.cfg.Size || now > p.full.last.plus(fullMemory):
		p.full = obstacle{}
	default:
		p.full.strikes = 1
		p.full.retry = now.plus(p.backoff(1, fullRetryMost))
	}
}

// hopeless reports whether a fresh failure makes it certain that no backend can
// be had. A pause says nothing of that.
func (p *Pool) hopeless(now Instant) bool {
	if p.paused || p.trouble.strikes == 0 || p.board.Live() > 0 || now > p.trouble.last.plus(p.fresh()) {
		return false
	}
	return p.refused || now >= p.lastHope()
}

// lastHope is when waiting for a server that is away becomes hopeless.
func (p *Pool) lastHope() Instant {
	if p.cfg.Patient {
		return Never
	}
	return p.since.plus(p.cfg.ServerLoginRetry)
}

// fresh is for how long the last failure says how things are. A server that is
// away is asked again at once by the client that finds no younger news of it,
// and no probe under way.
func (p *Pool) fresh() time.Duration {
	if p.refused || p.count[Dialling] > 0 {
		return p.cfg.ServerLoginRetry
	}
	return min(p.cfg.ServerLoginRetry, 2*awayRetryMost)
}

// giveUp fails all waiters. They are likely to come back, so a probe finds out
// whether the server is back, too.
func (p *Pool) giveUp(now Instant) {
	for p.waiting > 0 {
		p.failOldest(now, CauseLoginFailed)
	}
	p.turnedAway = true
}

// need reports whether one more dial is wanted.
func (p *Pool) need() bool { return p.neededSince() <= p.now }

// neededSince returns since or from when one more dial is wanted, Never if there is no reason.
func (p *Pool) neededSince() Instant {
	since := p.missing()
	if since == 0 || p.pointless() {
		return since
	}
	total := p.board.Total()
	if p.first && total < p.floor() || p.turnedAway && total == 0 && p.trouble.strikes > 0 {
		return 0
	}
	return since
}

// dialMore dials what is wanted and allowed.
func (p *Pool) dialMore(now Instant) {
	for p.need() && p.limit(now) == NoLimit {
		if !p.board.BeginDial(p.room(), p.cfg.MaxDials) {
			return // another lane was faster
		}
		b := p.newBackend()
		p.move(b, Dialling)
		p.backends[b].since = now
		p.turnedAway = false
		p.decide(Decision{Kind: Dial, Backend: b})
	}
}

// dialDue returns when a dial that is wanted may go out, or when waiting for it
// becomes hopeless.
func (p *Pool) dialDue(now Instant) Instant {
	needed := p.neededSince()
	if p.paused || needed == Never {
		return Never
	}
	trouble := p.trouble.strikes > 0
	obstacle := trouble || p.full.strikes > 0 || p.limited.strikes > 0
	if p.board.Dialling() >= p.cfg.MaxDials || p.count[Dialling] > 0 && obstacle {
		return Never // until one of them ends
	}
	// The last of what holds back counts.
	due := max(needed, p.sizeDue(), p.trouble.due(), p.full.due(), p.limited.due(), p.flapsDue())
	if trouble && p.waiting > 0 && p.board.Live() == 0 {
		if certain := p.lastHope(); certain > now {
			due = min(due, certain)
		}
	}
	return due
}
