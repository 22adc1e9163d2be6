package relay

import (
	"sync/atomic"

	"weir/pool"
	"weir/pool/board"
	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/prepared"
	"weir/proxy/socket"
	"weir/proxy/wire"
)

// Lanes are a pool as its lanes know each other: one on each loop that serves clients of the pool. What they tell each other are messages, posted to
// the other's loop; what they share is atomic. Backends go from lane to lane, as package pool decides. Clients stay where they are.
type Lanes struct {
	pool   *board.Board
	talk   conversation.Common
	pins   pinboard
	line   lineBoard
	yields atomic.Bool // the next backend that is released is closed
	// contested is the limit under which other pools wait for places that this one has; nil: none does.
	contested atomic.Pointer[string]
	known     known
	told      atomic.Pointer[told]
	// trouble holds until a dial succeeds (Reached).
	trouble atomic.Pointer[trouble]
	kills   atomic.Uint32          // see Kill
	over    atomic.Bool            // all lanes have ended
	recalls atomic.Bool            // see Recalls
	taken   []atomic.Bool          // by number: there is such a lane, or it is being made
	lanes   []atomic.Pointer[Lane] // by number; nil: there is none, or none that is whole
}

// NewLanes is for a pool that may have a lane on each of so many loops.
func NewLanes(loops int) *Lanes {
	numbers := loops
	if loops > 1 {
		numbers *= 2 // a lane may begin on a loop before the one that has ended there has given up its number
	}
	return &Lanes{pool: board.New(numbers), taken: make([]atomic.Bool, numbers), lanes: make([]atomic.Pointer[Lane], numbers)}
}

// Kill has clients ended as they arrive that have come to the pool before: those whose Admission has what Kills was then. Engine.Kill ends
// the ones that are there. Any goroutine.
func (p *Lanes) Kill() { p.kills.Add(1) }

// Kills is how often the pool's clients have been killed. Any goroutine.
func (p *Lanes) Kills() uint32 { return p.kills.Load() }

// Recalls reports whether clients of the pool are known to ask for what sequences gave. Any goroutine.
func (p *Lanes) Recalls() bool { return p.recalls.Load() }

// Recall says that they do: it is known of a pool of the same name that was there before. Before the first lane.
func (p *Lanes) Recall() { p.recalls.Store(true) }

// shareRecalls has the lanes know of each other that their clients ask for that.
func (l *Lane) shareRecalls() {
	switch all := &l.config.Lanes.recalls; {
	case l.talk.Recalls() == all.Load():
	case l.talk.Recalls():
		all.Store(true)
	default:
		l.talk.Recall()
	}
}

// Nudge tells the pool that a limit over pools, which had refused it a backend, has room again. Listener connections go first, on whichever lane: what waits
// for one keeps a backend. Any goroutine.
func (p *Lanes) Nudge() { p.from(0, (*Lane).nudgedListener, func() {}) }

// nudgedListener tries whether the lane wants a listener connection, and then the lanes after it; and then whether one wants a backend.
func (l *Lane) nudgedListener() {
	l.listener.nudge()
	lanes, places := l.config.Lanes, l.config.Places
	lanes.from(l.number+1, (*Lane).nudgedListener, func() {
		lanes.from(0, (*Lane).nudged, func() { places.Decline(lanes) })
	})
}

// nudged tries whether the lane wants a backend, and then the lanes after it.
func (l *Lane) nudged() {
	l.pool.Nudge(l.now())
	l.decided()
	lanes, places := l.config.Lanes, l.config.Places
	lanes.from(l.number+1, (*Lane).nudged, func() { places.Decline(lanes) })
}

// Reclaim asks the pool to close an idle backend, because another pool waits for the place under that limit. refused is called, on a loop, if
// it has none to spare. Any goroutine.
func (p *Lanes) Reclaim(limit string, refused func()) {
	p.from(0, func(l *Lane) { l.reclaim(limit, refused) }, refused)
}

