package pool

import (
	"slices"
	"testing"
	"time"
)

// host is the cores that the loops of a hall share with its clients and with the server. Who has something to do waits for a turn on a core, and keeps
// it until nothing is left to do or others have waited for long enough. So a loop that has lost its core serves nobody for a while, and then all at once.
type host struct {
	hall     *hall
	cores    []core
	loops    []thread
	clients  []thread
	free     []*thread // of the server: backends without a query
	crossing uint64    // counts wake-ups: every so often one is on another core
}

// What things take, as measured (internal/bench), and how long a thread keeps a core that others want.
const (
	eventCost  = 4 * time.Microsecond
	clientCost = 6 * time.Microsecond
	switchCost = 2 * time.Microsecond
	slice      = 3 * time.Millisecond
	balancing  = 4 * time.Millisecond
)

// What a loop is told of, in the order in which it serves that.
const (
	fromLanes = iota
	fromBackends
	fromClients
)

type core struct {
	running *thread
	ready   []*thread
	least   time.Duration // that any thread on it has had of it
}

type thread struct {
	core  int
	had   time.Duration // of the core, as its scheduler counts
	began Instant       // of its turn
	wants bool          // the core, or has it
	todo  [3][]job
	batch []job
	ends  []func() // of the batch
	clock Instant  // since the batch began
	polls bool     // it takes all that there is to do at once
}

type job struct {
	cost time.Duration
	do   func()
}

func newHost(h *hall, cores, backends int) *host {
	m := &host{hall: h, cores: make([]core, cores), loops: make([]thread, len(h.lanes)), clients: make([]thread, cores)}
	for i := range m.loops {
		m.loops[i].polls = true
	}
	for range backends {
		m.free = append(m.free, &thread{})
	}
	m.balance()
	return m
}

// loop gives a loop something to do.
func (m *host) loop(l, from int, do func()) { m.add(&m.loops[l], from, eventCost, do) }

// client has a thread of those who ask do something.
func (m *host) client(c int, do func()) { m.add(&m.clients[c%len(m.clients)], 0, clientCost, do) }

// backend has a process of the server work for as long.
func (m *host) backend(use time.Duration, do func()) {
	t := m.free[0]
	m.free = m.free[1:]
	m.add(t, 0, use, func() {
		m.free = append(m.free, t)
		do()
	})
}

func (m *host) add(t *thread, list int, cost time.Duration, do func()) {
	t.todo[list] = append(t.todo[list], job{cost, do})
	if !t.wants {
		t.wants = true
		m.wake(t)
	}
}

// wake finds a core for a thread: one with nothing to do, or, mostly, where it was.
func (m *host) wake(t *thread) {
	to := t.core
	if m.crossing++; m.crossing%8 == 0 {
		to = m.hall.rand.IntN(len(m.cores))
	}
	for i := range m.cores {
		if m.cores[i].running == nil {
			to = i
			break
		}
	}
	m.send(t, to)
	t.had = max(t.had, m.cores[to].least-slice)
	if m.cores[to].running == nil {
		m.schedule(to)
	}
}

// send makes a thread wait for a core.
func (m *host) send(t *thread, to int) {
	t.had += m.cores[to].least - m.cores[t.core].least
	t.core = to
	m.cores[to].ready = append(m.cores[to].ready, t)
}

// schedule gives a core to the thread that has had least of it.
func (m *host) schedule(at int) {
	c := &m.cores[at]
	if len(c.ready) == 0 {
		m.steal(at)
	}
	if len(c.ready) == 0 {
		return
	}
	best := 0
	for i, t := range c.ready {
		if t.had < c.ready[best].had {
			best = i
		}
	}
	t := c.ready[best]
	c.ready = slices.Delete(c.ready, best, best+1)
	c.running, t.began, c.least = t, m.hall.now, max(c.least, t.had)
	m.hall.after(switchCost, func() { m.run(t) })
}

