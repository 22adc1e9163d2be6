package hosts

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/config"
	"weir/proxy/backend"
)

// service is a name service whose answers a test gives.
type service struct {
	mu    sync.Mutex
	asked map[string]int
	says  map[string]func(ctx context.Context) ([]string, error)
}

// servedBy is New with that name service, for which nobody waits longer than it takes to see that it does not answer.
func servedBy(s *service) *Hosts {
	h := New()
	s.asked = map[string]int{}
	h.names.look = func(ctx context.Context, host string) ([]string, error) {
		s.mu.Lock()
		s.asked[host]++
		say := s.says[host]
		s.mu.Unlock()
		return say(ctx)
	}
	return h
}

func (s *service) set(host string, say func(ctx context.Context) ([]string, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.says[host] = say
}

func leadsTo(addresses ...string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) { return addresses, nil }
}

func fails(err error) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) { return nil, err }
}

// hangs answers nothing until the test ends.
func hangs(t *testing.T) func(context.Context) ([]string, error) {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(context.Context) ([]string, error) {
		<-over
		return nil, errors.New("over")
	}
}

func destination(hosts ...string) (d Destination) {
	d.Attrs, d.Balance = config.TargetAny, config.BalanceDisable
	for _, host := range hosts {
		d.Servers = append(d.Servers, config.Server{Host: host, Port: 5432})
	}
	return d
}

