package proxy

import (
	"container/list"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"weir/proxy/status"
)

// logins keeps the connections that are not clients yet within max_logins. When the house is full, the one that has been silent
// for longest makes room: a connection that means to log in speaks at once, so thousands that do not cannot keep the others
// out.
type logins struct {
	max int

	mu     sync.Mutex
	now    int
	silent *list.List // of *pendingLogin, oldest first

	accepted, succeeded, cancels, shed uint64
	failed                             map[string]uint64

	lines      window
	suppressed atomic.Uint64
}

// pendingLogin is a connection on its way to becoming a client.
type pendingLogin struct {
	arrived  time.Time
	sendAway func()        // ends its login
	place    *list.Element // in logins.silent; nil once it has spoken. Guarded by logins.mu
}

type outcome uint8

const (
	outcomeClient outcome = iota
	outcomeCancel
)

func newLogins(limit int) *logins {
	return &logins{max: limit, silent: list.New(), failed: map[string]uint64{}}
}

// enter takes a connection in, which sendAway sends away; it may be called on any goroutine, under the lock. False: there is no
// place, and nobody is silent who could make one.
func (s *logins) enter(sendAway func()) (*pendingLogin, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted++
	if s.now >= s.max {
		oldest := s.silent.Front()
		if oldest == nil {
			s.shed++
			return nil, false
		}
		s.shedLocked(oldest)
	}
	s.now++
	e := &pendingLogin{sendAway: sendAway}
	e.place = s.silent.PushBack(e)
	return e, true
}

// shedLocked sends a silent connection away.
func (s *logins) shedLocked(place *list.Element) {
	e := place.Value.(*pendingLogin)
	s.silent.Remove(place)
	e.place = nil
	s.shed++
	e.sendAway()
}

// sendAway sends all silent connections away: weir stops.
func (s *logins) sendAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for place := s.silent.Front(); place != nil; place = place.Next() {
		place.Value.(*pendingLogin).sendAway()
	}
}

// spoke is told that a connection has said something, or has ended.
func (s *logins) spoke(e *pendingLogin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(e)
}

func (s *logins) forget(e *pendingLogin) {
	if e.place != nil {
		s.silent.Remove(e.place)
		e.place = nil
	}
}

func (s *logins) leave(e *pendingLogin, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(e)
	s.now--
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
	s.forget(e)
	s.now--
	s.failed[reason]++
}

func (s *logins) snapshot() status.Logins {
	s.mu.Lock()
	defer s.mu.Unlock()
	return status.Logins{
		Now: s.now, Accepted: s.accepted, Succeeded: s.succeeded, Cancels: s.cancels, Shed: s.shed, Failed: maps.Clone(s.failed),
	}
}

// linesPerSecond bounds what strangers can make weir write into its log. The counters have it all.
const linesPerSecond = 10

// warn logs what a stranger has caused, unless there was much of that in this second.
func (s *logins) warn(log *slog.Logger, message string, attributes ...any) {
	if !s.lines.allow(time.Now(), linesPerSecond) {
		s.suppressed.Add(1)
		return
	}
	if n := s.suppressed.Swap(0); n > 0 {
		attributes = append(attributes, "lines_left_out", n)
	}
	log.Warn(message, attributes...)
}

// window counts events in the present second.
type window struct {
	mu     sync.Mutex
	second int64
	n      int
}

func (w *window) allow(now time.Time, limit int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := now.Unix(); s != w.second {
		w.second, w.n = s, 0
	}
	w.n++
	return w.n <= limit
}
