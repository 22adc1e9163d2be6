package tunnel

import "weir/proxy/wire"

// boundary follows a stream of messages and knows where one ends.
type boundary struct {
	left int // of the body of the message under way
	have int // of its header
	head [wire.HeaderLen]byte
}

// within reports whether a message is under way.
func (b *boundary) within() bool { return b.left > 0 || b.have > 0 }

// pass takes all of p.
func (b *boundary) pass(p []byte) {
	for len(p) > 0 {
		p = p[b.finish(p):]
	}
}

// finish takes of p what belongs to the message under way, or to the next one where none is, and returns how much that is.
func (b *boundary) finish(p []byte) int {
	n := 0
	if b.left == 0 {
		n = copy(b.head[b.have:], p)
		b.have += n
		if b.have < len(b.head) {
			return n
		}
		b.have = 0
		b.left = max(wire.PeekFrame(b.head[:]).Total()-len(b.head), 0)
	}
	body := min(b.left, len(p)-n)
	b.left -= body
	return n + body
}
