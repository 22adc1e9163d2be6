package bench

import (
	"math"
	"testing"
	"time"
)

const µs = time.Microsecond

// TestModelAgreesWithArithmetic where there is only one thing that can be short.
func TestModelAgreesWithArithmetic(t *testing.T) {
	for name, c := range map[string]struct {
		Model
		want float64 // transactions a second
	}{
		"one loop is short":         {Model{Loops: 1, Clients: 64, Backends: 32, Cores: 32, Transaction: 8 * µs, Message: 3 * µs, Query: 20 * µs}, 1e6 / 8},
		"four loops are short":      {Model{Loops: 4, Clients: 256, Backends: 128, Cores: 128, Transaction: 8 * µs, Message: 3 * µs, Query: 20 * µs, Patience: 50 * µs}, 4e6 / 8},
		"PostgreSQL's cores are":    {Model{Loops: 4, Clients: 64, Backends: 32, Cores: 4, Transaction: 8 * µs, Message: 3 * µs, Query: 100 * µs}, 4e4},
		"clients are: they think":   {Model{Loops: 2, Clients: 10, Backends: 32, Cores: 32, Transaction: 2 * µs, Message: 3 * µs, Query: 10 * µs, Think: 10 * time.Millisecond}, 10 / 0.010012},
		"backends are, on one loop": {Model{Loops: 1, Clients: 64, Backends: 2, Cores: 64, Transaction: 2 * µs, Message: 3 * µs, Query: 998 * µs}, 2 / 0.001},
	} {
		c.Seed = 1
		if got := c.Run(300 * time.Millisecond).PerSecond; math.Abs(got/c.want-1) > 0.05 {
			t.Errorf("%s: %.0f transactions a second, want about %.0f", name, got, c.want)
		}
	}
}

// TestModelLosesNoBackend nor client: when the clients have left, all backends are idle, and nobody waits.
func TestModelLosesNoBackend(t *testing.T) {
	m := Model{Loops: 7, Clients: 100, Backends: 11, Cores: 5, Transaction: 8 * µs, Message: 3 * µs, Query: 40 * µs, Think: 300 * µs, Patience: 50 * µs, Seed: 3}
	r := newModelRun(m)
	for i := range r.clients {
		c := &r.clients[i]
		c.loop = i % m.Loops
		r.after(r.exponential(m.Think), func() { r.send(c) })
	}
	r.advance(100 * time.Millisecond)
	r.Think = time.Hour // nobody sends again
	r.advance(time.Minute)
	idle := 0
	for i, l := range r.loops {
		idle += l.idle
		if len(l.waiting) > 0 || l.asked > 0 {
			t.Errorf("loop %d: %d clients wait, %d backends are asked for", i, len(l.waiting), l.asked)
		}
	}
	if idle != m.Backends || r.leased != 0 || r.moves == 0 {
		t.Errorf("%d backends are idle, %d leased, %d moves", idle, r.leased, r.moves)
	}
}

// TestModelIsFairOverLoops: many clients on few backends wait about as long whatever their loop.
func TestModelIsFairOverLoops(t *testing.T) {
	m := Model{Loops: 4, Clients: 1000, Backends: 10, Cores: 10, Transaction: 8 * µs, Message: 3 * µs, Query: 100 * µs, Patience: 50 * µs, Seed: 1}
	o := m.Run(500 * time.Millisecond)
	if spread := float64(o.P99) / float64(o.Median); spread > 1.5 || o.Jain < 0.99 || o.BackendUse < 0.9 {
		t.Errorf("p99 is %.2f times the median, Jain %.3f, backends used %.2f", spread, o.Jain, o.BackendUse)
	}
	if again := m.Run(500 * time.Millisecond); again != o {
		t.Errorf("the same seed gives %+v and %+v", o, again)
	}
}
