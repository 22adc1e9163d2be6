// Package load puts HTTP load on the bookstore, or on anything that answers GET, and measures what comes back.
//
// Without a rate it is a closed loop, as the original's loadtest was: each of C clients sends its next request when the
// last one is answered. With a rate it is an open loop: requests are due at fixed times, and latency counts from the
// time when a request was due, so that a target that stalls cannot hide it by holding the clients up (coordinated
// omission). A new TCP connection carries each request unless told otherwise. Latencies of successes and of failures
// are kept apart, because a fast failure is no achievement, and failures are counted by kind.
//
// Run owns its clients, a goroutine each, and returns when all have ended. It imports nothing of weir.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Target is something to ask for.
type Target struct {
	URL    string // http://host:port/path
	Weight int    // its share of the requests among the targets' weights; 0 counts as 1
}

// Options is one load. Requests or Duration ends it; with both, whichever comes first.
type Options struct {
	Targets     []Target
	Visit       bool          // each task is a visit of the shop's front page at a target's host (visit.go)
	Concurrency int           // clients, each with at most one request under way
	Requests    int64         // in all (visits, with Visit); 0: no limit
	Duration    time.Duration // of sending; answers are awaited beyond it; 0: no limit
	Rate        float64       // requests (visits) due each second, an open loop; 0: a closed loop
	KeepAlive   bool          // keep each client's TCP connections between its requests
	Timeout     time.Duration // of one request, its TCP connect included; 30 s when 0, the original's patience
	Counts      *Counts       // updated while it runs, from the start; may be nil
	// Begin, unless nil, starts the counting when it is closed, under a load that runs already: what ended before is
	// forgotten, and Duration counts from then. For closed loops.
	Begin <-chan struct{}
}

// Counts may be read while a load runs.
type Counts struct {
	Succeeded, Failed, UnderWay atomic.Int64
}

const (
	timeoutDefault = 30 * time.Second
	// concurrencyMax bounds goroutines and descriptors, not ambition: a machine has about 28,000 local ports.
	concurrencyMax = 20_000
	// rateMax is beyond what one machine can send, and keeps the interval between two requests above zero.
	rateMax = 1_000_000
)

// Run puts the load on and returns what was measured. Cancelling ctx ends it early: requests under way are dropped and
// not counted, and the Result holds what came before.
func Run(ctx context.Context, opts Options) (*Result, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	plan, err := newPlan(opts.Targets, opts.KeepAlive, opts.Visit)
	if err != nil {
		return nil, err
	}
	if opts.Timeout <= 0 {
		opts.Timeout = timeoutDefault
	}
	if opts.Counts == nil {
		opts.Counts = &Counts{}
	}

	l := &loop{opts: opts, plan: plan, result: NewResult(), pace: pace{start: time.Now(), rate: opts.Rate}}
	if opts.Begin == nil {
		l.begin(l.pace.start)
	} else {
		running, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			select {
			case <-opts.Begin:
				l.begin(time.Now())
			case <-running.Done():
			}
		}()
	}
	var clients sync.WaitGroup
	for range opts.Concurrency {
		clients.Go(func() { newClient(l).run(ctx) })
	}
	clients.Wait()
	l.countUnsent()
	return l.end(), nil
}

func (o *Options) check() error {
	switch {
	case len(o.Targets) == 0:
		return errors.New("a load needs a URL")
	case o.Concurrency < 1 || o.Concurrency > concurrencyMax:
		return fmt.Errorf("concurrency is %d; it must be from 1 to %d", o.Concurrency, concurrencyMax)
	case o.Requests <= 0 && o.Duration <= 0:
		return errors.New("a load needs a number of requests or a duration")
	case o.Rate < 0 || o.Rate > rateMax:
		return fmt.Errorf("rate is %g; it must be from 0 to %d a second", o.Rate, rateMax)
	case o.Begin != nil && (o.Rate > 0 || o.Requests > 0):
		return errors.New("a load that is counted from later on is a closed loop with a duration")
	}
	return enoughFiles(o.Concurrency)
}

// loop is what the clients of one load share.
type loop struct {
	opts     Options
	plan     *plan
	pace     pace
	deadline atomic.Pointer[time.Time] // nil: none, or not yet
	taken    atomic.Int64              // tasks that clients took, or found to be too many

	mu        sync.Mutex // guards what follows
	began     time.Time
	overflows int64 // that there were then
	result    *Result
}

// begin counts from now on.
func (l *loop) begin(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began, l.overflows, l.result = now, listenOverflows(), NewResult()
	if l.opts.Duration > 0 {
		deadline := now.Add(l.opts.Duration)
		l.deadline.Store(&deadline)
	}
}

// end sums up when all clients have ended.
func (l *loop) end() *Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.result
	if l.began.IsZero() {
		return NewResult() // it was cancelled before it began to count
	}
	r.Elapsed = time.Since(l.began)
	r.Window = r.Elapsed
	if l.opts.Duration > 0 {
		r.Window = min(l.opts.Duration, r.Elapsed)
	}
	r.ListenOverflows = listenOverflows() - l.overflows
	return r
}

// take gives a client the number of its next task and the time from which its latency counts. It waits until then. It
// returns false when the load is over.
func (l *loop) take(ctx context.Context) (n int64, due time.Time, ok bool) {
	if ctx.Err() != nil || l.opts.Rate == 0 && l.over(time.Now()) {
		return 0, time.Time{}, false
	}
	n = l.taken.Add(1) - 1
	if l.opts.Requests > 0 && n >= l.opts.Requests {
		return 0, time.Time{}, false
	}
	if l.opts.Rate == 0 {
		return n, time.Now(), true
	}
	due = l.pace.due(n)
	switch {
	case l.over(due):
		return 0, time.Time{}, false
	case l.over(time.Now()):
		end := *l.deadline.Load()
		l.record(l.plan.target(n).group, NotSent, end.Sub(due), 0, end)
		return 0, time.Time{}, false
	}
	return n, due, sleepUntil(ctx, due)
}

func (l *loop) over(t time.Time) bool {
	deadline := l.deadline.Load()
	return deadline != nil && !t.Before(*deadline)
}

// countUnsent counts the tasks that were due before the end, and that no client was free to take, as failures. Left
// out, they would be the omission that an open loop is there to avoid.
func (l *loop) countUnsent() {
	if l.opts.Rate == 0 {
		return
	}
	end := time.Now()
	if l.over(end) {
		end = *l.deadline.Load()
	}
	for n := l.taken.Load(); l.opts.Requests <= 0 || n < l.opts.Requests; n++ {
		due := l.pace.due(n)
		if !due.Before(end) {
			return
		}
		l.record(l.plan.target(n).group, NotSent, end.Sub(due), 0, end)
	}
}

// record counts a request that ended at now.
func (l *loop) record(group string, kind Kind, took time.Duration, bytes int64, now time.Time) {
	if kind == "" {
		l.opts.Counts.Succeeded.Add(1)
	} else {
		l.opts.Counts.Failed.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Bytes += bytes
	deadline := l.deadline.Load()
	l.result.Record(group, kind, took, deadline == nil || !now.After(*deadline))
}

func (l *loop) recordVisit(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Visits.record(took)
}
