package eventloop

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTimersAgreeWithModel sets, moves and stops many timers at random and compares with a map. Whenever the clock has moved,
// exactly those have fired whose tick has passed: none early, none more than a tick behind what was asked for, in order.
func TestTimersAgreeWithModel(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 1))
	const n = 300
	var heap timers
	var all [n]Timer
	asked := map[*Timer]int64{}
	now := int64(0)
	for range 20_000 {
		x := &all[r.IntN(n)]
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			due := now + r.Int64N(int64(40*Tick))
			if r.IntN(4) == 0 {
				due = now + int64(Tick)*r.Int64N(4) // exactly on a tick
			}
			heap.set(x, due)
			asked[x] = due
		case 4:
			heap.stop(x)
			delete(asked, x)
		default:
			now += r.Int64N(int64(2 * Tick))
			last := int64(0)
			for {
				x := heap.pop(now)
				if x == nil {
					break
				}
				due, ok := asked[x]
				if !ok || due > now {
					t.Fatalf("at %d a timer fired that was asked for %d (set: %t)", now, due, ok)
				}
				if tick := due / int64(Tick); tick < last {
					t.Fatal("out of order")
				} else {
					last = tick
				}
				delete(asked, x)
			}
			for _, due := range asked {
				if due+int64(Tick) <= now {
					t.Fatalf("at %d a timer has not fired that was asked for %d", now, due)
				}
			}
			next := heap.next(now)
			for _, due := range asked {
				if int64(next) > due+int64(Tick)-now {
					t.Fatalf("at %d the loop would sleep for %v, past %d", now, next, due)
				}
			}
			if len(asked) == 0 && next >= 0 {
				t.Fatalf("with no timer set the loop would wake up after %v", next)
			}
		}
		if len(heap.heap) != len(asked) {
			t.Fatalf("%d timers are set, should be %d", len(heap.heap), len(asked))
		}
	}
}

func TestTimerSetBeforeTheLoopRunsFires(t *testing.T) {
	l := newLoop(t)
	fired := 0
	x := Timer{Func: func() { fired++ }}
	l.Set(&x, 0)
	pass(l, Tick)
	l.iterate()
	turn(l)
	if fired != 1 {
		t.Errorf("fired %d times", fired)
	}
}

// TestTimerThatSetsItselfForAtOnceLetsOthersRun: on a tick's very nanosecond, too.
func TestTimerThatSetsItselfForAtOnceLetsOthersRun(t *testing.T) {
	l := newLoop(t)
	fired := 0
	var x Timer
	x.Func = func() {
		if fired++; fired > 5 {
			t.Fatal("one iteration fires it for ever")
		}
		l.Set(&x, 0)
	}
	l.now = int64(3 * Tick)
	l.Set(&x, 0)
	l.now = int64(4 * Tick)
	l.fire()
	if fired != 1 {
		t.Errorf("fired %d times", fired)
	}
}

func TestTimersMayChangeEachOther(t *testing.T) {
	l := newLoop(t)
	var order []string
	var a, b, c Timer
	a.Func = func() { order = append(order, "a"); l.Unset(&b); l.Set(&c, 5*Tick) }
	b.Func = func() { order = append(order, "b") }
	c.Func = func() { order = append(order, "c") }
	l.Set(&a, 0)
	l.Set(&b, Tick)
	l.Set(&c, Tick)
	pass(l, 3*Tick) // all three are due in one iteration
	l.iterate()
	turn(l)
	if !slices.Equal(order, []string{"a"}) {
		t.Errorf("fired %v", order)
	}
	pass(l, 7*Tick)
	turn(l)
	if !slices.Equal(order, []string{"a", "c"}) {
		t.Errorf("fired %v", order)
	}
	l.Unset(&a)
	l.Unset(&a)
}

// TestTimersAreNeverEarly lets a running loop fire many timers by the real clock.
func TestTimersAreNeverEarly(t *testing.T) {
	l := newLoop(t)
	go l.Run()
	const n = 2000
	left := n
	done := make(chan struct{})
	timers := make([]Timer, n)
	l.Call(func() {
		for i := range timers {
			d := time.Duration(i) * 50 * time.Microsecond
			set := l.Now()
			timers[i].Func = func() {
				if l.Now()-set < int64(d) {
					t.Errorf("fired %v early by the loop's clock", d-time.Duration(l.Now()-set))
				}
				if left--; left == 0 {
					close(done)
				}
			}
			l.Set(&timers[i], d)
		}
	})
	<-done
	l.Stop()
	<-l.Done()
}

