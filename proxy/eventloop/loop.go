package eventloop

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// ReadBufferLen is the size of the buffer that a loop lends to its connections' reads. It is what a slow peer may have parked, too; half of
// it makes large transfers dearer by a tenth to a quarter.
const ReadBufferLen = 128 << 10

// Handler is what is registered with a descriptor. The loop calls it on its own goroutine.
type Handler interface {
	// OnReady is told what became possible. It must not block; it may register, close and post anything.
	OnReady(e Event)
}

// Rank orders the events of one iteration. Backends come first: a server that has gone away is noticed before a client's
// query would be sent to it. Those that are no clients yet come last.
type Rank uint8

// The ranks, in the order in which they are served.
const (
	First Rank = iota
	Second
	Third
	ranks
)

// Token names a registration until it is closed.
type Token struct {
	slot       uint32
	generation uint32
}

func (t Token) id() uint64 { return uint64(t.generation)<<32 | uint64(t.slot) }

type slot struct {
	handler    Handler // nil while the slot is free
	fd         int32
	generation uint32
	served     uint32 // the poll after which it had its last turn
	rank       Rank
	ended      Event // HangUp and Broken, once they were reported: they hold for every turn from then on
	marks      marks
}

// marks are what is to be done for a registration, and what the poller watches it for.
type marks uint8

const (
	again   marks = 1 << iota // it has asked for another turn
	listed                    // in Loop.again, or in Loop.turn
	resting                   // it has asked for a turn later: it is in Loop.rests
	blind                     // the poller does not watch it for readability, because it has asked to rest
	writing                   // the poller watches it for writability
)

func (m marks) has(x marks) bool { return m&x != 0 }

// Loop is one event loop. Run runs it; Post, Call and Stop may be called on any goroutine, everything else on the loop's own.
type Loop struct {
	poller *poller
	inbox  inbox
	timers timers
	start  time.Time
	now    int64
	busy   int64                        // when something was ready last
	behind int                          // polls to go before timers fire: see stalled
	cut    struct{ began, ended int64 } // the iteration in which the loop was stopped last, and when the next one began

	slots     []slot
	free      []uint32
	ready     [ranks]list[readiness]
	again     []uint32
	turn      list[uint32] // the again list that is being served
	rests     []rest
	posts     list[func()] // what the inbox held
	later     list[task]
	condemned list[task]
	serving   Handler // whose code is running; nil where that is not one connection's
	buffer    []byte
	polled    [eventsPerPoll]readiness

	stopping atomic.Bool
	done     chan struct{}

	Polls uint64 // calls of the kernel's poll since the start

	// OnEnd is called once, on the loop, after everything else that ran on it: no handler, timer or post comes after it. It closes what is
	// still registered. nil: everything has been closed by then.
	OnEnd func()
	// OnPanic is called on the loop after code that ran for h has panicked. It is to end h, and the loop goes on. If it is nil, or the
	// code was not one connection's, the process ends. Set it before Run.
	OnPanic func(h Handler, cause any, stack []byte)
}

// task is what is done for h at the end of an iteration.
type task struct {
	h Handler
	f func()
}

// list is a queue that is served from the front while it grows, and goes on where it was when a panic has cut it short.
type list[T any] struct {
	items []T
	next  int
}

func (q *list[T]) add(x T) { q.items = append(q.items, x) }

// take returns the next item; false when there is none, and the list is empty again.
func (q *list[T]) take() (x T, ok bool) {
	if q.next == len(q.items) {
		q.items, q.next = q.items[:0], 0
		return x, false
	}
	var zero T
	x, q.items[q.next] = q.items[q.next], zero
	q.next++
	return x, true
}

func (q *list[T]) empty() bool { return q.next == len(q.items) }

// epoch is when the clocks of all loops were 0: what one has noted means the same to another.
var epoch = time.Now()

// New makes a loop that waits for Run. headroom bytes precede the part of the buffer that reads fill, so that what a
// connection had left over can stand in front of what is read next.
func New(headroom int) (*Loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, fmt.Errorf("event loop: %w", err)
	}
	l := &Loop{
		poller: p,
		inbox:  inbox{wake: p.wake},
		start:  epoch,
		buffer: make([]byte, headroom+ReadBufferLen),
		done:   make(chan struct{}),
	}
	l.now = l.clock()
	return l, nil
}

// Run serves until Stop, on a thread of its own, and then closes the poller. Registrations must have been closed when OnEnd has returned.
func (l *Loop) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.done)
	defer l.poller.close()
	l.poller.wakeInTime()
	for !l.stopping.Load() {
		l.serve()
	}
	for _, post := range l.inbox.close() {
		post()
	}
	l.bury()
	if l.OnEnd != nil {
		l.OnEnd()
	}
}

// serve iterates until Stop, or until one connection's code has panicked and that connection was ended.
func (l *Loop) serve() {
	defer l.caught()
	for !l.stopping.Load() {
		l.iterate()
	}
}

