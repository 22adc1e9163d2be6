package conversation

import (
	"encoding/binary"

	"weir/proxy/wire"
)

// Flow is what the bytes of one read become on their way: the same bytes, as long as nothing has to be put between or in place of
// them; a copy from then on. A Flow is used for one read after the other; what Bytes returned holds until the next.
type Flow struct {
	p      []byte
	start  int // what stands before has been dropped
	from   int // p[:from] is part of out, or goes nowhere
	end    int // p[:end] has been judged
	out    []byte
	copied bool
}

// flowKept is the capacity up to which a Flow keeps its buffer for the next read.
const flowKept = 192 << 10

func (f *Flow) begin(p []byte) {
	f.p, f.start, f.from, f.end, f.copied = p, 0, 0, 0, false
	if cap(f.out) > flowKept {
		f.out = nil
	}
	f.out = f.out[:0]
}

// Bytes is what is to be sent.
func (f *Flow) Bytes() []byte {
	if !f.copied {
		return f.p[f.from:f.end]
	}
	f.upTo(f.end)
	return f.out
}

// Judged is the part of the read that Bytes stands for.
func (f *Flow) Judged() []byte { return f.p[f.start:f.end] }

// drop leaves out what stands before pos, the beginning of the read.
func (f *Flow) drop(pos int) {
	f.start, f.from, f.end = pos, pos, pos
}

// upTo adds the bytes up to pos as they came, so that something else can follow.
func (f *Flow) upTo(pos int) {
	f.copied = true
	if f.from < pos {
		f.out = append(f.out, f.p[f.from:pos]...)
	}
	f.from = max(f.from, pos)
}

// replaced notes that what stands up to pos has been dealt with.
func (f *Flow) replaced(pos int) {
	f.copied = true
	f.from = pos
}

// renamed adds a message whose name, or two, are others: head replaces the first old bytes of the body. The rest of the body may not
// have come yet.
func (f *Flow) renamed(frame wire.Frame, body []byte, old int, head ...string) {
	n := 0
	for _, part := range head {
		n += len(part)
	}
	f.out = append(f.out, frame.Type)
	f.out = binary.BigEndian.AppendUint32(f.out, frame.Len-uint32(old)+uint32(n))
	for _, part := range head {
		f.out = append(f.out, part...)
	}
	f.out = append(f.out, body[old:]...)
}

// remainder is what is still to come of a message whose beginning has been judged.
type remainder struct {
	skip uint32
	drop bool // it is thrown away rather than forwarded
}

// take passes over what has come of it: the beginning of p, so long.
func (r *remainder) take(p []byte) int {
	n := min(int(r.skip), len(p))
	r.skip -= uint32(n)
	return n
}

// lacks is what is still to come for the receiver.
func (r *remainder) lacks() uint32 {
	if r.drop {
		return 0
	}
	return r.skip
}
