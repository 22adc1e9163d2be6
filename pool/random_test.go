package pool

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag     = flag.Uint64("seed", 1, "seed of the random programs; 0 draws one")
	programsFlag = flag.Int("programs", 2000, "number of random programs; the i-th has seed + i")
)

// TestPoolAgreesWithModel runs random programs on a pool and on the model and
// compares every decision. Before each tick that the pool asks for it ticks
// just before, too: nothing may be due then, or the pool asked too late. A program
// that fails is printed as a script for testdata, as short as leaving out
// events makes it.
func TestPoolAgreesWithModel(t *testing.T) {
	seed, programs := *seedFlag, *programsFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-seed %d", seed)
	if testing.Short() {
		programs /= 10
	}
	var seen [5]int
	for i := range uint64(programs) {
		r := newRun(seed + i)
		program, err := r.random(300)
		if err != nil {
			program = shrink(seed+i, program)
			_, err := newRun(seed + i).replay(program)
			t.Fatalf("go test ./pool -run %s -args -seed %d -programs 1\n\npool %s seed=%d\n----\n\nrun\n%s\n----\n\n%v",
				t.Name(), seed+i, printConfig(newRun(seed+i).cfg), seed+i, printProgram(program), err)
		}
		for k, n := range r.seen {
			seen[k] += n
		}
	}
	// Programs that never get anywhere would prove nothing.
	t.Logf("%d leases, %d dials, %d closes, %d failed clients, %d abandoned dials", seen[0], seen[1], seen[2], seen[3], seen[4])
	for k, n := range seen {
		if n < programs/4 {
			t.Errorf("only %d decisions to %s in %d programs", n, DecisionKind(k+1), programs)
		}
	}
}

// run plays one program on a pool and on the model.
type run struct {
	cfg     Config
	pool    *Pool
	model   *model
	now     Instant
	rand    *rand.Rand
	weather int // what becomes of dials; changes now and then
	seen    [5]int
}

