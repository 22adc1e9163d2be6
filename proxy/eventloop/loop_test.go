package eventloop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Most tests here turn the loop by hand: they call iterate on their own goroutine, so that the order of everything is the
// test's. turn never blocks, because it posts something first.

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-l.done: // Run has closed the poller
		default:
			l.inbox.close()
			l.poller.close()
		}
	})
	return l
}

// turn runs one iteration that finds a post to run, whatever else it finds.
func turn(l *Loop) {
	l.Post(func() {})
	l.iterate()
}

// pass lets time pass on the loop's clock.
func pass(l *Loop, d time.Duration) { l.start = l.start.Add(-d) }

// pair is a connected pair of non-blocking sockets; ours is registered with loops, theirs is the peer's end.
type pair struct{ ours, theirs int }

func newPair(t *testing.T) *pair {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	p := &pair{fds[0], fds[1]}
	t.Cleanup(func() { p.closeOurs(); p.closeTheirs() })
	return p
}

func shut(fd *int) {
	if *fd >= 0 {
		_ = unix.Close(*fd)
	}
	*fd = -1
}

func (p *pair) closeOurs()   { shut(&p.ours) }
func (p *pair) closeTheirs() { shut(&p.theirs) }

// say makes the peer send something.
func (p *pair) say(t *testing.T, s string) {
	t.Helper()
	if n, err := unix.Write(p.theirs, []byte(s)); n != len(s) {
		t.Fatalf("peer writes: %d %v", n, err)
	}
}

// hear reads once what has arrived on our side.
func (p *pair) hear() string {
	var b [256]byte
	n, _ := unix.Read(p.ours, b[:])
	return string(b[:max(n, 0)])
}

// handlerFunc makes a Handler of a function.
type handlerFunc func(Event)

func (f handlerFunc) OnReady(e Event) { f(e) }

