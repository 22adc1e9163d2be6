package pool

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"weir/pool/board"
)

// Instant is a moment in nanoseconds on the caller's monotonic clock, which
// counts from 0.
type Instant int64

// Never is the Instant of what is not scheduled.
const Never Instant = math.MaxInt64

// plus returns t + d, or Never if that is beyond the end of time. d is not
// negative.
func (t Instant) plus(d time.Duration) Instant {
	if Instant(d) > Never-t {
		return Never
	}
	return t + Instant(d)
}

// after returns when a timeout of d that began at t is over: Never for d 0, a
// timeout that is off.
func after(t Instant, d time.Duration) Instant {
	if d == 0 {
		return Never
	}
	return t.plus(d)
}

// ClientID is a small number that the caller chose, unique among the clients
// that the pool may meet at one time. The pool keeps 24 bytes per number up to
// the largest that ever had to wait: choose them densely.
type ClientID uint32

// BackendID is a small number that the pool chose in a Dial decision. The first
// is 1. Numbers of backends that are gone are used again.
type BackendID uint32

// SettingsID names a set of session settings; 0 is what a new backend has.
type SettingsID uint32

// Pool decides who gets which backend. See the package comment for what its
// caller owes. Not safe for concurrent use.
type Pool struct {
	cfg       Config
	paused    bool    // no backend is given out or kept
	vacant    Instant // since when the pool has no client; Never while it has
	now       Instant // of the latest event
	next      Instant // no Tick is needed before; never later than plan says
	decisions []Decision
	random    rand.PCG // jitter only

	backends []backend // by BackendID; [0] closes the ring of idle ones
	count    [backendStates]int
	coming   []BackendID // Leased, and expected to be Freed, in the order of their times
	free     []BackendID // numbers to use again
	gone     []BackendID // numbers given up by the latest event

	waiters []waiter // by ClientID+1; [0] closes the ring
	waiting int

	trouble    obstacle // the server is away or refuses
	since      Instant  // start of the first dial of the trouble
	refused    bool     // the latest failure of the trouble was definitive
	pardoned   Instant  // refusals of dials begun before it mean nothing
	full       obstacle // the server has no place left
	limited    obstacle // a limit over pools has no place left
	flaps      obstacle // backends that the server has let in are lost before they have served anybody
	unasked    bool     // none of those had a client
	contested  Instant  // since when other pools wait for places that this one has; Never if none does
	turnedAway bool     // a client was failed since the last dial: probe

	board   *board.Board
	lane    int     // which of the pool's this is
	first   bool    // it keeps MinSize
	posted  posted  // of the lane's note on it
	asked   int     // backends that other lanes were asked for and have not answered
	looked  Instant // when the board was last looked at although clients wait here
	resting bool    // the caller has been told to say Rested
	unseen  bool    // there may be a lane that has not been shown what is idle here
	vacated bool    // a place under the limits has been given up

	checker checker
}

// begin opens an event and returns its time.
func (p *Pool) begin(now Instant) Instant {
	p.checker.begin(p)
	p.decisions = p.decisions[:0]
	if len(p.gone) > 0 {
		p.free = append(p.free, p.gone...)
		p.gone = p.gone[:0]
	}
	p.now = max(p.now, now)
	if p.trouble.strikes > 0 && Instant(p.board.Reached()) > p.trouble.last { // from another lane
		p.trouble, p.turnedAway = obstacle{}, false
	}
	return p.now
}

// settle closes an event that may have changed more than one lease: it dials
// what may be dialled, gives up on what is hopeless, and plans the next Tick.
func (p *Pool) settle(now Instant) {
	p.post()
	if !p.board.Alone() {
		p.rest()
		p.ask()
		if p.vacated {
			p.wake()
		}
	}
	p.dialMore(now)
	// A probe under way is waited for: it may be the one that succeeds.
	if p.waiting > 0 && p.count[Dialling] == 0 && p.hopeless(now) {
		p.giveUp(now)
		p.post()
	}
	p.next = p.plan(now)
	p.check()
}

