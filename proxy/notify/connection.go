package notify

import (
	"weir/proxy/wire"
)

// Action is what the caller is to do with the connection.
type Action uint8

// The actions.
const (
	Nothing Action = iota
	Dial           // join the Line, or make it, and say Dialled or Failed
	Send           // the changes: Line.Ask
	Leave          // the Line, which is not needed
	GiveUp         // the Line, which does not do what it was asked for: no Hub can use it
)

// Next says what is to be done now, and is to be asked again until that is Nothing: after each event, and at the time that Until says.
func (h *Hub) Next(at int64) (do Action, changes []Change) {
	late := h.until != 0 && at >= h.until
	switch h.phase {
	case closed:
		if h.wanted > 0 {
			return h.dial(), nil
		}
	case waiting:
		switch {
		case h.wanted == 0:
			h.enterPhase(closed, 0)
		case late:
			return h.dial(), nil
		}
	case ready:
		switch {
		case h.marksLate(at):
			h.Lost(at)
			return GiveUp, nil
		case !h.greeted || len(h.changes) > 0 && h.wanted > 0:
			h.enterPhase(busy, at+answerMax)
			return Send, h.statement()
		case h.wanted > 0:
			h.until = 0
		case h.until == 0:
			h.until = at + lingerFor
		case late:
			h.shut()
			return Leave, nil
		}
	case busy:
		if late || h.marksLate(at) {
			h.Lost(at)
			return GiveUp, nil
		}
	case dialling:
	}
	return Nothing, nil
}

func (h *Hub) marksLate(at int64) bool { return h.overdue != 0 && at >= h.overdue }

// Until is when Next is to be asked again although nothing has happened; 0: never.
func (h *Hub) Until() int64 {
	if h.overdue != 0 && h.Connected() && (h.until == 0 || h.overdue < h.until) {
		return h.overdue
	}
	return h.until
}

func (h *Hub) enterPhase(p phase, until int64) { h.phase, h.until = p, until }

func (h *Hub) dial() Action {
	h.enterPhase(dialling, 0)
	return Dial
}

// statement is all that brings the connection to what it has to listen to.
func (h *Hub) statement() (changes []Change) {
	if !h.greeted {
		changes = append(changes, Change{h.Marker, true})
	}
	for _, c := range h.changes {
		c.asking = len(c.subscribers) > 0
		changes = append(changes, Change{c.name, c.asking})
	}
	h.asked, h.changes = append(h.asked, h.changes...), h.changes[:0]
	return changes
}

// answered takes note that the statement under way has been carried out.
func (h *Hub) answered(at int64) {
	if h.phase != busy {
		return
	}
	h.enterPhase(ready, 0)
	h.greeted = true
	for _, c := range h.asked {
		c.answered()
		h.change(c)
	}
	h.asked = h.asked[:0]
	if len(h.changes) == 0 {
		h.tries, h.whole = 0, true
	}
	for s := range h.subscribers {
		if s.waits && h.isReady(s) {
			s.waits = false
			h.stirred = append(h.stirred, s)
		}
		h.tell(s)
	}
}

// Dialled takes note of a connection that has logged in: the Hub is a member of its Line.
func (h *Hub) Dialled() {
	h.enterPhase(ready, 0)
}

// Failed takes note that no connection could be made.
func (h *Hub) Failed(at int64) { h.wait(at) }

// Missed takes note that the Line which the Hub wanted to join had ended. That says nothing of the next one.
func (h *Hub) Missed(at int64) { h.enterPhase(waiting, at) }

// Nudge is for what may let a dial succeed that has failed.
func (h *Hub) Nudge(at int64) {
	if h.phase == waiting {
		h.until = at
	}
}

// Lost takes note that the connection has ended. Its clients may have missed what was notified since.
func (h *Hub) Lost(at int64) {
	h.forget()
	for s := range h.subscribers {
		if heard := s.token != 0 && s.marked[Listener]; len(s.channels) > 0 && (s.source == Listener && !heard || s.source == Backend && s.token != 0) {
			s.lost = true
		}
		if s.token != 0 && !s.marked[Listener] {
			h.mark(s, Listener)
		}
	}
	h.wait(at)
}

func (h *Hub) wait(at int64) {
	pause := min(retryFirst<<min(h.tries, 10), retryMost)
	h.tries++
	h.enterPhase(waiting, at+pause)
}

// shut is for a connection that is not needed any more.
func (h *Hub) shut() {
	h.forget()
	h.enterPhase(closed, 0)
}

// Shut gives the connection up, if there is one that no client needs. True: the caller leaves the Line.
func (h *Hub) Shut() bool {
	if h.wanted > 0 || !h.Connected() {
		return false
	}
	h.shut()
	return true
}

// forget is for a connection that is no more: what it listened to it listens to no longer.
func (h *Hub) forget() {
	h.whole, h.greeted = false, false
	h.changes, h.asked = h.changes[:0], h.asked[:0]
	for _, c := range h.channels {
		c.standing = standing{}
		h.change(c)
	}
}

// Heard takes what the Line has passed on: whole messages.
func (h *Hub) Heard(at int64, p []byte) {
	h.clock = at
	for len(p) > 0 {
		n := wire.PeekFrame(p).Total()
		switch p[0] {
		case wire.ServerNotification:
			h.notified(p[:n])
		case wire.ServerReadyForQuery:
			h.answered(at)
		}
		p = p[n:]
	}
}

// notified hands a notification to those whom it is for.
func (h *Hub) notified(message []byte) {
	pid, name, payload, err := wire.PeekNotification(message[wire.HeaderLen:])
	if err != nil {
		return
	}
	if string(name) == h.Marker {
		if token, ok := parseToken(payload); ok && h.switches[token] != nil {
			h.mark(h.switches[token], Listener)
		}
		return
	}
	c := h.channels[string(name)]
	if c == nil {
		return
	}
	if h.Pid != nil {
		wire.PutNotificationPID(message, h.Pid(pid))
	}
	for _, s := range c.subscribers {
		switch s.verdict(Listener) {
		case now:
			h.Delivered++
			h.deliver(s, message)
		case later:
			h.Delivered++
			s.enqueue(message)
		case never:
		}
	}
}
