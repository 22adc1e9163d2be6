package authquery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/config"
)

// The tests of this file run under a fake clock: what they say of time is exact, and a goroutine that is left behind fails them.

// server is what a Directory asks: users and what it takes to find one.
type server struct {
	mu     sync.Mutex
	users  map[string]string
	takes  time.Duration // a query
	login  time.Duration // a connection
	refuse error         // for connections
	broken error         // for queries on connections that are open already
	fail   error         // for queries

	asked     []string // users, in order
	open, max int      // connections, now and at most
	now, most int      // queries, now and at most
	connected int
}

func (s *server) connect(ctx context.Context, src Source) (Conn, error) {
	s.mu.Lock()
	err, login := s.refuse, s.login
	s.mu.Unlock()
	if e := sleep(ctx, login); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected++
	s.open++
	s.max = max(s.max, s.open)
	return &fakeConn{server: s, source: src}, nil
}

type fakeConn struct {
	server *server
	source Source
	used   bool
	dead   bool
}

func (c *fakeConn) Ask(ctx context.Context, _, user string) (Answer, error) {
	s := c.server
	s.mu.Lock()
	s.asked = append(s.asked, user)
	s.now++
	s.most = max(s.most, s.now)
	takes := s.takes
	s.mu.Unlock()
	err := sleep(ctx, takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if c.used && s.broken != nil {
		err = s.broken
	}
	c.used = true
	switch {
	case err != nil:
		c.dead = true
		return Answer{}, err
	case s.fail != nil:
		return Answer{}, s.fail
	}
	text, known := s.users[user]
	return Answer{Known: known, Stored: config.NewSecret(text)}, nil
}

func (c *fakeConn) Usable() bool { return !c.dead }

func (c *fakeConn) Close() {
	c.server.mu.Lock()
	c.server.open--
	c.server.mu.Unlock()
}

func (s *server) askedFor() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprint(s.asked)
	s.asked = nil
	return text
}

func (s *server) openNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// underClock runs a test with a Directory on s, and sees that nothing is left open.
func underClock(t *testing.T, s *server, lifetime time.Duration, test func(t *testing.T, d *Directory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Lifetime: func() time.Duration { return lifetime }, Connect: s.connect})
		test(t, d)
		d.Close()
		if s.open != 0 || s.max > connectionsMax || s.most > connectionsMax {
			t.Errorf("%d connections are open, at most there were %d, with %d queries at a time", s.open, s.max, s.most)
		}
	})
}

var shop = Source{Database: "shop", User: "weir_auth", Query: "select $1"}

// look is a Lookup of the test's own, and how long it took.
func look(t *testing.T, d *Directory, user string, reason Reason) (string, time.Duration) {
	t.Helper()
	begun := time.Now()
	a, err := d.Lookup(context.Background(), shop, user, reason)
	text := a.Stored.Reveal()
	switch {
	case err != nil:
		text = err.Error()
	case !a.Known:
		text = "unknown"
	}
	return text, time.Since(begun)
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAnswersAreUsedForTheirLifetime(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}}
	underClock(t, s, 10*time.Second, func(t *testing.T, d *Directory) {
		for range 3 {
			for user, want := range map[string]string{"app": "one", "nobody": "unknown"} {
				got, _ := look(t, d, user, ForLogin)
				expect(t, user, got, want)
			}
		}
		expect(t, "queries", len(s.asked), 2)
		expect(t, "totals", d.Totals(), Totals{Kept: 4, Found: 1, Unknown: 1})
		s.askedFor()
		s.users = map[string]string{"app": "two", "nobody": "somebody now"}
		time.Sleep(10*time.Second - time.Nanosecond)
		got, _ := look(t, d, "app", ForLogin)
		expect(t, "just before the end", got, "one")
		time.Sleep(1 * time.Nanosecond)
		got, _ = look(t, d, "app", ForLogin)
		expect(t, "at the end", got, "two")
		got, _ = look(t, d, "nobody", ForLogin)
		expect(t, "somebody new", got, "somebody now")
		delete(s.users, "app")
		time.Sleep(10 * time.Second)
		got, _ = look(t, d, "app", ForLogin)
		expect(t, "dropped", got, "unknown")
	})
}

func TestWithoutALifetimeEachLoginAsks(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}}
	underClock(t, s, 0, func(t *testing.T, d *Directory) {
		for range 3 {
			look(t, d, "app", ForLogin)
		}
		expect(t, "asked", s.askedFor(), "[app app app]")
	})
}

