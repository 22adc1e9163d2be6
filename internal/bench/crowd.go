package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// CrowdOptions are those of the suite crowd.
type CrowdOptions struct {
	Clients  int // that log in and stay
	Rate     int // logins a second
	Loops    int // of each weir
	Backends int
	Rounds   int
	Beside   int           // clients that send queries all the while
	Phase    time.Duration // how long these are watched alone, and with all others there
}

// CrowdSample is one target's turn.
type CrowdSample struct {
	Clients   int           `json:"clients"`
	Before    int64         `json:"pss_before"`
	All       int64         `json:"pss_all"` // all clients are there and idle
	Took      time.Duration `json:"logins_took_ns"`
	Alone     waitSummary   `json:"alone"`
	Login     waitSummary   `json:"while_they_log_in"`
	Idle      waitSummary   `json:"while_they_are_idle"`
	SlowLogin time.Duration `json:"login_p99_ns"`
}

// waitSummary is how long answers took.
type waitSummary struct {
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
	Longest time.Duration `json:"longest_ns"`
}

func summaryOf(waits []int64) (s waitSummary) {
	if len(waits) == 0 {
		return s
	}
	slices.Sort(waits)
	s.P50, s.P99 = time.Duration(percentile(waits, 50)), time.Duration(percentile(waits, 99))
	s.Longest = time.Duration(waits[len(waits)-1])
	return s
}

// besidePause is between two queries of a client beside the crowd: it is to notice stalls, not to bring the load about.
const besidePause = 2 * time.Millisecond

// crowdSpare are descriptors that a proxy keeps for others than clients: backends, HTTP, cancel requests, dials.
const crowdSpare = 2600

// crowdGoal: what all of a hundred thousand clients may cost, in MB, weir itself included.
var crowdGoal = &goal{bound: 100, format: "%.0f"}

// crowdOf is how many clients that goal is about.
const crowdOf = 100_000

// Crowd measures what very many idle clients cost, and what others notice of them and of their logins.
func (l *Lab) Crowd(ctx context.Context, opts CrowdOptions) (Result, error) {
	lab := *l
	lab.Programs = withLoops(l.Programs, []int{opts.Loops})
	if opts.Clients = lab.withinLimit(opts.Clients+crowdSpare) - crowdSpare; opts.Clients < 1 {
		return Result{}, fmt.Errorf("a crowd needs a limit of more than %d open files", crowdSpare+spareDescriptors)
	}
	samples, err := interleave(ctx, len(lab.Programs), opts.Rounds, func(ctx context.Context, i, _ int) (CrowdSample, error) {
		t, err := lab.start(ctx, lab.Programs[i], targetOptions{backends: opts.Backends, scram: true, clients: opts.Clients + opts.Beside})
		if err != nil {
			return CrowdSample{}, err
		}
		defer t.stop()
		s, err := lab.crowdTurn(ctx, t, opts)
		if err != nil {
			return s, t.failed("log a crowd in", err)
		}
		return s, nil
	})
	if err != nil {
		return Result{}, err
	}
	table := Table{Columns: []string{
		"target", "clients", "logins a second", "p99 of a login", "Pss before", "Pss with all", "bytes per client",
		"beside, alone: p50, p99, longest", "while they log in", "while they are idle", "goal",
	}}
	all := map[string][]CrowdSample{}
	for i, p := range lab.Programs {
		all[p.Name] = samples[i]
		table.Rows = append(table.Rows, crowdRow(p, samples[i]))
	}
	return Result{
		Suite: "crowd",
		Title: "A crowd of idle clients",
		About: fmt.Sprintf("%d clients log in over TCP with SCRAM (key kept), %d a second, and stay idle. Beside them %d clients send `select 1` each %v: for %v "+
			"alone, while the others log in, and for %v when they are there. %d backends, %s for each weir; %d rounds. Weir may have %d MB with %d clients.",
			opts.Clients, opts.Rate, opts.Beside, besidePause, opts.Phase, opts.Phase, opts.Backends, plural(opts.Loops, "loop"), opts.Rounds, int(crowdGoal.bound), crowdOf),
		Table:   table,
		Samples: all,
	}, nil
}

