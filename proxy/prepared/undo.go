package prepared

// Failed is for an ErrorResponse or a ReadyForQuery, after the account has taken note of it: what has not been answered by then
// and is not due any more was thrown away. busy is the number of the answer that the server was about to give before it.
func (b *Book) Failed(a Account, busy uint64, n *Names) {
	if b.head == len(b.marks) {
		return
	}
	if m := &b.marks[b.head]; m.at == busy && m.at <= a.Answered() {
		b.reached(m)
	}
	b.fail(a.Answered(), n)
}

// Abandon takes back all that is under way: it has not reached the server.
func (b *Book) Abandon(n *Names) { b.undo(len(b.marks)-b.head, n) }

// fail takes back what is to be answered by then: the server has thrown it away.
func (b *Book) fail(answered uint64, n *Names) {
	k := 0
	for b.head+k < len(b.marks) && b.marks[b.head+k].at <= answered {
		k++
	}
	b.undo(k, n)
}

// undo takes back the oldest k changes, the latest first, except for what a later one has changed again.
func (b *Book) undo(k int, n *Names) {
	later := b.marks[b.head+k:]
	for i := b.head + k - 1; i >= b.head; i-- {
		m := &b.marks[i]
		if m.change.names() {
			undoName(m, later, n)
		}
		if m.change.holds() {
			b.undoHeld(m, later)
		}
		if m.change.unnamed() {
			b.undoSlot(m, later, n)
		}
		b.told(m)
		m.s.release()
	}
	b.drop(k)
}

// undoName takes back what m has made its name mean. later are the messages after those that are taken back. n is nil when the client has left.
func undoName(m *mark, later []mark, n *Names) {
	if n == nil {
		m.prev.release()
		return
	}
	if m.s != nil {
		n.goes(spoken{m.name, m.s.name, 0})
	}
	for i := range later {
		if l := &later[i]; l.change.names() && l.name == m.name {
			l.prev.release()
			l.prev = m.prev
			return
		}
	}
	n.set(m.name, m.prev).release()
}

// undoHeld takes back what m has changed in what the backend holds. later are the messages after those that are taken back.
func (b *Book) undoHeld(m *mark, later []mark) {
	for i := range later {
		if l := &later[i]; l.s == m.s && l.change.holds() {
			l.had = m.had
			return
		}
	}
	if m.had {
		b.held.add(m.s)
		b.held.misreads(m.s) // what was known of that went with it
	} else {
		b.held.remove(m.s)
	}
}

// drop forgets the oldest k messages under way.
func (b *Book) drop(k int) {
	clear(b.marks[b.head : b.head+k])
	b.head += k
	switch {
	case b.head < len(b.marks):
	case cap(b.marks) > marksKept:
		b.marks, b.head = nil, 0
	default:
		b.marks, b.head = b.marks[:0], 0
	}
}

// marksKept is the room for messages under way that a backend keeps: a driver prepares one at a time, rarely more.
const marksKept = 64
