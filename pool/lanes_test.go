package pool

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"weir/pool/board"
)

// hall is a pool of several lanes in simulated time: clients that want, use and think, a server that takes its time to let backends in, and
// messages between the lanes that are under way for a while.
type hall struct {
	board  *board.Board
	lanes  []*Pool
	cfg    Config
	rand   *rand.Rand
	now    Instant
	events timetable
	number int

	use, think, login, way func() time.Duration
	slow                   float64               // how much longer the backends of lane 0 take; 0: no longer
	fails                  func() bool           // a dial, or a backend that has been used
	keeps                  func(client int) bool // what it has been leased, for ever

	lent    []map[BackendID]int // by lane: client
	wanted  []Instant           // by client: since when it waits; Never
	laneOf  []int               // by client
	stopped bool                // clients want no more
	moving  int                 // backends between lanes
	gives   int
	served  []int
	waits   []time.Duration
	unfit   time.Duration // longest time for which a backend idled while a client waited elsewhere
	missing Instant       // since when that is so
	host    *host         // whose cores all of it shares; nil: everything has a core of its own
}

// message does something on a lane's loop that another has sent there.
func (h *hall) message(l int, do func()) {
	if h.host != nil {
		h.host.loop(l, fromLanes, do)
		return
	}
	h.after(h.way(), do)
}

// atEnd does something on a lane's loop at the end of the iteration.
func (h *hall) atEnd(l int, do func()) {
	if h.host != nil {
		h.host.loops[l].ends = append(h.host.loops[l].ends, do)
		return
	}
	h.after(0, do)
}

// clock is the time as the lane's loop knows it.
func (h *hall) clock(l int) Instant {
	if h.host != nil {
		return h.host.loops[l].clock
	}
	return h.now
}

type hallEvent struct {
	at     Instant
	number int
	do     func()
}

type timetable []hallEvent

func (t timetable) Len() int { return len(t) }
func (t timetable) Less(i, j int) bool {
	return t[i].at < t[j].at || t[i].at == t[j].at && t[i].number < t[j].number
}
func (t timetable) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *timetable) Push(x any)   { *t = append(*t, x.(hallEvent)) }
func (t *timetable) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

func newHall(seed uint64, lanes, clients int, cfg Config) *hall {
	h := &hall{board: board.New(lanes), cfg: cfg, rand: rand.New(rand.NewPCG(seed, 1)), missing: Never}
	h.use, h.think = h.exponential(time.Millisecond), h.exponential(time.Millisecond)
	h.login, h.way = h.exponential(5*time.Millisecond), h.exponential(20*time.Microsecond)
	h.fails, h.keeps = func() bool { return false }, func(int) bool { return false }
	for i := range lanes {
		h.lanes = append(h.lanes, NewLane(cfg, seed+uint64(i), h.board, i))
		h.lent = append(h.lent, map[BackendID]int{})
	}
	h.served, h.wanted = make([]int, clients), make([]Instant, clients)
	for c := range clients {
		h.laneOf, h.wanted[c] = append(h.laneOf, c%lanes), Never
		h.thinks(c)
	}
	return h
}

// thinks has the client want a backend, once it has thought.
func (h *hall) thinks(c int) {
	h.after(h.think(), func() {
		if h.host != nil {
			h.host.client(c, func() { h.asks(c) })
			return
		}
		h.asks(c)
	})
}

// asks has the client send its query.
func (h *hall) asks(c int) {
	switch {
	case h.stopped:
		return
	case h.host != nil:
		h.host.loop(h.laneOf[c], fromClients, func() { h.want(c) })
	default:
		defer h.want(c)
	}
	h.wanted[c] = h.now
}

func (h *hall) exponential(mean time.Duration) func() time.Duration {
	return func() time.Duration { return time.Duration(h.rand.ExpFloat64() * float64(mean)) }
}

func (h *hall) after(d time.Duration, do func()) {
	h.number++
	heap.Push(&h.events, hallEvent{h.now.plus(d), h.number, do})
}

func (h *hall) want(c int) {
	l := h.laneOf[c]
	h.lanes[l].Want(h.clock(l), ClientID(c), 0)
	h.carryOut(l)
}