func register(t *testing.T, l *Loop, fd int, rank Rank, f func(Event)) Token {
	t.Helper()
	token, err := l.Register(fd, handlerFunc(f), rank)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func words(e Event) string {
	var s []string
	for bit, word := range map[Event]string{Readable: "readable", Writable: "writable", HangUp: "hang-up"} {
		if e&bit != 0 {
			s = append(s, word)
		}
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

// recorder notes what a handler is told.
type recorder []string

func (r *recorder) OnReady(e Event) { *r = append(*r, words(e)) }

func (r *recorder) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	if !slices.Equal(*r, want) {
		t.Errorf("%s: told %q, want %q", when, *r, want)
	}
	*r = nil
}

func TestReadinessIsAnEdge(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var told recorder
	if _, err := l.Register(p.ours, &told, First); err != nil {
		t.Fatal(err)
	}
	turn(l)
	told.expect(t, "with nothing there")
	p.say(t, "a")
	turn(l)
	told.expect(t, "when bytes come", "readable")
	turn(l)
	told.expect(t, "when they are still unread")
	p.say(t, "b")
	turn(l)
	told.expect(t, "when more come", "readable")
	if got := p.hear(); got != "ab" {
		t.Errorf("read %q", got)
	}
	turn(l)
	told.expect(t, "when all is read")
}

func TestReadinessThatWasThereBeforeIsReported(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	p.say(t, "early") // a client that sends its first query with the end of its login
	var told recorder
	if _, err := l.Register(p.ours, &told, First); err != nil {
		t.Fatal(err)
	}
	turn(l)
	told.expect(t, "first turn", "readable")
}

func TestHangUpIsReported(t *testing.T) {
	for what, end := range map[string]func(p *pair){
		"half closed": func(p *pair) { _ = unix.Shutdown(p.theirs, unix.SHUT_WR) },
		"closed":      func(p *pair) { p.closeTheirs() },
	} {
		l, p := newLoop(t), newPair(t)
		var told recorder
		if _, err := l.Register(p.ours, &told, First); err != nil {
			t.Fatal(err)
		}
		end(p)
		turn(l)
		told.expect(t, what, "hang-up readable")
		turn(l)
		told.expect(t, what+", later")
	}
}

func TestPipeIsWatchedLikeASocket(t *testing.T) {
	l := newLoop(t)
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	defer shut(&fds[0])
	defer shut(&fds[1])
	var told recorder
	if _, err := l.Register(fds[0], &told, First); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fds[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	turn(l)
	told.expect(t, "bytes", "readable")
	shut(&fds[1])
	turn(l)
	told.expect(t, "the end", "hang-up readable")
}

func TestWritabilityIsReportedWhileWatched(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var told recorder
	token, err := l.Register(p.ours, &told, First)
	if err != nil {
		t.Fatal(err)
	}
	watch := func(on bool) {
		t.Helper()
		if err := l.WatchWrite(token, on); err != nil {
			t.Fatal(err)
		}
	}
	turn(l)
	told.expect(t, "unwatched")
	watch(true)
	turn(l)
	told.expect(t, "watched and writable", "writable")
	turn(l)
	told.expect(t, "still writable")
	watch(false)

	block := make([]byte, 64<<10)
	for {
		if _, err := unix.Write(p.ours, block); err != nil {
			break
		}
	}
	watch(true)
	turn(l)
	told.expect(t, "watched and full")
	for { // the peer reads everything
		if n, _ := unix.Read(p.theirs, block); n <= 0 {
			break
		}
	}
	turn(l)
	told.expect(t, "when the peer has read", "writable")
	watch(false)
	turn(l)
	told.expect(t, "unwatched again")
	l.Close(token)
	if err := l.WatchWrite(token, true); err != nil {
		t.Errorf("of a closed registration: %v", err)
	}
}

func TestFirstRankIsServedBeforeSecond(t *testing.T) {
	l := newLoop(t)
	var order []string
	var pairs []*pair
	for i, rank := range []Rank{Second, First, Second, First, Second} {
		p := newPair(t)
		pairs = append(pairs, p)
		register(t, l, p.ours, rank, func(Event) { order = append(order, fmt.Sprintf("%d.%d", rank, i)) })
	}
	for _, p := range pairs {
		p.say(t, "x")
	}
	turn(l)
	want := []string{"0.1", "0.3", "1.0", "1.2", "1.4"}
	if !slices.Equal(order, want) {
		t.Errorf("served %v, want %v", order, want)
	}
}

func TestMoreEventsThanOnePollReturns(t *testing.T) {
	l := newLoop(t)
	const n = 2*eventsPerPoll + 7
	told := make([]int, n)
	for i := range n {
		p := newPair(t)
		register(t, l, p.ours, Rank(i%2), func(Event) { told[i]++; p.hear() })
		p.say(t, "x")
	}
	for range 4 {
		turn(l)
	}
	for i, times := range told {
		if times != 1 {
			t.Fatalf("registration %d was told %d times", i, times)
		}
	}
}

func TestCondemnedIsCarriedOutLast(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var order []string
	note := func(s string) { order = append(order, s) }
	register(t, l, p.ours, First, func(Event) {
		l.Condemn(nil, func() {
			note("c1")
			l.Condemn(nil, func() {
				note("c3")
				l.Condemn(nil, func() { note("c4") })
			})
		})
		note("event")
	})
	timer := Timer{Func: func() { note("timer"); l.Condemn(nil, func() { note("c2") }) }}
	l.Set(&timer, 0)
	pass(l, Tick)
	p.say(t, "x")
	l.Post(func() { note("post"); l.Condemn(nil, func() { note("c0") }) })
	l.iterate()
	want := []string{"post", "event", "timer", "c0", "c1", "c2", "c3", "c4"}
	if !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
	order = nil
	turn(l)
	if len(order) > 0 {
		t.Errorf("carried out twice: %v", order)
	}
}

// TestHangUpHoldsForLaterTurns: a handler that did not read when it was told learns of the end when it does.
func TestHangUpHoldsForLaterTurns(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var events []Event
	token := register(t, l, p.ours, First, func(e Event) { events = append(events, e) })
	p.say(t, "x")
	l.iterate()
	p.closeTheirs()
	l.iterate()
	l.Again(token)
	l.iterate()
	if len(events) != 3 || events[0]&HangUp != 0 || events[1]&HangUp == 0 || events[2]&^Broken != Readable|HangUp {
		t.Errorf("events %v", events)
	}
	l.Close(token)
	q := newPair(t)
	register(t, l, q.ours, First, func(e Event) { events = append(events, e) })
	q.say(t, "x")
	l.iterate()
	if last := events[len(events)-1]; last&HangUp != 0 {
		t.Errorf("the next owner of its slot is told %v", last)
	}
}

func TestIterationAllocatesNothing(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var b [16]byte
	token := register(t, l, p.ours, First, func(Event) { _, _ = unix.Read(p.ours, b[:]) })
	timer := Timer{Func: func() {}}
	x := []byte("x")
	if n := testing.AllocsPerRun(100, func() {
		_, _ = unix.Write(p.theirs, x)
		l.Again(token)
		l.Set(&timer, Tick)
		l.iterate()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSleepIsCutWhileBusy: shortly after an event the loop comes back by itself, because it sleeps without saying so; later it
// sleeps as long as nothing happens.
func TestSleepIsCutWhileBusy(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	register(t, l, p.ours, First, func(Event) {})
	p.say(t, "x")
	l.iterate()
	l.iterate() // nothing is there, and no timer is set: it returns all the same
	pass(l, calmAfter)
	l.iterate()
	slept := make(chan struct{})
	go func() {
		l.iterate()
		close(slept)
	}()
	select {
	case <-slept:
		t.Error("it did not sleep")
	case <-time.After(20 * grasp):
	}
	l.Post(func() {})
	<-slept
}

// TestPanicOfOneConnectionEndsThatOneAlone: what was ready beside it, and what was put off, is served all the same, once each.
func TestPanicOfOneConnectionEndsThatOneAlone(t *testing.T) {
	l, err := New(0)
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	var ended Handler
	bad, good := &recorder{}, &recorder{}
	l.OnPanic = func(h Handler, cause any, stack []byte) {
		if cause != "impossible" || len(stack) == 0 {
			t.Errorf("cause %v, %d bytes of stack", cause, len(stack))
		}
		ended = h
		served = append(served, "ended")
	}
	post := func(name string, h Handler, panics bool) {
		l.Post(func() {
			l.Later(h, func() {
				if panics {
					panic("impossible")
				}
				served = append(served, name)
			})
			l.Condemn(h, func() { served = append(served, "after "+name) })
		})
	}
	post("a", good, false)
	post("b", bad, true)
	post("c", good, false)
	l.Post(func() { l.Stop() })
	l.Run()
	want := []string{"a", "ended", "c", "after a", "after b", "after c"}
	if !slices.Equal(served, want) || ended != Handler(bad) {
		t.Errorf("served %v, want %v; ended %v", served, want, ended)
	}
}
