package notify

import (
	"errors"

	"weir/proxy/wire"
)

// Action is what the caller is to do with the connection.
type Action uint8

// The actions.
const (
	Nothing Action = iota
	Dial           // make it, and say Dialled or Failed
	Send           // the text, as a Query
	Close          // it is not needed, or has been given up
)

// Next says what is to be done now, and is to be asked again until that is Nothing: after each event, and at the time that Until says.
func (h *Hub) Next(at int64) (do Action, text []byte) {
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
			return Close, nil
		case !h.greeted || len(h.changes) > 0 && h.wanted > 0:
			h.enterPhase(busy, at+answerMax)
			return Send, h.statement()
		case h.wanted > 0:
			h.until = 0
		case h.until == 0:
			h.until = at + lingerFor
		case late:
			h.shut()
			return Close, nil
		}
	case busy:
		if late || h.marksLate(at) {
			h.Lost(at)
			return Close, nil
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

// statement makes the text that brings the connection nearer to what it has to listen to.
func (h *Hub) statement() []byte {
	var text []byte
	if !h.greeted {
		text = AppendListen(text, h.Marker)
	}
	n := 0
	for ; n < len(h.changes) && len(text) < textMax; n++ {
		c := h.changes[n]
		if len(c.subscribers) > 0 {
			text = AppendListen(text, c.name)
		} else {
			text = append(AppendName(append(text, "UNLISTEN "...), c.name), ';')
		}
		c.asking = len(c.subscribers) > 0
		h.asked = append(h.asked, c)
	}
	h.changes = h.changes[:copy(h.changes, h.changes[n:])]
	return text
}

// answered takes note that the statement under way has been carried out.
func (h *Hub) answered(at int64) {
	if h.phase != busy {
		return
	}
	h.enterPhase(ready, 0)
	h.greeted = true
	for _, c := range h.asked {
		c.listened, c.asking, c.changing = c.asking, false, false
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

// Dialled takes note of a connection that has logged in.
func (h *Hub) Dialled() {
	h.enterPhase(ready, 0)
	if h.was {
		h.Reconnections++
	}
	h.was, h.skip, h.refused = true, 0, false
}

// Failed takes note that no connection could be made.
func (h *Hub) Failed(at int64) { h.wait(at) }

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
	h.was = false
	h.enterPhase(closed, 0)
}

// Shut gives the connection up, if there is one that no client needs. True: the caller closes it.
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
		c.listened, c.asking, c.changing = false, false, false
		h.change(c)
	}
}

// Errors of the connection.
var (
	errNonsense = errors.New("a message that no server sends")
	errRefused  = errors.New("the server has refused to listen")
	errEnds     = errors.New("the server has ended the connection")
)

// lookMax is how much of a message is waited for. Notifications are shorter.
const lookMax = 16 << 10

// FromServer takes the next bytes of the connection. What it has not taken is given again, with more after it. An error: it must be closed,
// and Lost said.
func (h *Hub) FromServer(at int64, p []byte) (took int, err error) {
	h.clock = at
	took = min(h.skip, len(p))
	h.skip -= took
	for len(p)-took >= wire.HeaderLen {
		rest := p[took:]
		f := wire.PeekFrame(rest)
		if f.CheckServer() != wire.FrameOK {
			return took, errNonsense
		}
		if len(rest) < min(f.Total(), lookMax) {
			break
		}
		n := min(f.Total(), len(rest))
		if err := h.message(at, f, rest[:n]); err != nil {
			return took, err
		}
		h.skip = f.Total() - n
		took += n
	}
	return took, nil
}

func (h *Hub) message(at int64, f wire.Frame, message []byte) error {
	switch f.Type {
	case wire.ServerNotification:
		if f.Total() == len(message) {
			h.notified(message)
		}
	case wire.ServerErrorResponse:
		if h.refused = true; wire.Fatal(message[wire.HeaderLen:]) {
			return errEnds
		}
	case wire.ServerReadyForQuery:
		if h.refused {
			return errRefused
		}
		h.answered(at)
	}
	return nil
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
	for s := range c.subscribers {
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
