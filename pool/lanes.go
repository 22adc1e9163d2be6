package pool

import (
	"fmt"
	"time"

	"weir/pool/board"
)

// A pool may have several lanes, each a Pool on a loop of its own with its own clients, waiters and backends, and a board.Board in common.
// Backends go where they are missed:
//
//   - A lane on which a client waits says so on the board, and asks a lane that has idle backends for one: Ask there, Asked here.
//   - A lane whose backend comes free looks at the others' notes, and gives the backend away if another's oldest waiter has waited for much longer than its
//     own: Give here, Arrived there. The promise on the board keeps others from giving for the same waiter.
//   - Backends for which a lane has no use are shown to the others, and given to those who wait there, at the end of the loop's iteration (Rest, Rested):
//     until then clients of its own may come that the loop has been told of together with the backend's answer.
//   - A lane that gives up a place under the pool's limits wakes those on which clients wait: Wake here, Woken there.
//
// Each side writes its own note before it reads the others', so of a waiter and a backend that miss each other one is found by the other.

// The oldest waiter of another lane is served first if it has waited longer than the lane's own by both an eighth and this. A transfer costs two calls of
// the poller and a message, some 10 µs: short queues are not worth that, and a loop that has no core for a moment has nobody the less for it.
const unfair = 2 * time.Millisecond

// Transfer is what goes with a backend from one lane to another.
type Transfer struct {
	reply, proven        bool
	settings             SettingsID
	began, born, expires Instant
}

// NewLane returns an empty lane of the pool that has board b. The first one keeps MinSize, and is to end last. A lane's number may be used again once
// End has been called. The seed decides the jitter of back-offs and lifetimes: give each lane another.
func NewLane(cfg Config, seed uint64, b *board.Board, lane int) *Pool {
	p := &Pool{
		cfg:       cfg.checked(),
		next:      Never,
		vacant:    Never, // it is made for a client
		contested: Never,
		pardoned:  -1,
		backends:  make([]backend, 1),
		waiters:   make([]waiter, 1),
		board:     b,
		lane:      lane,
		posted:    posted{head: Never},
	}
	p.random.Seed(seed, 0)
	if p.cfg.MinSize > 0 {
		p.next = 0
	}
	p.first = b.Enter(lane)
	b.Inhabit()
	return p
}

// First reports whether this is the lane that ends last.
func (p *Pool) First() bool { return p.first }

// End is for a lane that is Deserted and will see no event any more.
func (p *Pool) End() { p.board.Leave(p.lane) }

// Asked says that a client waits on another lane, which has seen that this one has idle backends. It is given one, or woken.
func (p *Pool) Asked(now Instant, lane int) {
	now = p.begin(now)
	if p.count[Idle] > 0 {
		p.give(p.backends[0].next, lane, true)
	} else {
		p.decide(Decision{Kind: Wake, Lane: lane, Reply: true})
	}
	p.settle(now)
}

// Woken says that this lane may find what its clients wait for: because a place has come free, because a lane that was asked has nothing to give (reply), or
// because what was promised will not come.
func (p *Pool) Woken(now Instant, reply bool) {
	now = p.begin(now)
	if reply {
		p.asked--
	}
	p.posted.head = 0 // what was promised counts no more
	p.unseen = true   // by a lane that is new
	p.settle(now)
}

// Departed says that backend b, which was to be given to another lane, is on its way there. It is this lane's no more. If it is gone instead, or
// Stale by now, the caller closes it and says Lost: on its way it is not counted as such.
func (p *Pool) Departed(now Instant, b BackendID) Transfer {
	now = p.begin(now)
	p.expect("Departed", b, Moving)
	be := &p.backends[b]
	if be.stale {
		panic(fmt.Sprintf("pool: Departed of b%d, which is stale", b))
	}
	t := Transfer{reply: be.asked, proven: be.proven, settings: be.settings, began: be.began, born: be.born, expires: be.expires}
	p.move(b, Gone)
	p.settle(now)
	return t
}

// Arrived says that a backend has come from another lane. It returns the number that the backend has here.
func (p *Pool) Arrived(now Instant, t Transfer) BackendID {
	now = p.begin(now)
	if t.reply {
		p.asked--
	} else {
		p.board.Kept(p.lane)
	}
	b := p.newBackend()
	p.move(b, Moving)
	be := &p.backends[b]
	be.settings, be.proven, be.began, be.born, be.expires = t.settings, t.proven, t.began, t.born, t.expires
	be.stale = be.began < Instant(p.board.Renewed())
	p.posted.head = 0 // the promise is kept
	p.place(now, b)
	p.settle(now)
	return b
}

// give sends a backend to another lane.
func (p *Pool) give(b BackendID, lane int, reply bool) {
	p.move(b, Moving)
	p.backends[b].to, p.backends[b].asked = lane, reply
	p.decide(Decision{Kind: Give, Backend: b, Lane: lane})
}