// steal takes a thread that waits for another core.
func (m *host) steal(at int) {
	for i := range m.cores {
		if o := &m.cores[i]; len(o.ready) > 0 {
			t := o.ready[len(o.ready)-1]
			o.ready = o.ready[:len(o.ready)-1]
			m.send(t, at)
			return
		}
	}
}

// run has the thread that has a core do the next thing.
func (m *host) run(t *thread) {
	c := &m.cores[t.core]
	if len(t.batch) == 0 {
		t.poll(m.hall.now)
	}
	switch {
	case len(t.batch) == 0:
		t.wants, c.running = false, nil
		m.schedule(t.core)
	case len(c.ready) > 0 && time.Duration(m.hall.now-t.began) >= slice:
		c.running = nil
		c.ready = append(c.ready, t)
		m.schedule(t.core)
	default:
		j := t.batch[0]
		t.batch = t.batch[1:]
		t.had += j.cost
		m.hall.after(j.cost, func() {
			j.do()
			m.run(t)
		})
	}
}

// poll ends an iteration and finds out what there is to do in the next.
func (t *thread) poll(now Instant) {
	for i := 0; i < len(t.ends); i++ {
		t.ends[i]()
	}
	t.ends, t.clock = t.ends[:0], now
	for i := range t.todo {
		if t.polls || len(t.batch) == 0 {
			t.batch = append(t.batch, t.todo[i]...)
			t.todo[i] = t.todo[i][:0]
		}
	}
	if t.polls && len(t.batch) > 0 {
		t.batch = append([]job{{switchCost, func() {}}}, t.batch...)
	}
}

// balance evens out how many threads wait for each core, from time to time.
func (m *host) balance() {
	m.hall.after(balancing, func() {
		most, least := 0, 0
		for i := range m.cores {
			if len(m.cores[i].ready) > len(m.cores[most].ready) {
				most = i
			}
			if len(m.cores[i].ready) < len(m.cores[least].ready) {
				least = i
			}
		}
		for from := &m.cores[most]; len(from.ready) > len(m.cores[least].ready)+1; {
			i := m.hall.rand.IntN(len(from.ready))
			t := from.ready[i]
			from.ready = slices.Delete(from.ready, i, i+1)
			m.send(t, least)
		}
		m.balance()
	})
}

// Loops that share two cores with their clients and with PostgreSQL get their turns unevenly. What one cannot do meanwhile others do; those who
// wait on it are not to pay for it.
func TestLanesAreFairOnACrowdedHost(t *testing.T) {
	for _, c := range []struct{ lanes, clients, size int }{{2, 1000, 10}, {4, 1000, 10}, {4, 400, 10}, {4, 1000, 16}} {
		h := newHall(7, c.lanes, c.clients, Config{Size: c.size, MaxDials: 10})
		h.host = newHost(h, 2, c.size)
		h.think = func() time.Duration { return 0 }
		h.use = func() time.Duration {
			return 13*time.Microsecond + time.Duration(h.rand.ExpFloat64()*float64(13*time.Microsecond))
		}
		length := time.Second
		if invariants {
			length /= 5 // each event looks at all waiters
		}
		h.runFor(t, length/2)
		h.waits, h.gives = nil, 0
		clear(h.served)
		h.runFor(t, length)
		t.Logf("%d lanes, %d clients, %d backends: %s; %.3f transfers for each", c.lanes, c.clients, c.size, h.figures(), float64(h.gives)/float64(len(h.waits)))
		if p99, median := h.quantile(0.99), h.quantile(0.5); p99 > median*3/2 {
			t.Errorf("%d lanes, %d clients, %d backends: p99 of the waits is %s, the median %s", c.lanes, c.clients, c.size, p99, median)
		}
		if jain := h.jain(); jain < 0.99 {
			t.Errorf("%d lanes, %d clients, %d backends: Jain's index is %.4f", c.lanes, c.clients, c.size, jain)
		}
		if gives := float64(h.gives) / float64(len(h.waits)); gives > 0.1 {
			t.Errorf("%d lanes, %d clients, %d backends: %.3f transfers for each transaction", c.lanes, c.clients, c.size, gives)
		}
	}
}
