package prepared

import "weir/proxy/wire"

// The columns of statements: which ones clients were told of, and whether a statement that is prepared again still has them.

// Describe enters the client's Describe of s, or of a portal of it, which is sent as it is.
func (b *Book) Describe(a Account, s *Statement) {
	if !b.held.has(s) { // it is an unnamed one, or nobody's any more
		a.Client(wire.ClientDescribe)
		return
	}
	b.describing++
	b.mark(a, wire.ClientDescribe, mark{change: describes, s: s.retain()})
}

// Compare prepares s and asks which columns its result has. Until that is answered, Comparing, nothing may use it.
func (b *Book) Compare(out []byte, a Account, s *Statement) []byte {
	out = b.Ensure(out, a, nil, s)
	out = wire.AppendDescribe(out, 'S', s.name)
	b.describing++
	b.comparing = true
	b.mark(a, wire.ClientDescribe, mark{change: compares, s: s.retain()})
	return out
}

// Comparing reports whether the answer to Compare has not come yet.
func (b *Book) Comparing() bool { return b.comparing }

// Differs reports whether the backend holds s, and Compare has found other columns than clients were told of.
func (b *Book) Differs(s *Statement) bool { return b.held.differs(s) }

// GiveUp closes s, which differs: when it is asked for next, the schema may have changed back.
func (b *Book) GiveUp(out []byte, a Account, s *Statement) []byte { return b.evict(out, a, s) }

// Describing reports whether a description of columns is under way that has to be read.
func (b *Book) Describing() bool { return b.describing > 0 }

// Compares reports whether the answer that the server is about to give is one to Compare.
func (b *Book) Compares(a Account) bool {
	return b.comparing && b.Pending() && b.marks[b.head].change == compares && b.marks[b.head].at == a.Answered()+1
}

// Columns is for a RowDescription or a NoData, after the account has taken note of it. digest tells its columns from others; 0: it could not be
// read. n is nil when the client has left. True: it is not the client's.
func (b *Book) Columns(a Account, digest uint64, n *Names) (ours bool) {
	answered := a.Answered()
	if answered == 0 || b.describing == 0 {
		return false
	}
	b.fail(answered-1, n)
	if !b.Pending() || b.marks[b.head].at != answered {
		return false
	}
	m := &b.marks[b.head]
	switch {
	case m.change == describes && m.s.columns == 0:
		m.s.columns = digest
	case m.change == compares && m.s.columns != digest:
		b.held.differ(m.s)
	}
	ours = m.change == compares
	b.told(m)
	m.s.release()
	b.drop(1)
	return ours
}

// told notes that a description will not be waited for any more.
func (b *Book) told(m *mark) {
	if m.change == compares {
		b.comparing = false
	}
	if m.change == compares || m.change == describes {
		b.describing--
	}
}