// TestFailedLoginHasTheUserLookedUpAnew, but not so often that guessing passwords floods the server.
func TestFailedLoginHasTheUserLookedUpAnew(t *testing.T) {
	s := &server{users: map[string]string{"app": "old"}}
	underClock(t, s, time.Hour, func(t *testing.T, d *Directory) {
		look(t, d, "app", ForLogin)
		s.users["app"] = "new"
		got, _ := look(t, d, "app", ForFailure)
		expect(t, "at once", got, "old")
		time.Sleep(refreshAfter)
		got, _ = look(t, d, "app", ForLogin)
		expect(t, "a login", got, "old")
		got, _ = look(t, d, "app", ForFailure)
		expect(t, "a failed one", got, "new")
		got, _ = look(t, d, "app", ForLogin)
		expect(t, "the next", got, "new")
		s.askedFor()
		for range 1000 { // guesses, ten in a second
			look(t, d, "app", ForFailure)
			time.Sleep(refreshAfter / 10)
		}
		if n := len(s.asked); n > 101 {
			t.Errorf("a thousand guesses in 100 s were %d queries", n)
		}
	})
}

func TestQuestionIsAskedOnceHoweverManyWait(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}, takes: time.Second, login: time.Second}
	underClock(t, s, 0, func(t *testing.T, d *Directory) {
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				user := []string{"app", "nobody"}[i%2]
				got, took := look(t, d, user, Reason(i%3))
				expect(t, user, got, map[string]string{"app": "one", "nobody": "unknown"}[user])
				expect(t, "time", took, 2*time.Second)
			})
		}
		wg.Wait()
		expect(t, "queries", len(s.asked), 2)
	})
}

// A client that hangs up, or whose time is up, does not take the answer away from the others.
func TestWhoGivesUpDisturbsNobody(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}, takes: time.Second}
	underClock(t, s, 0, func(t *testing.T, d *Directory) {
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if _, err := d.Lookup(ctx, shop, "app", ForLogin); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient one got %v", err)
			}
			expect(t, "its time", time.Since(begun), 100*time.Millisecond)
		})
		synctest.Wait()
		got, _ := look(t, d, "app", ForLogin)
		expect(t, "the other", got, "one")
		wg.Wait()
		expect(t, "asked", s.askedFor(), "[app]")
	})
}

// TestTimeDoesNotTellWhatWasKept: an answer at hand takes as long as a lookup does, whether the user exists or not, and so does
// a user who needs no lookup at all.
func TestTimeDoesNotTellWhatWasKept(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}, takes: 3 * time.Millisecond}
	underClock(t, s, time.Hour, func(t *testing.T, d *Directory) {
		look(t, d, "app", ForLogin)
		for range 20 {
			for _, user := range []string{"app", "nobody", "new" + fmt.Sprint(time.Now().UnixNano())} {
				_, took := look(t, d, user, ForLogin)
				expect(t, user, took, 3*time.Millisecond)
			}
			begun := time.Now()
			if err := d.Pace(context.Background(), shop, "of a file"); err != nil {
				t.Error(err)
			}
			expect(t, "a user of a file", time.Since(begun), 3*time.Millisecond)
		}
		// Lookups that vary: what is kept takes what one of the latest took.
		seen := map[time.Duration]bool{}
		for i := range 16 {
			s.takes = time.Duration(1+i) * time.Millisecond
			look(t, d, fmt.Sprint("other", i), ForLogin)
		}
		for range 1000 {
			_, took := look(t, d, "app", ForLogin)
			if took < time.Millisecond || took > 16*time.Millisecond || took%time.Millisecond != 0 {
				t.Fatalf("it took %v, and no lookup did", took)
			}
			seen[took] = true
		}
		expect(t, "different times", len(seen), 16)
		s.takes = paceMax + time.Second
		for i := range 16 {
			look(t, d, fmt.Sprint("slow", i), ForLogin)
		}
		_, took := look(t, d, "app", ForLogin)
		expect(t, "where the server is slow", took, paceMax)
	})
}