func crowdRow(p Program, samples []CrowdSample) []string {
	at := func(figure func(CrowdSample) float64) float64 { return median(pick(samples, figure)) }
	waits := func(of func(CrowdSample) waitSummary) string {
		millis := func(figure func(waitSummary) time.Duration) string {
			return fmt.Sprintf("%.2f", at(func(s CrowdSample) float64 { return figure(of(s)).Seconds() * 1e3 }))
		}
		return fmt.Sprintf("%s, %s, %s ms", millis(func(w waitSummary) time.Duration { return w.P50 }),
			millis(func(w waitSummary) time.Duration { return w.P99 }), millis(func(w waitSummary) time.Duration { return w.Longest }))
	}
	pss := at(func(s CrowdSample) float64 { return float64(s.All) })
	row := []string{
		p.Name, strconv.Itoa(samples[0].Clients),
		fmt.Sprintf("%.0f", at(func(s CrowdSample) float64 { return float64(s.Clients) / s.Took.Seconds() })),
		fmt.Sprintf("%.2f ms", at(func(s CrowdSample) float64 { return s.SlowLogin.Seconds() * 1e3 })),
		mebibytes(at(func(s CrowdSample) float64 { return float64(s.Before) })), mebibytes(pss),
		fmt.Sprintf("%.0f", at(func(s CrowdSample) float64 { return float64(s.All-s.Before) / float64(s.Clients) })),
		waits(func(s CrowdSample) waitSummary { return s.Alone }), waits(func(s CrowdSample) waitSummary { return s.Login }),
		waits(func(s CrowdSample) waitSummary { return s.Idle }), "",
	}
	if p.Kind == Weir && samples[0].Clients >= crowdOf {
		row[10] = crowdGoal.verdict(pss / 1e6)
	}
	return row
}

func (l *Lab) crowdTurn(ctx context.Context, t *target, opts CrowdOptions) (s CrowdSample, err error) {
	s.Clients = opts.Clients
	var known passwords
	if err := loginOnce(ctx, t.addr, bufio.NewReaderSize(nil, readBuffer), &known, queryMessage("select 1")); err != nil {
		return s, err
	}
	if s.Before, err = settledPss(ctx, t); err != nil {
		return s, err
	}
	b, err := l.beside(ctx, t, opts, &known)
	if err != nil {
		return s, err
	}
	defer b.end()
	watch := func(into *waitSummary, do func() error) error {
		_, _ = b.take() // what was before is no part of it; an error is told again
		err := do()
		waits, failed := b.take()
		*into = summaryOf(waits)
		return errors.Join(err, failed)
	}
	pause := func() error { return sleep(ctx, opts.Phase) }
	if err := watch(&s.Alone, pause); err != nil {
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
	l.Progress("%s: %d clients log in, %d a second", t.Name, opts.Clients, opts.Rate)
	if err := watch(&s.Login, func() error { return paceLogins(ctx, t, opts, &known, clients, &s) }); err != nil {
		return s, err
	}
	if s.All, err = settledPss(ctx, t); err != nil {
		return s, err
	}
	if err := watch(&s.Idle, pause); err != nil {
		return s, err
	}
	l.Progress("%s: %s with %d clients, %.0f logins a second; beside: %+v, %+v, %+v", t.Name, mebibytes(float64(s.All)), s.Clients,
		float64(s.Clients)/s.Took.Seconds(), s.Alone, s.Login, s.Idle)
	return s, nil
}

// paceLogins logs the clients in at opts.Rate: what comes late is not made up for by more at once than the workers are.
func paceLogins(ctx context.Context, t *target, opts CrowdOptions, known *passwords, clients []*client, s *CrowdSample) error {
	took := make([]int64, len(clients))
	start := time.Now()
	err := inParallel(ctx, loginWorkers, len(clients), func(i int, r *bufio.Reader) (err error) {
		due := start.Add(time.Duration(float64(i) / float64(opts.Rate) * float64(time.Second)))
		if err := sleep(ctx, time.Until(due)); err != nil {
			return err
		}
		began := time.Now()
		if clients[i], err = dialAs(ctx, t.addr, i, r, known.login); err != nil {
			return err
		}
		clients[i].r = nil
		took[i] = time.Since(began).Nanoseconds()
		return nil
	})
	s.Took = time.Since(start)
	s.SlowLogin = summaryOf(took).P99
	return err
}

// besides are clients that send a query again and again, and how long each answer took.
type besides struct {
	stop chan struct{}
	all  sync.WaitGroup

	mu    sync.Mutex
	waits []int64
	err   error
}

func (l *Lab) beside(ctx context.Context, t *target, opts CrowdOptions, known *passwords) (*besides, error) {
	b := &besides{stop: make(chan struct{})}
	request := queryMessage("select 1")
	for range opts.Beside {
		c, err := dialAs(ctx, t.addr, 0, bufio.NewReaderSize(nil, readBuffer), known.login)
		if err == nil {
			err = c.conn.SetDeadline(time.Time{})
		}
		if err != nil {
			b.end()
			return nil, err
		}
		b.all.Go(func() {
			defer c.close()
			tick := time.NewTicker(besidePause)
			defer tick.Stop()
			for {
				select {
				case <-b.stop:
					return
				case <-tick.C:
				}
				sent := time.Now()
				a, err := c.exchange(request)
				b.note(time.Since(sent), errors.Join(err, a.err))
				if err != nil {
					return
				}
			}
		})
	}
	return b, nil
}

func (b *besides) note(took time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waits = append(b.waits, int64(took)); b.err == nil {
		b.err = err
	}
}

// take is what was noted since it was taken last.
func (b *besides) take() ([]int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	waits := b.waits
	b.waits = nil
	return waits, b.err
}

func (b *besides) end() {
	close(b.stop)
	b.all.Wait()
}
