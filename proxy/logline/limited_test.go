package logline

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSoManyLinesOfAKindAreLoggedInASecond(t *testing.T) {
	l := NewLimited(slog.New(slog.DiscardHandler))
	at := time.Unix(1_000_000, 0)
	allowed := 0
	for i := range 100 {
		if _, ok := l.allow("login failed", at.Add(time.Duration(i)*time.Millisecond)); ok {
			allowed++
		}
	}
	if allowed != PerSecond {
		t.Errorf("%d allowed in one second", allowed)
	}
	if _, ok := l.allow("accept failed", at); !ok {
		t.Error("another kind is left out with them")
	}
	if leftOut, ok := l.allow("login failed", at.Add(time.Second)); !ok || leftOut != 90 {
		t.Errorf("in the next second: %t, %d left out", ok, leftOut)
	}
}

func TestLinesLeftOutAreCounted(t *testing.T) {
	var text strings.Builder
	l := NewLimited(slog.New(slog.NewTextHandler(&text, nil)))
	for range PerSecond * 3 {
		l.Warn("knock")
	}
	if n := strings.Count(text.String(), "knock"); n < PerSecond || n >= PerSecond*3 {
		t.Errorf("%d lines", n)
	}
	l.kinds["knock"].second = 0 // whatever the clock does
	l.Warn("knock")
	if !strings.Contains(text.String(), "knock lines_left_out=") {
		t.Errorf("the count is missing:\n%s", text.String())
	}
}
