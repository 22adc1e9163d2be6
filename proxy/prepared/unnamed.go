package prepared

import (
	"weir/proxy/wire"
)

// slot is a backend's place for the unnamed statement, which PostgreSQL empties at a Query, a Close of it and at each Parse of it,
// even one that fails (exec_simple_query, exec_parse_message in src/backend/tcop/postgres.c).
type slot struct {
	// synced: it holds what the client's is, whatever becomes of the messages under way. Then these need no help, because what they
	// do to the one they do to the other.
	synced bool

	// Between leases.
	left  *Statement // what it holds
	known bool       // that is certain
}

// hold remembers what the slot holds between leases.
func (x *slot) hold(s *Statement) {
	s.retain()
	x.left.release()
	x.left, x.known = s, true
}

// Lease begins the books of a lease to the client whose names are n.
func (b *Book) Lease(n *Names) { b.slot.synced = b.slot.known && b.slot.left == n.Unnamed() }

// Release ends them. Nothing is under way.
func (b *Book) Release(n *Names) {
	if b.slot.synced {
		b.slot.hold(n.Unnamed())
		return
	}
	b.slot.hold(nil)
	b.slot.known = false
}

// Commanded notes a Query of weir's own between two of the client's messages.
func (b *Book) Commanded(n *Names) {
	b.slot.hold(nil)
	b.slot.synced = n.Unnamed() == nil
}

// Displaced notes a Parse of weir's own of the unnamed statement, in front of a client's message.
func (b *Book) Displaced() {
	b.slot.hold(nil)
	b.slot.synced = false
}

// ParseUnnamed is for a client's Parse of the unnamed statement, which goes to the server as it is.
func (b *Book) ParseUnnamed(a Account, n *Names, t *Table, text Text) *Statement {
	s := t.intern(text, 0)
	b.unnamed(a, wire.ClientParse, definesUnnamed, n, s)
	return s
}

// ParseUnnamedOwn is for one that is too long to be kept: the caller sees to it that the client stays on this backend.
func (b *Book) ParseUnnamedOwn(a Account, n *Names, t *Table) *Statement {
	s := t.own()
	b.unnamed(a, wire.ClientParse, definesUnnamed, n, s)
	return s
}

// CloseUnnamed is for a client's Close of the unnamed statement, which goes to the server as it is.
func (b *Book) CloseUnnamed(a Account, n *Names) {
	b.unnamed(a, wire.ClientClose, closesUnnamed, n, nil)
}

// Query is for a client's Query.
func (b *Book) Query(a Account, n *Names) {
	if b.slot.synced && n.unnamed == nil && b.lastUnnamed() == nil {
		a.Client(wire.ClientQuery) // it finds none and leaves none
		return
	}
	b.unnamed(a, wire.ClientQuery, endsUnnamed, n, nil)
}

// unnamed enters a client's message that changes its unnamed statement, and by that the slot. The caller's reference to s is the
// client's.
func (b *Book) unnamed(a Account, t byte, c change, n *Names, s *Statement) {
	m := mark{change: c, s: s.retain(), prev: n.unnamed, unsure: b.unsure()}
	n.unnamed, n.used = s, false
	b.slot.synced = true
	b.mark(a, t, m)
}

// unsure reports whether the slot may not be synced where the server reads the next message.
func (b *Book) unsure() bool {
	if !b.slot.synced {
		return true
	}
	last := b.lastUnnamed()
	return last != nil && last.unsure
}

// lastUnnamed is the latest message under way that changes the slot.
func (b *Book) lastUnnamed() *mark {
	for i := len(b.marks) - 1; i >= b.head; i-- {
		if b.marks[i].change.unnamed() {
			return &b.marks[i]
		}
	}
	return nil
}

// UndecidedUnnamed reports whether an answer that is still under way decides what the unnamed statement is, so that a Bind or a
// Describe of it must wait.
func (b *Book) UndecidedUnnamed() bool {
	last := b.lastUnnamed()
	return b.slot.synced && last != nil && last.unsure && last.batch != b.batch
}

// UnnamedSynced reports whether the backend's unnamed statement is the client's already.
func (b *Book) UnnamedSynced() bool { return b.slot.synced }

// EnsureUnnamed sees to it that the backend's unnamed statement is the client's when it reads what comes next. It returns that
// statement, nil if the client has none.
func (b *Book) EnsureUnnamed(out []byte, a Account, n *Names) ([]byte, *Statement) {
	s := n.unnamed
	switch {
	case b.slot.synced:
	case s == nil || s.Own():
		out = wire.AppendClose(out, 'S', "")
		b.mark(a, wire.ClientClose, mark{change: preparesUnnamed, unsure: true})
		b.slot.synced = true
	default:
		out = appendParse(out, "", s.parse)
		s.table.Totals.Repeated++
		b.mark(a, wire.ClientParse, mark{change: preparesUnnamed, s: s.retain(), unsure: true})
		b.slot.synced = true
	}
	return out, s
}

// reached is for a message under way at which the server has arrived, and which is over: by an error, or as a Query.
func (b *Book) reached(m *mark) {
	if !m.change.theirs() {
		return
	}
	// The unnamed statement before it is gone, on the server as well as for the client.
	m.prev.release()
	m.prev = nil
	m.unsure = false
	if m.change == endsUnnamed {
		b.drop(1)
	}
}

// undoSlot takes back what m, which the server has thrown away, would have done to the slot.
func (b *Book) undoSlot(m *mark, later []mark, n *Names) {
	if n == nil && m.change.theirs() {
		b.slot.synced = false // the client is gone, and what it would have had is not followed any more
		m.prev.release()
		return
	}
	last := true
	for i := range later {
		l := &later[i]
		if !l.change.unnamed() {
			continue
		}
		last = false
		if m.change.theirs() && l.change.theirs() {
			l.prev.release()
			l.prev = m.prev
			return
		}
	}
	if last && m.unsure {
		b.slot.synced = false
	}
	if m.change.theirs() {
		n.unnamed.release()
		n.unnamed = m.prev
	}
}