func (h *Hosts) expectCandidates(t *testing.T, what string, d Destination, want ...string) {
	t.Helper()
	var got []string
	for _, c := range h.candidates(t.Context(), d) {
		got = append(got, c.Exactly())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var (
	errNoName  = &net.DNSError{Err: "no such host", IsNotFound: true}
	errServers = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
)

// TestNamesOfOneDatabaseAreLookedUpSideBySide: none is answered here before all have been asked for.
func TestNamesOfOneDatabaseAreLookedUpSideBySide(t *testing.T) {
	var all sync.WaitGroup
	all.Add(3)
	once := func(ip string) func(context.Context) ([]string, error) {
		return func(context.Context) ([]string, error) {
			all.Done()
			all.Wait()
			return []string{ip}, nil
		}
	}
	h := servedBy(&service{says: map[string]func(context.Context) ([]string, error){"a": once("10.0.0.1"), "b": once("10.0.0.2"), "c": once("10.0.0.3")}})
	h.names.patience = time.Hour
	h.expectCandidates(t, "all are asked for", destination("a", "b", "192.0.2.1", "c"), "a:5432 (10.0.0.1)", "b:5432 (10.0.0.2)", "192.0.2.1:5432", "c:5432 (10.0.0.3)")
}

// TestNameThatIsNotAnsweredKeepsNoOtherServerWaiting: it comes last, until it has an answer.
func TestNameThatIsNotAnsweredKeepsNoOtherServerWaiting(t *testing.T) {
	s := &service{says: map[string]func(context.Context) ([]string, error){"a": hangs(t), "b": leadsTo("10.0.0.2")}}
	h := servedBy(s)
	h.names.patience, h.names.slow = time.Millisecond, time.Millisecond
	h.expectCandidates(t, "a hangs", destination("a"), "a:5432")
	h.names.patience = time.Hour // for b, which may take a moment to answer
	h.names.known["a"].asking.began = time.Now().Add(-h.names.patience)
	for range 3 {
		h.expectCandidates(t, "a hangs", destination("a", "b"), "b:5432 (10.0.0.2)", "a:5432")
	}
	if s.asked["a"] != 1 || s.asked["b"] != 3 {
		t.Errorf("the service was asked %v, want a once, and b at each dial", s.asked)
	}
}

// TestFormerAnswerIsOfUseWhereThereIsNone: a name service that fails is no reason to lose a server. That there is no such name is an answer.
func TestFormerAnswerIsOfUseWhereThereIsNone(t *testing.T) {
	for _, c := range []struct {
		what string
		then func(context.Context) ([]string, error)
		want string
	}{
		{"the service fails", fails(errServers), "db:5432 (10.0.0.1)"},
		{"the service does not answer", hangs(t), "db:5432 (10.0.0.1)"},
		{"the system has no descriptor for a socket", fails(errors.New("too many open files")), "db:5432 (10.0.0.1)"},
		{"the name leads elsewhere", leadsTo("10.0.0.2"), "db:5432 (10.0.0.2)"},
		{"there is no such name", fails(errNoName), "db:5432"},
	} {
		s := &service{says: map[string]func(context.Context) ([]string, error){"db": leadsTo("10.0.0.1")}}
		h := servedBy(s)
		h.names.patience = time.Hour
		h.expectCandidates(t, c.what+", before", destination("db"), "db:5432 (10.0.0.1)")
		if c.what == "the service does not answer" {
			h.names.patience, h.names.slow = time.Millisecond, time.Millisecond
		}
		s.set("db", c.then)
		h.expectCandidates(t, c.what, destination("db"), c.want)
		if h.names.known["db"].answered = time.Now().Add(-2 * staleMost); c.what == "the service fails" {
			h.expectCandidates(t, "the former answer is old", destination("db"), "db:5432")
		}
	}
}

// TestNamesThatNobodyUsesAreForgotten at a reload.
func TestNamesThatNobodyUsesAreForgotten(t *testing.T) {
	h := servedBy(&service{says: map[string]func(context.Context) ([]string, error){"a": leadsTo("10.0.0.1"), "b": leadsTo("10.0.0.2")}})
	h.candidates(t.Context(), destination("a", "b"))
	c, err := config.Parse("test.toml", []byte("[databases.d]\nhost = \"b\""), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	h.Keep(c)
	if h.names.known["a"] != nil || h.names.known["b"] == nil {
		t.Errorf("%v are known, want b", h.names.known)
	}
}

// TestFormerAddressesOfANameAreForgotten, when the last backend there has gone: else each would be reported as down for ever.
func TestFormerAddressesOfANameAreForgotten(t *testing.T) {
	s := &service{says: map[string]func(context.Context) ([]string, error){"db": leadsTo("10.0.0.1", "10.0.0.2")}}
	h := servedBy(s)
	two := h.candidates(t.Context(), destination("db", "192.0.2.1"))
	h.tell(two[0], backend.Role{}, &backend.DialError{Err: errors.New("refused")}, 0, false)
	h.tell(two[1], backend.Role{}, nil, 0, false)
	leave := h.Enter(two[1])
	expect := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, s := range h.Snapshot() {
			got = append(got, s.Name+" "+s.Address)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	expect("two addresses", "db:5432 10.0.0.1", "db:5432 10.0.0.2")
	s.set("db", leadsTo("10.0.0.3"))
	h.candidates(t.Context(), destination("db", "192.0.2.1"))
	expect("one has a backend", "db:5432 10.0.0.2")
	leave()
	expect("none has")
}

// TestAddressesThatAreNotSpokenOfForThemselvesAreOneServer: what works counts.
func TestAddressesThatAreNotSpokenOfForThemselvesAreOneServer(t *testing.T) {
	h := servedBy(&service{says: map[string]func(context.Context) ([]string, error){"localhost": leadsTo("::1", "127.0.0.1")}})
	both := h.candidates(t.Context(), destination("localhost"))
	h.tell(both[0], backend.Role{}, &backend.DialError{Err: errors.New("refused")}, 0, true)
	h.tell(both[1], backend.Role{Known: true}, nil, 0, false)
	h.Enter(both[1])
	s := h.Snapshot()
	if len(s) != 1 || s[0].Name != "localhost:5432" || s[0].Address != "" || !s[0].Up || s[0].Failures != 0 || s[0].Failure != "" || s[0].Backends != 1 || s[0].Role != "primary" {
		t.Errorf("%+v", s)
	}
	h.tell(h.candidates(t.Context(), destination("localhost", "192.0.2.1"))[1], backend.Role{Known: true}, nil, 0, false)
	if s := h.Snapshot(); len(s) != 2 || s[0].Address != "127.0.0.1" || s[1].Address != "::1" || s[1].Up {
		t.Errorf("another database has several hosts: %+v", s)
	}
	if both[1].Place() != "localhost:5432" {
		t.Errorf("it is spoken of as %q", both[1].Place())
	}
}
