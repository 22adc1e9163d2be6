package compare

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/bookstore/load"
	"weir/bookstore/report"
	"weir/internal/pgserver"
)

// sampler looks at the programs of a turn while it runs, in a goroutine of its own.
type sampler struct {
	turn   *turn
	api    *api
	proxy  *weirProcess
	counts *load.Counts // of the load under way
	abort  func()       // ends the load

	quit context.CancelFunc
	done chan struct{}

	mu        sync.Mutex // guards what follows; held while it looks
	measuring bool
	began     time.Time // of the load that is measured
	programs  time.Time // when they were looked at last
	rest      time.Duration
	warmed    struct{ succeeded, failed int64 } // counted while warming up
	first     look
	last      look
	busy      look // the last one while requests were sent: a share of CPU counts until then
	samples   []report.Sample
	err       error
}

// look is what a share of CPU and a wait are computed from.
type look struct {
	at       time.Time
	programs report.Programs
	waits    *histogram
}

const (
	samplePeriod = time.Second
	// Adding up the memory of hundreds of processes takes the kernel some time, which must not be taken from what is
	// measured: programs rest programsRest times longer than the last look at them took, but not longer than
	// programsRestMax, for on a busy machine the look's time is mostly waiting.
	programsRest    = 9
	programsRestMax = 3 * time.Second
)

func startSampler(ctx context.Context, t *turn, api *api, proxy *weirProcess, abort func()) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{turn: t, api: api, proxy: proxy, counts: &load.Counts{}, abort: abort, quit: cancel, done: make(chan struct{})}
	go s.run(ctx)
	return s
}

func (s *sampler) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	for {
		// A query that has begun is finished: cutting it off would close the observer's connection.
		if s.look(context.WithoutCancel(ctx)) != nil {
			s.abort()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// measure says that the warm-up is over.
func (s *sampler) measure() error {
	if err := s.lookAtAll(context.Background()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warmed.succeeded, s.warmed.failed = s.counts.Succeeded.Load(), s.counts.Failed.Load()
	s.first, s.measuring, s.began = s.last, true, time.Now()
	return nil
}

// sessionsNow is what the last look saw.
func (s *sampler) sessionsNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples[len(s.samples)-1].Sessions.Total()
}

// stop looks once more, for the application's pools keep what they opened, and ends the sampling.
func (s *sampler) stop() error {
	s.quit()
	<-s.done
	return s.lookAtAll(context.Background())
}

// look takes a sample, with the programs when it is their time. After an error it takes no more.
func (s *sampler) look(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sample(ctx, time.Since(s.programs) > s.rest)
}

// lookAtAll takes a sample with the programs.
func (s *sampler) lookAtAll(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sample(ctx, true)
}

// sample is look under the lock.
func (s *sampler) sample(ctx context.Context, programs bool) error {
	if s.err != nil {
		return s.err
	}
	s.err = errors.Join(s.api.running(), s.proxy.running())
	if s.err != nil {
		return s.err
	}
	var sample report.Sample
	if sample.Sessions, s.err = s.turn.sessions(ctx); s.err != nil {
		return s.err
	}
	var metrics *scraped
	if s.proxy != nil && s.proxy.metrics != "" {
		if metrics, s.err = scrape(ctx, s.proxy.metrics); s.err != nil {
			s.err = fmt.Errorf("ask %s for its metrics: %w", s.turn.opts.ProxyName, errors.Join(s.err, s.proxy.running()))
			return s.err
		}
		sample.Queue = &metrics.queue
		s.last.waits = &metrics.waits
	}
	if programs {
		if sample.Programs, s.err = s.samplePrograms(metrics); s.err != nil {
			return s.err
		}
	}
	sample.At = time.Since(s.turn.comparison.started).Seconds()
	sample.WarmUp = !s.measuring
	if s.measuring {
		sample.Succeeded = s.counts.Succeeded.Load() - s.warmed.succeeded
		sample.Failed = s.counts.Failed.Load() - s.warmed.failed
	}
	s.samples = append(s.samples, sample)
	s.show(&sample)
	return nil
}

// samplePrograms looks at the programs, and says when it is their time again.
func (s *sampler) samplePrograms(metrics *scraped) (*report.Programs, error) {
	began := time.Now()
	if err := s.lookAtPrograms(metrics); err != nil {
		return nil, err
	}
	if s.measuring && (s.busy.at.IsZero() || began.Sub(s.began) < s.turn.opts.Duration+samplePeriod) {
		s.busy = s.last
	}
	s.programs, s.rest = time.Now(), min(programsRest*time.Since(began), programsRestMax)-samplePeriod
	programs := s.last.programs
	return &programs, nil
}

func (s *sampler) lookAtPrograms(metrics *scraped) error {
	s.last.at = time.Now()
	p := &s.last.programs
	*p = report.Programs{Load: self(), Machine: busy()}
	if pid := s.turn.postmaster; pid != 0 {
		u, err := pgserver.UsageOf(pid)
		if err != nil {
			return fmt.Errorf("measure the memory of PostgreSQL: %w", errors.Join(err, s.turn.serverGone()))
		}
		p.Postgres = report.Program{Memory: u.Pss, PageTables: u.PageTables, CPU: u.CPU.Seconds()}
	}
	for _, process := range s.api.processes {
		u, err := pgserver.UsageOf(process.PID)
		if err != nil {
			return fmt.Errorf("measure the memory of the bookstore: %w", errors.Join(err, process.running()))
		}
		p.API.Memory += u.Pss
		p.API.CPU += u.CPU.Seconds()
	}
	switch {
	case s.proxy == nil:
	case s.proxy.program != nil:
		u, err := pgserver.UsageOf(s.proxy.PID)
		if err != nil {
			return fmt.Errorf("measure the memory of weir: %w", errors.Join(err, s.proxy.running()))
		}
		p.Proxy = report.Program{Memory: u.Pss, CPU: u.CPU.Seconds()}
	case metrics != nil:
		p.Proxy = report.Program{Memory: metrics.resident, CPU: metrics.cpu}
	}
	return nil
}

func (s *sampler) show(now *report.Sample) {
	o, t := s.turn.opts, s.turn
	if !s.measuring {
		o.Progress.Update("%s: warming up, %d backends", t.label(), now.Sessions.Total())
		return
	}
	o.Progress.Update("%s: %.0f of %.0f s, %d answered, %d failed, %d backends%s", t.label(),
		min(time.Since(s.began), o.Duration).Seconds(), o.Duration.Seconds(), now.Succeeded, now.Failed, now.Sessions.Total(),
		mebibytes(", PostgreSQL ", s.last.programs.Postgres.Size()))
}

// cpu is the average while requests were sent. After stop only.
func (s *sampler) cpu() report.CPU {
	seconds := s.busy.at.Sub(s.first.at).Seconds()
	if seconds <= 0 {
		return report.CPU{}
	}
	from, to := &s.first.programs, &s.busy.programs
	cores := func(from, to report.Program) float64 { return max(0, to.CPU-from.CPU) / seconds }
	u := report.CPU{
		Postgres: cores(from.Postgres, to.Postgres), API: cores(from.API, to.API), Proxy: cores(from.Proxy, to.Proxy),
		Load: cores(from.Load, to.Load),
	}
	u.Others = max(0, (to.Machine-from.Machine)/seconds-u.Postgres-u.API-u.Proxy-u.Load)
	return u
}

// wait is what the proxy's clients waited while the load was measured. After stop only.
func (s *sampler) wait() *report.Wait {
	if s.first.waits == nil || s.last.waits == nil {
		return nil
	}
	w := s.last.waits.since(*s.first.waits)
	return &w
}
