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
//   - A lane whose backend comes free looks at the others' notes. It gives the backend away if it has no use for it and another lane has, and also if the
//     other's oldest waiter has waited for much longer than its own: Give here, Arrived there. The promise on the board keeps others from
//     giving for the same waiter.
//   - A lane that gives up a place under the pool's limits wakes those on which clients wait: Wake here, Woken there.
//
// Each side writes its own note before it reads the others', so of a waiter and a backend that miss each other one is found by the other.

// The oldest waiter of another lane is served first if it has waited longer than the lane's own by both an eighth and this. A transfer costs two calls of
// the poller and a message, some 10 µs: short queues are not worth that.
const unfair = 500 * time.Microsecond

// Transfer is what goes with a backend from one lane to another.
type Transfer struct {
	reply                bool
	settings             SettingsID
	began, born, expires Instant
}

// NewLane returns a lane of the pool that has board b. The first one keeps MinSize, and is to end last. A lane's number may be used again once End has
// been called.
func NewLane(cfg Config, seed uint64, b *board.Board, lane int) *Pool {
	p := &Pool{
		cfg:      cfg.checked(),
		next:     Never,
		vacant:   Never, // it is made for a client
		pardoned: -1,
		backends: make([]backend, 1),
		waiters:  make([]waiter, 1),
		board:    b,
		lane:     lane,
		posted:   posted{head: Never},
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
	t := Transfer{reply: be.asked, settings: be.settings, began: be.began, born: be.born, expires: be.expires}
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
	be.settings, be.began, be.born, be.expires = t.settings, t.began, t.born, t.expires
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

// donates gives a backend that has just come free to a lane that needs it more, if there is one.
func (p *Pool) donates(now Instant, b BackendID) bool {
	if p.board.Alone() || p.waiting > 0 && p.looked == now {
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

// fairer reports whether another lane's oldest waiter is to be served before the own ones: it has waited longer, and that is not about to change,
// because there are no fewer clients to a backend there than here, or has not changed for so long that the backends there must be kept by their clients.
func (p *Pool) fairer(now Instant, lane int, since Instant) bool {
	_, own := p.oldest(now)
	waited := time.Duration(now - since)
	if waited <= own+max(own/8, unfair) {
		return false
	}
	if waited > 2*(own+unfair) {
		return true
	}
	waiting, backends := p.board.Stands(lane)
	return waiting*p.own() >= p.waiting*backends
}

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
	if backends, idle := p.own(), p.count[Idle]; backends != p.posted.backends || idle != p.posted.idle {
		p.posted.backends, p.posted.idle = backends, idle
		p.board.Has(p.lane, backends, idle)
	}
}

// finish ends an event that has changed no more than one lease.
func (p *Pool) finish() {
	p.post()
	if !p.board.Alone() {
		p.share()
	}
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