// caught recovers from a panic of one connection's code and has OnPanic end that connection.
func (l *Loop) caught() {
	h := l.serving
	if h == nil || l.OnPanic == nil {
		return
	}
	if cause := recover(); cause != nil {
		l.serving = nil // a second panic, while h is being ended, ends the process
		l.OnPanic(h, cause, debug.Stack())
	}
}

// Done is closed when Run has returned.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Stop ends Run after the present iteration. Any goroutine.
func (l *Loop) Stop() {
	l.stopping.Store(true)
	l.inbox.interrupt()
}

// Post runs f on the loop, in the order of posting, and reports whether it will: a loop that has ended takes nothing more.
// Any goroutine.
func (l *Loop) Post(f func()) bool {
	return l.inbox.push(f)
}

// Call runs f on the loop and waits for it; false when the loop has ended. Any goroutine but the loop's own.
func (l *Loop) Call(f func()) bool {
	var ran sync.WaitGroup
	ran.Add(1)
	if !l.Post(func() { defer ran.Done(); f() }) {
		return false
	}
	ran.Wait()
	return true
}

// Epoch is when the loop's clock was 0. Any goroutine.
func (l *Loop) Epoch() time.Time { return l.start }

// Now is the loop's clock: nanoseconds since the epoch of all loops, read once in each iteration.
func (l *Loop) Now() int64 { return l.now }

// Buffer is lent to the caller until its handler, post or timer returns. Its length is the headroom given to New and ReadBufferLen.
func (l *Loop) Buffer() []byte { return l.buffer }

// Register watches fd and calls h when something is ready there. The caller keeps owning fd and must call Close with the
// token before closing it.
func (l *Loop) Register(fd int, h Handler, rank Rank) (Token, error) {
	return l.register(fd, h, rank, l.poller.add)
}

// RegisterShared is Register for a descriptor that several loops watch, a listener: what becomes ready there wakes one of
// them, where the kernel can do that, and any of them may find that another was faster.
func (l *Loop) RegisterShared(fd int, h Handler, rank Rank) (Token, error) {
	return l.register(fd, h, rank, l.poller.addShared)
}