// broken is for a backend that was to be given to another lane and is gone.
func (p *Pool) broken(be *backend) {
	if !be.asked {
		p.board.Kept(be.to)
	}
	p.decide(Decision{Kind: Wake, Lane: be.to, Reply: be.asked})
}

// donates gives a backend that has just come free, and that clients wait for or that may not become idle, to a lane that needs it more, if there is one.
func (p *Pool) donates(now Instant, b BackendID) bool {
	if p.board.Alone() || p.waiting > 0 && p.looked == now || p.waiting == 0 && p.board.Live() <= p.cfg.Size {
		return false
	}
	p.looked = now
	lane, since := p.board.Hungriest(p.lane)
	if since == board.Never || p.waiting > 0 && !p.fairer(now, lane, Instant(since)) || !p.board.Promise(lane, since) {
		return false
	}
	p.give(b, lane, false)
	return true
}

// awaited reports whether clients on other lanes wait for a backend.
func (p *Pool) awaited() bool {
	if p.board.Alone() {
		return false
	}
	_, since := p.board.Hungriest(p.lane)
	return since != board.Never
}

// fairer reports whether another lane's oldest waiter is to be served before the own ones: it has waited longer, and there are not so few clients to a
// backend there that this is about to change by itself. How few is few depends on how much longer it has waited: a lane whose loop, or whose backends, are
// slower needs more of them for its clients to wait no longer than others. The square brings it as many as it needs without all going there at once. Where it has waited for twice as long the backends there must be kept by their clients.
func (p *Pool) fairer(now Instant, lane int, since Instant) bool {
	_, own := p.oldest(now)
	other := time.Duration(now - since)
	if other <= own+max(own/8, unfair) {
		return false
	}
	if other > 2*(own+unfair) {
		return true
	}
	waiting, backends := p.board.Stands(lane)
	return square(other)*float64(waiting)*float64(p.own()) >= square(own)*float64(p.waiting)*float64(backends)
}

func square(d time.Duration) float64 { return float64(d) * float64(d) }

// posted is what the lane's note says, as far as the lane has written it.
type posted struct {
	head           Instant
	idle, backends int
}

// post brings the lane's note on the board up to date.
func (p *Pool) post() {
	if p.board.Single() {
		return
	}
	head := Never
	if p.waiting > 0 {
		head = p.waiters[p.waiters[0].next].since
	}
	if head != p.posted.head {
		p.posted.head = head
		p.board.Waits(p.lane, int64(head), p.waiting)
	}
	idle := p.count[Idle]
	if !p.board.Alone() {
		idle = min(idle, p.posted.idle) // the others are shown more when the lane has rested
	}
	p.show(idle)
}

// show has the lane's note say that so many backends are idle.
func (p *Pool) show(idle int) {
	if backends := p.own(); backends != p.posted.backends || idle != p.posted.idle {
		p.posted.backends, p.posted.idle = backends, idle
		p.board.Has(p.lane, backends, idle)
	}
}

// rest has the caller say Rested if there are idle backends that the others have not been shown.
func (p *Pool) rest() {
	if n := p.count[Idle]; n == 0 || n <= p.posted.idle && !p.unseen {
		return
	}
	if !p.resting && !p.board.Alone() {
		p.resting = true
		p.decide(Decision{Kind: Rest})
	}
}

// Rested says that the loop has done what there was to do: the lane's clients have had what they want of its idle backends.
func (p *Pool) Rested(now Instant) {
	p.begin(now)
	p.resting, p.unseen = false, false
	p.show(p.count[Idle])
	p.share()
	p.check()
}

// finish ends an event that has changed no more than one lease.
func (p *Pool) finish() {
	p.post()
	p.rest()
	p.check()
}

// share gives idle backends to lanes on which clients wait.
func (p *Pool) share() {
	for p.count[Idle] > 0 {
		lane, since := p.board.Hungriest(p.lane)
		if since == board.Never {
			return
		}
		if p.board.Promise(lane, since) {
			p.give(p.backends[0].next, lane, false)
			p.post()
		}
	}
}

// ask asks lanes that have idle backends for as many as clients wait here.
func (p *Pool) ask() {
	for p.waiting > p.count[Dialling]+p.asked && !p.paused {
		lane, all := p.board.Idlest(p.lane)
		if all <= p.asked {
			return
		}
		p.asked++
		p.decide(Decision{Kind: Ask, Lane: lane})
	}
}

// wake tells the lanes on which clients wait that there is a place.
func (p *Pool) wake() {
	p.vacated = false
	for i := range p.board.Lanes() {
		if i != p.lane && p.board.Hungry(i) {
			p.decide(Decision{Kind: Wake, Lane: i})
		}
	}
}

// promised reports whether another lane is about to send a backend.
func (p *Pool) promised() bool { return p.asked > 0 || p.board.Promised(p.lane) }