// TestStrangersNamesPushOutNobody: names that do not exist have room of their own, and both kinds are bounded.
func TestStrangersNamesPushOutNobody(t *testing.T) {
	s := &server{users: map[string]string{}}
	for i := range knownMax + 10 {
		s.users[fmt.Sprint("user", i)] = "x"
	}
	underClock(t, s, time.Hour, func(t *testing.T, d *Directory) {
		look(t, d, "user0", ForLogin)
		for i := range 5 * unknownMax {
			look(t, d, fmt.Sprint("guess", i), ForLogin)
		}
		s.askedFor()
		look(t, d, "user0", ForLogin)
		expect(t, "asked after the flood", s.askedFor(), "[]")
		for i := range knownMax + 10 {
			look(t, d, fmt.Sprint("user", i), ForLogin)
		}
		expect(t, "kept", d.answers.known.order.Len(), knownMax)
		expect(t, "places", len(d.answers.known.places), knownMax)
		expect(t, "unknown ones kept", d.answers.unknown.order.Len(), unknownMax)
		s.askedFor()
		look(t, d, fmt.Sprint("user", knownMax+9), ForLogin)
		look(t, d, "user1", ForLogin) // of the oldest
		expect(t, "asked", s.askedFor(), "[user1]")
		look(t, d, string(make([]byte, userBytesMax+1)), ForLogin)
		expect(t, "asked for an endless name", s.askedFor(), "[]")
	})
}

func TestConnectionsAreFewAndShared(t *testing.T) {
	s := &server{users: map[string]string{}, takes: time.Second, login: time.Second}
	underClock(t, s, 0, func(t *testing.T, d *Directory) {
		var wg sync.WaitGroup
		begun := time.Now()
		for i := range 5 * connectionsMax {
			wg.Go(func() { look(t, d, fmt.Sprint("user", i), ForLogin) })
		}
		wg.Wait()
		expect(t, "connections", s.connected, connectionsMax)
		expect(t, "time", time.Since(begun), 6*time.Second) // a login and five queries each
		// Other sources need connections of their own, and idle ones of this make room.
		for i := range 10 {
			other := shop
			other.Database = fmt.Sprint(i)
			wg.Go(func() { _, _ = d.Lookup(context.Background(), other, "x", ForLogin) })
		}
		wg.Wait()
		expect(t, "connections", s.connected, connectionsMax+10)
		expect(t, "open", s.openNow(), connectionsMax)
		time.Sleep(idleTimeout)
		synctest.Wait()
		expect(t, "open after idle_timeout", s.openNow(), 0)
	})
}

func TestOldConnectionIsReplaced(t *testing.T) {
	s := &server{users: map[string]string{}}
	underClock(t, s, 0, func(t *testing.T, d *Directory) {
		for begun := time.Now(); time.Since(begun) < ageMax+idleTimeout; time.Sleep(idleTimeout / 2) {
			look(t, d, "x", ForLogin)
		}
		expect(t, "connections", s.connected, 2)
	})
}

// TestBrokenConnectionsAreReplacedUnseen: the server was restarted, so all that lay idle are dead.
func TestBrokenConnectionsAreReplacedUnseen(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}, takes: time.Second}
	underClock(t, s, 0, func(t *testing.T, d *Directory) {
		var wg sync.WaitGroup
		for i := range connectionsMax {
			wg.Go(func() { look(t, d, fmt.Sprint(i), ForLogin) })
		}
		wg.Wait()
		s.broken = errors.New("reset by peer")
		got, _ := look(t, d, "app", ForLogin)
		expect(t, "answer", got, "one")
		expect(t, "connections", s.connected, connectionsMax+1)
		expect(t, "open", s.openNow(), 1)
	})
}

// TestServerInTroubleIsLeftAlone: those who come within a moment after a failed connection are not connected for.
func TestServerInTroubleIsLeftAlone(t *testing.T) {
	refused := errors.New("connection refused")
	s := &server{users: map[string]string{"app": "one"}, refuse: refused}
	attempts := 0
	connect := func(ctx context.Context, src Source) (Conn, error) {
		attempts++
		return s.connect(ctx, src)
	}
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Lifetime: func() time.Duration { return time.Hour }, Connect: connect})
		defer d.Close()
		for i := range 100 {
			if _, err := d.Lookup(context.Background(), shop, fmt.Sprint(i), ForLogin); !errors.Is(err, refused) {
				t.Errorf("error %v", err)
			}
		}
		expect(t, "attempts", attempts, 1)
		expect(t, "totals", d.Totals(), Totals{Failed: 100})
		other := shop
		other.Database = "other"
		_, _ = d.Lookup(context.Background(), other, "x", ForLogin)
		expect(t, "attempts with another source", attempts, 2)
		s.refuse = nil
		got, _ := look(t, d, "app", ForLogin)
		expect(t, "within the pause", got, "auth_query: connection refused")
		time.Sleep(troublePause)
		got, _ = look(t, d, "app", ForLogin)
		expect(t, "after it", got, "one")
		for i := range 2 * troublesMax {
			d.inTrouble(Source{Database: fmt.Sprint(i)}, refused)
		}
		expect(t, "troubles", len(d.troubles), troublesMax)
		time.Sleep(2 * troublePause)
		d.inTrouble(Source{Database: "last"}, refused)
		expect(t, "troubles later", len(d.troubles), 1)
	})
}

