package eventloop

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// countWakes counts the system calls that wake the loop, from before its first post.
func countWakes(l *Loop) *atomic.Int64 {
	var n atomic.Int64
	wake := l.inbox.wake
	l.inbox.wake = func() { n.Add(1); wake() }
	return &n
}

func TestPostsRunInOrderAndWakeOnce(t *testing.T) {
	l := newLoop(t)
	wakes := countWakes(l)
	var ran []int
	for i := range 100 {
		if !l.Post(func() { ran = append(ran, i) }) {
			t.Fatal("refused")
		}
	}
	if n := wakes.Load(); n != 1 {
		t.Errorf("%d wake-ups for a burst", n)
	}
	l.iterate()
	want := make([]int, 100)
	for i := range want {
		want[i] = i
	}
	if !slices.Equal(ran, want) {
		t.Errorf("ran %v", ran)
	}
}

// TestPostOfAPostRunsInTheNextIteration, or a function that posts itself would keep all events waiting.
func TestPostOfAPostRunsInTheNextIteration(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	wakes := countWakes(l)
	runs := 0
	var f func()
	f = func() { runs++; l.Post(f) }
	var told recorder
	if _, err := l.Register(p.ours, &told, First); err != nil {
		t.Fatal(err)
	}
	p.say(t, "x")
	l.Post(f)
	for i := range 10 {
		l.iterate()
		if runs != i+1 {
			t.Fatalf("after %d iterations it ran %d times", i+1, runs)
		}
	}
	if n := wakes.Load(); n != 1 {
		t.Errorf("%d wake-ups, of which a loop that is awake needs none", n)
	}
	told.expect(t, "beside it", "readable")
}

// TestPushWakesALoopThatRests and none that will look before it rests; and a loop does not rest while there is something.
func TestPushWakesALoopThatRests(t *testing.T) {
	wakes := 0
	b := inbox{wake: func() { wakes++ }}
	step := func(what string, want int, f func()) {
		t.Helper()
		if f(); wakes != want {
			t.Fatalf("%s: %d wake-ups, want %d", what, wakes, want)
		}
	}
	push := func() { b.push(func() {}) }
	step("before the loop runs", 1, push)
	step("a second one", 1, push)
	if b.rest() {
		t.Fatal("it rests though two wait")
	}
	step("taken", 1, func() { b.swap(nil) })
	step("while the loop is awake", 1, push)
	if b.rest() {
		t.Fatal("it rests though one waits")
	}
	step("taken", 1, func() { b.swap(nil) })
	if !b.rest() {
		t.Fatal("it does not rest though nothing waits")
	}
	step("while the loop rests", 2, push)
}

// TestNoPostIsLost lets goroutines post and wait, so that the loop falls asleep and is woken all the time.
func TestNoPostIsLost(t *testing.T) {
	l := newLoop(t)
	go l.Run()
	const posters, each = 4, 300
	last := [posters]int{}
	var all sync.WaitGroup
	for p := range posters {
		all.Go(func() {
			for i := range each {
				if i%3 == 0 {
					l.Post(func() { last[p] = max(last[p], 0) })
				}
				if !l.Call(func() {
					if last[p] != i {
						t.Errorf("poster %d: %d after %d", p, i, last[p])
					}
					last[p]++
				}) {
					t.Error("refused")
				}
			}
		})
	}
	all.Wait()
	l.Stop()
	<-l.Done()
	for p, n := range last {
		if n != each {
			t.Errorf("poster %d: %d ran", p, n)
		}
	}
}

// TestStopRunsWhatWasAccepted: each Post that returned true runs, whenever Stop came, and each Call returns.
func TestStopRunsWhatWasAccepted(t *testing.T) {
	for round := range 8 {
		l := newLoop(t)
		go l.Run()
		var accepted, ran atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for i := 0; l.Post(func() { ran.Add(1) }); i++ {
					accepted.Add(1)
					if i%10 == 9 && l.Call(func() { ran.Add(1) }) { // it outruns the loop otherwise
						accepted.Add(1)
					}
				}
			})
			all.Go(func() {
				for l.Call(func() { ran.Add(1) }) {
					accepted.Add(1)
				}
			})
		}
		for range round * 5 {
			l.Call(func() {})
		}
		l.Stop()
		all.Wait() // they end when the loop refuses
		<-l.Done()
		if accepted.Load() != ran.Load() {
			t.Fatalf("%d were accepted, %d ran", accepted.Load(), ran.Load())
		}
	}
}

func TestStopBeforeRun(t *testing.T) {
	l := newLoop(t)
	ran, condemned := false, false
	l.Post(func() { ran = true; l.Condemn(nil, func() { condemned = true }) })
	l.Stop()
	l.Run()
	if !ran || !condemned {
		t.Errorf("the post ran: %t, what it condemned: %t", ran, condemned)
	}
}

func TestStopInAHandlerEndsTheIterationFirst(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var order []string
	register(t, l, p.ours, First, func(Event) {
		l.Stop()
		l.Condemn(nil, func() { order = append(order, "condemned") })
		l.Post(func() { order = append(order, "post") })
		order = append(order, "event")
	})
	p.say(t, "x")
	l.Run()
	if !slices.Equal(order, []string{"event", "condemned", "post"}) {
		t.Errorf("%v", order)
	}
}

// TestNothingRunsAfterOnEnd: what it has closed may be in no state for what a handler, a timer or a post does with it.
func TestNothingRunsAfterOnEnd(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var order []string
	note := func(what string) func() { return func() { order = append(order, what) } }
	register(t, l, p.ours, First, func(Event) { note("event")() })
	due := Timer{Func: note("timer")}
	l.OnEnd = note("end")
	l.Set(&due, 0)
	for l.timers.next(l.clock()) > 0 {
		runtime.Gosched()
	}
	p.say(t, "x")
	l.Post(func() {
		l.Stop()
		l.Later(nil, note("later"))
		l.Post(note("post"))
	})
	l.Run()
	if n := len(order); n != 5 || order[n-1] != "end" {
		t.Errorf("%v", order)
	}
}

// TestEndedLoopTouchesNothing: the numbers of its descriptors belong to others by then, and a wake-up would be eight bytes in
// somebody's connection.
func TestEndedLoopTouchesNothing(t *testing.T) {
	l := newLoop(t)
	wakes := countWakes(l)
	go l.Run()
	l.Stop()
	<-l.Done()
	before := wakes.Load()
	l.Stop()
	if l.Post(func() { t.Error("a post ran") }) || l.Call(func() { t.Error("a call ran") }) {
		t.Error("an ended loop has accepted something")
	}
	if n := wakes.Load() - before; n != 0 {
		t.Errorf("%d wake-ups of an ended loop", n)
	}
}
