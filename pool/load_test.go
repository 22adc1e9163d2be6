package pool

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// crowd is many clients on a pool in simulated time. Each wants a backend, uses
// it, thinks, and wants one again.
type crowd struct {
	pool   *Pool
	now    Instant
	rand   *rand.Rand
	events timeline

	login, think, use func() time.Duration

	lent  map[BackendID]ClientID
	dials int             // in all
	under int             // dials under way
	most  int             // at once
	waits []time.Duration // of each lease
	done  []int           // leases per client
}

type simEvent struct {
	at      Instant
	number  int // in order of creation: ties are not broken by the heap's whim
	wants   bool
	client  ClientID
	backend BackendID
}

type timeline []simEvent

func (t timeline) Len() int { return len(t) }
func (t timeline) Less(i, j int) bool {
	return t[i].at < t[j].at || t[i].at == t[j].at && t[i].number < t[j].number
}
func (t timeline) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *timeline) Push(x any)   { *t = append(*t, x.(simEvent)) }
func (t *timeline) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

func newCrowd(clients int, cfg Config, seed uint64) *crowd {
	c := &crowd{
		pool: newPool(cfg, seed), rand: rand.New(rand.NewPCG(seed, 2)),
		lent: map[BackendID]ClientID{}, done: make([]int, clients),
	}
	c.login = func() time.Duration { return 20 * time.Millisecond }
	for i := range clients {
		c.after(0, simEvent{wants: true, client: ClientID(i)})
	}
	return c
}

// exponential returns random durations around mean, as users and queries have.
func (c *crowd) exponential(mean time.Duration) func() time.Duration {
	return func() time.Duration { return time.Duration(c.rand.ExpFloat64() * float64(mean)) }
}

func (c *crowd) after(d time.Duration, e simEvent) {
	e.at, e.number = c.now.plus(d), len(c.waits)+c.dials+c.events.Len()
	heap.Push(&c.events, e)
}

// runFor plays on until d has passed.
func (c *crowd) runFor(t *testing.T, d time.Duration) {
	t.Helper()
	for end := c.now.plus(d); ; c.carryOut(t) {
		due := c.pool.Next()
		if len(c.events) > 0 {
			due = min(due, c.events[0].at)
		}
		if due > end {
			c.now = end
			return
		}
		c.now = max(c.now, due)
		if c.pool.Next() <= c.now {
			c.pool.Tick(c.now)
			continue
		}
		e := heap.Pop(&c.events).(simEvent)
		client, leased := c.lent[e.backend]
		switch {
		case e.wants:
			c.pool.Want(c.now, e.client, 0)
		case leased:
			delete(c.lent, e.backend)
			c.after(c.think(), simEvent{wants: true, client: client})
			c.pool.Freed(c.now, e.backend, 0)
		default:
			c.under--
			c.pool.Dialled(c.now, e.backend)
		}
	}
}

func (c *crowd) carryOut(t *testing.T) {
	t.Helper()
	for _, d := range c.pool.Decisions() {
		switch d.Kind {
		case Lease:
			c.waits = append(c.waits, d.Waited)
			c.done[d.Client]++
			c.lent[d.Backend] = d.Client
			c.after(c.use(), simEvent{backend: d.Backend})
		case Dial:
			c.dials++
			c.under++
			c.most = max(c.most, c.under)
			c.after(c.login(), simEvent{backend: d.Backend})
		case Close, Fail, NoDecision:
			t.Fatalf("at %s: %s", time.Duration(c.now), d)
		}
	}
}

