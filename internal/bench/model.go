package bench

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"
)

// Model is one pool over several loops in front of one PostgreSQL, on paper: a closed system of clients that each send a query, wait for
// the answer, think, and send the next. A loop serves its clients one event after the other. Each loop has a lane of the pool, with
// idle backends and with clients that wait. A lane without an idle backend asks one that has some; a backend that comes free goes to the
// lane whose client has waited longest, as far as its loop knows. Both go by message. What it costs is measured, not modelled: the times are given.
type Model struct {
	Loops, Clients, Backends int
	Cores                    int           // of PostgreSQL, which run one backend's query each
	Transaction              time.Duration // of a loop's core, half for the query and half for the answer
	Message                  time.Duration // of each loop's core, for a message with or about a backend
	Query                    time.Duration // of PostgreSQL's core; exponentially distributed
	Think                    time.Duration // of a client between two queries; likewise
	Patience                 time.Duration // a client's wait must be longer by so much than those in the lane itself before it gets a backend from there
	Seed                     uint64
}

// Outcome is what a Model does in steady state.
type Outcome struct {
	PerSecond  float64
	LoopUse    float64 // of the busiest loop's core
	ServerUse  float64 // of PostgreSQL's cores
	BackendUse float64 // backends at work, queued for a core of PostgreSQL included
	Moves      float64 // of backends, per transaction
	Median     time.Duration
	P99        time.Duration // of what a client waits from its query to the answer
	Jain       float64       // of transactions per client
}

// Run simulates a time, of which the first fifth does not count.
func (m Model) Run(d time.Duration) Outcome {
	r := newModelRun(m)
	for i := range r.clients {
		c := &r.clients[i]
		c.loop = i % m.Loops
		r.after(r.exponential(m.Think+m.Query), func() { r.send(c) })
	}
	warm := d / 5
	r.advance(warm)
	r.forget()
	r.advance(d)
	return r.outcome(d - warm)
}

// modelRun is a Model in time. Instants are since its start.
type modelRun struct {
	Model
	random  *rand.Rand
	now     time.Duration
	events  modelEvents
	number  uint64
	clients []modelClient
	loops   []modelLoop
	running int            // queries on PostgreSQL's cores
	queued  []*modelClient // for one
	busy    time.Duration  // of PostgreSQL's cores
	leased  int
	held    time.Duration // backends leased, summed over time
	since   time.Duration // until when held is summed
	moves   int
	waits   []time.Duration
}

type modelClient struct {
	loop int
	sent time.Duration
	done int
}

type modelLoop struct {
	free     time.Duration // when its core is
	busy     time.Duration
	idle     int            // backends of its lane
	waiting  []*modelClient // for one, the oldest first
	asked    int            // backends that it has asked for
	coming   int            // backends that are on their way to it
	reminded bool           // it will look again
}

func newModelRun(m Model) *modelRun {
	r := &modelRun{Model: m, random: rand.New(rand.NewPCG(m.Seed, 1)), clients: make([]modelClient, m.Clients), loops: make([]modelLoop, m.Loops)}
	for i := range m.Backends {
		r.loops[i%m.Loops].idle++
	}
	return r
}

func (r *modelRun) exponential(mean time.Duration) time.Duration {
	return time.Duration(r.random.ExpFloat64() * float64(mean))
}

// after does something later.
func (r *modelRun) after(d time.Duration, do func()) {
	r.number++
	heap.Push(&r.events, modelEvent{r.now + d, r.number, do})
}

// on does something on a loop, once that has done what came before.
func (r *modelRun) on(loop int, cost time.Duration, do func()) {
	l := &r.loops[loop]
	l.free = max(l.free, r.now) + cost
	l.busy += cost
	r.after(l.free-r.now, do)
}

func (r *modelRun) advance(until time.Duration) {
	for len(r.events) > 0 && r.events[0].at <= until {
		e := heap.Pop(&r.events).(modelEvent)
		r.now = e.at
		e.do()
	}
	r.now = until
}

func (r *modelRun) lease(n int) {
	r.held += time.Duration(r.leased) * (r.now - r.since)
	r.since = r.now
	r.leased += n
}

func (r *modelRun) send(c *modelClient) {
	c.sent = r.now
	r.on(c.loop, r.Transaction/2, func() {
		l := &r.loops[c.loop]
		l.waiting = append(l.waiting, c)
		r.serve(c.loop)
	})
}

// serve gives idle backends of a lane to its clients, and asks for more.
func (r *modelRun) serve(loop int) {
	l := &r.loops[loop]
	for l.idle > 0 && len(l.waiting) > 0 {
		l.idle--
		c := l.waiting[0]
		l.waiting = l.waiting[1:]
		r.lease(1)
		r.queued = append(r.queued, c)
		r.schedule()
	}
	if len(l.waiting) > l.asked {
		if early := l.waiting[l.asked].sent + r.Patience - r.now; early > 0 {
			r.remind(loop, early)
			return
		}
		if from := r.richest(loop); from >= 0 {
			r.ask(loop, from)
		}
	}
}

