package bench

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"
)

// IdleOptions are those of the suite idle.
type IdleOptions struct {
	Clients  int
	Workers  int // how many log in at the same time
	Backends int
	Rounds   int
}

// IdleSample is one target's memory, bytes of Pss.
type IdleSample struct {
	Clients  int   `json:"clients"`
	Before   int64 `json:"pss_before"`      // one client has come, run a query and gone
	LoggedIn int64 `json:"pss_logged_in"`   // all clients are logged in
	Queried  int64 `json:"pss_after_query"` // each has run a query and is idle again

	Took time.Duration `json:"logins_took_ns"` // all logins
}

// perClient is growth over Before, in bytes per client.
func (s IdleSample) perClient(now int64) float64 { return float64(now-s.Before) / float64(s.Clients) }

// idleGoal: a struct, a descriptor and nothing else. A socket's own memory is the kernel's and in no process's Pss.
var idleGoal = &goal{bound: 1024, format: "%.0f"}

// idleTLSGoal: with TLS there are keys and what the handshake leaves.
var idleTLSGoal = &goal{bound: 24 << 10, format: "%.0f"}

// Idle measures the memory that idle clients cost. Every turn has a fresh process, for memory once grown stays.
func (l *Lab) Idle(ctx context.Context, opts IdleOptions) (Result, error) {
	opts.Clients = l.withinLimit(opts.Clients)
	samples, err := l.idleSamples(ctx, opts)
	if err != nil {
		return Result{}, err
	}
	table := Table{Columns: []string{"target", "clients", "Pss before", "logged in", "after a query", "bytes per client, logged in", "after a query", "goal"}}
	all := map[string][]IdleSample{}
	for i, p := range l.Programs {
		all[p.Name] = samples[i]
		at := func(figure func(IdleSample) float64) float64 { return median(pick(samples[i], figure)) }
		loggedIn := at(func(s IdleSample) float64 { return s.perClient(s.LoggedIn) })
		queried := at(func(s IdleSample) float64 { return s.perClient(s.Queried) })
		row := []string{
			p.Name, strconv.Itoa(opts.Clients),
			mebibytes(at(func(s IdleSample) float64 { return float64(s.Before) })),
			mebibytes(at(func(s IdleSample) float64 { return float64(s.LoggedIn) })),
			mebibytes(at(func(s IdleSample) float64 { return float64(s.Queried) })),
			fmt.Sprintf("%.0f", loggedIn), fmt.Sprintf("%.0f", queried), "",
		}
		if p.Kind == Weir {
			row[7] = l.idleGoal().verdict(max(loggedIn, queried))
		}
		table.Rows = append(table.Rows, row)
	}
	return Result{
		Suite: "idle",
		Title: "Memory of idle clients",
		About: fmt.Sprintf("%d clients log in over TCP, %d at a time, and stay; then each runs one query and is idle again; %d backends. "+
			"Growth of the proxy's Pss once it has settled, by clients.", opts.Clients, opts.Workers, opts.Backends),
		Table:   table,
		Samples: all,
	}, nil
}

// idleSamples are those of each program.
func (l *Lab) idleSamples(ctx context.Context, opts IdleOptions) ([][]IdleSample, error) {
	return interleave(ctx, len(l.Programs), opts.Rounds, func(ctx context.Context, i, _ int) (IdleSample, error) {
		t, err := l.start(ctx, l.Programs[i], targetOptions{backends: opts.Backends, clients: opts.Clients})
		if err != nil {
			return IdleSample{}, err
		}
		defer t.stop()
		s, err := l.idleTurn(ctx, t, opts)
		if err != nil {
			return s, t.failed("keep idle clients", err)
		}
		return s, nil
	})
}

func (l *Lab) idleGoal() *goal {
	if l.TLS {
		return idleTLSGoal
	}
	return idleGoal
}

func mebibytes(n float64) string { return fmt.Sprintf("%.1f MiB", n/(1<<20)) }

func (l *Lab) idleTurn(ctx context.Context, t *target, opts IdleOptions) (s IdleSample, err error) {
	s.Clients = opts.Clients
	if s.Before, err = settledPss(ctx, t); err != nil {
		return s, err
	}
	clients := make([]*client, opts.Clients)
	defer func() {
		for _, c := range clients {
			if c != nil {
				c.close()
			}
		}
	}()
	l.Progress("%s: %d clients log in", t.Name, opts.Clients)
	start := time.Now()
	err = inParallel(ctx, opts.Workers, len(clients), func(i int, r *bufio.Reader) (err error) {
		clients[i], err = dialWith(ctx, t.addr, i, r)
		return err
	})
	s.Took = time.Since(start)
	if err != nil {
		return s, fmt.Errorf("log in: %w", err)
	}
	if s.LoggedIn, err = settledPss(ctx, t); err != nil {
		return s, err
	}
	l.Progress("%s: %d clients run a query each", t.Name, opts.Clients)
	err = inParallel(ctx, opts.Workers, len(clients), func(i int, r *bufio.Reader) error {
		clients[i].lend(r)
		_, err := clients[i].query("select 1")
		return err
	})
	if err != nil {
		return s, fmt.Errorf("run a query: %w", err)
	}
	if s.Queried, err = settledPss(ctx, t); err != nil {
		return s, err
	}
	l.Progress("%s: %.0f bytes per client logged in, %.0f after a query", t.Name, s.perClient(s.LoggedIn), s.perClient(s.Queried))
	return s, nil
}

// inParallel runs do for 0..n-1 on a few workers, each with a read buffer to lend, and returns the first error.
func inParallel(ctx context.Context, workers, n int, do func(i int, r *bufio.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			r := bufio.NewReaderSize(nil, readBuffer)
			for i := range next {
				if err := do(i, r); err != nil {
					cancel(fmt.Errorf("client %d: %w", i, err))
					return
				}
			}
		})
	}
	for i := range n {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// A garbage-collected process gives memory back over seconds; PgBouncer not at all. Memory has settled once so many
// looks in a row differ by little, or, for one that never rests, after a while.
const (
	settleLook   = 500 * time.Millisecond
	settleLooks  = 4
	settleWithin = 0.002 // of the value
	settleWait   = 20 * time.Second
)

func settledPss(ctx context.Context, t *target) (int64, error) {
	deadline := time.Now().Add(settleWait)
	last, same := int64(0), 0
	for {
		pss, err := t.pss()
		if err != nil {
			return 0, err
		}
		if math.Abs(float64(pss-last)) <= settleWithin*float64(pss) {
			same++
		} else {
			same = 0
		}
		if last = pss; same >= settleLooks || time.Now().After(deadline) {
			return pss, nil
		}
		if err := sleep(ctx, settleLook); err != nil {
			return 0, err
		}
	}
}