// Want says that client c needs a backend, best one with settings s. It is
// leased one, or fails, at once, or becomes a waiter and is answered by a Lease
// or Fail of a later event, unless the caller says Forget first.
func (p *Pool) Want(now Instant, c ClientID, s SettingsID) {
	now = p.begin(now)
	if p.Waiting(c) {
		panic(fmt.Sprintf("pool: Want of c%d, which already waits", c))
	}
	back := p.vacant != Never // so MinSize counts again
	p.inhabit()
	switch {
	case p.count[Idle] > 0:
		b := p.pickIdle(s)
		p.move(b, Leased)
		p.decide(Decision{Kind: Lease, Client: c, Backend: b})
		if !back {
			p.finish()
			return
		}
	case p.waiting == 0 && p.hopeless(now):
		p.turnedAway = true
		p.decide(Decision{Kind: Fail, Client: c, Why: CauseLoginFailed})
	default:
		held := p.missing() <= now
		p.enqueue(now, c)
		if held && !back && now < p.next {
			// A client before c is held back already: the pool knows when to act
			// for it, and c's own turn and deadline come later.
			p.check()
			return
		}
	}
	p.settle(now)
}

// Forget says that waiter c has left. It must be waiting.
func (p *Pool) Forget(now Instant, c ClientID) {
	p.begin(now)
	if !p.Waiting(c) {
		panic(fmt.Sprintf("pool: Forget of c%d, which does not wait", c))
	}
	p.dequeue(c)
	p.finish()
}

// Freed says that the transaction on leased backend b is over, that it owes no
// answer, and that it is left with settings s. It goes to the oldest waiter, or
// becomes idle, or is closed if it is expired or surplus.
func (p *Pool) Freed(now Instant, b BackendID, s SettingsID) {
	now = p.begin(now)
	p.expect("Freed", b, Leased)
	be := &p.backends[b]
	be.settings = s
	news := p.prove(be)
	if p.place(now, b) && !news && (p.waiting == 0 || be.state != Moving) { // else one who waits for it has to have another
		p.finish()
		return
	}
	p.settle(now)
}

// Dialled says that backend b is connected and logged in, with settings 0.
func (p *Pool) Dialled(now Instant, b BackendID) {
	now = p.begin(now)
	p.expect("Dialled", b, Dialling)
	be := &p.backends[b]
	started := be.since
	be.began, be.born, be.settings, be.proven = started, now, 0, false
	be.expires = p.expiry(now)
	p.board.EndDial(true)
	p.vacated = true
	p.place(now, b)
	p.succeeded(now, started)
	p.settle(now)
}

// DialFailed says that backend b will not come, and why.
func (p *Pool) DialFailed(now Instant, b BackendID, f Failure) {
	now = p.begin(now)
	p.expect("DialFailed", b, Dialling)
	started, stale := p.backends[b].since, p.backends[b].stale
	p.move(b, Gone)
	p.board.EndDial(false)
	p.vacated = true
	if !stale || f.Kind == Limited {
		p.failed(now, started, f)
	}
	p.settle(now)
}

// Lost says that backend b, idle, leased or to be given away, is gone: it has ended, or was found not to be of use. A lease ends
// with it: what becomes of its client is the caller's business.
func (p *Pool) Lost(now Instant, b BackendID) {
	now = p.begin(now)
	p.expect("Lost", b, Idle, Leased, Moving)
	p.flapped(now, &p.backends[b])
	p.lose(now, b)
}

// Discard says the same of a backend that the caller closes for what its client has left there.
func (p *Pool) Discard(now Instant, b BackendID) {
	now = p.begin(now)
	p.expect("Discard", b, Idle, Leased, Moving)
	p.lose(now, b)
}

func (p *Pool) lose(now Instant, b BackendID) {
	if be := &p.backends[b]; be.state == Moving {
		p.broken(be)
	}
	p.drop(b)
	p.settle(now)
}

// Tick says that time has passed and returns Next.
func (p *Pool) Tick(now Instant) (next Instant) {
	now = p.begin(now)
	p.failOverdue(now)
	p.expire(now)
	p.settle(now)
	return p.next
}

// Next returns when the next Tick is due as things stand after the latest
// event, or Never. It costs nothing to ask.
func (p *Pool) Next() Instant { return p.next }

// Reclaim asks for an idle backend's place under a limit that several pools
// share. It closes the longest idle backend if the pool has one above MinSize,
// and reports whether it did.
func (p *Pool) Reclaim(now Instant) bool {
	p.begin(now)
	if p.count[Idle] == 0 || p.board.Live() <= p.floor() {
		return false
	}
	p.close(p.longestIdle(), CauseReclaimed)
	p.finish()
	return true
}

