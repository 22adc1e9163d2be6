package relay

import (
	"testing"

	"weir/proxy/session"

	"weir/proxy/conversation"
)

// BenchmarkSweepOfACrowd is what the sweep of 25,000 idle clients takes: in one go, and its longest step.
func BenchmarkSweepOfACrowd(b *testing.B) {
	loop, err := NewLoop()
	if err != nil {
		b.Fatal(err)
	}
	e := NewEngine(&Env{Settings: new(session.Table)}, 0, loop)
	l := &Lane{engine: e}
	limits := new(LiveLimits)
	limits.Store(&Limits{})
	for range 25_000 {
		c := &Client{lane: l, limits: limits, state: clientIdle, talk: conversation.Client{}}
		c.slot = e.clients.add(c)
	}
	other := make([]byte, 64<<20)
	for _, n := range []int{25_000, clientsPerStep} {
		b.Run(map[bool]string{true: "at once", false: "a step"}[n == 25_000], func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				for i := range other { // which is what the processor's cache has by then
					other[i]++
				}
				b.StartTimer()
				e.step(0, n, (*Client).sweep)
			}
		})
	}
}
