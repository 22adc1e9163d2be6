package eventloop

// Again gives the registration another turn, as if it had become readable: after this iteration's events or, if it has had a turn in this
// iteration, in the next one. A handler that stops before its socket is empty asks for it, because an edge is reported only once.
func (l *Loop) Again(t Token) {
	s := l.at(t)
	if s == nil || s.marks.has(again) {
		return
	}
	s.marks |= again
	l.list(t.slot)
}

// list puts a slot in the list of those that serveAgain looks at, once.
func (l *Loop) list(i uint32) {
	if s := &l.slots[i]; !s.marks.has(listed) {
		s.marks |= listed
		l.again = append(l.again, i)
	}
}

// round numbers the iterations.
func (l *Loop) round() uint32 { return uint32(l.Polls) }

// serveTurn gives a registration its turn in this iteration, the only one: what one handler does in a turn is bounded, and so the time
// that the others wait is.
func (l *Loop) serveTurn(i uint32, e Event) {
	s := &l.slots[i]
	s.marks &^= again | resting
	s.served = l.round()
	t := Token{i, s.generation}
	l.serving = s.handler
	s.handler.OnReady(e | s.ended)
	l.serving = nil
	poison(l.buffer)
	l.rouse(t)
}

// serveAgain gives the turns that Again has asked for. It repeats that the peer has hung up: a handler that left its socket unread then
// would not learn of the end otherwise, because no edge comes after that one.
func (l *Loop) serveAgain() {
	if l.turn.empty() {
		l.turn.items, l.again = l.again, l.turn.items[:0]
		l.turn.next = 0
	}
	for i, ok := l.turn.take(); ok; i, ok = l.turn.take() {
		s := &l.slots[i]
		s.marks &^= listed
		switch {
		case !s.marks.has(again):
		case s.served == l.round():
			l.list(i)
		default:
			l.serveTurn(i, Readable)
		}
	}
}
