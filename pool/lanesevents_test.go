package pool

import (
	"slices"
	"testing"
	"time"

	"weir/pool/board"
)

const ms = Instant(time.Millisecond)

// twoLanes are the lanes of one pool, without a hall: the test carries out what they decide.
func twoLanes(cfg Config) (first, second *Pool) {
	cfg.MaxDials = 4
	b := board.New(2)
	return NewLane(cfg, 1, b, 0), NewLane(cfg, 2, b, 1)
}

// decided is the one decision of that kind among the latest.
func decided(t *testing.T, p *Pool, kind DecisionKind) Decision {
	t.Helper()
	i := slices.IndexFunc(p.Decisions(), func(d Decision) bool { return d.Kind == kind })
	if i < 0 {
		t.Fatalf("decided %v; wanted %v", p.Decisions(), kind)
	}
	return p.Decisions()[i]
}

// leaseNew has a client of the lane want a backend, which is dialled for it.
func leaseNew(t *testing.T, now Instant, p *Pool, c ClientID) BackendID {
	t.Helper()
	p.Want(now, c, 0)
	if len(p.Decisions()) == 0 {
		p.Tick(p.Next()) // for the reserve
	}
	p.Dialled(p.now, decided(t, p, Dial).Backend)
	return decided(t, p, Lease).Backend
}

// A backend of the reserve that comes free goes to a client of another lane that waits, as it would to one of its own.
func TestTheReserveServesAllLanes(t *testing.T) {
	first, second := twoLanes(Config{Size: 1, ReserveSize: 1, ReserveTimeout: time.Millisecond})
	leaseNew(t, ms, second, 1)
	b := leaseNew(t, ms, second, 2)
	first.Want(9*ms, 1, 0)
	second.Freed(20*ms, b, 0)
	if to := decided(t, second, Give).Lane; to != 0 {
		t.Errorf("the backend goes to lane %d", to)
	}
	first.Arrived(20*ms, second.Departed(20*ms, b))
	first.Freed(30*ms, decided(t, first, Lease).Backend, 0)
	decided(t, first, Close) // nobody waits any more
}

// What a pool keeps because it has clients it keeps whichever lane they are on: MinSize, and idle backends beyond PoolIdleTimeout.
func TestALaneWithoutClientsIsNoEmptyPool(t *testing.T) {
	first, second := twoLanes(Config{Size: 4, MinSize: 3, PoolIdleTimeout: 10 * time.Millisecond})
	first.Tick(0)
	for _, d := range slices.Clone(first.Decisions()) {
		first.Dialled(ms, d.Backend)
		first.Decisions()
	}
	first.Rested(ms)
	first.Populated(ms, false)
	second.Want(2*ms, 1, 0)
	decided(t, second, Ask)
	first.Asked(2*ms, 1)
	gone := second.Arrived(2*ms, first.Departed(2*ms, decided(t, first, Give).Backend))
	decided(t, second, Lease)
	first.Tick(100 * ms)
	if n := first.Counts().Idle; n != 2 {
		t.Errorf("%d idle backends are left on the lane without clients", n)
	}
	second.Lost(101*ms, gone)
	first.Populated(102*ms, false) // the next sweep
	first.Dialled(103*ms, decided(t, first, Dial).Backend)
	decided(t, first, Rest)
	first.Rested(103 * ms)

	second.Populated(104*ms, false)
	first.Populated(105*ms, false) // the next sweep
	first.Tick(113 * ms)
	if n := first.Counts().Idle; n != 3 {
		t.Errorf("%d idle backends are left before the time is over", n)
	}
	first.Tick(114 * ms)
	if n := first.Counts().Idle; n != 0 {
		t.Errorf("%d idle backends are left when it is over", n)
	}
}