// Contest says whether other pools that have no backend wait, under a limit that they share with this one, for places that it has. As long as they do,
// backends above MinSize that are not wanted again at once are closed.
func (p *Pool) Contest(now Instant, contested bool) {
	now = p.begin(now)
	switch {
	case !contested:
		p.contested = Never
	case p.contested == Never:
		p.contested = now
	}
	p.settle(now)
}

// Nudge says that a limit over pools, or the server, may have room again.
func (p *Pool) Nudge(now Instant) {
	now = p.begin(now)
	p.limited.retry = now
	if p.full.strikes > 0 {
		p.full.strikes, p.full.retry = 1, now
	}
	p.settle(now)
}

// Pardon says that what the server has refused may be right now, because weir has got other credentials. Refusals of dials that
// began before mean nothing any more. A server that cannot be reached is in trouble still.
func (p *Pool) Pardon(now Instant) {
	now = p.begin(now)
	p.pardoned = now
	if p.refused {
		p.trouble = obstacle{}
	}
	p.settle(now)
}

// Configure gives the pool new sizes and timeouts. Idle backends above the new
// size are closed, leased ones when they are freed. Those who wait keep their
// place and the time they have waited.
func (p *Pool) Configure(now Instant, cfg Config) {
	now = p.begin(now)
	old := p.cfg
	p.cfg = cfg.checked()
	if p.cfg.ServerLifetime != old.ServerLifetime {
		p.renewExpiries()
	}
	for p.count[Idle] > 0 && p.board.Shed(p.cfg.Size) {
		p.shed(p.longestIdle())
	}
	p.settle(now)
}

// Renew says that backends are made otherwise from now on: with another server,
// or another way to it. Those that are idle are closed, leased ones when they
// are freed, and those being dialled are abandoned. What the old server has
// said or not said means nothing any more.
func (p *Pool) Renew(now Instant) {
	now = p.begin(now)
	p.board.Renew(int64(now))
	p.abandonDials()
	for b := range p.backends {
		if be := &p.backends[b]; be.state == Leased || be.state == Moving {
			be.stale = true
		}
	}
	p.closeAllIdle(CauseRenewed)
	p.trouble, p.full, p.flaps, p.turnedAway = obstacle{}, obstacle{}, obstacle{}, false
	p.settle(now)
}

// Expel says that backend b is not to be used again, but may end what it is at:
// closed at once if it is idle, when it is freed if it is leased.
func (p *Pool) Expel(now Instant, b BackendID) {
	now = p.begin(now)
	p.expect("Expel", b, Idle, Leased, Moving)
	if be := &p.backends[b]; be.state != Idle {
		be.stale = true
	} else {
		p.close(b, CauseRenewed)
	}
	p.settle(now)
}

// place finds the use of a backend that is just dialled, freed or come from another
// lane, and reports whether it has one; if not, the backend is closed.
func (p *Pool) place(now Instant, b BackendID) (used bool) {
	be := &p.backends[b]
	room := p.cfg.Size
	if p.waiting > 0 || p.awaited() {
		// The reserve was opened for them.
		room += p.cfg.ReserveSize
	}
	switch {
	case p.paused:
		p.close(b, CausePaused)
		return false
	case be.stale:
		p.close(b, CauseRenewed)
		return false
	case now >= be.expires:
		p.close(b, CauseLifetime)
		return false
	case p.board.Shed(room):
		p.shed(b)
		return false
	case p.donates(now, b):
		return true
	case p.waiting > 0:
		p.move(b, Leased)
		c, waited := p.oldest(now)
		p.dequeue(c)
		p.decide(Decision{Kind: Lease, Client: c, Backend: b, Waited: waited})
		return true
	case room > p.cfg.Size && p.board.Shed(p.cfg.Size): // those who waited on another lane have been served
		p.shed(b)
		return false
	}
	be.since = now
	p.move(b, Idle)
	p.next = min(p.next, be.expires, p.idleOver(now), p.vacancyDue())
	return true
}

// check ends every event. It does something in builds with the tag invariants.
func (p *Pool) check() { p.checker.check(p) }

// plan returns when something is due if no event comes before. What an event
// will set going (a dial's end, a freed backend) is not planned for.
func (p *Pool) plan(now Instant) Instant {
	return min(p.waitersDue(), p.idleDue(), p.dialDue(now))
}
