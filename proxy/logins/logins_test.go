package logins

import (
	"testing"
	"time"
)

// connection is one as logins sees it.
type connection struct {
	busy    bool // it is not weir that waits
	cancels bool
	away    bool
}

func (s *connection) Abort()        { s.away = true }
func (s *connection) Stalled() bool { return !s.busy }
func (s *connection) Cancels() bool { return s.cancels }

// arrive brings a connection in.
func arrive(s *Pending) (*Login, *connection, bool) {
	c := new(connection)
	e, ok := s.Enter(c, false)
	return e, c, ok
}

// ago moves a login's last step into the past.
func (e *Login) ago(d time.Duration) {
	e.since = e.since.Add(-d)
}

func TestOldestOfThoseThatWereNotAnsweredMakesRoom(t *testing.T) {
	s := New(3)
	e, first, _ := arrive(s)
	half, second, _ := arrive(s)
	_, third, _ := arrive(s)
	s.Spoke(e)
	s.Progressed(e)
	s.Spoke(half) // with half a packet: that is no progress
	if _, _, ok := arrive(s); !ok {
		t.Fatal("turned away")
	}
	if first.away || !second.away || third.away {
		t.Errorf("sent away: first %t, second %t, third %t; want the second, the first was answered", first.away, second.away, third.away)
	}
}

func TestLoginThatDoesNotGoOnMakesRoomAfterAWhile(t *testing.T) {
	s := New(2)
	stopped, slow, _ := arrive(s)
	going, quick, _ := arrive(s)
	s.Progressed(stopped)
	s.Progressed(going)
	if _, _, ok := arrive(s); ok {
		t.Fatal("both have just been answered")
	}
	stopped.ago(stallGrace)
	if _, _, ok := arrive(s); !ok || !slow.away || quick.away {
		t.Errorf("let in %t; sent away: slow %t, quick %t", ok, slow.away, quick.away)
	}
}

func TestLoginThatWaitsForWeirKeepsItsPlace(t *testing.T) {
	s := New(2)
	for range 2 {
		e, c, _ := arrive(s)
		c.busy = true // with a lookup, or with what has come and is not read yet
		e.ago(time.Hour)
	}
	if _, _, ok := arrive(s); ok {
		t.Error("one too many")
	}
	if got := s.Snapshot(); got.Now != 2 || got.Shed != 1 || got.Accepted != 3 {
		t.Errorf("%+v", got)
	}
}

// Logins that wait for weir, the oldest of all, do not shield those that have stopped.
func TestLoginsThatWaitForWeirStandInNoWay(t *testing.T) {
	const waiting = 3 * looksMax
	s := New(waiting + 1)
	for range waiting {
		e, c, _ := arrive(s)
		c.busy = true
		e.ago(time.Hour)
	}
	e, stopped, _ := arrive(s)
	e.ago(time.Minute)
	for range waiting/looksMax + 1 {
		arrive(s)
	}
	if !stopped.away {
		t.Error("the one that has stopped keeps its place")
	}
}

// A TLS connection answers as often as its peer likes.
func TestAnswersWithoutEndAreNoProgress(t *testing.T) {
	s := New(1)
	e, c, _ := arrive(s)
	for range answersMax {
		s.Progressed(e)
	}
	e.ago(stallGrace)
	s.Progressed(e)
	if _, _, ok := arrive(s); !ok || !c.away {
		t.Error("it keeps its place for ever")
	}
}

// Beyond the descriptors of clients a few logins find room to be told so, or to cancel.
func TestFewLoginsAreServedBeyondTheDescriptorsOfClients(t *testing.T) {
	s := New(100)
	var last *Login
	for i := range beyondMax {
		e, ok := s.Enter(&connection{busy: true}, true)
		if !ok {
			t.Fatalf("only %d", i)
		}
		last = e
	}
	if _, ok := s.Enter(&connection{}, true); ok {
		t.Error("more than the spare descriptors allow")
	}
	if _, ok := s.Enter(&connection{}, false); !ok {
		t.Error("one that has a client's descriptor is turned away")
	}
	s.Failed(last, "full")
	if _, ok := s.Enter(&connection{}, true); !ok {
		t.Error("what has ended keeps its place")
	}
}

// A cancel request finds room where all logins go on, and so do not many at once.
func TestCancelRequestsHaveRoomBeyondTheLogins(t *testing.T) {
	s := New(1)
	for range 1 + cancelRoom {
		if _, ok := s.Enter(&connection{busy: true, cancels: true}, false); !ok {
			t.Fatal("a cancel request is turned away")
		}
		if _, ok := s.Enter(&connection{}, false); ok {
			t.Fatal("and a login is let in with it")
		}
	}
	if _, ok := s.Enter(&connection{cancels: true}, false); ok {
		t.Error("there is room without end")
	}
}

// Where clients have all their descriptors, connections that do nothing give theirs back.
func TestIdleConnectionsGiveDescriptorsBack(t *testing.T) {
	s := New(100)
	old, idle, _ := arrive(s)
	_, late, _ := arrive(s)
	old.ago(stallGrace)
	if _, ok := s.Enter(&connection{}, true); !ok || !idle.away || late.away {
		t.Errorf("let in %t; sent away: the old one %t, the late one %t", ok, idle.away, late.away)
	}
}

func TestStopSendsTheSilentAway(t *testing.T) {
	s := New(3)
	e, speaks, _ := arrive(s)
	_, second, _ := arrive(s)
	_, third, _ := arrive(s)
	s.Spoke(e)
	s.SendAway()
	if speaks.away || !second.away || !third.away {
		t.Errorf("sent away: %t, %t, %t; want the two that are silent", speaks.away, second.away, third.away)
	}
}

// Now goes up and down with each connection once, however it ends: shed ones end in a failed login later.
func TestLoginsAreCountedOnce(t *testing.T) {
	s := New(2)
	shed, _, _ := arrive(s)
	kept, _, _ := arrive(s)
	late, _, ok := arrive(s) // in the place of the first
	if !ok {
		t.Fatal("turned away")
	}
	s.Failed(shed, "gone") // its login has found out
	s.Progressed(late)
	s.Succeeded(late)
	s.Cancelled(kept)
	got := s.Snapshot()
	if got.Now != 0 || got.Succeeded != 1 || got.Cancels != 1 || got.Shed != 1 || got.Failed["gone"] != 1 || s.fresh.Len()+s.begun.Len() != 0 {
		t.Errorf("%+v, %d and %d in lists", got, s.fresh.Len(), s.begun.Len())
	}
}

// A shed connection's login takes a moment to notice. Meanwhile it holds a place, but the bound is not overstepped by more
// than those.
func TestStormOfSilentConnectionsKeepsTheBound(t *testing.T) {
	const limit = 5
	s := New(limit)
	var all []*connection
	for range 100 {
		_, c, ok := arrive(s)
		if !ok {
			t.Fatal("turned away although all are silent")
		}
		all = append(all, c)
	}
	stay := 0
	for _, c := range all {
		if !c.away {
			stay++
		}
	}
	if stay != limit {
		t.Errorf("%d connections stay, want %d", stay, limit)
	}
}
