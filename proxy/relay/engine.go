package relay

import (
	"cmp"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"weir/proxy/cancelkey"
	"weir/proxy/conversation"
	"weir/proxy/eventloop"
	"weir/proxy/session"
	"weir/proxy/socket"
	"weir/proxy/status"
)

const (
	// inspectLen is what may be carried of a stream, and so stands before the next read in the loop's buffer.
	inspectLen = conversation.InspectLen
	// readsPerTurn bounds what one connection moves before the others get their turn: 256 KiB.
	readsPerTurn = 2
	// sweepEvery is the grain of the timeouts that are looked for rather than timed one by one; they are given in seconds.
	sweepEvery = time.Second
)

// Env is what all engines share. It is fixed before the first engine runs.
type Env struct {
	Log       *slog.Logger
	Settings  *session.Table
	Keys      *cancelkey.Keys
	Notifiers Notifiers
	// Vacate is told, on a loop, that a client works on databases as a whole, which backends without clients are in the way of: it is
	// to have every engine Vacate. nil: nothing happens.
	Vacate func()
	// PgBouncer has backends' logins logged in PgBouncer's words, too.
	PgBouncer bool
	// Tracer is told about transactions that are over. nil: none is traced.
	Tracer Tracer
	// SweepEvery is the time between two sweeps, for tests that would wait for them; 0: a second.
	SweepEvery time.Duration
	// BegunAfter is how long after it was sent a server has certainly begun a request, for tests that must not go by the clock; 0: a second.
	BegunAfter time.Duration

	numbers       atomic.Uint32 // of clients and backends, in the order in which they come
	redefinitions atomic.Uint64 // commands of clients that may have changed what logins get, of any pool
	definitions   atomic.Uint64 // commands of clients that may have changed what statements do, of any pool
	reshapings    atomic.Uint64 // those that may have changed what texts refer to
}

// Number is the next number of a client or a backend. Any goroutine.
func (e *Env) Number() uint32 { return e.numbers.Add(1) }

// Engine is one event loop with its lanes and clients. Exported methods may be called on any goroutine unless they say
// otherwise.
type Engine struct {
	env   *Env
	index int // which loop this is; part of every cancel key
	loop  *eventloop.Loop
	io    socket.IO

	toServer, toClient conversation.Flow // of the read at hand

	lanes    []*Lane
	past     map[*Lanes]*pastLane // what lanes have counted that have ended here, of pools that go on
	clients  slots[Client]        // by cancel slot
	sweeper  eventloop.Timer
	tender   eventloop.Timer // see TendSilence
	closing  []*Client       // their last bytes are under way, or the peer's are awaited
	vacating int64           // since when backends of pools without clients are in the way of something; 0: never
	drain    drain
	failures failures
	turns    turns

	stalls stalls
	lines  lines // that clients have caused
}

// NewEngine makes an engine on a loop that it runs; index numbers the process's engines from 0.
func NewEngine(env *Env, index int, loop *eventloop.Loop) *Engine {
	e := &Engine{env: env, index: index, loop: loop, lines: lines{}, stalls: stalls{}}
	e.sweeper.Func = e.sweep
	loop.OnPanic = e.panicked
	loop.OnEnd = e.abandon
	return e
}

// NewLoop makes a loop for an engine, with the headroom that it needs.
func NewLoop() (*eventloop.Loop, error) { return eventloop.New(inspectLen) }

// Run serves until Stop.
func (e *Engine) Run() {
	e.loop.Post(func() { e.loop.Set(&e.sweeper, e.env.sweepEvery()) })
	e.loop.Run()
}

func (v *Env) sweepEvery() time.Duration { return cmp.Or(v.SweepEvery, sweepEvery) }

// Loop is the loop that the engine runs on.
func (e *Engine) Loop() *eventloop.Loop { return e.loop }

// Done is closed when Run has returned.
func (e *Engine) Done() <-chan struct{} { return e.loop.Done() }

// Stop closes every client and backend at once and ends Run.
func (e *Engine) Stop() {
	e.loop.Stop()
}

// Snapshot returns the state of the engine's pools and of its loop, and what lanes have counted that have ended on it and are not buried yet; nil
// when the engine has ended. There may be thousands of pools, so they are copied in visits. Any goroutine but the loop's.
func (e *Engine) Snapshot() (pools, past []status.Pool, loop status.Loop, ok bool) {
	surveys := e.survey()
	var lanes []*Lane
	e.loop.Call(func() { lanes = slices.Clone(e.lanes) })
	pools = make([]status.Pool, 0, len(lanes))
	for some := range slices.Chunk(lanes, lanesPerVisit) {
		e.loop.Call(func() {
			for _, l := range some {
				s := l.snapshot()
				if seen := surveys[l]; seen != nil {
					seen.tell(&s)
				}
				pools = append(pools, s)
			}
		})
	}
	ok = e.loop.Call(func() {
		kept := pools[:0]
		for i := range pools {
			if !lanes[i].ended { // else what it has counted is among what is past by now
				kept = append(kept, pools[i])
			}
		}
		pools = kept
		for _, p := range e.past {
			past = append(past, p.counted)
		}
		loop = status.Loop{
			Polls: e.loop.Polls,
			Reads: e.io.Reads, Writes: e.io.Writes,
			BytesRead: e.io.BytesRead, BytesWritten: e.io.BytesWritten,
		}
	})
	return pools, past, loop, ok
}

// receive reads once, most bytes, into the lent buffer, after what was carried of the same stream, whose buffer it gives back. n is how much
// came now.
func (e *Engine) receive(s *socket.Conn, carry *[]byte, most int) (p []byte, n int, err error) {
	e.turns.reading(e.loop.Polls, s)
	buf := e.loop.Buffer()
	n, err = s.Read(&e.io, buf[inspectLen:inspectLen+most])
	if err != nil {
		return nil, 0, err
	}
	start := inspectLen - len(*carry)
	if len(*carry) > 0 {
		copy(buf[start:], *carry)
		e.io.Return(*carry)
		*carry = nil
	}
	return buf[start : inspectLen+n], n, nil
}

// carried is what is carried of a stream, in the lent buffer; it is carried no longer.
func (e *Engine) carried(carry *[]byte) []byte {
	p := e.loop.Buffer()[inspectLen:]
	p = p[:copy(p, *carry)]
	e.io.Return(*carry)
	*carry = nil
	return p
}

// closeFD closes a descriptor that has not become a connection.
func closeFD(fd int) {
	var unshared socket.IO
	s := socket.New(fd)
	s.Close(&unshared)
}

// since turns a moment of the loop's clock into how long ago it was.
func (e *Engine) since(t int64) time.Duration { return e.loop.Since(t) }
