package proxy

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// knock brings a connection in; far is the stranger's side.
func knock(t *testing.T, s *logins) (e *entrant, far net.Conn, ok bool) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	e, ok = s.enter(near)
	return e, far, ok
}

// speak lets the stranger say something, and the login read it.
func speak(t *testing.T, e *entrant, far net.Conn) {
	t.Helper()
	go func() { _, _ = far.Write([]byte("x")) }()
	if _, err := e.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func closed(far net.Conn) bool {
	_ = far.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := far.Read(make([]byte, 1))
	ne, ok := err.(net.Error)
	return err != nil && (!ok || !ne.Timeout())
}

func TestOldestSilentConnectionMakesRoom(t *testing.T) {
	s := newLogins(3)
	first, firstFar, _ := knock(t, s)
	_, secondFar, _ := knock(t, s)
	_, thirdFar, _ := knock(t, s)
	speak(t, first, firstFar)
	if _, _, ok := knock(t, s); !ok {
		t.Fatal("nobody made room")
	}
	if closed(firstFar) || !closed(secondFar) || closed(thirdFar) {
		t.Errorf("closed: first %t, second %t, third %t; want the second, the first has spoken", closed(firstFar), closed(secondFar), closed(thirdFar))
	}
}

func TestHouseFullOfSpeakersTurnsAway(t *testing.T) {
	s := newLogins(2)
	for range 2 {
		e, far, _ := knock(t, s)
		speak(t, e, far)
	}
	if _, _, ok := knock(t, s); ok {
		t.Error("one too many")
	}
	if got := s.snapshot(); got.Now != 2 || got.Shed != 1 || got.Accepted != 3 {
		t.Errorf("%+v", got)
	}
}

// Now goes up and down with each connection once, however it ends: shed ones end in a failed login later.
func TestLoginsAreCountedOnce(t *testing.T) {
	s := newLogins(2)
	shed, _, _ := knock(t, s)
	kept, _, _ := knock(t, s)
	late, lateFar, ok := knock(t, s) // in the place of the first
	if !ok {
		t.Fatal("nobody made room")
	}
	s.fail(shed, "gone") // its goroutine has found out
	speak(t, late, lateFar)
	s.leave(late, outcomeClient)
	s.leave(kept, outcomeCancel)
	got := s.snapshot()
	if got.Now != 0 || got.Succeeded != 1 || got.Cancels != 1 || got.Shed != 1 || got.Failed["gone"] != 1 || s.silent.Len() != 0 {
		t.Errorf("%+v, %d silent", got, s.silent.Len())
	}
}

// A shed connection's goroutine takes a moment to notice. Meanwhile it holds a place, but the bound is not overstepped by more
// than those.
func TestStormOfSilentConnectionsKeepsTheBound(t *testing.T) {
	const limit = 5
	s := newLogins(limit)
	open := map[net.Conn]bool{}
	for range 100 {
		_, far, ok := knock(t, s)
		if !ok {
			t.Fatal("turned away although all are silent")
		}
		open[far] = true
	}
	for far := range open {
		if closed(far) {
			delete(open, far)
		}
	}
	if len(open) != limit {
		t.Errorf("%d connections are open, want %d", len(open), limit)
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
