//go:build invariants

package socket

import "bytes"

var poisonous = bytes.Repeat([]byte{0xDB}, 4096)

// returned poisons a buffer that is given back, so that code that goes on using it sees rubbish, and refuses one that is given
// back twice: two connections would park in it.
func (o *IO) returned(class int, b []byte) {
	for _, spare := range o.spare[class] {
		if &spare[:1][0] == &b[0] {
			panic("socket: a buffer was returned twice")
		}
	}
	for len(b) > 0 {
		b = b[copy(b, poisonous):]
	}
}
