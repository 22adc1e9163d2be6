package pool

import (
	"fmt"
	"testing"
	"time"
)

var benchConfig = Config{
	Size: 20, ReserveSize: 5, ReserveTimeout: 5 * time.Second, QueryWaitTimeout: 2 * time.Minute,
	ServerLifetime: time.Hour, ServerIdleTimeout: 10 * time.Minute, ServerLoginRetry: 15 * time.Second,
}

// busy returns a pool all of whose backends are leased, with as many waiters.
// Its clients are c0 to c(Size+waiting-1), the first Size of which are served.
func busy(tb testing.TB, waiting int) *Pool {
	tb.Helper()
	p := newPool(benchConfig, 1)
	for c := range benchConfig.Size {
		p.Want(0, ClientID(c), 0)
		for p.Counts().Dialling > 0 {
			p.Dialled(0, p.Decisions()[0].Backend)
		}
	}
	for c := range waiting {
		p.Want(0, ClientID(benchConfig.Size+c), 0)
	}
	if c := p.Counts(); c.Leased != benchConfig.Size || c.Waiting != waiting {
		tb.Fatalf("set up badly: %+v", c)
	}
	return p
}

// idleRound is a transaction on a pool with idle backends.
func idleRound(p *Pool, now Instant) {
	p.Want(now, 0, 0)
	p.Freed(now, p.Decisions()[0].Backend, 0)
}

// busyRound is a transaction on a pool with waiters: a freed backend goes to the
// oldest, and a client comes to wait.
func busyRound(p *Pool, now Instant, b BackendID) {
	p.Freed(now, b, 0)
	p.Want(now, p.Decisions()[0].Client, 0)
}

// go test -run - -bench . ./pool
//
// A round is one Want and one Freed, that is, what a transaction costs. The
// caller's part, sockets above all, is left out.
func BenchmarkWantFreed(b *testing.B) {
	b.Run("idle", func(b *testing.B) {
		p := busy(b, 0)
		for i := range 10 {
			p.Freed(0, BackendID(i+1), 0)
		}
		b.ReportAllocs()
		for i := range b.N {
			idleRound(p, Instant(i))
		}
	})
	for _, waiting := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			p := busy(b, waiting)
			b.ReportAllocs()
			for i := range b.N {
				busyRound(p, Instant(i), BackendID(i%benchConfig.Size+1))
			}
		})
	}
}

func TestWantAndFreedDoNotAllocate(t *testing.T) {
	if invariants {
		t.Skip("the checks allocate")
	}
	idle, waiting := busy(t, 0), busy(t, 100)
	idle.Freed(0, 1, 0)
	now := Instant(0)
	for name, round := range map[string]func(){
		"idle":    func() { idleRound(idle, now) },
		"waiting": func() { busyRound(waiting, now, 7) },
		"forget":  func() { waiting.Want(now, 500, 0); waiting.Forget(now, 500) },
		"tick":    func() { now++; waiting.Tick(now); idle.Tick(now) },
		"failing": func() {
			idle.Lost(now, 1)
			idle.Want(now, 0, 0)
			idle.Dialled(now, idle.Decisions()[0].Backend)
			idle.Freed(now, 1, 0)
		},
	} {
		round() // the first may make room
		if n := testing.AllocsPerRun(1000, round); n > 0 {
			t.Errorf("%s: %.1f allocations, want 0", name, n)
		}
	}
}
