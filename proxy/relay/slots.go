package relay

// slots gives things small numbers and reuses what is given back, so that a table indexed by them
// is never longer than there were things at once.
type slots[T any] struct {
	items []*T // nil where free
	free  []uint32
}

// add returns x's number.
func (s *slots[T]) add(x *T) uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		s.items[i] = x
		return i
	}
	s.items = append(s.items, x)
	return uint32(len(s.items) - 1)
}

// remove frees a number.
func (s *slots[T]) remove(i uint32) {
	s.items[i] = nil
	s.free = append(s.free, i)
}

// at returns what has that number, nil if nothing has.
func (s *slots[T]) at(i uint32) *T {
	if int(i) >= len(s.items) {
		return nil
	}
	return s.items[i]
}

// empty reports whether every number is free.
func (s *slots[T]) empty() bool { return len(s.free) == len(s.items) }
