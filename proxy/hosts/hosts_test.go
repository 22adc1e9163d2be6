package hosts

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/config"
	"weir/proxy/backend"
)

// TestServersThatFailAreLeftOut: while there are others, and not longer than the back-off; those that were silent come last.
func TestServersThatFailAreLeftOut(t *testing.T) {
	a, b, c := backend.Target{Host: "a", Port: 1}, backend.Target{Host: "b", Port: 1}, backend.Target{Host: "c", Port: 1}
	all := []backend.Target{a, b, c}
	h := New()
	order := func() (names []string) {
		for _, t := range h.due(all) {
			names = append(names, t.Host)
		}
		return names
	}
	expect := func(what string, want ...string) {
		t.Helper()
		if got := order(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	expect("at first", "a", "b", "c")
	gone := &backend.DialError{Kind: backend.Timeout, Err: errors.New("timed out")}
	h.tell(a, backend.Role{}, gone, 0, false)
	expect("a has failed", "b", "c")
	h.tell(b, backend.Role{}, &backend.DialError{Err: errors.New("refused")}, 0, false)
	h.tell(c, backend.Role{}, &backend.DialError{Err: errors.New("refused")}, 0, false)
	expect("all have failed", "b", "c", "a")
	h.tell(c, backend.Role{Known: true, Standby: true}, nil, 0, false)
	expect("c is back", "c")
	h.tell(b, backend.Role{Known: true}, nil, 0, false)
	expect("b is back", "b", "c")
	h.known[hostKeyOf(a)].retry = h.known[hostKeyOf(a)].tried
	expect("a's back-off is over", "b", "c", "a")
	h.tell(a, backend.Role{Known: true}, nil, 0, false)
	expect("all are back", "a", "b", "c")
	s := h.Snapshot()
	if len(s) != 3 || !s[0].Up || s[0].Failures != 1 || s[0].Failure == "" || s[2].Role != "standby" {
		t.Errorf("%+v", s)
	}
}

// TestAPrimaryThatIsBackIsFoundThoughAStandbyIsThere: at the first round after its return, not when its back-off is over.
func TestAPrimaryThatIsBackIsFoundThoughAStandbyIsThere(t *testing.T) {
	primary, standby := backend.Target{Host: "primary", Port: 1}, backend.Target{Host: "standby", Port: 1}
	refused, timedOut := &backend.DialError{Err: errors.New("refused")}, &backend.DialError{Kind: backend.Timeout, Err: errors.New("timed out")}
	for _, c := range []struct {
		what    string
		attrs   config.TargetSession
		failure error
		took    time.Duration
		want    []string
	}{
		{"a primary is wanted", config.TargetPrimary, refused, 0, []string{"standby", "primary"}},
		{"any will do", config.TargetAny, refused, 0, []string{"standby", "primary"}},
		{"the primary will do if no standby does, but there is one", config.TargetPreferStandby, refused, 0, []string{"standby"}},
		{"it did not answer", config.TargetPrimary, timedOut, 0, []string{"standby"}},
		{"the network took seconds to say that it is gone", config.TargetPrimary, refused, 3 * time.Second, []string{"standby"}},
	} {
		h := New()
		h.tell(standby, backend.Role{Known: true, Standby: true}, nil, 0, false)
		h.tell(primary, backend.Role{}, c.failure, c.took, false)
		var got []string
		for _, s := range h.order([]backend.Target{primary, standby}, c.attrs) {
			got = append(got, s.Host)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestKnownServersAreBounded: names may have new addresses every day.
func TestKnownServersAreBounded(t *testing.T) {
	h := New()
	leave := h.Enter(backend.Target{Host: "kept", Port: 1})
	for port := range 2 * hostsMost {
		h.tell(backend.Target{Host: "h", Port: port + 1}, backend.Role{}, nil, 0, false)
	}
	if n := len(h.known); n > hostsMost {
		t.Errorf("%d servers are known", n)
	}
	if h.known[hostKey{name: "kept:1"}] == nil {
		t.Error("one with a backend is forgotten")
	}
	other, err := config.Parse("test.toml", []byte("[databases.d]\nhost = \"h\"\nport = [9999]"), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	h.Keep(other)
	if len(h.known) != 1 {
		t.Errorf("%d servers are known after a reload", len(h.known))
	}
	leave()
	h.Keep(other)
	if len(h.known) != 0 {
		t.Errorf("%d servers are known after that", len(h.known))
	}
}

func TestRolesThatSuit(t *testing.T) {
	primary, standby, frozen := backend.Role{Known: true}, backend.Role{Known: true, Standby: true}, backend.Role{Known: true, ReadOnly: true}
	for attrs, want := range map[config.TargetSession][3]bool{
		config.TargetAny: {true, true, true}, config.TargetReadWrite: {true, false, false}, config.TargetReadOnly: {false, true, true},
		config.TargetPrimary: {true, false, true}, config.TargetStandby: {false, true, false}, config.TargetPreferStandby: {false, true, false},
	} {
		if got := [3]bool{Suits(attrs, primary), Suits(attrs, standby), Suits(attrs, frozen)}; got != want {
			t.Errorf("%s: primary, standby, read-only: %v, want %v", attrs, got, want)
		}
	}
}

// TestErrorNamesEachServer: whoever reads that there is no backend must see what each of the servers was, and not only the last one: those
// that were tried before it, and those that were left out because they had failed a moment ago.
func TestErrorNamesEachServer(t *testing.T) {
	h := New()
	to := Destination{Attrs: config.TargetAny}
	for range 3 {
		to.Servers = append(to.Servers, config.Server{Host: "127.0.0.1", Port: closedPort(t)})
	}
	mentions := func(what, text string) {
		t.Helper()
		for _, s := range to.Servers {
			address := backend.Target{Host: s.Host, Port: s.Port}.Address()
			if n := strings.Count(text, address); n != 1 {
				t.Errorf("%s: %s is named %d times in %q", what, address, n, text)
			}
		}
	}
	_, _, err := h.Reach(t.Context(), to)
	mentions("all are tried", err.Error())
	h.known[hostKeyOf(backend.Target{Host: to.Servers[0].Host, Port: to.Servers[0].Port})].retry = time.Time{}
	_, _, err = h.Reach(t.Context(), to)
	mentions("two are left out", err.Error())
	if text := (&Unsuited{Attrs: config.TargetPrimary, Found: []string{"a:1 is a standby"}, Rest: []string{"b:1: gone"}}).Error(); !strings.Contains(text, "a:1 is a standby, b:1: gone") {
		t.Errorf("of a standby and of one that is gone: %q", text)
	}
}

// closedPort is a port at which nothing listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
