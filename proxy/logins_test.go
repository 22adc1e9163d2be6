package proxy

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// knock brings a connection in; away tells whether it has been sent away.
func knock(s *logins) (e *pendingLogin, away *bool, ok bool) {
	away = new(bool)
	e, ok = s.enter(func() { *away = true })
	return e, away, ok
}

func TestOldestSilentConnectionMakesRoom(t *testing.T) {
	s := newLogins(3)
	e, first, _ := knock(s)
	_, second, _ := knock(s)
	_, third, _ := knock(s)
	s.spoke(e)
	if _, _, ok := knock(s); !ok {
		t.Fatal("nobody made room")
	}
	if *first || !*second || *third {
		t.Errorf("sent away: first %t, second %t, third %t; want the second, the first has spoken", *first, *second, *third)
	}
}

func TestHouseFullOfSpeakersTurnsAway(t *testing.T) {
	s := newLogins(2)
	for range 2 {
		e, _, _ := knock(s)
		s.spoke(e)
	}
	if _, _, ok := knock(s); ok {
		t.Error("one too many")
	}
	if got := s.snapshot(); got.Now != 2 || got.Shed != 1 || got.Accepted != 3 {
		t.Errorf("%+v", got)
	}
}

func TestStopSendsTheSilentAway(t *testing.T) {
	s := newLogins(3)
	e, speaks, _ := knock(s)
	_, second, _ := knock(s)
	_, third, _ := knock(s)
	s.spoke(e)
	s.sendAway()
	if *speaks || !*second || !*third {
		t.Errorf("sent away: %t, %t, %t; want the two that are silent", *speaks, *second, *third)
	}
}

// Now goes up and down with each connection once, however it ends: shed ones end in a failed login later.
func TestLoginsAreCountedOnce(t *testing.T) {
	s := newLogins(2)
	shed, _, _ := knock(s)
	kept, _, _ := knock(s)
	late, _, ok := knock(s) // in the place of the first
	if !ok {
		t.Fatal("nobody made room")
	}
	s.fail(shed, "gone") // its login has found out
	s.spoke(late)
	s.leave(late, outcomeClient)
	s.leave(kept, outcomeCancel)
	got := s.snapshot()
	if got.Now != 0 || got.Succeeded != 1 || got.Cancels != 1 || got.Shed != 1 || got.Failed["gone"] != 1 || s.silent.Len() != 0 {
		t.Errorf("%+v, %d silent", got, s.silent.Len())
	}
}

// A shed connection's login takes a moment to notice. Meanwhile it holds a place, but the bound is not overstepped by more
// than those.
func TestStormOfSilentConnectionsKeepsTheBound(t *testing.T) {
	const limit = 5
	s := newLogins(limit)
	var all []*bool
	for range 100 {
		_, away, ok := knock(s)
		if !ok {
			t.Fatal("turned away although all are silent")
		}
		all = append(all, away)
	}
	stay := 0
	for _, away := range all {
		if !*away {
			stay++
		}
	}
	if stay != limit {
		t.Errorf("%d connections stay, want %d", stay, limit)
	}
}

func TestWindowAllowsSoMuchASecond(t *testing.T) {
	var w window
	at := time.Unix(1_000_000, 0)
	allowed := 0
	for i := range 100 {
		if w.allow(at.Add(time.Duration(i)*time.Millisecond), 10) {
			allowed++
		}
	}
	if allowed != 10 {
		t.Errorf("%d allowed in one second", allowed)
	}
	if !w.allow(at.Add(time.Second), 10) {
		t.Error("the next second is not a new one")
	}
}

func TestLinesLeftOutAreCounted(t *testing.T) {
	s := newLogins(1)
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	s.lines.second, s.lines.n = time.Now().Unix()+3600, 0 // an odd clock must not stop the log for good
	for range linesPerSecond * 3 {
		s.warn(log, "knock")
	}
	if n := strings.Count(text.String(), "knock"); n < linesPerSecond || n >= linesPerSecond*3 {
		t.Errorf("%d lines", n)
	}
	s.lines.second = 0
	s.warn(log, "later")
	if !strings.Contains(text.String(), "later lines_left_out=") {
		t.Errorf("the count is missing:\n%s", text.String())
	}
}
