package pool

import "time"

// A pool may have several lanes, each a Pool on a loop of its own with its own clients, waiters and backends, and a Common to all of them.
// Backends go where they are missed:
//
//   - A lane on which a client waits says so on its board, and asks a lane that has idle backends for one: Ask there, Asked here.
//   - A lane whose backend comes free looks at the boards. It gives the backend away if it has no use for it and another lane has, and also if the
//     other's oldest waiter has waited for much longer than its own: Give here, Arrived there. The promise on the board keeps others from
//     giving for the same waiter.
//   - A lane that gives up a place under the pool's limits wakes those on which clients wait: Wake here, Woken there.
//
// Each side writes its own board before it reads the others', so of a waiter and a backend that miss each other one is found by the other.

// The oldest waiter of another lane is served first if it has waited longer than the lane's own by both an eighth and this. A transfer costs two calls of
// the poller and a message, some 10 µs: short queues are not worth that.
const unfair = 500 * time.Microsecond

// Transfer is what goes with a backend from one lane to another.
type Transfer struct {
	Reply                bool // the lane has asked for it
	settings             SettingsID
	began, born, expires Instant
}

// NewLane returns a lane of the pool that has common. Lane 0 is the one that keeps MinSize. A lane's number may be used again once End has been called.
func NewLane(cfg Config, seed uint64, common *Common, lane int) *Pool {
	p := &Pool{
		cfg:      cfg.checked(),
		next:     Never,
		vacant:   Never, // it is made for a client
		pardoned: -1,
		renewed:  -1,
		backends: make([]backend, 1),
		waiters:  make([]waiter, 1),
		common:   common,
		lane:     lane,
		posted:   posted{head: Never},
	}
	p.random.Seed(seed, 0)
	if p.cfg.MinSize > 0 {
		p.next = 0
	}
	common.open.Add(1)
	return p
}

// End is for a lane that is Deserted and will see no event any more.
func (p *Pool) End() {
	p.common.boards[p.lane].head.Store(int64(Never))
	p.common.boards[p.lane].idle.Store(0)
	p.common.open.Add(-1)
}

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

// Departed says that backend b, which was to be given to another lane, is on its way there. It is this lane's no more. If it is gone instead, the
// caller says Lost, and has the other lane Woken.
func (p *Pool) Departed(now Instant, b BackendID) Transfer {
	now = p.begin(now)
	p.expect("Departed", b, Moving)
	be := &p.backends[b]
	t := Transfer{settings: be.settings, began: be.began, born: be.born, expires: be.expires}
	p.move(b, Gone)
	p.settle(now)
	return t
}

// Arrived says that a backend has come from another lane. It returns the number that the backend has here.
func (p *Pool) Arrived(now Instant, t Transfer) BackendID {
	now = p.begin(now)
	if t.Reply {
		p.asked--
	}
	b := p.newBackend()
	p.move(b, Moving)
	be := &p.backends[b]
	be.settings, be.began, be.born, be.expires = t.settings, t.began, t.born, t.expires
	be.stale = be.began < p.renewed
	p.posted.head = 0 // the promise is kept
	p.place(now, b)
	p.settle(now)
	return b
}

// give sends a backend to another lane.
func (p *Pool) give(b BackendID, lane int, reply bool) {
	p.move(b, Moving)
	p.decide(Decision{Kind: Give, Backend: b, Lane: lane, Reply: reply})
}

// donates gives a backend that has just come free to a lane that needs it more, if there is one.
func (p *Pool) donates(now Instant, b BackendID) bool {
	if p.common.alone() || p.waiting > 0 && p.looked == now {
		return false
	}
	p.looked = now
	lane, since := p.common.hungriest(p.lane)
	if since == Never || p.waiting > 0 && !p.fairer(now, lane, since) || !p.common.promise(lane, since) {
		return false
	}
	p.give(b, lane, false)
	return true
}

// fairer reports whether another lane's oldest waiter is to be served before the own ones: it has waited longer, and that is not about to change,
// because there are no fewer clients to a backend there than here.
func (p *Pool) fairer(now Instant, lane int, since Instant) bool {
	_, own := p.oldest(now)
	if time.Duration(now-since) <= own+max(own/8, unfair) {
		return false
	}
	other := &p.common.boards[lane]
	return int(other.waiting.Load())*p.own() >= p.waiting*int(other.backends.Load())
}

// posted is what the lane's board says, as far as the lane has written it.
type posted struct {
	head           Instant
	idle, backends int
}

// post brings the lane's board up to date.
func (p *Pool) post() {
	board := &p.common.boards[p.lane]
	head := Never
	if p.waiting > 0 {
		head = p.waiters[p.waiters[0].next].since
	}
	if head != p.posted.head {
		p.posted.head = head
		board.waiting.Store(int32(p.waiting))
		board.head.Store(int64(head))
	}
	if backends := p.own(); backends != p.posted.backends {
		p.posted.backends = backends
		board.backends.Store(int32(backends))
	}
	if idle := p.count[Idle]; idle != p.posted.idle {
		p.posted.idle = idle
		board.idle.Store(int32(idle))
	}
}

// finish ends an event that has changed no more than one lease.
func (p *Pool) finish() {
	if !p.common.alone() {
		p.post()
		p.share()
	}
	p.check()
}

// share gives idle backends to lanes on which clients wait.
func (p *Pool) share() {
	for p.count[Idle] > 0 {
		lane, since := p.common.hungriest(p.lane)
		if since == Never {
			return
		}
		if p.common.promise(lane, since) {
			p.give(p.backends[0].next, lane, false)
			p.post()
		}
	}
}

// ask asks lanes that have idle backends for as many as clients wait here.
func (p *Pool) ask() {
	for p.waiting > p.count[Dialling]+p.asked && !p.paused {
		lane, all := p.common.idlest(p.lane)
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
	for i := range p.common.boards {
		if i != p.lane && p.common.boards[i].head.Load() != int64(Never) {
			p.decide(Decision{Kind: Wake, Lane: i})
		}
	}
}

// promised reports whether another lane is about to send a backend.
func (p *Pool) promised() bool {
	return p.posted.head != Never && p.common.boards[p.lane].head.Load() == int64(Never)
}
