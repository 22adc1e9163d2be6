//go:build invariants

package eventloop

import "bytes"

var poisonous = bytes.Repeat([]byte{0xDB}, 4096)

// poison overwrites the lent buffer, so that a handler that kept a part of it shows in the first test that relays anything. It
// copies, because it runs after every handler and the race detector would look at each byte of a loop.
func poison(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, poisonous):]
	}
}