func (l *Loop) register(fd int, h Handler, rank Rank, add func(fd int, id uint64) error) (Token, error) {
	var i uint32
	if n := len(l.free); n > 0 {
		i = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		i = uint32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	s := &l.slots[i]
	s.generation++
	s.handler, s.fd, s.rank, s.ended, s.served = h, int32(fd), rank, 0, l.round()-1
	s.marks &= listed
	t := Token{slot: i, generation: s.generation}
	if err := add(fd, t.id()); err != nil {
		l.Close(t)
		return Token{}, err
	}
	return t, nil
}

// Rebind hands a registration over to another handler. What was reported to the old one is not reported again.
func (l *Loop) Rebind(t Token, h Handler, rank Rank) {
	if s := l.at(t); s != nil {
		s.handler, s.rank = h, rank
	}
}

// Forget ends a registration whose descriptor stays open, to be watched by another loop, or that others watch as well.
func (l *Loop) Forget(t Token) error {
	s := l.at(t)
	if s == nil {
		return nil
	}
	fd := int(s.fd)
	l.Close(t)
	return l.poller.remove(fd)
}

// Close ends a registration: its handler is called no more, whatever was polled already. The descriptor is to be closed next.
func (l *Loop) Close(t Token) {
	s := l.at(t)
	if s == nil {
		return
	}
	s.handler, s.marks = nil, s.marks&listed
	l.free = append(l.free, t.slot)
}

// WatchWrite starts or stops reporting Writable for the registration.
func (l *Loop) WatchWrite(t Token, on bool) error {
	s := l.at(t)
	if s == nil {
		return nil
	}
	if s.marks &^= writing; on {
		s.marks |= writing
	}
	return l.watch(t.slot)
}

// watch has the poller watch a registration for what its marks say.
func (l *Loop) watch(i uint32) error {
	s := &l.slots[i]
	return l.poller.watch(int(s.fd), Token{i, s.generation}.id(), !s.marks.has(blind), s.marks.has(writing))
}

// Later runs f for h at the end of the iteration, when no handler is active any more, and before anything is ended.
func (l *Loop) Later(h Handler, f func()) { l.later.add(task{h, f}) }

// Condemn runs f, which ends h, at the end of the iteration, after all that was put off with Later.
func (l *Loop) Condemn(h Handler, f func()) { l.condemned.add(task{h, f}) }

// Set lets x fire once after d. A timer that is set again moves.
func (l *Loop) Set(x *Timer, d time.Duration) {
	l.timers.set(x, l.now+min(int64(max(d, 0)), latest-l.now))
}

// Unset stops x if it is set.
func (l *Loop) Unset(x *Timer) { l.timers.stop(x) }

func (l *Loop) at(t Token) *slot {
	if int(t.slot) >= len(l.slots) {
		return nil
	}
	s := &l.slots[t.slot]
	if s.generation != t.generation || s.handler == nil {
		return nil
	}
	return s
}

// iterate is the loop: each step is one function, in this order.
func (l *Loop) iterate() {
	l.poll()
	l.read()
	for rank := range l.ready {
		l.dispatch(Rank(rank))
	}
	l.rested()
	l.serveAgain()
	l.fire()
	l.bury()
}

// leftOver reports whether a panic has cut an iteration short.
func (l *Loop) leftOver() bool {
	over := !l.turn.empty() || !l.posts.empty() || !l.later.empty() || !l.condemned.empty()
	for rank := range l.ready {
		over = over || !l.ready[rank].empty()
	}
	return over
}

func (l *Loop) poll() {
	timeout := time.Duration(0)
	if len(l.again) == 0 && l.behind == 0 && !l.leftOver() {
		now := l.clock() // l.now is as old as the handlers of the last iteration took
		timeout = l.untilRested(now, l.timers.next(now))
	}
	if timeout != 0 && !l.inbox.rest() {
		timeout = 0
	}
	n := l.wait(timeout)
	for _, r := range l.polled[:n] {
		s := &l.slots[uint32(r.id)]
		if s.handler != nil {
			l.ready[s.rank].add(r)
		}
	}
}

// A loop that waits for its next event does not tell Go's scheduler that it sleeps, until it has had nothing to do for calmAfter.
// While events follow each other, telling it would cost more than the sleep: the scheduler's monitor takes the processor away, the loop
// has to ask for one when it wakes up, and after that the monitor looks every 20 µs for a while. Until then the loop sleeps for grasp at
// most, which is below the 10 ms after which the monitor interrupts a goroutine that holds a processor. Other goroutines
// need a processor of their own in that time, which package proxy provides.
const (
	grasp     = 5 * time.Millisecond
	calmAfter = 100 * time.Millisecond
)

// wait polls for timeout at most; negative is until something comes. It may return earlier with nothing: the next iteration waits again.
func (l *Loop) wait(timeout time.Duration) int {
	calm := l.now-l.busy >= int64(calmAfter)
	if !calm && (timeout < 0 || timeout > grasp) {
		timeout = grasp
	}
	n, err := l.poller.wait(l.polled[:], timeout, calm && timeout != 0)
	if err != nil {
		// A poller that fails has lost its descriptor: nothing that this process could do would serve another byte.
		panic(fmt.Sprintf("event loop: %v", err))
	}
	l.Polls++
	was := l.now
	l.now = l.clock()
	if n > 0 {
		l.busy = l.now
	}
	late := l.now-was > int64(max(timeout, 0)+stall)
	if late {
		l.cut.began, l.cut.ended = was, l.now
	}
	l.stalled(n, late)
	return n
}

// stall is by how much a loop may be late before it is taken to have been stopped.
const stall = 250 * time.Millisecond

// stalled takes note of what a poll has found. A loop that was stopped (by SIGSTOP, with its container, with its machine) finds that much time has
// passed before it has seen what came in that time. Timers would take those for silent who have spoken, so they fire when all has been
// seen: when a poll after that has found less than it could have, or when there have been as many as it takes. The late poll itself may have
// looked before the stop, or have been ended by a signal.
func (l *Loop) stalled(n int, late bool) {
	full := n >= len(l.polled)-1 // one may have been the inbox's
	switch {
	case l.behind > 0 && full:
		l.behind--
	case l.behind > 0:
		l.behind = 0
	case late:
		l.behind = 1 + len(l.slots)/len(l.polled)
	}
}

// Since is how long ago a moment of the loop's clock was. If that is of an iteration in which the loop was stopped, what was noted then may
// have happened after the stop, and is taken to have: an answer may have been passed on, or a request, to which nobody has had time to react.
func (l *Loop) Since(t int64) time.Duration {
	if t == l.cut.began {
		t = max(t, l.cut.ended)
	}
	return time.Duration(l.now - t)
}

// clock is the time that Now is told from once an iteration.
func (l *Loop) clock() int64 { return int64(time.Since(l.start)) }

func (l *Loop) read() {
	if l.posts.empty() {
		l.posts.items = l.inbox.swap(l.posts.items[:0])
		l.posts.next = 0
	}
	for post, ok := l.posts.take(); ok; post, ok = l.posts.take() {
		post()
		poison(l.buffer)
	}
}

func (l *Loop) dispatch(rank Rank) {
	q := &l.ready[rank]
	for r, ok := q.take(); ok; r, ok = q.take() {
		s := &l.slots[uint32(r.id)]
		// An earlier handler of this iteration may have closed it, and its slot may have a new owner.
		if s.handler != nil && s.generation == uint32(r.id>>32) {
			s.ended |= r.event & (HangUp | Broken)
			if s.marks.has(again) {
				r.event |= Readable
			}
			l.serveTurn(uint32(r.id), r.event)
		}
	}
}

func (l *Loop) fire() {
	if l.behind > 0 {
		return
	}
	for {
		x := l.timers.pop(l.now)
		if x == nil {
			return
		}
		x.Func()
		poison(l.buffer)
	}
}

// bury does what was put off, and ends what was condemned; each may bring about more of both.
func (l *Loop) bury() {
	for {
		t, ok := l.later.take()
		if !ok {
			if t, ok = l.condemned.take(); !ok {
				return
			}
		}
		l.serving = t.h
		t.f()
		l.serving = nil
	}
}