// An error of the query is told to those who asked, and not kept; the connection is.
func TestErrorsAreNotKept(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}, fail: errors.New("permission denied")}
	underClock(t, s, time.Hour, func(t *testing.T, d *Directory) {
		got, _ := look(t, d, "app", ForLogin)
		expect(t, "answer", got, "permission denied")
		s.fail = nil
		got, _ = look(t, d, "app", ForLogin)
		expect(t, "answer", got, "one")
		expect(t, "connections", s.connected, 1)
	})
}

// TestDatabaseThatIsNotThereHasNoUsers, and how soon that is known is no measure of how long lookups take.
func TestDatabaseThatIsNotThereHasNoUsers(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}, takes: 3 * time.Millisecond}
	underClock(t, s, time.Hour, func(t *testing.T, d *Directory) {
		look(t, d, "app", ForLogin)
		s.refuse = ErrNoDatabase
		for i := range 50 {
			a, err := d.Lookup(context.Background(), Source{Database: fmt.Sprint("made up ", i)}, "app", ForLogin)
			if err != nil || a.Known {
				t.Fatalf("%v, %v", a, err)
			}
		}
		got, took := look(t, d, "app", ForLogin)
		expect(t, "answer", got, "one")
		expect(t, "a kept answer", took, 3*time.Millisecond)
	})
}

func TestLookupIsBounded(t *testing.T) {
	for name, s := range map[string]*server{"a stuck query": {takes: time.Hour}, "a stuck login": {login: time.Hour}} {
		underClock(t, s, 0, func(t *testing.T, d *Directory) {
			begun := time.Now()
			if _, err := d.Lookup(context.Background(), shop, "app", ForLogin); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			expect(t, name, time.Since(begun), lookupTimeout)
		})
	}
}

// The log says what has been waited for, and for how long.
func TestServerThatDoesNotAnswerIsSaidToBeSilent(t *testing.T) {
	if _, err := (asking{}).failed(context.DeadlineExceeded); err.Error() != "auth_query: the server has not answered within 10s" {
		t.Error(err)
	}
}

func TestCloseEndsLookups(t *testing.T) {
	s := &server{takes: time.Hour}
	underClock(t, s, 0, func(t *testing.T, d *Directory) {
		done := make(chan error)
		go func() {
			_, err := d.Lookup(context.Background(), shop, "app", ForLogin)
			done <- err
		}()
		synctest.Wait()
		d.Close()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the lookup ended with %v", err)
		}
		if _, err := d.Lookup(context.Background(), shop, "other", ForLogin); !errors.Is(err, errClosed) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestLoginFromAFamiliarPlaceIsNotSlowed: a kept answer is given at once to who has logged in from there, and to no stranger.
func TestLoginFromAFamiliarPlaceIsNotSlowed(t *testing.T) {
	s := &server{users: map[string]string{"app": "one"}, takes: 30 * time.Millisecond}
	underClock(t, s, time.Hour, func(t *testing.T, d *Directory) {
		_, took := look(t, d, "app", ForFamiliar)
		expect(t, "one that must be looked up", took, 30*time.Millisecond)
		_, took = look(t, d, "app", ForFamiliar)
		expect(t, "one that is kept", took, time.Duration(0))
		_, took = look(t, d, "app", ForLogin)
		expect(t, "to a stranger", took, 30*time.Millisecond)
		_, took = look(t, d, "app", ForFailure)
		expect(t, "behind a failure", took, 30*time.Millisecond)
	})
}

// TestFirstUserOfAFileTakesAsLongAsALookup: before any lookup has shown how long one takes, one is made.
func TestFirstUserOfAFileTakesAsLongAsALookup(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{30 * time.Millisecond: 30 * time.Millisecond, time.Minute: paceMax} {
		s := &server{takes: takes}
		underClock(t, s, time.Hour, func(t *testing.T, d *Directory) {
			begun := time.Now()
			if err := d.Pace(context.Background(), shop, "of a file"); err != nil {
				t.Error(err)
			}
			expect(t, "time", time.Since(begun), want)
			begun = time.Now()
			if err := d.Pace(context.Background(), Source{}, "of a file"); err != nil {
				t.Error(err)
			}
			if takes < paceMax {
				expect(t, "the second time", time.Since(begun), want)
			}
			expect(t, "asked", s.askedFor(), "[of a file]")
		})
	}
}
