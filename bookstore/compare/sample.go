package compare

import (
	"context"
	"fmt"
	"time"

	"weir/bookstore/load"
	"weir/internal/pgserver"
)

// peaks are the highest values seen; sizes in bytes.
type peaks struct {
	backends             int
	postgres, api, proxy int64
}

// sampler looks at the processes of a turn while it runs, in a goroutine of its own.
type sampler struct {
	turn       *turn
	api, proxy *child
	counts     *load.Counts
	start      time.Time

	quit context.CancelFunc
	done chan struct{}
	// Written by the goroutine, read after done.
	peaks peaks
	err   error
}

const (
	samplePeriod = 200 * time.Millisecond
	// Adding up the memory of a hundred processes takes the kernel some time, which must not be taken from what is
	// measured: memory rests memoryRest times longer than its last look took. Not longer than memoryRestMax, for on a
	// busy machine the look's time is mostly waiting.
	memoryRest    = 9
	memoryRestMax = time.Second
)

func startSampler(ctx context.Context, t *turn, api, proxy *child, counts *load.Counts) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{turn: t, api: api, proxy: proxy, counts: counts, start: time.Now(), quit: cancel, done: make(chan struct{})}
	go s.run(ctx)
	return s
}

func (s *sampler) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	var memoryDue time.Time
	for last := false; ; {
		// A query that has begun is finished: cutting it off would close the observer's connection.
		if s.err = s.sampleBackends(context.WithoutCancel(ctx)); s.err != nil {
			return
		}
		if began := time.Now(); last || !began.Before(memoryDue) {
			if s.err = s.sampleMemory(); s.err != nil {
				return
			}
			memoryDue = time.Now().Add(min(memoryRest*time.Since(began), memoryRestMax))
		}
		s.show()
		if last {
			return
		}
		select {
		case <-ctx.Done():
			last = true // the application's pools keep what they opened: look once more
		case <-tick.C:
		}
	}
}

func (s *sampler) sampleBackends(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, emptyWait)
	defer cancel()
	n, err := s.turn.backends(ctx)
	s.peaks.backends = max(s.peaks.backends, n)
	return err
}

func (s *sampler) sampleMemory() error {
	for _, of := range []struct {
		name string
		pid  int
		peak *int64
	}{
		{"PostgreSQL", s.turn.server.PID(), &s.peaks.postgres},
		{"the bookstore", s.api.pid, &s.peaks.api},
		{"weir", s.proxyPID(), &s.peaks.proxy},
	} {
		if of.pid == 0 {
			continue
		}
		bytes, err := pgserver.PssOf(of.pid)
		if err != nil {
			return fmt.Errorf("measure the memory of %s: %w", of.name, err)
		}
		*of.peak = max(*of.peak, bytes)
	}
	return nil
}

func (s *sampler) proxyPID() int {
	if s.proxy == nil {
		return 0
	}
	return s.proxy.pid
}

func (s *sampler) show() {
	t, elapsed := s.turn, time.Since(s.start)
	if elapsed < t.opts.WarmUp {
		t.opts.Progress.update("[%d/%d] %d clients, %s: warming up", t.number, t.turns(), t.clients, t.way)
		return
	}
	t.opts.Progress.update("[%d/%d] %d clients, %s: %.0f s of %.0f, %d answered, %d failed, %d backends, PostgreSQL %d MiB",
		t.number, t.turns(), t.clients, t.way, elapsed.Seconds(), (t.opts.WarmUp + t.opts.Duration).Seconds(),
		s.counts.Succeeded.Load(), s.counts.Failed.Load(), s.peaks.backends, s.peaks.postgres>>20)
}

// stop ends the sampling and returns what was seen.
func (s *sampler) stop() (peaks, error) {
	s.quit()
	<-s.done
	return s.peaks, s.err
}
