package relay

import (
	"encoding/binary"

	"weir/proxy/socket"
	"weir/proxy/wire"
)

// sending is what a read of a client's becomes on its way to the backend: its own bytes, as long as nothing has to be put between
// or in place of them; a copy from then on.
type sending struct {
	p    []byte
	from int    // p[:from] has gone out, is part of out, or goes nowhere
	out  []byte // borrowed; nil while nothing had to change
}

// upTo adds the client's bytes up to pos, so that something else can follow.
func (s *sending) upTo(io *socket.IO, pos int) {
	if s.out == nil {
		s.out = io.Borrow(len(s.p) - s.from + 1024)
	}
	s.out = append(s.out, s.p[s.from:pos]...)
	s.from = pos
}

// replaced notes that what stands up to pos has been dealt with.
func (s *sending) replaced(pos int) { s.from = pos }

// renamed adds a message whose name, or two, are others: head replaces the first old bytes of the body. The rest of the body may not
// have come yet.
func (s *sending) renamed(f wire.Frame, body []byte, old int, head ...string) {
	n := 0
	for _, part := range head {
		n += len(part)
	}
	s.out = append(s.out, f.Type)
	s.out = binary.BigEndian.AppendUint32(s.out, f.Len-uint32(old)+uint32(n))
	for _, part := range head {
		s.out = append(s.out, part...)
	}
	s.out = append(s.out, body[old:]...)
}
