package socket

import "testing"

func TestBorrowGivesRoom(t *testing.T) {
	var shared IO
	for _, c := range []struct{ n, room int }{
		{0, 512},
		{1, 512},
		{512, 512},
		{513, 4 << 10},
		{4 << 10, 4 << 10},
		{4<<10 + 1, 16 << 10},
		{16<<10 + 1, 64 << 10},
		{64<<10 + 1, 160 << 10},
		{160 << 10, 160 << 10},
		{160<<10 + 1, 160<<10 + 1},
		{1 << 20, 1 << 20},
	} {
		if b := shared.Borrow(c.n); len(b) != 0 || cap(b) != c.room {
			t.Errorf("%d bytes: length %d, room for %d, want %d", c.n, len(b), cap(b), c.room)
		}
	}
}

func TestReturnedBufferIsLentAgain(t *testing.T) {
	var shared IO
	for _, c := range classes {
		b := append(shared.Borrow(c.size), 1, 2, 3)
		shared.Return(b)
		again := shared.Borrow(c.size)
		if len(again) != 0 || &again[:1][0] != &b[0] {
			t.Errorf("%d bytes: another buffer, length %d", c.size, len(again))
		}
		other := shared.Borrow(c.size)
		if &other[:1][0] == &b[0] {
			t.Errorf("%d bytes: lent twice", c.size)
		}
	}
	if n := testing.AllocsPerRun(100, func() { shared.Return(shared.Borrow(100)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSpareBuffersAreBounded(t *testing.T) {
	var shared IO
	for i, c := range classes {
		for range c.kept + 10 {
			shared.Return(make([]byte, 0, c.size))
		}
		if n := len(shared.spare[i]); n != c.kept {
			t.Errorf("%d buffers of %d are kept, want %d", n, c.size, c.kept)
		}
	}
}

func TestReturnTakesNoOddBuffers(t *testing.T) {
	var shared IO
	for _, b := range [][]byte{nil, {}, make([]byte, 100), make([]byte, 0, 513), make([]byte, 0, 1<<20), make([]byte, 512)[10:]} {
		shared.Return(b)
	}
	for i := range shared.spare {
		if len(shared.spare[i]) > 0 {
			t.Errorf("class %d kept a buffer of %d", i, cap(shared.spare[i][0]))
		}
	}
}