// A backend of before Renew is not used again, also where it comes to a lane which has begun after that.
func TestALaneThatBeginsLaterTakesNoRenewedBackend(t *testing.T) {
	b := board.New(2)
	cfg := Config{Size: 1, MaxDials: 1}
	first := NewLane(cfg, 1, b, 0)
	id := leaseNew(t, ms, first, 1)
	b.Renew(int64(2 * ms)) // the first lane has not heard of it yet
	second := NewLane(cfg, 2, b, 1)
	second.Want(3*ms, 1, 0)
	first.Freed(4*ms, id, 0)
	decided(t, first, Rest)
	first.Rested(4 * ms)
	second.Arrived(4*ms, first.Departed(4*ms, decided(t, first, Give).Backend))
	if why := decided(t, second, Close).Why; why != CauseRenewed {
		t.Errorf("closed because of %v", why)
	}
	decided(t, second, Dial)
}

// What a client of the lane wants in the iteration in which a backend comes free does not go to another lane and come back.
func TestALaneGivesAwayWhatIsLeftAtTheEndOfTheIteration(t *testing.T) {
	first, second := twoLanes(Config{Size: 1})
	b := leaseNew(t, ms, first, 1)
	second.Want(3*ms, 1, 0)
	first.Freed(4*ms, b, 0)
	decided(t, first, Rest)
	first.Want(4*ms, 2, 0)
	decided(t, first, Lease)
	first.Rested(4 * ms)
	if d := first.Decisions(); len(d) > 0 {
		t.Errorf("nothing is left, and decided is %v", d)
	}
	first.Freed(5*ms, b, 0)
	decided(t, first, Rest)
	if _, idle := first.board.Idlest(1); idle > 0 {
		t.Errorf("the other lane is shown %d idle backends", idle)
	}
	first.Rested(5 * ms)
	decided(t, first, Give)
}

// A backend that is to be replaced does not set out for another lane: on its way it would not be counted among those, and the order to wait for their
// end would not wait for it. The client for which it was meant is found another way.
func TestAStaleBackendGoesNowhere(t *testing.T) {
	first, second := twoLanes(Config{Size: 1})
	b := leaseNew(t, ms, second, 1)
	first.Want(2*ms, 1, 0)
	second.Freed(9*ms, b, 0)
	decided(t, second, Rest)
	second.Rested(9 * ms)
	decided(t, second, Give)
	second.Renew(9 * ms)
	_ = second.Decisions()
	if !second.Stale(b) || second.Counts().Stale != 1 {
		t.Fatalf("stale: %v, %+v", second.Stale(b), second.Counts())
	}
	second.Lost(9*ms, b)
	first.Woken(9*ms, decided(t, second, Wake).Reply)
	decided(t, first, Dial)
	defer func() {
		if recover() == nil {
			t.Error("a stale backend has departed")
		}
	}()
	first, second = twoLanes(Config{Size: 1})
	b = leaseNew(t, ms, second, 1)
	first.Want(2*ms, 1, 0)
	second.Freed(9*ms, b, 0)
	decided(t, second, Rest)
	second.Rested(9 * ms)
	decided(t, second, Give)
	second.Renew(9 * ms)
	_ = second.Decisions()
	second.Departed(9*ms, b)
}

// A server that one lane has reached is in no trouble for the others: a client that comes to a lane which has found it refusing gets an attempt of its own, and
// not the error of before.
func TestAServerThatOneLaneHasReachedIsThereForAll(t *testing.T) {
	first, second := twoLanes(Config{Size: 1, ServerLoginRetry: 15 * time.Second})
	first.Want(ms, 1, 0)
	first.DialFailed(2*ms, decided(t, first, Dial).Backend, Failure{Refused})
	decided(t, first, Fail)
	b := leaseNew(t, 300*ms, second, 1)
	second.Lost(310*ms, b)
	first.Want(320*ms, 2, 0)
	decided(t, first, Dial)
	if !first.Waiting(2) {
		t.Errorf("decided %v; the client is to wait", first.Decisions())
	}
}
