package prepared

// What there is, for those who show it. The order is no order.

// Each calls f with each statement that a Parse may share.
func (t *Table) Each(f func(s *Statement)) {
	for _, s := range t.statements {
		f(s)
	}
}

// References is how many names of clients, backends and answers under way refer to the statement.
func (s *Statement) References() int { return s.refs }

// Each calls f with each statement that the backend holds.
func (b *Book) Each(f func(s *Statement)) {
	for s := range b.held.at {
		f(s)
	}
}
