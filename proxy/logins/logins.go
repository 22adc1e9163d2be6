// Package logins keeps the book of connections that are not clients yet: how many there are, which of them makes room for another one,
// and what became of the others.
//
// Its methods may be called on any goroutine. It knows of a connection what its interface Caller says, and may import status only.
package logins

import (
	"container/list"
	"maps"
	"sync"
	"time"

	"weir/proxy/status"
)

// Pending keeps the connections that are not clients yet within max_logins. When there are as many, one that makes no progress makes
// room for the next. A client that means to log in goes on with its login at once, so thousands of connections that do not cannot
// keep it out.
//
// Progress is a step that weir has answered. A connection without an answer makes room as soon as room is needed, the oldest first;
// an answer takes a whole packet. A connection with an answer makes room after it has not gone on for stallGrace. A connection that
// has sent something that weir has not read yet, or that waits for weir, makes no room, and counts as one that has just gone on.
type Pending struct {
	mu     sync.Mutex
	max    int
	now    int
	beyond int        // of now: with a descriptor that clients do not get
	fresh  *list.List // of *Login that were not answered yet, by since
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
	// beyondMax is how many logins may be under way beyond the descriptors of clients: they are told why, or bring a cancel request.
	beyondMax = 8
	// looksMax bounds how many connections are looked at to find one that makes room.
	looksMax = 16
)

// Caller is a connection that logs in, as logins sees it. Its methods may be called on any goroutine until its login is over.
type Caller interface {
	Abort()        // ends its login
	Stalled() bool // weir waits for it, and has read all that it has sent
	Cancels() bool // it has just come, and brings a cancel request
}

// Login is a connection on its way to becoming a client. All but what is exported, and conn, is guarded by Pending.mu.
type Login struct {
	Arrived time.Time
	conn    Caller
	Beyond  bool // its descriptor is one that clients do not get
	spoken  bool // its login has begun
	answers int
	since   time.Time  // when it went on last
	list    *list.List // that place is in
	place   *list.Element
}

// New makes room for that many.
func New(limit int) *Pending {
	return &Pending{max: limit, fresh: list.New(), begun: list.New(), failed: map[string]uint64{}}
}

// Limit changes how many there may be. Those that are under way go on.
func (s *Pending) Limit(most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.max = most
}

// Enter takes a connection in. beyond says that its descriptor is not for clients. It returns false if there is no place and no
// other connection can make room. Any goroutine.
func (s *Pending) Enter(c Caller, beyond bool) (*Login, bool) {
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
	e := &Login{Arrived: now, since: now, conn: c, Beyond: beyond}
	e.enlist(s.fresh)
	return e, true
}

// squeezesIn reports whether a connection that has found no place gets one of those that are kept for cancel requests.
func (s *Pending) squeezesIn(c Caller, beyond bool) bool {
	return s.now < s.max+cancelRoom && (!beyond || s.beyond < beyondMax) && c.Cancels()
}

func (e *Login) enlist(l *list.List) { e.list, e.place = l, l.PushBack(e) }

// forget takes a connection out of the lists: it makes room for no other any more.
func (e *Login) forget() {
	if e.place != nil {
		e.list.Remove(e.place)
		e.list, e.place = nil, nil
	}
}

// makeRoom ends the login of the connection that has made no progress for longest. It returns false if all make progress. Unless it
// is urgent, connections that have just come are spared.
func (s *Pending) makeRoom(now time.Time, urgent bool) bool {
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
func stalled(l *list.List, now, before time.Time) *Login {
	for range min(looksMax, l.Len()) {
		place := l.Front()
		e := place.Value.(*Login)
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

// SendAway ends all connections that have said nothing: weir stops. Those that have are told by their login.
func (s *Pending) SendAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for place := s.fresh.Front(); place != nil; place = place.Next() {
		if e := place.Value.(*Login); !e.spoken {
			e.conn.Abort()
		}
	}
}

// Spoke is told that a connection has said something, or has ended.
func (s *Pending) Spoke(e *Login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.spoken = true
}

// Progressed is told that weir has answered a connection's step. Any goroutine.
func (s *Pending) Progressed(e *Login) {
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
func (s *Pending) end(e *Login) {
	e.forget()
	s.now--
	if e.Beyond {
		s.beyond--
	}
}

// Succeeded counts a connection out that is a client now.
func (s *Pending) Succeeded(e *Login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(e)
	s.succeeded++
}

// Cancelled counts a connection out that has brought a cancel request.
func (s *Pending) Cancelled(e *Login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(e)
	s.cancels++
}

// Failed counts a connection out whose login has failed for that reason, one of a few fixed texts.
func (s *Pending) Failed(e *Login, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(e)
	s.failed[reason]++
}

// Snapshot is what there is and was.
func (s *Pending) Snapshot() status.Logins {
	s.mu.Lock()
	defer s.mu.Unlock()
	return status.Logins{
		Now: s.now, Max: s.max, Accepted: s.accepted, Succeeded: s.succeeded, Cancels: s.cancels, Shed: s.shed, Failed: maps.Clone(s.failed),
	}
}
