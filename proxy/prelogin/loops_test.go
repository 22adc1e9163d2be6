package prelogin

import (
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"testing"

	"weir/proxy/eventloop"
)

func TestLoopThatHasClearlyFewerGetsTheConnection(t *testing.T) {
	for _, c := range []struct {
		own   int
		taken []int64
		want  int
	}{
		{0, []int64{0}, 0},
		{0, []int64{7}, 0},
		{1, []int64{0, 0}, 1},
		{1, []int64{0, 1}, 0}, // of few, each counts
		{0, []int64{3, 3, 2}, 2},
		{0, []int64{9, 8}, 0}, // an eighth more is no reason
		{0, []int64{10, 8}, 1},
		{2, []int64{800, 801, 900}, 2},
		{2, []int64{800, 799, 900}, 1},
		{1, []int64{9, 3, 5}, 1},
	} {
		if got := choose(len(c.taken), c.own, func(i int) int64 { return c.taken[i] }); got != c.want {
			t.Errorf("loop %d accepts, with %v: loop %d gets it, want %d", c.own, c.taken, got, c.want)
		}
	}
}

// TestSpreadIsEvenWhoeverAccepts: also where the kernel gives one loop nearly all connections, and where connections leave, the fullest loop
// has at most 1.3 times what the emptiest has, from 8 connections a loop on.
func TestSpreadIsEvenWhoeverAccepts(t *testing.T) {
	for _, loops := range []int{2, 4, 8, 64, 256} {
		for _, favoured := range []int{50, 90, 100} { // percent of the connections that loop 0 accepts
			r := rand.New(rand.NewPCG(uint64(loops), uint64(favoured)))
			taken := make([]int64, loops)
			for n := range 20 * loops {
				own := 0
				if r.IntN(100) >= favoured {
					own = r.IntN(loops)
				}
				taken[choose(loops, own, func(i int) int64 { return taken[i] })]++
				if leaves := r.IntN(loops); n%3 == 0 && n > 2*loops { // any that leaves is replaced by the next
					taken[leaves]--
					taken[choose(loops, own, func(i int) int64 { return taken[i] })]++
				}
				if most, least := slices.Max(taken), slices.Min(taken); n >= 8*loops && float64(most) > 1.3*float64(least) {
					t.Fatalf("%d loops, %d %% at loop 0: after %d connections one has %d, another %d", loops, favoured, n+1, most, least)
				}
			}
		}
	}
}

// TestConnectionsSuitAllLoops although they come one by one: each stays on the loop that has accepted it until its code asks, and gives its seat
// up in the end.
func TestConnectionsSuitAllLoops(t *testing.T) {
	const count, clients = 4, 32
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(count + 2)) // a loop holds one while it sleeps
	var running []*eventloop.Loop
	for range count {
		running = append(running, runLoop(t))
	}
	chosen := make(chan *eventloop.Loop, clients)
	h := &host{serve: func(c *Conn) {
		if c.acceptor.loop != c.Loop() || c.Seat() != (Seat{&c.acceptor.loops.all[c.acceptor.index]}) {
			t.Error("a connection has left its loop before it is a client")
		}
		to := c.Suited()
		c.sit(to) // as Leave does
		chosen <- to
		echo(c)
	}}
	connect, loops := openOn(t, h, running...)
	on := map[*eventloop.Loop]int{}
	var conns []net.Conn
	for range clients {
		c := connect()
		say(t, c, "word")
		hear(t, c, "word")
		conns = append(conns, c)
		on[<-chosen]++
	}
	for _, loop := range running {
		if n := on[loop]; n != clients/count {
			t.Errorf("a loop suits %d of %d connections", n, clients)
		}
	}
	for _, c := range conns {
		_ = c.Close()
	}
	h.within.Wait()
	for _, loop := range running {
		loop.Call(func() {}) // the last code has returned
	}
	for i := range loops.all {
		if n := loops.all[i].taken.Load(); n != 0 {
			t.Errorf("loop %d: %d seats are taken and no connection is there", i, n)
		}
	}
}

func TestRefusedConnectionTakesNoSeat(t *testing.T) {
	connect, loops := openOn(t, &host{arrive: func(*Conn) bool { return false }}, runLoop(t))
	hearEnd(t, connect())
	if n := loops.all[0].taken.Load(); n != 0 {
		t.Errorf("%d seats", n)
	}
}