// TestSleepEndsForATimerThatHandlersHaveHeldUp: the sleep is measured from now, not from where the last iteration began.
func TestSleepEndsForATimerThatHandlersHaveHeldUp(t *testing.T) {
	l := newLoop(t)
	x := Timer{Func: func() {}}
	const long = 1000 * time.Hour
	l.Post(func() {
		l.Set(&x, long)
		pass(l, long+Tick) // as long as this handler takes
	})
	l.iterate()
	l.iterate() // would sleep for long
	l.iterate() // it was late, so all that has come meanwhile goes before
	if x.due != 0 {
		t.Error("it has not fired")
	}
}

func TestTimerInTheFarFuture(t *testing.T) {
	l := newLoop(t)
	x := Timer{Func: func() { t.Error("fired") }}
	for _, d := range []time.Duration{math.MaxInt64, math.MaxInt64 - Tick, 292 * 365 * 24 * time.Hour} {
		l.now = int64(time.Hour)
		l.Set(&x, d)
		l.now = int64(2 * time.Hour)
		l.fire()
		if next := l.timers.next(l.now); next < 0 {
			t.Errorf("%v: the loop would sleep for %v", d, next)
		}
	}
}

// TestTimersWaitForWhatCameWhileTheLoopWasStopped: a loop that was stopped for long has seen nothing of that time when it goes on.
func TestTimersWaitForWhatCameWhileTheLoopWasStopped(t *testing.T) {
	for name, n := range map[string]int{"more than a poll returns": 2*eventsPerPoll + 7, "a full poll": eventsPerPoll, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t)
			heard, fired := 0, false
			x := Timer{Func: func() {
				if fired = true; heard != n {
					t.Errorf("the timer fires when %d of %d have been heard", heard, n)
				}
			}}
			var pairs []*pair
			for range n {
				p := newPair(t)
				register(t, l, p.ours, Second, func(Event) { heard++; p.hear() })
				pairs = append(pairs, p)
			}
			turn(l)
			l.Set(&x, time.Second)
			for _, p := range pairs {
				p.say(t, "x")
			}
			pass(l, time.Minute)
			awaitFired(t, l, &fired)
		})
	}
}

// awaitFired goes on until a timer has set fired.
func awaitFired(t *testing.T, l *Loop, fired *bool) {
	t.Helper()
	for i := 0; !*fired && i < 10; i++ {
		l.iterate()
	}
	if !*fired {
		t.Error("the timer does not fire")
	}
}

// TestTimersWaitForWhatCameAfterTheLastPoll: a poll may have looked just before the loop was stopped.
func TestTimersWaitForWhatCameAfterTheLastPoll(t *testing.T) {
	l := newLoop(t)
	heard, fired := false, false
	x := Timer{Func: func() {
		if fired = true; !heard {
			t.Error("the timer fires before what came while the loop was stopped has been heard")
		}
	}}
	first, second := newPair(t), newPair(t)
	register(t, l, second.ours, Second, func(Event) { heard = true; second.hear() })
	register(t, l, first.ours, First, func(Event) { first.hear(); second.say(t, "x") })
	turn(l)
	l.Set(&x, time.Second)
	first.say(t, "x")
	pass(l, time.Minute)
	awaitFired(t, l, &fired)
}

// TestWhatAStoppedIterationNotesIsNoOlderThanTheStop: what it did after the stop it has noted with the time of before.
func TestWhatAStoppedIterationNotesIsNoOlderThanTheStop(t *testing.T) {
	l := newLoop(t)
	turn(l)
	before := l.Now()
	var noted int64
	l.Post(func() {
		noted = l.Now()
		pass(l, time.Hour) // as long as this handler is stopped
	})
	l.iterate()
	turn(l)
	if got := l.Since(noted); got >= time.Minute {
		t.Errorf("what was noted in the stopped iteration is %v old", got)
	}
	if got := l.Since(before); got < time.Hour {
		t.Errorf("what was noted before is %v old", got)
	}
}

// TestTimersFireThoughTheLoopIsAlwaysLate: one that never sees an end of its events has timers all the same.
func TestTimersFireThoughTheLoopIsAlwaysLate(t *testing.T) {
	l := newLoop(t)
	fired := 0
	x := Timer{}
	x.Func = func() { fired++; l.Set(&x, 0) }
	l.Set(&x, 0)
	for range 2 * eventsPerPoll {
		p := newPair(t)
		var token Token
		token = register(t, l, p.ours, First, func(Event) { l.Again(token) })
		p.say(t, "x")
	}
	for range 50 {
		pass(l, time.Second)
		l.iterate()
	}
	if fired < 5 {
		t.Errorf("the timer has fired %d times in 50 iterations", fired)
	}
}
