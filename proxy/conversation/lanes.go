package conversation

import "weir/proxy/prepared"

// Common is what the lanes of one pool have in common. Any goroutine.
type Common struct{ texts prepared.Texts }

// Join makes the conversations of a lane part of a pool's. Once, before the first.
func (h *Shared) Join(c *Common) {
	h.common = c
	h.Statements.Texts, h.Statements.Read = &c.texts, h.readText
}

// pool is what the lane has in common with others: nothing, where Join was not called.
func (h *Shared) pool() *Common {
	if h.common == nil {
		h.Join(new(Common))
	}
	return h.common
}

// Leave is for a lane that has ended.
func (h *Shared) Leave() { h.Statements.Close() }

// Depart makes the backend, which is free and has no client, ready for another lane of its pool.
func (s *Server) Depart() prepared.Luggage {
	if s.client != nil || s.errand != nil || !s.Free() {
		panic("conversation: a backend that is at work is to leave its lane")
	}
	luggage := s.book.Depart(&s.shared.Statements)
	s.shared = nil
	return luggage
}

// Arrive is for the backend that has come there.
func (s *Server) Arrive(shared *Shared, luggage prepared.Luggage) {
	s.shared = shared
	s.book.Max = shared.MaxStatements
	s.book.Arrive(&shared.Statements, luggage)
}
