package eventloop

import (
	"math"
	"time"
)

// rest is a registration that wants no turn before due.
type rest struct {
	due   int64
	token Token
}

// rewatch is when the poller is asked once more to watch a registration that it has refused to watch.
const rewatch = time.Millisecond

// Rest gives the registration its next turn after d, as Again does, and does not wake the loop for what becomes readable until then: a
// stream of many small pieces is so taken in fewer and larger ones. It may have a turn earlier, for other reasons. A turn in which it does
// not rest once more ends it: what is readable then is an event again. The handler must have read its socket empty.
//
// d is much less than a tick of the timers. Where the poller cannot sleep for so short a time, Rest does nothing.
func (l *Loop) Rest(t Token, d time.Duration) {
	s := l.at(t)
	if s == nil || !l.poller.fine || s.ended != 0 {
		return
	}
	if !s.marks.has(blind) {
		s.marks |= blind
		if l.watch(t.slot) != nil {
			s.marks &^= blind // it is still watched
			return
		}
	}
	l.restUntil(t, l.now+int64(d))
}

func (l *Loop) restUntil(t Token, due int64) {
	l.slots[t.slot].marks |= resting
	for i := range l.rests {
		if l.rests[i].token == t {
			l.rests[i].due = due
			return
		}
	}
	l.rests = append(l.rests, rest{due, t})
}

// Rouse ends the registration's rest, if it has one: what is readable is an event again.
func (l *Loop) Rouse(t Token) {
	if s := l.at(t); s != nil {
		s.marks &^= resting
		l.rouse(t)
	}
}

// rouse has the poller watch a registration again that rests no longer. The poller reports what has come meanwhile. One that it refuses to
// watch is not lost: it has its turns by the clock.
func (l *Loop) rouse(t Token) {
	s := &l.slots[t.slot]
	if s.marks&(blind|resting) != blind || l.at(t) == nil {
		return
	}
	s.marks &^= blind
	if l.watch(t.slot) != nil {
		s.marks |= blind
		l.restUntil(t, l.now+int64(rewatch))
	}
}

// untilRested returns how long the loop may sleep, at most timeout (negative: for ever), so that who rests has its turn in time. There
// are as many who rest as there are large transfers under way, so a look at each will do.
func (l *Loop) untilRested(now int64, timeout time.Duration) time.Duration {
	if len(l.rests) == 0 {
		return timeout
	}
	first := int64(math.MaxInt64)
	for _, r := range l.rests {
		first = min(first, r.due)
	}
	if d := time.Duration(max(first-now, 0)); timeout < 0 || d < timeout {
		return d
	}
	return timeout
}

// rested asks for the turns of those whose rest is over.
func (l *Loop) rested() {
	kept := l.rests[:0]
	for _, r := range l.rests {
		s := l.at(r.token)
		switch {
		case s == nil || !s.marks.has(resting): // it has had a turn meanwhile, or is gone
		case r.due > l.now:
			kept = append(kept, r)
		default:
			l.busy = l.now
			l.Again(r.token)
		}
	}
	l.rests = kept
}
