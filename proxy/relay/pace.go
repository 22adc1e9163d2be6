package relay

import (
	"time"

	"weir/proxy/eventloop"
	"weir/proxy/socket"
)

// A server sends a large result 8 KiB at a time (PQ_SEND_BUFFER_SIZE in its src/backend/libpq/pqcomm.c), and libpq a COPY likewise. If the
// loop is quick enough it wakes up for each piece, receives it, sends it on and wakes the peer: most of what a gigabyte costs is that, not
// the bytes. So a stream that has flowed for a while is left alone for a moment each time it has been read empty, and much of it is taken
// at once, as network cards do with interrupts.
//
// pace decides how long for. It has no clock and no socket.

const (
	// paceShare bounds a rest by how long the stream has flowed, and so what its last piece is late by: a sixteenth.
	paceShare = 16
	// paceMost bounds it in any case.
	paceMost = int64(500 * time.Microsecond)
	// paceLeast is the shortest.
	paceLeast = int64(20 * time.Microsecond)
	// paceLate bounds what is taken for the usual lateness of a turn: the loop has other things to do, and reading and sending on takes its
	// time.
	paceLate = float64(100 * time.Microsecond)
	// paceWant is how many bytes a rest is to bring: what a turn reads. A sender must not have to wait for the rest to end, so it is less
	// where the kernel keeps less for the socket: half of its buffer, as the other half is the kernel's own. TCP's has 128 KiB at first
	// and soon a megabyte or two, a unix socket's 208 KiB.
	paceWant = readsPerTurn * eventloop.ReadBufferLen
	paceRoom = 128 << 10 // until the socket has been asked
	// paceAsks is after how many rests the socket is asked how large its buffer is.
	paceAsks = 64
	// paceHalt is how long a stream may stand still until what comes next is another.
	paceHalt = int64(5 * time.Millisecond)
	// paceWorth is what must be expected of a rest, in bytes: four pieces.
	paceWorth = 32 << 10
)

// pace is how one direction of a connection flows. The zero value is a stream that has not begun.
type pace struct {
	began   int64   // when the stream was read empty first; 0: it has not begun
	emptied int64   // when it was last, and something had come
	rest    int64   // that it was given then, in nanoseconds; 0: none
	rate    float64 // bytes in a nanosecond
	late    float64 // by how many nanoseconds turns come late, of late
	pile    int     // bytes read since it was emptied
	room    int     // bytes in the kernel's buffer
	rests   uint8   // that it was given, modulo paceAsks
	halted  bool    // the last rest brought nothing
}

// wait lets more pile up in a socket that has been read empty amid a stream, before it is read again.
func (e *Engine) wait(p *pace, s *socket.Conn, t eventloop.Token) {
	rest := p.empty(e.loop.Now())
	if rest == 0 {
		return
	}
	if p.rests = (p.rests + 1) % paceAsks; p.rests == 1 {
		p.room = s.ReceiveBuffer()
	}
	e.loop.Rest(t, time.Duration(rest))
}

// took notes n bytes that were read.
func (p *pace) took(n int) { p.pile += n }

// over ends the stream: what comes next is another, or the other side has been answered and may be waiting. It reports whether the
// registration may be resting.
func (p *pace) over() (rested bool) {
	rested = p.rest > 0
	p.began, p.rest, p.pile = 0, 0, 0
	return rested
}

// empty is for a socket that has been read empty, amid a stream. It returns for how many nanoseconds to leave it alone; 0: not at all.
func (p *pace) empty(now int64) int64 {
	took := now - p.emptied
	switch {
	case p.began == 0 || took > paceHalt:
		*p = pace{began: now, emptied: now, room: paceRoom}
	case p.pile == 0 && p.halted:
		p.rest = 0
	case p.pile == 0:
		p.halted = p.rest > 0
	case took > 0: // else the clock has stood still, and the pile counts with what comes next
		p.learn(float64(p.pile), float64(took))
		p.plan(now)
		p.emptied, p.pile, p.halted = now, 0, false
	}
	return p.rest
}

// learn takes in what has come. A small pile says how fast the sender is. One that is large enough says only that it is not slower: a sender
// that had to wait because the kernel keeps no more looks like a slow one, and must not be made to wait for longer.
func (p *pace) learn(got, took float64) {
	const weight, forgets = 1.0 / 4, 1.0 / 256
	now := got / took
	switch {
	case p.rate == 0:
		p.rate = now
	case now > p.rate || got < paceWorth:
		p.rate += (now - p.rate) * weight
	}
	switch {
	case p.rest == 0:
		p.late -= p.late * forgets
	case !p.halted:
		p.late += (min(max(took-float64(p.rest), 0), paceLate) - p.late) * weight // it may have had a turn early
	}
}

// plan decides on the next rest. There is none if turns come so late that the sender would have to wait.
func (p *pace) plan(now int64) {
	want := float64(min(p.room/2, paceWant))
	p.rest = min(int64(want/p.rate-p.late), paceMost, (now-p.began)/paceShare)
	if p.rest < paceLeast || min(want, p.rate*(float64(p.rest)+p.late)) < paceWorth {
		p.rest = 0
	}
}