// carryOut does what a lane has decided.
func (h *hall) carryOut(l int) {
	p := h.lanes[l]
	for _, d := range slices.Clone(p.Decisions()) {
		switch d.Kind {
		case Lease:
			h.leased(l, d)
		case Dial:
			h.after(h.login(), func() {
				if h.fails() {
					p.DialFailed(h.now, d.Backend, Failure{Unreachable})
				} else {
					p.Dialled(h.now, d.Backend)
				}
				h.carryOut(l)
			})
		case Fail:
			c := int(d.Client)
			h.wanted[c] = Never
			h.thinks(c)
		case Give:
			h.moving++
			h.gives++
			h.atEnd(l, func() { h.give(l, d) })
		case Rest:
			h.atEnd(l, func() {
				p.Rested(h.clock(l))
				h.carryOut(l)
			})
		case Ask:
			h.message(d.Lane, func() {
				h.lanes[d.Lane].Asked(h.clock(d.Lane), l)
				h.carryOut(d.Lane)
			})
		case Wake:
			h.wake(d.Lane, d.Reply)
		case Close, NoDecision:
		}
	}
}

func (h *hall) wake(lane int, reply bool) {
	h.message(lane, func() {
		h.lanes[lane].Woken(h.clock(lane), reply)
		h.carryOut(lane)
	})
}

func (h *hall) give(l int, d Decision) {
	p := h.lanes[l]
	if h.fails() || p.Stale(d.Backend) {
		h.moving--
		p.Lost(h.now, d.Backend)
		h.carryOut(l)
		return
	}
	transfer := p.Departed(h.clock(l), d.Backend)
	h.carryOut(l)
	h.message(d.Lane, func() {
		h.moving--
		h.lanes[d.Lane].Arrived(h.clock(d.Lane), transfer)
		h.carryOut(d.Lane)
	})
}

func (h *hall) leased(l int, d Decision) {
	c := int(d.Client)
	h.waits = append(h.waits, time.Duration(h.now-h.wanted[c]))
	h.wanted[c] = Never
	h.served[c]++
	h.lent[l][d.Backend] = c
	if h.keeps(c) {
		return
	}
	freed := func() {
		delete(h.lent[l], d.Backend)
		if h.fails() {
			h.lanes[l].Lost(h.clock(l), d.Backend)
		} else {
			h.lanes[l].Freed(h.clock(l), d.Backend, 0)
		}
		h.carryOut(l)
		h.thinks(c)
	}
	if h.host != nil {
		h.host.backend(h.use(), func() { h.host.loop(l, fromBackends, freed) })
		return
	}
	h.after(h.slower(l, h.use()), freed)
}

// slower is how long lane l's backends take for what is a matter of d.
func (h *hall) slower(l int, d time.Duration) time.Duration {
	if l == 0 {
		return d + time.Duration(h.slow*float64(d))
	}
	return d
}

// runFor plays on until d has passed, or nothing is left to happen.
func (h *hall) runFor(t *testing.T, d time.Duration) {
	t.Helper()
	for end := h.now.plus(d); ; {
		lane, due := -1, Never
		for i, p := range h.lanes {
			if p.Next() < due {
				lane, due = i, p.Next()
			}
		}
		if len(h.events) > 0 && h.events[0].at <= due {
			lane, due = -1, h.events[0].at
		}
		if due > end {
			h.now = end
			return
		}
		h.now = max(h.now, due)
		if lane >= 0 {
			h.lanes[lane].Tick(h.now)
			h.carryOut(lane)
		} else {
			heap.Pop(&h.events).(hallEvent).do()
		}
		h.check(t)
	}
}

// check looks for broken promises.
func (h *hall) check(t *testing.T) {
	t.Helper()
	backends, idle, waiting := 0, -1, -1
	for i, p := range h.lanes {
		n := p.Counts()
		backends += n.Idle + n.Leased + n.Moving + n.Dialling
		if n.Idle > 0 {
			idle = i
		}
		if n.Waiting > 0 && !p.paused {
			waiting = i
		}
	}
	backends += h.moving // Departed ones are in no lane; those of a Give decision are counted twice
	for _, p := range h.lanes {
		backends -= p.count[Moving]
	}
	if total := h.board.Total(); backends != total {
		t.Fatalf("%d backends, %d counted", backends, total)
	}
	if backends > h.cfg.Size+h.cfg.ReserveSize {
		t.Fatalf("%d backends, size %d, reserve %d", backends, h.cfg.Size, h.cfg.ReserveSize)
	}
	switch missed := idle >= 0 && waiting >= 0; {
	case !missed:
		h.missing = Never
	case h.missing == Never:
		h.missing = h.now
	default:
		h.unfit = max(h.unfit, time.Duration(h.now-h.missing))
	}
}