func newRun(seed uint64) *run {
	r := &run{rand: rand.New(rand.NewPCG(seed, 1))}
	r.cfg = r.config()
	r.pool = newPool(r.cfg, seed)
	r.model = &model{cfg: r.cfg.checked(), pardoned: -1}
	r.model.random.Seed(seed, 0)
	return r
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (r *run) config() Config {
	return Config{
		Size: 1 + r.rand.IntN(7), MinSize: pick(r.rand, 0, 0, 1, 3), ReserveSize: r.rand.IntN(3), MaxDials: 1 + r.rand.IntN(4),
		ReserveTimeout:    pick(r.rand, 0, time.Second, 5*time.Second),
		QueryWaitTimeout:  pick(r.rand, 0, 10*time.Second, 2*time.Minute),
		ServerLifetime:    pick(r.rand, 0, 30*time.Second, time.Hour),
		ServerIdleTimeout: pick(r.rand, 0, 20*time.Second, 10*time.Minute),
		ServerLoginRetry:  pick(r.rand, 0, time.Second, 15*time.Second),
		KeepMin:           r.rand.IntN(3) == 0,
		Patient:           r.rand.IntN(3) == 0,
		PoolIdleTimeout:   pick(r.rand, 0, 10*time.Second, time.Minute),
	}
}

// next draws an event that is legal now. Times and clients are few, so that
// coincidences are many.
func (r *run) next() op {
	m := r.model
	if r.rand.IntN(40) == 0 {
		r.weather = r.rand.IntN(10)
	}
	some := func(list []modelBackend) BackendID { return list[r.rand.IntN(len(list))].b }
	for {
		switch n := r.rand.IntN(100); {
		case n < 30:
			c := ClientID(r.rand.IntN(20))
			if !slices.ContainsFunc(m.wait, func(w modelWaiter) bool { return w.c == c }) {
				return op{verb: "want", client: c, settings: SettingsID(r.rand.IntN(3))}
			}
		case n < 34 && len(m.lent) > 0:
			return op{verb: pick(r.rand, "coming", "coming", "busy"), backend: some(m.lent)}
		case n < 50 && len(m.lent) > 0:
			return op{verb: "freed", backend: some(m.lent), settings: SettingsID(r.rand.IntN(3))}
		case n < 70 && len(m.dials) > 0:
			kinds := []FailureKind{Unreachable, Refused, Full, Limited}
			if r.weather < len(kinds) && r.rand.IntN(4) > 0 {
				return op{verb: "failed", backend: some(m.dials), kind: kinds[r.weather]}
			}
			return op{verb: "dialled", backend: some(m.dials)}
		case n < 73 && len(m.wait) > 0:
			return op{verb: "forget", client: m.wait[r.rand.IntN(len(m.wait))].c}
		case n < 76 && m.live() > 0:
			return op{verb: pick(r.rand, "lost", "lost", "discard"), backend: some(slices.Concat(m.idle, m.lent))}
		case n < 77 && m.live() > 0:
			return op{verb: "expel", backend: some(slices.Concat(m.idle, m.lent))}
		case n < 78:
			return op{verb: "reclaim"}
		case n < 79:
			return op{verb: "nudge"}
		case n < 80:
			return op{verb: pick(r.rand, "pardon", "contested", "uncontested")}
		case n == 80 && r.rand.IntN(5) == 0:
			return op{verb: "configure", cfg: r.config()}
		case n == 80 && r.rand.IntN(5) == 0:
			return op{verb: "renew"}
		case n == 82 && len(m.wait) == 0:
			return op{verb: "no-clients"}
		case n == 83 && r.rand.IntN(3) == 0:
			return op{verb: pick(r.rand, "clients", "vacate")}
		case n == 84 && r.rand.IntN(2) == 0:
			return op{verb: pick(r.rand, "pause", "resume", "resume")}
		case n < 85:
			return op{verb: "tick"}
		case n < 88:
			return op{verb: "oversleep", length: pick(r.rand, time.Millisecond, time.Second, time.Minute)}
		case n >= 88:
			return op{verb: "advance", length: pick(r.rand, time.Millisecond, 90*time.Millisecond, time.Second, 7*time.Second, 40*time.Second)}
		}
	}
}

// legal reports whether o may happen now, in a program that has lost events.
func (r *run) legal(o op) bool {
	m := r.model
	has := func(list []modelBackend) bool {
		return slices.ContainsFunc(list, func(e modelBackend) bool { return e.b == o.backend })
	}
	waits := slices.ContainsFunc(m.wait, func(w modelWaiter) bool { return w.c == o.client })
	switch o.verb {
	case "want":
		return !waits
	case "forget":
		return waits
	case "no-clients":
		return len(m.wait) == 0
	case "freed", "coming", "busy":
		return has(m.lent)
	case "lost", "discard":
		return has(m.lent) || has(m.idle)
	case "dialled", "failed":
		return has(m.dials)
	}
	return true
}

func (r *run) random(length int) (program []op, err error) {
	for range length {
		o := r.next()
		program = append(program, o)
		if err := r.step(o); err != nil {
			return program, err
		}
	}
	return program, nil
}

// replay runs program, without what is not legal, up to its first difference.
func (r *run) replay(program []op) (ran []op, err error) {
	for _, o := range program {
		if !r.legal(o) {
			continue
		}
		ran = append(ran, o)
		if err := r.step(o); err != nil {
			return ran, err
		}
	}
	return ran, nil
}

func (r *run) step(o op) error {
	switch o.verb {
	case "oversleep":
		r.now += Instant(o.length)
		return nil
	case "advance":
		return r.advance(r.now + Instant(o.length))
	}
	return r.event(o)
}

// event plays o on both sides.
func (r *run) event(o op) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("%s: panic: %v", o, e)
		}
	}()
	if err := o.apply(r.pool, r.now); err != nil {
		return err
	}
	got := r.pool.Decisions()
	var ids []BackendID
	for _, d := range got {
		r.seen[d.Kind-1]++
		if d.Kind == Dial {
			ids = append(ids, d.Backend)
		}
	}
	if want := r.model.apply(o, r.now, ids); !slices.Equal(got, want) {
		return fmt.Errorf("%s at %s:\npool  %v\nmodel %v", o, time.Duration(r.now), got, want)
	}
	m, c := r.model, r.pool.Counts()
	if c.Idle != len(m.idle) || c.Leased != len(m.lent) || c.Dialling != len(m.dials) || c.Waiting != len(m.wait) {
		return fmt.Errorf("%s at %s: the pool counts %+v", o, time.Duration(r.now), c)
	}
	if deserted := m.empty && m.total() == 0 && !m.wanted(); r.pool.Deserted() != deserted {
		return fmt.Errorf("%s at %s: deserted: pool %t, model %t", o, time.Duration(r.now), !deserted, deserted)
	}
	return nil
}

// advance ticks when the pool asks for it, and a moment before.
func (r *run) advance(end Instant) error {
	for {
		due := r.pool.Next()
		if before := min(due-1, end); before > r.now {
			r.now = before
			if err := r.event(op{verb: "tick"}); err != nil {
				return err
			}
			if d := r.pool.Decisions(); len(d) > 0 {
				return fmt.Errorf("a tick at %s decides %v, but the next was said to be due at %s", time.Duration(r.now), d, time.Duration(due))
			}
		}
		if due > end {
			r.now = max(r.now, end)
			return nil
		}
		r.now = max(r.now, due)
		if err := r.event(op{verb: "tick"}); err != nil {
			return err
		}
		if r.pool.Next() <= r.now {
			return fmt.Errorf("after a tick at %s the next is due at %s", time.Duration(r.now), time.Duration(r.pool.Next()))
		}
	}
}

// shrink leaves out of a failing program what it can, one event after another.
func shrink(seed uint64, program []op) []op {
	for again := true; again; {
		again = false
		for i := len(program) - 1; i >= 0; i-- {
			ran, err := newRun(seed).replay(slices.Delete(slices.Clone(program), i, i+1))
			if err != nil && len(ran) < len(program) {
				program, again = ran, true
				i = min(i, len(program))
			}
		}
	}
	return program
}

func printProgram(program []op) string {
	var lines []string
	for _, o := range program {
		lines = append(lines, o.String())
	}
	return strings.Join(lines, "\n")
}
