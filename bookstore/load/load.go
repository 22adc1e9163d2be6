// Package load puts HTTP load on the bookstore and measures what comes back.
//
// It is a closed loop, as the original's loadtest was: each of C clients sends its next request when the last one is
// answered, over a new TCP connection unless told otherwise. Latencies of successes and of failures are kept apart,
// because a fast failure is no achievement, and failures are counted by kind.
//
// Run owns its clients, a goroutine each, and returns when all have ended. It imports nothing of weir.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Options is one load. Requests or Duration ends it; with both, whichever comes first.
type Options struct {
	URL         string
	Concurrency int           // clients, each with at most one request under way
	Requests    int64         // in all; 0: no limit
	Duration    time.Duration // of sending; answers are awaited beyond it; 0: no limit
	KeepAlive   bool          // keep each client's TCP connection between its requests
	Timeout     time.Duration // of one request, its TCP connect included; 30 s when 0, the original's patience
	Counts      *Counts       // updated while it runs; may be nil
}

// Counts may be read while a load runs.
type Counts struct {
	Succeeded, Failed atomic.Int64
}

const (
	timeoutDefault = 30 * time.Second
	// concurrencyMax bounds goroutines and descriptors, not ambition: a machine has about 28,000 local ports.
	concurrencyMax = 20_000
)

// Run puts the load on and returns what was measured. Cancelling ctx ends it early: requests under way are dropped and
// not counted, and the Result holds what came before.
func Run(ctx context.Context, opts Options) (*Result, error) {
	target, err := parseTarget(opts.URL, opts.KeepAlive)
	if err != nil {
		return nil, err
	}
	switch {
	case opts.Concurrency < 1 || opts.Concurrency > concurrencyMax:
		return nil, fmt.Errorf("concurrency is %d; it must be from 1 to %d", opts.Concurrency, concurrencyMax)
	case opts.Requests <= 0 && opts.Duration <= 0:
		return nil, errors.New("a load needs a number of requests or a duration")
	}
	if opts.Timeout <= 0 {
		opts.Timeout = timeoutDefault
	}
	if opts.Counts == nil {
		opts.Counts = &Counts{}
	}

	overflows := listenOverflows()
	start := time.Now()
	l := &loop{opts: opts, target: target, result: NewResult()}
	if opts.Duration > 0 {
		l.deadline = start.Add(opts.Duration)
	}
	var clients sync.WaitGroup
	for range opts.Concurrency {
		clients.Go(func() { l.client(ctx) })
	}
	clients.Wait()
	l.result.Elapsed = time.Since(start)
	l.result.Window = l.result.Elapsed
	if opts.Duration > 0 {
		l.result.Window = min(opts.Duration, l.result.Elapsed)
	}
	l.result.ListenOverflows = listenOverflows() - overflows
	return l.result, nil
}

// loop is what the clients of one load share.
type loop struct {
	opts     Options
	target   *target
	deadline time.Time // zero: none
	sent     atomic.Int64

	mu     sync.Mutex // guards result
	result *Result
}

// client sends one request after the other until the load is over.
func (l *loop) client(ctx context.Context) {
	c := connection{target: l.target, timeout: l.opts.Timeout, reader: bufio.NewReaderSize(nil, 16<<10)}
	defer c.close()
	for l.more(ctx) {
		start := time.Now()
		got := c.request(ctx)
		if ctx.Err() != nil {
			return
		}
		l.record(got, start)
	}
}

func (l *loop) more(ctx context.Context) bool {
	if ctx.Err() != nil || !l.deadline.IsZero() && !time.Now().Before(l.deadline) {
		return false
	}
	return l.opts.Requests <= 0 || l.sent.Add(1) <= l.opts.Requests
}

func (l *loop) record(got outcome, start time.Time) {
	now := time.Now()
	if got.kind == "" {
		l.opts.Counts.Succeeded.Add(1)
	} else {
		l.opts.Counts.Failed.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Bytes += got.bytes
	l.result.Record(got.kind, now.Sub(start), l.deadline.IsZero() || !now.After(l.deadline))
}

func parseTarget(raw string, keepAlive bool) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read the URL: %w", err)
	}
	if u.Scheme != "http" || u.Hostname() == "" {
		return nil, fmt.Errorf("URL %q: want http://host:port/path", raw)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return newTarget(u, port, keepAlive), nil
}
