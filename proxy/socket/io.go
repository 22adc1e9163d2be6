package socket

// IO is what the connections of one loop share: spare buffers, and counters of what they did. Its zero value is ready. Loop
// only.
type IO struct {
	Reads, Writes           uint64 // system calls
	BytesRead, BytesWritten uint64

	spare [len(classes)][][]byte
	input []byte // lent to the tls.Conn that reads; empty between calls
}

// class is a size of buffer and how many unused ones are kept. What is parked is mostly a small request that waits for a
// backend, or a full read that a slow reader did not take.
type class struct {
	size int
	kept int
}

var classes = [...]class{
	{size: 512, kept: 512},
	{size: 4 << 10, kept: 64},
	{size: 16 << 10, kept: 16},
	{size: 64 << 10, kept: 8},
	{size: 160 << 10, kept: 6},
}

// Borrow returns an empty buffer that has room for at least n bytes. Return gives it back.
func (o *IO) Borrow(n int) []byte {
	for i, c := range classes {
		if n > c.size {
			continue
		}
		free := o.spare[i]
		if len(free) == 0 {
			return make([]byte, 0, c.size)
		}
		b := free[len(free)-1]
		o.spare[i] = free[:len(free)-1]
		return b
	}
	return make([]byte, 0, n)
}

// Return takes back a buffer that Borrow lent, perhaps grown since. The caller must not use it any more.
func (o *IO) Return(b []byte) {
	for i, c := range classes {
		if cap(b) == c.size && len(o.spare[i]) < c.kept {
			o.returned(i, b[:c.size])
			o.spare[i] = append(o.spare[i], b[:0])
			return
		}
	}
}