func (l *Lane) reclaim(limit string, refused func()) {
	l.evicted = limit
	found := l.pool.Reclaim(l.now())
	l.decided()
	if !found {
		l.config.Lanes.from(l.number+1, func(l *Lane) { l.reclaim(limit, refused) }, refused)
	}
}

// Yield asks the pool to close the backend that is released next, because another pool waits for the place and all are busy. Asking again before that
// changes nothing. Any goroutine.
func (p *Lanes) Yield(limit string) {
	p.yields.Store(true)
	p.each(func(l *Lane) { l.evicted = limit })
}

// Contest tells the pool that others, which have none, wait for places under that limit, so that it keeps no idle backend for long, or, with an empty
// one, that none does any more. Any goroutine.
func (p *Lanes) Contest(limit string) {
	if limit == "" {
		p.contested.Store(nil)
	} else {
		p.contested.Store(&limit)
	}
	p.each((*Lane).contest)
}

// contest tells the lane's pool what Contest has said last.
func (l *Lane) contest() {
	limit := l.config.Lanes.contested.Load()
	if limit != nil {
		l.evicted = *limit
	}
	l.pool.Contest(l.now(), limit != nil)
	l.decided()
}

// from has f called on the first lane from that number on, on its loop; none is called if there is none.
func (p *Lanes) from(number int, f func(*Lane), none func()) {
	for i := number; i < len(p.lanes); i++ {
		if l := p.lanes[i].Load(); l != nil && l.post(func() { p.on(l, f, none) }) {
			return
		}
	}
	none()
}

// on calls f, unless the lane has ended meanwhile.
func (p *Lanes) on(l *Lane, f func(*Lane), none func()) {
	if l.ended {
		p.from(l.number+1, f, none)
		return
	}
	f(l)
}

// each has f called on every lane, on its loop.
func (p *Lanes) each(f func(*Lane)) { p.others(nil, f) }

// others has f called on every lane but one, on its loop.
func (p *Lanes) others(but *Lane, f func(*Lane)) {
	for i := range p.lanes {
		if l := p.lanes[i].Load(); l != nil && l != but {
			l.post(func() {
				if !l.ended {
					f(l)
				}
			})
		}
	}
}

// number takes the lowest number that no lane of the pool has. The numbers are dense, because each lane looks at the boards of all up to the highest.
func (p *Lanes) number() int {
	for i := range p.taken {
		if p.taken[i].CompareAndSwap(false, true) {
			return i
		}
	}
	panic("relay: a pool is to have more lanes than there are loops")
}

// enter makes the lane, which is whole, known to the others, who may have what its clients will wait for. From now on it gets messages.
func (l *Lane) enter() {
	l.config.Lanes.lanes[l.number].Store(l)
	l.config.Lanes.others(l, func(other *Lane) { other.woken(false) })
}

// withdraw ends what enter has begun. The others have nothing on its way to the lane.
func (l *Lane) withdraw() {
	l.ended = true
	l.pool.End()
	l.talk.Leave()
	p := l.config.Lanes
	p.lanes[l.number].Store(nil)
	p.taken[l.number].Store(false)
	for i := range p.taken {
		if p.taken[i].Load() {
			return
		}
	}
	l.forgetKnown()
	p.over.Store(true)
}

// post runs f on the lane's loop. False: the loop has ended.
func (l *Lane) post(f func()) bool { return l.engine.loop.Post(f) }

// sibling is another lane of the pool; nil if there is none of that number any more.
func (l *Lane) sibling(lane int) *Lane { return l.config.Lanes.lanes[lane].Load() }

// ask asks another lane for a backend.
func (l *Lane) ask(lane int) {
	other, from := l.sibling(lane), l.number
	if other == nil || !other.post(func() { other.asked(from) }) {
		l.post(func() { l.woken(true) })
	}
}

func (l *Lane) asked(from int) {
	if l.ended {
		l.wake(from, true)
		return
	}
	l.pool.Asked(l.now(), from)
	l.decided()
}

