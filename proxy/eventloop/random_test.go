package eventloop

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var seedFlag = flag.Uint64("seed", 1, "seed of the random program; 0 draws one")

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-seed %d", seed)
	return seed
}

// TestNoEdgeIsLost lets many connections come and go, in handlers, too, so that slots and descriptors are reused all the time.
// Handlers read a little and ask for another turn, or read all, and may rest then. In the end every byte has been read by the connection that it
// was sent to, and by no other.
func TestNoEdgeIsLost(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 1))
	l := newLoop(t)
	var open []*member
	closed := 0
	closeOne := func(i int) {
		m := open[i]
		open[i] = open[len(open)-1]
		open = open[:len(open)-1]
		m.open = false
		l.Close(m.token)
		m.closeOurs()
		m.closeTheirs()
		closed++
	}
	turns := 0
	add := func() {
		m := &member{pair: newPair(t), l: l, t: t, open: true, id: byte(1 + r.IntN(255))}
		m.more = func() bool {
			turns++
			if len(open) > 10 && r.IntN(20) == 0 {
				closeOne(r.IntN(len(open)))
			}
			return r.IntN(2) == 0
		}
		m.rest = func() time.Duration { return time.Duration(r.IntN(5)-1) * 50 * time.Microsecond }
		var err error
		if m.token, err = l.Register(m.ours, m, Rank(r.IntN(int(ranks)))); err != nil {
			t.Fatal(err)
		}
		open = append(open, m)
	}
	for range 3000 {
		switch r.IntN(6) {
		case 0:
			add()
		case 1:
			if len(open) > 0 {
				closeOne(r.IntN(len(open)))
			}
		case 2, 3:
			for range r.IntN(10) {
				if len(open) > 0 {
					open[r.IntN(len(open))].send(1 + r.IntN(50))
				}
			}
		case 4:
			if len(open) > 0 {
				l.Rouse(open[r.IntN(len(open))].token)
			}
			l.Post(func() {
				if len(open) > 0 {
					closeOne(r.IntN(len(open)))
				}
				add()
			})
		default:
			turn(l)
		}
	}
	for range 200 { // enough for the slowest reader
		pass(l, time.Millisecond)
		turn(l)
	}
	for _, m := range open {
		if m.got != m.sent {
			t.Errorf("%d of %d bytes were read, and no turn is left", m.got, m.sent)
		}
	}
	t.Logf("%d turns, %d closed", turns, closed)
}

// member is one connection; all its bytes are its id.
type member struct {
	*pair
	t         *testing.T
	l         *Loop
	token     Token
	id        byte
	open      bool
	sent, got int
	last      uint64 // iteration in which it had a turn
	more      func() bool
	rest      func() time.Duration // after it has read all; negative: not at all
}

func (m *member) send(n int) {
	b := make([]byte, n)
	for i := range b {
		b[i] = m.id
	}
	n, err := unix.Write(m.theirs, b)
	if err != nil {
		m.t.Fatal(err)
	}
	m.sent += n
}

func (m *member) OnReady(e Event) {
	if !m.open {
		m.t.Error("a closed registration was told " + words(e))
		return
	}
	if m.last == m.l.Polls {
		m.t.Error("a second turn in one iteration")
	}
	m.last = m.l.Polls
	for {
		var b [7]byte
		n, err := unix.Read(m.ours, b[:])
		if err != nil {
			m.emptied()
			return
		}
		m.got += n
		for _, c := range b[:n] {
			if c != m.id {
				m.t.Error("a byte of another connection")
			}
		}
		more := m.more()
		if !m.open {
			return
		}
		if n < len(b) {
			m.emptied()
			return
		}
		if !more {
			m.l.Again(m.token)
			return
		}
	}
}

func (m *member) emptied() {
	if d := m.rest(); d >= 0 {
		m.l.Rest(m.token, d)
	}
}
