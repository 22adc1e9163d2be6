package socket

import (
	"errors"
	"testing"
)

// A stream that is cut within a record tells of its end once, with the record's first part: the read that takes the part has to find
// the end too.
func TestCutWithinRecord(t *testing.T) {
	for _, room := range []int{64 << 10, 1 << 10} { // with a lent buffer, and without
		for _, part := range []int{1, recordHeader, recordHeader + 10} {
			p, f := newForged(t)
			p.expect("") // whatever the handshake left
			p.forge(f.record(23, make([]byte, 100))[:part])
			if err := p.under.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			await(t, p.FD())
			if n, err := p.Read(&p.shared, make([]byte, room)); n != 0 || err == nil || errors.Is(err, ErrWouldBlock) {
				t.Errorf("%d bytes of a record into %d: %d, %v", part, room, n, err)
			}
		}
	}
}