// waiters are the clients that wait.
func (h *hall) waiters() (all []int) {
	for c, since := range h.wanted {
		if since != Never {
			all = append(all, c)
		}
	}
	return all
}

// TestLanesLoseNothing plays random pools with lanes, on which everything that may happen does, and then lets them come to rest: nobody is left
// waiting, and everything that is counted is there.
func TestLanesLoseNothing(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-seed %d", seed)
	gives := 0
	for i := range uint64(*programsFlag / 5) {
		gives += playLanes(t, seed+i)
	}
	if gives < *programsFlag {
		t.Errorf("only %d backends went from one lane to another", gives)
	}
}

func playLanes(t *testing.T, seed uint64) (gives int) {
	r := rand.New(rand.NewPCG(seed, 3))
	cfg := Config{
		Size: 1 + r.IntN(6), MaxDials: 1 + r.IntN(4), ServerLoginRetry: time.Second,
		ServerLifetime: time.Duration(r.IntN(2)) * 20 * time.Millisecond, ServerIdleTimeout: time.Duration(r.IntN(2)) * 10 * time.Millisecond,
	}
	if r.IntN(2) == 0 {
		cfg.ReserveSize, cfg.ReserveTimeout = r.IntN(3), 3*time.Millisecond
	}
	lanes := 2 + r.IntN(4)
	h := newHall(seed, lanes, 1+r.IntN(30), cfg)
	h.think = h.exponential([]time.Duration{0, time.Millisecond, 20 * time.Millisecond}[r.IntN(3)])
	h.way = h.exponential([]time.Duration{10 * time.Microsecond, time.Millisecond}[r.IntN(2)])
	if r.IntN(2) == 0 {
		h.fails = func() bool { return !h.stopped && r.IntN(20) == 0 }
	}
	for range 10 {
		h.runFor(t, h.exponential(10*time.Millisecond)())
		switch r.IntN(6) {
		case 0:
			h.each(func(p *Pool) { p.Renew(h.now) })
		case 1:
			h.each(func(p *Pool) { p.Pause(h.now) })
			h.runFor(t, h.exponential(5*time.Millisecond)())
			h.each(func(p *Pool) { p.Resume(h.now) })
		case 2:
			h.each(func(p *Pool) { p.Reclaim(h.now) })
		}
	}
	h.stopped = true
	h.runFor(t, time.Second)
	h.each(func(p *Pool) { p.Resume(h.now) }) // of the orders before the one may have overtaken the other
	h.runFor(t, time.Minute)
	if left := h.waiters(); len(left) > 0 {
		t.Fatalf("seed %d: clients %v wait for ever; %d backends", seed, left, h.board.Total())
	}
	for i, p := range h.lanes {
		if p.promised() {
			t.Fatalf("seed %d: lane %d has asked for %d backends, %+v", seed, i, p.asked, h.board)
		}
	}
	return h.gives
}

// each has an event happen on all lanes, in some order, each a moment after the one before.
func (h *hall) each(event func(*Pool)) {
	for _, i := range h.rand.Perm(len(h.lanes)) {
		h.after(h.way(), func() {
			event(h.lanes[i])
			h.carryOut(i)
		})
	}
}

