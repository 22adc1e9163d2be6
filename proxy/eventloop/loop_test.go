package eventloop

import (
	"errors"
	"fmt"
	"os"
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

// TestStaleEventIsDropped: one poll reports two connections; the first one's handler closes the second, and a third gets its
// slot and, as the kernel gives out the lowest number, its descriptor.
func TestStaleEventIsDropped(t *testing.T) {
	l, a, b, c := newLoop(t), newPair(t), newPair(t), newPair(t)
	var stale, fresh recorder
	tokenB, err := l.Register(b.ours, &stale, Second)
	if err != nil {
		t.Fatal(err)
	}
	register(t, l, a.ours, First, func(Event) {
		l.Close(tokenB)
		old := b.ours
		b.closeOurs()
		fd, err := unix.Dup(c.ours)
		if err != nil || fd != old {
			t.Errorf("descriptor %d, wanted %d again: %v", fd, old, err)
		}
		c.closeOurs()
		c.ours = fd
		tokenC, err := l.Register(fd, &fresh, Second)
		if err != nil || tokenC.slot != tokenB.slot {
			t.Errorf("slot %d, wanted %d again: %v", tokenC.slot, tokenB.slot, err)
		}
	})
	b.say(t, "for b")
	a.say(t, "for a")
	turn(l)
	stale.expect(t, "the closed one")
	fresh.expect(t, "its slot's new owner")
	c.say(t, "for c")
	turn(l)
	fresh.expect(t, "when it has bytes of its own", "readable")
}

// TestStaleEventMeetsNewOwnerOfOtherRank: the slot's rank changes between the poll and the event's turn.
func TestStaleEventMeetsNewOwnerOfOtherRank(t *testing.T) {
	for _, ranks := range [][2]Rank{{First, Second}, {Second, First}} {
		l, a, b := newLoop(t), newPair(t), newPair(t)
		var stale, fresh recorder
		token, err := l.Register(a.ours, &stale, ranks[0])
		if err != nil {
			t.Fatal(err)
		}
		a.say(t, "x")
		l.Post(func() { // posts run between the poll and the events
			l.Close(token)
			a.closeOurs()
			if _, err := l.Register(b.ours, &fresh, ranks[1]); err != nil {
				t.Error(err)
			}
		})
		l.iterate()
		stale.expect(t, "the closed one")
		fresh.expect(t, "the new one")
	}
}

// TestClosedTokenDoesNothing: a token outlives its registration in many places, and its slot has a new owner.
func TestClosedTokenDoesNothing(t *testing.T) {
	l, a, b := newLoop(t), newPair(t), newPair(t)
	var told recorder
	old := register(t, l, a.ours, First, func(Event) {})
	l.Close(old)
	l.Close(old)
	token, err := l.Register(b.ours, &told, First)
	if err != nil {
		t.Fatal(err)
	}
	if token.slot != old.slot {
		t.Fatalf("slot %d, wanted %d again", token.slot, old.slot)
	}
	l.Close(old)
	l.Again(old)
	turn(l)
	told.expect(t, "by a stale token")
	b.say(t, "x")
	turn(l)
	told.expect(t, "by its socket", "readable")
}

func TestHandlerMayCloseItself(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	calls := 0
	var token Token
	token = register(t, l, p.ours, First, func(Event) {
		calls++
		l.Again(token)
		l.Close(token)
		p.closeOurs()
	})
	p.say(t, "x")
	for range 3 {
		turn(l)
	}
	if calls != 1 {
		t.Errorf("called %d times", calls)
	}
}

// TestTurnOfClosedRegistrationIsDropped: a slot that asked for a turn and was closed gives it to nobody.
func TestTurnOfClosedRegistrationIsDropped(t *testing.T) {
	l, a, b, c := newLoop(t), newPair(t), newPair(t), newPair(t)
	var told recorder
	token := register(t, l, a.ours, First, func(Event) {})
	l.Again(token)
	l.Close(token)
	fresh, err := l.Register(b.ours, &told, First)
	if err != nil {
		t.Fatal(err)
	}
	turn(l)
	told.expect(t, "by a turn that another one asked for")
	l.Again(fresh)
	l.Close(fresh)
	fresh, err = l.Register(c.ours, &told, First)
	if err != nil {
		t.Fatal(err)
	}
	l.Again(fresh)
	turn(l)
	told.expect(t, "by its own", "readable")
}

// TestAgainIsFair: whoever always wants another turn gets it, once an iteration, and keeps nobody from theirs.
func TestAgainIsFair(t *testing.T) {
	l, greedy, modest := newLoop(t), newPair(t), newPair(t)
	turns, served, posts, fired := 0, 0, 0, 0
	var token Token
	token = register(t, l, greedy.ours, First, func(e Event) {
		turns++
		l.Again(token)
		l.Again(token) // twice is once
	})
	register(t, l, modest.ours, Second, func(Event) { served++; modest.hear() })
	timer := Timer{Func: func() { fired++ }}
	greedy.say(t, "x")
	l.iterate()
	if turns != 2 { // the event's and the one it asked for
		t.Fatalf("%d turns in the first iteration", turns)
	}
	for i := range 10 {
		modest.say(t, "y")
		l.Post(func() { posts++ })
		l.Set(&timer, 0)
		pass(l, Tick)
		before := turns
		l.iterate()
		if turns != before+1 || served != i+1 || posts != i+1 || fired != i+1 {
			t.Fatalf("iteration %d: %d more turns, %d served, %d posts, %d timers", i, turns-before, served, posts, fired)
		}
	}
}

func TestCondemnedIsCarriedOutLast(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var order []string
	note := func(s string) { order = append(order, s) }
	register(t, l, p.ours, First, func(Event) {
		l.Condemn(func() {
			note("c1")
			l.Condemn(func() {
				note("c3")
				l.Condemn(func() { note("c4") })
			})
		})
		note("event")
	})
	timer := Timer{Func: func() { note("timer"); l.Condemn(func() { note("c2") }) }}
	l.Set(&timer, 0)
	pass(l, Tick)
	p.say(t, "x")
	l.Post(func() { note("post"); l.Condemn(func() { note("c0") }) })
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

func TestRegisterRefuses(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	if _, err := l.Register(-1, &recorder{}, First); !errors.Is(err, unix.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	_, _ = l.Register(int(file.Fd()), &recorder{}, First) // epoll refuses files, kqueue takes them
	var told recorder
	if _, err := l.Register(p.ours, &told, First); err != nil {
		t.Fatal(err)
	}
	p.say(t, "x")
	turn(l)
	told.expect(t, "after others were refused", "readable")
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
