package relay

// slots gives things small numbers and reuses what is given back, so that a table indexed by them is not much longer than there were
// things at once. What was given back first is reused first, and not before slotsRested others are free: cancel keys hold such a
// number, and a request with an old key should not meet a new client.
type slots[T any] struct {
	items []*T     // nil where free
	free  []uint32 // a queue, from head on
	head  int
}

// slotsRested is how many free numbers are left alone.
const slotsRested = 16

// add returns x's number.
func (s *slots[T]) add(x *T) uint32 {
	if len(s.free)-s.head <= slotsRested {
		s.items = append(s.items, x)
		return uint32(len(s.items) - 1)
	}
	i := s.free[s.head]
	s.head++
	s.items[i] = x
	return i
}

// remove frees a number.
func (s *slots[T]) remove(i uint32) {
	s.items[i] = nil
	if s.head > len(s.free)/2 {
		s.free = s.free[:copy(s.free, s.free[s.head:])]
		s.head = 0
	}
	s.free = append(s.free, i)
}

// at returns what has that number, nil if nothing has.
func (s *slots[T]) at(i uint32) *T {
	if int(i) >= len(s.items) {
		return nil
	}
	return s.items[i]
}

// len is above every number in use.
func (s *slots[T]) len() int { return len(s.items) }

// empty reports whether every number is free.
func (s *slots[T]) empty() bool { return len(s.free)-s.head == len(s.items) }
