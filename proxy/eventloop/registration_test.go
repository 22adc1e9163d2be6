package eventloop

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

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

// TestAgainIsFair: a handler that always wants another turn gets one in each iteration, whether its socket reports more meanwhile or
// not, and keeps no other from theirs.
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
	if turns != 1 {
		t.Fatalf("%d turns in the first iteration", turns)
	}
	for i := range 10 {
		if i%2 == 0 {
			greedy.say(t, "x")
		}
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

func TestRebindHandsOver(t *testing.T) {
	l, p := newLoop(t), newPair(t)
	var first, second recorder
	token, err := l.Register(p.ours, &first, Third)
	if err != nil {
		t.Fatal(err)
	}
	p.say(t, "x")
	turn(l)
	l.Rebind(token, &second, First)
	turn(l)
	first.expect(t, "the first owner", "readable")
	second.expect(t, "for what was reported before")
	p.say(t, "y")
	turn(l)
	first.expect(t, "when it is another's")
	second.expect(t, "the second owner", "readable")
	l.Close(token)
	l.Rebind(token, &first, First)
	l.Again(token)
	turn(l)
	first.expect(t, "by a stale token")
}

// TestForgottenDescriptorStaysOpen: another loop takes it, and learns what is there.
func TestForgottenDescriptorStaysOpen(t *testing.T) {
	l, other, p := newLoop(t), newLoop(t), newPair(t)
	var first, second recorder
	token, err := l.Register(p.ours, &first, Third)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WatchWrite(token, true); err != nil {
		t.Fatal(err)
	}
	if err := l.Forget(token); err != nil {
		t.Fatal(err)
	}
	p.say(t, "x")
	turn(l)
	first.expect(t, "after it was forgotten")
	if _, err := other.Register(p.ours, &second, First); err != nil {
		t.Fatal(err)
	}
	turn(other)
	second.expect(t, "the other loop", "readable")
	if err := l.Forget(token); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestSharedDescriptorWakesSomebody: each time a listener has something, one of the loops that watch it is told at least.
func TestSharedDescriptorWakesSomebody(t *testing.T) {
	p := newPair(t)
	loops := []*Loop{newLoop(t), newLoop(t)}
	told := make([]recorder, len(loops))
	for i, l := range loops {
		if _, err := l.RegisterShared(p.ours, &told[i], Third); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		p.say(t, "x")
		for _, l := range loops {
			turn(l)
		}
		if len(told[0])+len(told[1]) == 0 {
			t.Error("nobody was told")
		}
		told[0], told[1] = nil, nil
	}
}
