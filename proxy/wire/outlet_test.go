package wire

import (
	"encoding/binary"
	"testing"
)

// FuzzWalk cuts a stream of messages anywhere: it ends where the last message does, and Finish stops at each end.
func FuzzWalk(f *testing.F) {
	f.Add([]byte{3, 0, 7, 200}, []byte{1, 2, 3})
	f.Add([]byte{0}, []byte{5, 0, 1})
	f.Add([]byte{}, []byte{9})
	f.Fuzz(func(t *testing.T, bodies, cuts []byte) {
		var stream []byte
		ends := map[int]bool{}
		for _, n := range bodies {
			stream = append(stream, 'd')
			stream = binary.BigEndian.AppendUint32(stream, uint32(4+int(n)))
			stream = append(stream, make([]byte, n)...)
			ends[len(stream)] = true
		}
		var whole, stepwise Walk
		passed, at := 0, 0
		for len(stream) > passed {
			n := len(stream) - passed
			if len(cuts) > 0 {
				n, cuts = min(n, int(cuts[0])), cuts[1:]
			}
			whole.Pass(stream[passed:passed+n], 0)
			passed += n
			for at < passed {
				at += stepwise.Finish(stream[at:passed])
				if (stepwise.Lacks() > 0) == ends[at] {
					t.Fatalf("at %d of %d: within a message is %v", at, len(stream), stepwise.Lacks() > 0)
				}
			}
			if whole != stepwise {
				t.Fatalf("at %d: %+v and %+v", at, whole, stepwise)
			}
		}
	})
}

// TestImpossibleLengthDoesNotStick: a length below that of itself is taken for an empty body.
func TestImpossibleLengthDoesNotStick(t *testing.T) {
	var b Walk
	b.Pass([]byte{'d', 0, 0, 0, 0, 'd', 0, 0, 0, 5}, 0)
	if b.Lacks() == 0 {
		t.Error("within no message")
	}
	if n := b.Finish([]byte{1, 'd'}); n != 1 || b.Lacks() > 0 {
		t.Errorf("took %d bytes", n)
	}
}

// TestWalkStopsAtAMessageThatIsTooLong wherever the stream is cut.
func TestWalkStopsAtAMessageThatIsTooLong(t *testing.T) {
	stream := append([]byte("d\x00\x00\x00\x06abd\x00\x00\x00\x07abc"), make([]byte, 9)...)
	for cut := range len(stream) {
		var w Walk
		n, f, beyond := w.Pass(stream[:cut], 7)
		if !beyond {
			var more int
			more, f, beyond = w.Pass(stream[cut:], 7)
			n += more
		}
		want := 7
		if 7 < cut && cut < 12 { // amid the header
			want = cut
		}
		if n != want || !beyond || f.Total() != 8 {
			t.Errorf("cut at %d: %v at %d by %v, want %d", cut, beyond, n, f, want)
		}
	}
	var w Walk
	if n, f, beyond := w.Pass(stream[:15], 8); n != 15 || beyond {
		t.Errorf("stopped at %d by %v, which is not too long", n, f)
	}
}