// remind has a lane look again once its next client has waited long enough to ask for it.
func (r *modelRun) remind(loop int, d time.Duration) {
	l := &r.loops[loop]
	if l.reminded {
		return
	}
	l.reminded = true
	r.after(d, func() {
		l.reminded = false
		r.serve(loop)
	})
}

// ask has a lane give a backend to another, if it still has one that is idle.
func (r *modelRun) ask(loop, from int) {
	l := &r.loops[loop]
	l.asked++
	r.on(loop, r.Message, func() {
		r.on(from, r.Message, func() {
			l.asked--
			if r.loops[from].idle > 0 {
				r.loops[from].idle--
				r.move(loop)
			}
		})
	})
}

// richest is the other lane that has the most idle backends, or -1.
func (r *modelRun) richest(loop int) int {
	best := -1
	for i := range r.loops {
		if i != loop && r.loops[i].idle > 0 && (best < 0 || r.loops[i].idle > r.loops[best].idle) {
			best = i
		}
	}
	return best
}

// move brings a backend to a lane; the loop that gives it has been charged.
func (r *modelRun) move(to int) {
	r.moves++
	r.loops[to].coming++
	r.on(to, r.Message, func() {
		r.loops[to].coming--
		r.loops[to].idle++
		r.serve(to)
	})
}

// schedule runs queries on PostgreSQL's cores.
func (r *modelRun) schedule() {
	for r.running < r.Cores && len(r.queued) > 0 {
		c := r.queued[0]
		r.queued = r.queued[1:]
		r.running++
		d := r.exponential(r.Query)
		r.after(d, func() {
			r.busy += d
			r.running--
			r.schedule()
			r.on(c.loop, r.Transaction/2, func() { r.answered(c) })
		})
	}
}

func (r *modelRun) answered(c *modelClient) {
	r.lease(-1)
	c.done++
	r.waits = append(r.waits, r.now-c.sent)
	r.after(r.exponential(r.Think), func() { r.send(c) })
	if to := r.longestWaiting(c.loop); to != c.loop {
		r.loops[to].coming++
		r.on(c.loop, r.Message, func() {
			r.loops[to].coming--
			r.move(to)
		})
		return
	}
	r.loops[c.loop].idle++
	r.serve(c.loop)
}

// patienceShare: the longer clients wait anyway, the less a little more matters.
const patienceShare = 4

// longestWaiting is the lane whose first client has waited longest; the lane itself, unless another's has waited longer by Patience and a
// quarter of what the lane's own has waited.
func (r *modelRun) longestWaiting(own int) int {
	best, least := own, r.now
	if w := r.loops[own].waiting; len(w) > 0 {
		least = w[0].sent - r.Patience - (r.now-w[0].sent)/patienceShare
	}
	for i := range r.loops {
		l := &r.loops[i]
		if len(l.waiting) <= l.coming {
			continue // there is one on the way for each
		}
		if sent := l.waiting[l.coming].sent; sent < least {
			best, least = i, sent
		}
	}
	return best
}

// forget begins to count anew.
func (r *modelRun) forget() {
	r.lease(0)
	r.busy, r.held, r.moves, r.waits = 0, 0, 0, r.waits[:0]
	for i := range r.loops {
		r.loops[i].busy = 0
	}
	for i := range r.clients {
		r.clients[i].done = 0
	}
}

func (r *modelRun) outcome(d time.Duration) Outcome {
	r.lease(0)
	shares := make([]float64, len(r.clients))
	for i, c := range r.clients {
		shares[i] = float64(c.done)
	}
	var busiest time.Duration
	for _, l := range r.loops {
		busiest = max(busiest, l.busy)
	}
	slices.Sort(r.waits)
	n := float64(max(len(r.waits), 1))
	return Outcome{
		PerSecond: n / d.Seconds(), LoopUse: busiest.Seconds() / d.Seconds(), ServerUse: r.busy.Seconds() / d.Seconds() / float64(r.Cores),
		BackendUse: r.held.Seconds() / d.Seconds() / float64(r.Backends), Moves: float64(r.moves) / n,
		Median: time.Duration(percentile(r.waits, 50)), P99: time.Duration(percentile(r.waits, 99)), Jain: jain(shares),
	}
}

type modelEvent struct {
	at     time.Duration
	number uint64 // of two at the same time the first one made comes first
	do     func()
}

// modelEvents is a heap.
type modelEvents []modelEvent

func (e modelEvents) Len() int { return len(e) }
func (e modelEvents) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].number < e[j].number
}
func (e modelEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *modelEvents) Push(x any)   { *e = append(*e, x.(modelEvent)) }
func (e *modelEvents) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
