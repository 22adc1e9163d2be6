package proxy

import (
	"container/list"
	"maps"
	"sync"
	"time"

	"weir/proxy/status"
)

// logins keeps the connections that are not clients yet within max_logins. When there are as many, one that makes no progress makes
// room for the next. A client that means to log in goes on with its login at once, so thousands of connections that do not cannot
// keep it out.
//
// Progress is a step that weir has answered. A connection without an answer makes room as soon as room is needed, the oldest first;
// an answer takes a whole packet. A connection with an answer makes room after it has not gone on for stallGrace. A connection that
// has sent something that weir has not read yet, or that waits for weir, makes no room, and counts as one that has just gone on.
type logins struct {
	mu     sync.Mutex
	max    int
	now    int
	beyond int        // of now: with a descriptor that clients do not get
	fresh  *list.List // of *pendingLogin that were not answered yet, by since
	begun  *list.List // of those that were, likewise

	accepted, succeeded, cancels, shed uint64
	failed                             map[string]uint64
}

const (
	// stallGrace is how long a login may take for its next step where others want its place: a round trip and a client's
	// derivation of a key.
	stallGrace = 250 * time.Millisecond
	// answersMax bounds the answers that count as progress. A login has fewer; a TLS connection can be made to answer for ever.
	answersMax = 16
	// cancelRoom is how many connections that bring a cancel request there may be beyond max_logins: one that came too late for a place would
	// leave its query running. Each is served in the loop's next iteration.
	cancelRoom = 64
	// looksMax bounds how many connections are looked at to find one that makes room.
	looksMax = 16
)

// caller is a connection that logs in, as logins sees it. Its methods may be called on any goroutine until its login is over.
type caller interface {
	Abort()        // ends its login
	Stalled() bool // weir waits for it, and has read all that it has sent
	Cancels() bool // it has just come, and brings a cancel request
}

// pendingLogin is a connection on its way to becoming a client. All but arrived and conn is guarded by logins.mu.
type pendingLogin struct {
	arrived time.Time
	conn    caller
	beyond  bool // its descriptor is one that clients do not get
	spoken  bool // its login has begun
	answers int
	since   time.Time  // when it went on last
	list    *list.List // that place is in
	place   *list.Element
}

type outcome uint8

const (
	outcomeClient outcome = iota
	outcomeCancel
)

func newLogins(limit int) *logins {
	return &logins{max: limit, fresh: list.New(), begun: list.New(), failed: map[string]uint64{}}
}

// limit changes how many there may be. Those that are under way go on.
func (s *logins) limit(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.max = most
}

// enter takes a connection in. beyond says that its descriptor is not for clients. It returns false if there is no place and no
// other connection can make room. Any goroutine.
func (s *logins) enter(c caller, beyond bool) (*pendingLogin, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.accepted++
	full := s.now >= s.max || beyond && s.beyond >= beyondMax
	if (full || beyond) && !s.makeRoom(now, full) && full && !s.squeezesIn(c, beyond) {
		s.shed++
		return nil, false
	}
	s.now++
	if beyond {
		s.beyond++
	}
	e := &pendingLogin{arrived: now, since: now, conn: c, beyond: beyond}
	e.enlist(s.fresh)
	return e, true
}

// squeezesIn reports whether a connection that has found no place gets one of those that are kept for cancel requests.
func (s *logins) squeezesIn(c caller, beyond bool) bool {
	return s.now < s.max+cancelRoom && (!beyond || s.beyond < beyondMax) && c.Cancels()
}

func (e *pendingLogin) enlist(l *list.List) { e.list, e.place = l, l.PushBack(e) }

// forget takes a connection out of the lists: it makes room for no other any more.
func (e *pendingLogin) forget() {
	if e.place != nil {
		e.list.Remove(e.place)
		e.list, e.place = nil, nil
	}
}

// makeRoom ends the login of the connection that has made no progress for longest. It returns false if all make progress. Unless it
// is urgent, connections that have just come are spared.
func (s *logins) makeRoom(now time.Time, urgent bool) bool {
	late := now.Add(-stallGrace)
	freshLate := late
	if urgent {
		freshLate = now
	}
	e := stalled(s.fresh, now, freshLate)
	if e == nil {
		e = stalled(s.begun, now, late)
	}
	if e == nil {
		return false
	}
	e.forget()
	s.shed++
	e.conn.Abort()
	return true
}

// stalled finds the first of a list that has not gone on after before and makes no progress now. Those that do go to its end, so
// that they do not stand in the way of those that do not.
func stalled(l *list.List, now, before time.Time) *pendingLogin {
	for range min(looksMax, l.Len()) {
		place := l.Front()
		e := place.Value.(*pendingLogin)
		switch {
		case e.since.After(before):
			return nil // and so is the rest
		case e.conn.Stalled():
			return e
		}
		e.since = now
		l.MoveToBack(place)
	}
	return nil
}

// sendAway ends all connections that have said nothing: weir stops. Those that have are told by their login.
func (s *logins) sendAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for place := s.fresh.Front(); place != nil; place = place.Next() {
		if e := place.Value.(*pendingLogin); !e.spoken {
			e.conn.Abort()
		}
	}
}

// spoke is told that a connection has said something, or has ended.
func (s *logins) spoke(e *pendingLogin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.spoken = true
}

// progressed is told that weir has answered a connection's step. Any goroutine.
func (s *logins) progressed(e *pendingLogin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.place == nil || e.answers >= answersMax {
		return
	}
	e.answers++
	e.since = time.Now()
	if e.list == s.begun {
		e.list.MoveToBack(e.place)
		return
	}
	e.forget()
	e.enlist(s.begun)
}

// end counts a connection out.
func (s *logins) end(e *pendingLogin) {
	e.forget()
	s.now--
	if e.beyond {
		s.beyond--
	}
}

func (s *logins) leave(e *pendingLogin, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(e)
	switch o {
	case outcomeClient:
		s.succeeded++
	case outcomeCancel:
		s.cancels++
	}
}

func (s *logins) fail(e *pendingLogin, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(e)
	s.failed[reason]++
}

func (s *logins) snapshot() status.Logins {
	s.mu.Lock()
	defer s.mu.Unlock()
	return status.Logins{
		Now: s.now, Max: s.max, Accepted: s.accepted, Succeeded: s.succeeded, Cancels: s.cancels, Shed: s.shed, Failed: maps.Clone(s.failed),
	}
}
