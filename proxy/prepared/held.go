package prepared

// held are the statements that a backend has, the one used longest ago first to go. Entries are kept in a slice and linked by index,
// so that using one costs a look-up and four stores.
type held struct {
	at      map[*Statement]int32
	entries []entry // entries[0] is the ring's head: its next was used last, its prev longest ago
	free    []int32
	doubts  int // entries that are misread; mostly none, so that a use need not look
}

type entry struct {
	s          *Statement
	differs    bool // the columns of its result are others here than clients were told of
	misread    bool // it was used in another scope than its own, where the server may have read its literals anew
	prev, next int32
}

func (h *held) len() int { return len(h.at) }

func (h *held) has(s *Statement) bool {
	if h.usedLast(s) {
		return true
	}
	_, ok := h.at[s]
	return ok
}

// usedLast reports whether s is the one used last. It mostly is, and found so without a look-up.
func (h *held) usedLast(s *Statement) bool {
	return len(h.entries) > 0 && h.entries[0].next != 0 && h.entries[h.entries[0].next].s == s
}

// use makes s the one used last. False: it is none of them.
func (h *held) use(s *Statement) bool {
	if h.usedLast(s) {
		return true
	}
	i, ok := h.at[s]
	if ok {
		h.unlink(i)
		h.link(i)
	}
	return ok
}

// add makes s one of them, if it is not, and retains it.
func (h *held) add(s *Statement) {
	if h.use(s) {
		return
	}
	if h.at == nil {
		h.at = map[*Statement]int32{}
		h.entries = append(h.entries[:0], entry{})
	}
	i := int32(len(h.entries))
	if n := len(h.free); n > 0 {
		i, h.free = h.free[n-1], h.free[:n-1]
		h.entries[i] = entry{s: s.retain()}
	} else {
		h.entries = append(h.entries, entry{s: s.retain()})
	}
	h.at[s] = i
	h.link(i)
}

// differs reports whether s is one of them, and its result has other columns than clients were told of.
func (h *held) differs(s *Statement) bool {
	i, ok := h.at[s]
	return ok && h.entries[i].differs
}

// differ notes that the result of s has other columns than clients were told of.
func (h *held) differ(s *Statement) {
	if i, ok := h.at[s]; ok {
		h.entries[i].differs = true
	}
}

// misread reports whether s is one of them, and may mean here what it means in another scope than its own.
func (h *held) misread(s *Statement) bool {
	if h.doubts == 0 {
		return false
	}
	i, ok := h.at[s]
	return ok && h.entries[i].misread
}

// misreads notes that s may mean that from now on.
func (h *held) misreads(s *Statement) {
	if i, ok := h.at[s]; ok && s.literal && !h.entries[i].misread {
		h.entries[i].misread = true
		h.doubts++
	}
}

// remove makes s none of them, if it is one, and releases it.
func (h *held) remove(s *Statement) {
	i, ok := h.at[s]
	if !ok {
		return
	}
	h.unlink(i)
	if h.entries[i].misread {
		h.doubts--
	}
	h.entries[i].s = nil
	h.free = append(h.free, i)
	delete(h.at, s)
	s.release()
}

// oldest is the one used longest ago of those that can be prepared again, nil if there is none.
func (h *held) oldest() *Statement {
	if h.len() == 0 {
		return nil
	}
	for i := h.entries[0].prev; i != 0; i = h.entries[i].prev {
		if s := h.entries[i].s; !s.Own() {
			return s
		}
	}
	return nil
}

func (h *held) clear() {
	for s := range h.at {
		s.release()
	}
	*h = held{}
}

func (h *held) link(i int32) {
	first := h.entries[0].next
	h.entries[i].prev, h.entries[i].next = 0, first
	h.entries[first].prev = i
	h.entries[0].next = i
}

func (h *held) unlink(i int32) {
	e := h.entries[i]
	h.entries[e.prev].next, h.entries[e.next].prev = e.next, e.prev
}

// HoldsNamed reports whether the backend holds, by the book, a statement that it knows by that name.
func (b *Book) HoldsNamed(onBackend []byte) bool {
	for s := range b.held.at {
		if s.name == string(onBackend) {
			return true
		}
	}
	return false
}

// UsedElsewhere notes that the client's next message uses s in another scope than its own. A server that reads it anew there, because a table has been
// analyzed or changed, keeps what its literals mean there.
func (b *Book) UsedElsewhere(s *Statement) { b.held.misreads(s) }

// ReadElsewhere notes that the server may have read any of what it holds in another scope than its own.
func (b *Book) ReadElsewhere() {
	for s := range b.held.at {
		b.held.misreads(s)
	}
}

// Misread reports whether the backend holds s, and what it means there may not be what it means in its own scope.
func (b *Book) Misread(s *Statement) bool { return b.held.misread(s) }
