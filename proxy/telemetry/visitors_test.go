package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestVisitorsWhoDoNothingMakeRoom(t *testing.T) {
	const most = 3
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Serve(Options{Listener: l, Source: sample{}, Ready: func() error { return nil }, Token: func() string { return "" }, Most: most, Log: slog.New(slog.DiscardHandler)})
	defer s.Close()
	var silent []net.Conn
	for range 3 * most {
		nc, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		if _, err := io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: "); err != nil {
			t.Fatal(err)
		}
		silent = append(silent, nc)
	}
	r, err := http.Get("http://" + s.Address() + "/healthz")
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("a visitor who asks: %v, %v", r, err)
	}
	_ = r.Body.Close()
	for i, nc := range silent[:2*most] { // the last of them may be there still
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Errorf("the silent connection %d has an answer", i)
		}
	}
}

func TestVisitorWhoDoesNotTakeMetricsIsNoWarning(t *testing.T) {
	var text strings.Builder
	log := scrapeLog{slog.New(slog.NewTextHandler(&text, nil))}
	log.Println("error encoding and sending metric family:", &net.OpError{Op: "write", Err: errors.New("broken pipe")})
	log.Println("error encoding and sending metric family:", fmt.Errorf("write: %w", net.ErrClosed))
	if text.Len() > 0 {
		t.Errorf("warned: %s", &text)
	}
	log.Println("error gathering metrics:", errors.New("two series are the same"))
	if !strings.Contains(text.String(), "error gathering metrics: two series are the same") {
		t.Errorf("a fault of weir's is logged as %q", &text)
	}
}

// named is a connection that only has a name.
type named struct {
	net.Conn
	name string
}

func TestWhoHasBeenIdleForLongestMakesRoom(t *testing.T) {
	v := newVisitors(3)
	all := map[string]*named{}
	for _, step := range []struct {
		name string
		to   http.ConnState
		out  string
	}{
		{"a", http.StateNew, ""},
		{"b", http.StateNew, ""},
		{"c", http.StateNew, ""},
		{"b", http.StateActive, ""},
		{"b", http.StateIdle, ""},
		{"a", http.StateActive, ""},
		{"d", http.StateNew, "b"}, // is idle
		{"b", http.StateClosed, ""},
		{"e", http.StateNew, "c"}, // has said nothing since it came
		{"c", http.StateActive, ""},
		{"f", http.StateNew, "a"},
		{"d", http.StateClosed, ""},
		{"g", http.StateNew, ""},
	} {
		nc := all[step.name]
		if nc == nil {
			nc = &named{name: step.name}
			all[step.name] = nc
		}
		out := ""
		if made := v.note(nc, step.to); made != nil {
			out = made.(*named).name
		}
		if out != step.out {
			t.Errorf("%s is %s: %q makes room, want %q", step.name, step.to, out, step.out)
		}
	}
	if got := fmt.Sprint(len(v.there)); got != "3" {
		t.Errorf("%s are there, want 3", got)
	}
}