// jain is Jain's index of fairness: 1 if all have the same, 1/n if one has all.
func jain(shares []int) float64 {
	var sum, squares float64
	for _, n := range shares {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func TestThousandClientsOnTenBackendsShareFairly(t *testing.T) {
	c := newCrowd(1000, Config{Size: 10, QueryWaitTimeout: 2 * time.Minute}, 1)
	c.use, c.think = c.exponential(2*time.Millisecond), c.exponential(20*time.Millisecond)
	c.runFor(t, time.Second) // until the first rush is over
	c.waits, c.done = nil, make([]int, len(c.done))
	length := time.Minute
	if invariants {
		length = 4 * time.Second // each event looks at a thousand waiters
	}
	c.runFor(t, length)

	slices.Sort(c.waits)
	p50, p99 := c.waits[len(c.waits)/2], c.waits[len(c.waits)*99/100]
	t.Logf("%d leases, Jain %.5f, wait p50 %s p99 %s, fewest leases %d, most %d",
		len(c.waits), jain(c.done), p50, p99, slices.Min(c.done), slices.Max(c.done))
	// 10 backends, 2 ms each.
	if most := int(10 * length / (2 * time.Millisecond)); len(c.waits) < most*9/10 {
		t.Errorf("%d leases: the pool does not keep its backends busy", len(c.waits))
	}
	if j := jain(c.done); j < 0.99 {
		t.Errorf("Jain's index of leases per client is %.4f, want above 0.99", j)
	}
	if p99 > 3*p50 {
		t.Errorf("wait: p99 is %s, more than 3 times the p50 of %s", p99, p50)
	}
}

func TestRestartDialsOncePerWaiterAndNoMoreThanMaxDials(t *testing.T) {
	for _, clients := range []int{1, 3, 10, 64, 1000} {
		c := newCrowd(clients, Config{Size: 20, MaxDials: 4, QueryWaitTimeout: time.Minute}, 1)
		// Logins take longer than all the queries of a client.
		c.login = func() time.Duration { return time.Second }
		c.use, c.think = c.exponential(time.Millisecond), func() time.Duration { return time.Hour }
		c.runFor(t, 30*time.Minute)
		// Four backends serve everybody within a second of their arrival, when
		// the second four, dialled as the first arrived, are still on their way.
		if want := min(clients, 8); c.dials > want {
			t.Errorf("%d clients: %d dials, want at most %d", clients, c.dials, want)
		}
		if c.most > 4 {
			t.Errorf("%d clients: %d dials at once, want at most 4", clients, c.most)
		}
		if len(c.waits) != clients {
			t.Errorf("%d clients: %d were served", clients, len(c.waits))
		}
	}
}

// All backends of a busy pool are lost at once, as when the server restarts.
func TestLostBackendsAreReplacedByProbesNotByAStorm(t *testing.T) {
	const size = 20
	p := newPool(Config{Size: size, MaxDials: 4, ServerLoginRetry: 15 * time.Second, QueryWaitTimeout: time.Minute}, 1)
	var now Instant
	var dialling []BackendID
	event := func() {
		for _, d := range p.Decisions() {
			switch d.Kind {
			case Dial:
				dialling = append(dialling, d.Backend)
			case Fail:
				t.Fatalf("at %s: %s", time.Duration(now), d)
			case Lease, Close, NoDecision:
			}
		}
	}
	for c := range ClientID(10 * size) {
		p.Want(now, c, 0)
		event()
	}
	for i := 0; i < len(dialling); i++ {
		p.Dialled(now, dialling[i])
		event()
	}
	if n := p.Counts().Leased; n != size {
		t.Fatalf("%d backends are leased, want %d", n, size)
	}
	dialling = nil
	for b := range BackendID(size) {
		p.Lost(now, b+1)
		event()
	}
	// The server is away for 10 s and refuses connections at once.
	attempts := 0
	for end := now.plus(10 * time.Second); now < end; {
		for len(dialling) > 0 {
			b := dialling[0]
			dialling = dialling[1:]
			attempts++
			now++
			p.DialFailed(now, b, Failure{Kind: Unreachable})
			event()
		}
		now = max(now, p.Next())
		p.Tick(now)
		event()
	}
	t.Logf("%d attempts in 10 s", attempts)
	if attempts < 8 || attempts > 20 {
		t.Errorf("%d attempts in 10 s, want about 4 at first, 3 in the first second, and one a second then", attempts)
	}
	for i := 0; i < len(dialling); i++ {
		p.Dialled(now, dialling[i])
		event()
	}
	if n := p.Counts().Leased; n != size {
		t.Errorf("%d backends are leased after the restart, want %d", n, size)
	}
}
