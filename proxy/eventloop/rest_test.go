package eventloop

import (
	"testing"
	"time"
)

// sleeper reads its socket empty in each turn and then rests for as long as it says; 0: not at all.
type sleeper struct {
	recorder
	*pair
	l     *Loop
	token Token
	rest  time.Duration
}

// newSleeper has one that has had its first turn and rests for an hour, which the loop's clock is moved past where a test wants that.
func newSleeper(t *testing.T) *sleeper {
	t.Helper()
	s := &sleeper{pair: newPair(t), l: newLoop(t), rest: time.Hour}
	if !s.l.poller.fine {
		t.Skip("the poller cannot sleep for less than a millisecond here")
	}
	var err error
	if s.token, err = s.l.Register(s.ours, s, First); err != nil {
		t.Fatal(err)
	}
	s.say(t, "a")
	turn(s.l)
	s.expect(t, "at first", "readable")
	return s
}

func (s *sleeper) OnReady(e Event) {
	s.recorder.OnReady(e)
	for s.hear() != "" {
	}
	if s.rest > 0 {
		s.l.Rest(s.token, s.rest)
	}
}

func TestWhoRestsHasItsTurnLater(t *testing.T) {
	s := newSleeper(t)
	s.say(t, "b")
	turn(s.l)
	s.expect(t, "when bytes come amid the rest")
	pass(s.l, time.Hour)
	turn(s.l)
	s.expect(t, "when it is over", "readable")
	if got := s.hear(); got != "" {
		t.Errorf("it has left %q", got)
	}
	pass(s.l, time.Hour)
	turn(s.l)
	s.expect(t, "after another rest, with nothing there", "readable")
}

func TestTurnWithoutRestEndsIt(t *testing.T) {
	s := newSleeper(t)
	s.rest = 0
	pass(s.l, time.Hour)
	turn(s.l)
	s.expect(t, "when the rest is over", "readable")
	pass(s.l, 3*time.Hour)
	turn(s.l)
	s.expect(t, "with nothing there")
	s.say(t, "b")
	turn(s.l)
	s.expect(t, "when bytes come", "readable")
}

func TestRouseEndsARest(t *testing.T) {
	s := newSleeper(t)
	s.say(t, "b")
	turn(s.l)
	s.expect(t, "amid the rest")
	s.rest = 0
	s.l.Rouse(s.token)
	turn(s.l)
	s.expect(t, "roused, with bytes there", "readable")
	pass(s.l, 3*time.Hour)
	turn(s.l)
	s.expect(t, "when the rest would have been over")
}

func TestAgainComesBeforeTheEndOfARest(t *testing.T) {
	s := newSleeper(t)
	s.rest = 0
	s.l.Again(s.token)
	turn(s.l)
	s.expect(t, "when it has asked for a turn", "readable")
	pass(s.l, 3*time.Hour)
	turn(s.l)
	s.expect(t, "when the rest would have been over")
}

func TestHangUpEndsARest(t *testing.T) {
	s := newSleeper(t)
	s.say(t, "b")
	s.closeTheirs()
	turn(s.l)
	s.expect(t, "when the peer hangs up", "hang-up readable")
	if len(s.l.rests) != 0 {
		t.Error("it rests, and the end of the stream is no event")
	}
}

// TestWritableIsToldAmidARest: and what is readable is not.
func TestWritableIsToldAmidARest(t *testing.T) {
	s := newSleeper(t)
	s.say(t, "b")
	if err := s.l.WatchWrite(s.token, true); err != nil {
		t.Fatal(err)
	}
	turn(s.l)
	s.expect(t, "when it can write", "writable")
	s.rest = 0
	if err := s.l.WatchWrite(s.token, false); err != nil {
		t.Fatal(err)
	}
	s.say(t, "c")
	turn(s.l)
	s.expect(t, "amid the next rest")
	pass(s.l, time.Hour)
	turn(s.l)
	s.expect(t, "when it is over", "readable")
}

func TestClosedOneRestsNoMore(t *testing.T) {
	s, next := newSleeper(t), newPair(t)
	s.l.Close(s.token)
	s.closeOurs()
	var told recorder
	token, err := s.l.Register(next.ours, &told, First)
	if err != nil || token.slot != s.token.slot {
		t.Fatalf("slot %d, wanted %d again: %v", token.slot, s.token.slot, err)
	}
	s.l.Rest(s.token, time.Hour)
	s.l.Rouse(s.token)
	pass(s.l, 2*time.Hour)
	turn(s.l)
	told.expect(t, "the slot's new owner, when the rest would have been over")
	next.say(t, "a")
	turn(s.l)
	told.expect(t, "when bytes come", "readable")
	s.expect(t, "the closed one")
}

func TestLoopSleepsUntilTheFirstRestIsOver(t *testing.T) {
	s := newSleeper(t)
	l, now := s.l, s.l.now
	for _, x := range []struct{ rest, timeout, want time.Duration }{
		{100 * time.Microsecond, -1, 100 * time.Microsecond},
		{100 * time.Microsecond, 5 * time.Millisecond, 100 * time.Microsecond},
		{100 * time.Microsecond, 0, 0},
		{20 * time.Millisecond, 5 * time.Millisecond, 5 * time.Millisecond},
	} {
		l.Rest(s.token, x.rest)
		if got := l.untilRested(now, x.timeout); got != x.want {
			t.Errorf("rest for %v, timeout %v: sleeps for %v", x.rest, x.timeout, got)
		}
	}
	if got := l.untilRested(now+int64(time.Second), -1); got != 0 {
		t.Errorf("sleeps for %v when a rest is over", got)
	}
	s.rest = 0
	l.Rest(s.token, 50*time.Microsecond)
	for len(s.recorder) == 0 { // nothing else wakes the loop
		l.iterate()
	}
	s.expect(t, "after a rest that is slept through", "readable")
}
