//go:build invariants

package socket

import "testing"

func TestReturnedBufferIsPoisoned(t *testing.T) {
	var shared IO
	b := append(shared.Borrow(5000), "secret row"...)
	shared.Return(b)
	for _, c := range b {
		if c != 0xDB {
			t.Fatalf("it still holds %q", b)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a buffer was returned twice, and nobody said so")
		}
	}()
	shared.Return(b)
}