// TestLanesAreFair compares many clients on a pool of several lanes with the same on one: it is one queue in effect.
func TestLanesAreFair(t *testing.T) {
	for _, c := range []struct {
		lanes, clients, size int
		use, think           time.Duration
		crowded              bool // two thirds of the clients are on one lane
	}{
		{4, 1000, 10, 200 * time.Microsecond, 100 * time.Microsecond, false},
		{4, 1000, 10, 5 * time.Millisecond, 100 * time.Microsecond, true},
		{8, 1000, 9, time.Millisecond, 100 * time.Microsecond, false},
		{8, 400, 20, time.Millisecond, 100 * time.Microsecond, true},
		{3, 300, 2, time.Millisecond, 100 * time.Microsecond, false},
		{2, 64, 16, 100 * time.Microsecond, 100 * time.Microsecond, true},
		{4, 40, 12, time.Millisecond, 3 * time.Millisecond, false}, // there are idle ones most of the time
		{4, 40, 12, time.Millisecond, 3 * time.Millisecond, true},
	} {
		t.Run(fmt.Sprintf("%d lanes, %d clients, %d backends, %s", c.lanes, c.clients, c.size, c.use), func(t *testing.T) {
			play := func(lanes int) *hall {
				h := newHall(7, lanes, c.clients, Config{Size: c.size, MaxDials: 10})
				for i := range h.laneOf {
					if c.crowded && i%3 != 0 {
						h.laneOf[i] = 0
					}
				}
				h.use, h.think = h.exponential(c.use), h.exponential(c.think)
				cycle := c.think + c.use*time.Duration(c.clients/c.size)
				h.runFor(t, 20*cycle)
				h.waits, h.gives = nil, 0
				clear(h.served)
				h.runFor(t, 60*cycle)
				return h
			}
			one, many := play(1), play(c.lanes)
			t.Logf("one lane:  %s", one.figures())
			t.Logf("%d lanes: %s; %.2f %% of the backends' leases are transfers, idle beside a waiter for %s at most",
				c.lanes, many.figures(), 100*float64(many.gives)/float64(len(many.waits)), many.unfit)
			if ratio := float64(len(many.waits)) / float64(len(one.waits)); ratio < 0.97 {
				t.Errorf("%.3f of the transactions of one queue", ratio)
			}
			if p99, median := many.quantile(0.99), many.quantile(0.5); p99 > max(median*3/2, one.quantile(0.99)+unfair) {
				t.Errorf("p99 of the waits is %s, the median %s", p99, median)
			}
			if jain := many.jain(); jain < 0.99 {
				t.Errorf("Jain's index is %.4f", jain)
			}
			if many.unfit > time.Millisecond {
				t.Errorf("a backend was idle beside a waiter for %s", many.unfit)
			}
		})
	}
}

// A lane whose backends take longer, because its loop gets less of the cores, has more of them in the end: its clients wait as long as others.
func TestASlowLaneGetsMoreBackends(t *testing.T) {
	h := newHall(7, 4, 400, Config{Size: 16, MaxDials: 10})
	h.slow, h.think = 2, h.exponential(100*time.Microsecond)
	h.runFor(t, time.Second)
	h.waits = nil
	clear(h.served)
	h.runFor(t, 2*time.Second)
	t.Log(h.figures())
	if p99, median := h.quantile(0.99), h.quantile(0.5); p99 > median*3/2 {
		t.Errorf("p99 of the waits is %s, the median %s", p99, median)
	}
	if jain := h.jain(); jain < 0.99 {
		t.Errorf("Jain's index is %.4f", jain)
	}
}

// TestLanesWhoseBackendsAreKeptAreServed has clients keep what they are leased, as pinned ones do and those in session mode: the others of their lane are
// served by the other lanes' backends, and wait little longer than those there, however many of them wait.
func TestLanesWhoseBackendsAreKeptAreServed(t *testing.T) {
	for _, few := range []int{1, 3} {
		h := newHall(7, 2, 66, Config{Size: 8, MaxDials: 8})
		for c := range h.laneOf {
			h.laneOf[c] = 0
			if c < few+4 {
				h.laneOf[c] = 1
			}
		}
		h.keeps = func(c int) bool { return c < 4 }
		h.think = h.exponential(100 * time.Microsecond)
		h.runFor(t, time.Second)
		clear(h.served)
		h.runFor(t, time.Second)
		least, most := slices.Min(h.served[4:4+few]), slices.Max(h.served[4+few:])
		t.Logf("%d beside kept backends: each served %d times or more, the others %d or less", few, least, most)
		if least < most/3 {
			t.Errorf("%d clients beside kept backends: one was served %d times, others up to %d times", few, least, most)
		}
	}
}

func (h *hall) figures() string {
	return fmt.Sprintf("%d transactions, wait median %s, p99 %s, longest %s, Jain %.4f", len(h.waits), h.quantile(0.5), h.quantile(0.99), h.quantile(1), h.jain())
}

func (h *hall) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(h.waits))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (h *hall) jain() float64 {
	sum, squares := 0.0, 0.0
	for _, n := range h.served {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	return sum * sum / (float64(len(h.served)) * squares)
}
