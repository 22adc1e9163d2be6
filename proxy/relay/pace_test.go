package relay

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// sender is a server that writes pieces of 8 KiB at a steady rate into a kernel that keeps so many bytes of them, and waits when that is
// full.
type sender struct {
	rate, room float64 // in bytes in a nanosecond, and in bytes
	queued     float64
	now        int64
}

const piece = 8 << 10

func (s *sender) until(now int64) {
	s.queued = min(s.queued+s.rate*float64(now-s.now), s.room)
	s.now = now
}

// trial is what came of a stream through a loop.
type trial struct {
	bytes, turns int
	rests        int
	longest      int64   // rest
	share        float64 // greatest, of a rest in the time before it
}

// run reads what a sender sends for d, as a loop would that does nothing else: it wakes up for a piece, or by the clock and then late by
// slack, and needs 5 µs for a turn and a nanosecond for 8 bytes.
func run(s sender, p *pace, d time.Duration, slack int64, paced bool) (t trial) {
	now, rest := int64(1), int64(0)
	s.now = now
	for now < int64(d) {
		if rest > 0 {
			now += rest + slack
		} else if s.until(now); s.queued < piece {
			now += int64((piece-s.queued)/s.rate) + 1
		}
		s.until(now)
		got := int(s.queued) / piece * piece
		s.queued -= float64(got)
		t.bytes += got
		t.turns++
		p.took(got)
		at := now
		if rest = p.empty(at); rest > 0 {
			t.rests++
			t.longest = max(t.longest, rest)
			t.share = max(t.share, float64(rest)/float64(at))
		}
		if !paced {
			rest = 0
		}
		now += 5000 + int64(got)/8
	}
	return t
}

// TestPacedStreamIsAsFastInFewerTurns: at any rate, with what any socket keeps, and however late the kernel wakes the loop.
func TestPacedStreamIsAsFastInFewerTurns(t *testing.T) {
	for _, megabytes := range []float64{80, 200, 400, 800, 1200, 2000} {
		for _, room := range []int{128 << 10, 208 << 10, 512 << 10, 2 << 20} {
			for _, slack := range []int64{0, 10_000, 50_000} {
				t.Run(fmt.Sprintf("%.0f MB/s, %d KiB, %d µs late", megabytes, room>>10, slack/1000), func(t *testing.T) {
					s := sender{rate: megabytes / 1000, room: float64(room) * 0.6} // the rest of the buffer is the kernel's own
					alone, p := run(s, &pace{}, 50*time.Millisecond, slack, false), pace{}
					p.empty(1)
					p.room = room
					paced := run(s, &p, 50*time.Millisecond, slack, true)
					t.Logf("%d bytes in %d turns, %d in %d with %d rests, of %d µs at most",
						alone.bytes, alone.turns, paced.bytes, paced.turns, paced.rests, paced.longest/1000)
					if paced.bytes < alone.bytes/100*94 {
						t.Error("slower")
					}
					fills := float64(room/2) / s.rate // in so many nanoseconds
					if fills > float64(100*time.Microsecond) && paced.turns > alone.turns/2 {
						t.Error("as many turns")
					}
					if paced.longest > paceMost || paced.share > 1.0/paceShare {
						t.Errorf("a rest of %d ns, %.3f of the time before it", paced.longest, paced.share)
					}
				})
			}
		}
	}
}

// feed gives a pace n piles of so many bytes, one each interval, and returns the rests.
func feed(p *pace, now *int64, n, bytes int, interval time.Duration) (rests []int64) {
	for range n {
		*now += int64(interval)
		p.took(bytes)
		rests = append(rests, p.empty(*now))
	}
	return rests
}

func none(rests []int64) bool {
	return !slices.ContainsFunc(rests, func(r int64) bool { return r != 0 })
}

func TestStreamThatIsNotBulkIsNotPaced(t *testing.T) {
	for _, c := range []struct {
		what     string
		n, bytes int
		interval time.Duration
	}{
		{"a result of 256 KiB in 300 µs", 32, piece, 9 * time.Microsecond},
		{"small rows, one by one", 10_000, 100, 50 * time.Microsecond},
		{"a piece each millisecond", 1000, piece, time.Millisecond},
	} {
		p, now := pace{}, int64(1)
		if rests := feed(&p, &now, c.n, c.bytes, c.interval); !none(rests) {
			t.Errorf("%s: it is given rests: %v", c.what, rests)
		}
	}
}

// bulk is a stream that is paced.
func bulk(t *testing.T) (p *pace, now int64) {
	t.Helper()
	p, now = &pace{}, 1
	if rests := feed(p, &now, 200, piece, 10*time.Microsecond); rests[len(rests)-1] == 0 {
		t.Fatal("8 KiB each 10 µs for 2 ms are not paced")
	}
	return p, now
}

func TestStreamThatHaltsIsAnEventAgain(t *testing.T) {
	p, now := bulk(t)
	if rests := feed(p, &now, 3, 0, 100*time.Microsecond); rests[0] == 0 || !none(rests[1:]) {
		t.Errorf("rests that bring nothing are followed by %v, want one more", rests)
	}
	if rests := feed(p, &now, 1, piece, time.Second); !none(rests) {
		t.Errorf("a piece after a second is followed by a rest of %v", rests)
	}
}

func TestNextStreamBeginsAnew(t *testing.T) {
	p, now := bulk(t)
	if !p.over() {
		t.Error("it does not say that it may rest")
	}
	if p.over() {
		t.Error("it says so twice")
	}
	if rests := feed(p, &now, 30, piece, 10*time.Microsecond); !none(rests) {
		t.Errorf("another stream of 300 µs is given rests: %v", rests)
	}
}

// TestPileOfSeveralTurnsCountsAsOne: a turn that ends before the socket is empty is followed by another.
func TestPileOfSeveralTurnsCountsAsOne(t *testing.T) {
	p, now := bulk(t)
	whole := *p
	p.took(piece)
	p.took(piece)
	whole.took(2 * piece)
	if a, b := p.empty(now+20_000), whole.empty(now+20_000); a != b {
		t.Errorf("rests of %d and %d", a, b)
	}
	if a, b := p.empty(now+20_000), whole.rest; a != b {
		t.Errorf("a clock that stands still changes a rest of %d into one of %d", b, a)
	}
}