// wake tells another lane that it may find what its clients wait for.
func (l *Lane) wake(lane int, reply bool) {
	if other := l.sibling(lane); other != nil {
		other.post(func() { other.woken(reply) })
	}
}

func (l *Lane) woken(reply bool) {
	if !l.ended {
		l.pool.Woken(l.now(), reply)
		l.decided()
	}
}

// rested shows the other lanes what this one's clients have left.
func (l *Lane) rested() {
	if !l.ended {
		l.pool.Rested(l.now())
		l.decided()
	}
}

// give sends a backend to another lane.
func (l *Lane) give(b *Backend, lane int) {
	b.bound = l.sibling(lane)
	switch {
	case b.bound == nil: // the loops are being stopped
		b.doom(nil)
	case !b.spare: // else it goes once it has answered
		b.setOut()
	}
}

// setOut has the backend depart at the end of the iteration, after all else that was put off for it: from then on it is another loop's.
func (b *Backend) setOut() { b.lane.engine.loop.Condemn(b, b.depart) }

// depart leaves the lane for the one that the backend is bound for, unless it has come to its end meanwhile.
func (b *Backend) depart() {
	l, to := b.lane, b.bound
	switch {
	case b.doomed():
		return
	case l.pool.Stale(b.id): // it would be on no lane of those that are asked what is left to be replaced
		b.doom(nil)
		return
	}
	if err := l.engine.loop.Forget(b.token); err != nil {
		b.doom(err)
		return
	}
	transfer := l.pool.Departed(l.now(), b.id)
	luggage, defaults := b.talk.Depart(), l.defaults.found
	l.counts.backends[b.state]--
	l.backends[b.id] = nil
	l.totals.Transfers++
	if !to.post(func() { to.receive(b, transfer, luggage, defaults) }) {
		luggage.Drop()
		b.strand(to)
	}
	l.decided()
}

// receive takes up a backend that has come from another lane, where defaults are what logins got when that was last asked.
func (l *Lane) receive(b *Backend, transfer pool.Transfer, luggage prepared.Luggage, defaults conversation.Defaults) {
	if l.ended || l.ctx.Err() != nil {
		luggage.Drop()
		b.strand(l)
		return
	}
	b.talk.Arrive(&l.talk, luggage)
	b.lane, b.bound, b.unread = l, nil, false
	token, err := l.engine.loop.Register(b.sock.FD(), b, eventloop.First)
	b.token = token
	l.counts.backends[b.state]++
	if l.addr == "" {
		l.addr = b.addr
	}
	if !l.defaults.found.Known { // and the backend may be older than what it would say now
		l.defaults.found = defaults
	}
	b.id = l.pool.Arrived(l.now(), transfer)
	l.hold(b)
	if err == nil && b.sock.Parked() { // the tail of a COPY that has failed: what the next client asks for comes after it
		err = l.engine.loop.WatchWrite(token, true)
	}
	switch {
	case err != nil:
		b.doom(err)
	case b.sock.Pending():
		l.engine.loop.Again(token) // what TLS has read already is no event
	}
	l.decided()
}

// hold enters the backend into the lane's books under its number.
func (l *Lane) hold(b *Backend) {
	for int(b.id) >= len(l.backends) {
		l.backends = append(l.backends, nil)
	}
	l.backends[b.id] = b
}

// elsewhere is how many backends the pool has on other lanes.
func (l *Lane) elsewhere() int {
	n := l.config.Lanes.pool.Live() + l.counts.backends[backendDialling]
	for _, here := range l.counts.backends {
		n -= here
	}
	return max(n, 0)
}

// strand closes a backend whose lane has ended while it was on its way there.
func (b *Backend) strand(to *Lane) {
	var unshared socket.IO
	_ = b.sock.Write(&unshared, wire.AppendTerminate(nil))
	b.sock.Close(&unshared)
	to.engine.env.Notifiers.remove(process{b.addr, b.pid})
	if b.left != nil {
		b.left()
	}
	to.config.Places.Give(to.config.Lanes)
}
