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

// FairOptions are those of the suite fair.
type FairOptions struct {
	Loops    []int // of each weir; none: as many as it chooses
	Clients  int
	Backends int
	Rounds   int
	Duration time.Duration
	Query    string
}

// FairSample is one target's turn. Waits are from sending a query to its ReadyForQuery, so they hold the time on the
// backend, too, which is short beside the queue.
type FairSample struct {
	Transactions int64         `json:"transactions"`
	Errors       int           `json:"errors"`
	FirstError   string        `json:"first_error,omitempty"`
	P50          time.Duration `json:"p50_ns"`
	P99          time.Duration `json:"p99_ns"`
	Longest      time.Duration `json:"longest_ns"`
	Spread       float64       `json:"p99_by_p50"`
	Jain         float64       `json:"jain"` // of transactions per client
	Fewest       int           `json:"fewest_per_client"`
	Most         int           `json:"most_per_client"`
	CPU          time.Duration `json:"cpu_ns"` // of the proxy's process, for each transaction
}

var (
	spreadGoal = &goal{bound: 3, format: "%.1f"}
	jainGoal   = &goal{bound: 0.99, atLeast: true, format: "%.2f"}
	errorGoal  = &goal{bound: 0, format: "%.0f"}
)

// Fair measures how evenly many clients share few backends.
func (l *Lab) Fair(ctx context.Context, opts FairOptions) (Result, error) {
	opts.Clients = l.withinLimit(opts.Clients)
	if len(opts.Loops) > 0 {
		lab := *l
		lab.Programs, l = withLoops(l.Programs, opts.Loops), &lab
	}
	targets, err := l.startAll(ctx, targetOptions{backends: opts.Backends, clients: opts.Clients})
	if err != nil {
		return Result{}, err
	}
	defer func() { stopAll(targets) }()
	samples, err := interleave(ctx, len(targets), opts.Rounds, func(ctx context.Context, i, round int) (FairSample, error) {
		s, err := fairTurn(ctx, targets[i], opts)
		if err != nil {
			return s, targets[i].failed("share backends", err)
		}
		l.Progress("%d clients, round %d of %d: %s p50 %v, p99 %v, Jain %.4f, %d errors", opts.Clients, round+1, opts.Rounds,
			targets[i].Name, s.P50, s.P99, s.Jain, s.Errors)
		return s, nil
	})
	if err != nil {
		return Result{}, err
	}
	all := map[string][]FairSample{}
	table := Table{Columns: []string{"target", "errors", "p50", "p99", "longest", "p99/p50", "Jain", "fewest and most per client", "per second", "CPU", "goals"}}
	for i, p := range l.Programs {
		all[p.Name] = samples[i]
		table.Rows = append(table.Rows, fairRow(p, samples[i], opts.Duration))
	}
	return Result{
		Suite: "fair",
		Title: "Many clients on few backends",
		About: fmt.Sprintf("%d clients at once on %d backends, each sends `%s` again and again; %d rounds of %v each. "+
			"Fewest, most and Jain's index are of the worst round.", opts.Clients, opts.Backends, opts.Query, opts.Rounds, opts.Duration),
		Table:   table,
		Samples: all,
	}, nil
}

func fairRow(p Program, samples []FairSample, turn time.Duration) []string {
	at := func(figure func(FairSample) float64) float64 { return median(pick(samples, figure)) }
	millis := func(figure func(FairSample) time.Duration) string {
		return fmt.Sprintf("%.1f ms", at(func(s FairSample) float64 { return figure(s).Seconds() * 1e3 }))
	}
	errorsSum, worst := 0, samples[0]
	for _, s := range samples {
		errorsSum += s.Errors
		if s.Jain < worst.Jain {
			worst = s
		}
	}
	spread := at(func(s FairSample) float64 { return s.Spread })
	row := []string{
		p.Name, strconv.Itoa(errorsSum),
		millis(func(s FairSample) time.Duration { return s.P50 }),
		millis(func(s FairSample) time.Duration { return s.P99 }),
		millis(func(s FairSample) time.Duration { return s.Longest }),
		fmt.Sprintf("%.2f", spread),
		fmt.Sprintf("%.4f", worst.Jain),
		fmt.Sprintf("%d-%d", worst.Fewest, worst.Most),
		fmt.Sprintf("%.0f", at(func(s FairSample) float64 { return float64(s.Transactions) / turn.Seconds() })),
		fmt.Sprintf("%.1f µs", at(func(s FairSample) float64 { return s.CPU.Seconds() * 1e6 })),
		"",
	}
	if p.Kind == Weir {
		row[10] = fmt.Sprintf("errors %s, p99/p50 %s, Jain %s", errorGoal.verdict(float64(errorsSum)), spreadGoal.verdict(spread),
			jainGoal.verdict(worst.Jain))
	}
	return row
}

// clientTurn is what one client of fair lived through.
type clientTurn struct {
	waits []int64 // ns
	err   error   // the first; the client stops there
}

func fairTurn(ctx context.Context, t *target, opts FairOptions) (FairSample, error) {
	clients := make([]*client, opts.Clients)
	defer func() {
		for _, c := range clients {
			if c != nil {
				c.close()
			}
		}
	}()
	err := inParallel(ctx, loginWorkers, len(clients), func(i int, _ *bufio.Reader) (err error) {
		clients[i], err = dialClient(ctx, t.addr, i)
		return err
	})
	if err != nil {
		return FairSample{}, fmt.Errorf("log in: %w", err)
	}
	request := queryMessage(opts.Query)
	turns := make([]clientTurn, len(clients))
	gate := make(chan struct{})
	var end time.Time
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			<-gate
			turns[i] = c.loop(ctx, request, end)
		})
	}
	before, err := cpuTime(t.PID)
	if err != nil {
		return FairSample{}, err
	}
	end = time.Now().Add(opts.Duration) // read after the gate has opened only
	close(gate)
	wg.Wait()
	after, err := cpuTime(t.PID)
	if err := errors.Join(err, ctx.Err()); err != nil {
		return FairSample{}, err
	}
	s := summarize(turns)
	s.CPU = (after - before) / time.Duration(max(s.Transactions, 1))
	return s, nil
}

// loginWorkers is how many clients log in at a time where the login itself is not measured: fewer than the smallest
// usual listen backlog (128), so that no connect is lost to it.
const loginWorkers = 64

// loop sends the request until the end. What was sent before the end is waited for: a starved client must show.
func (c *client) loop(ctx context.Context, request []byte, end time.Time) (t clientTurn) {
	if t.err = c.conn.SetDeadline(end.Add(clientTimeout)); t.err != nil {
		return t
	}
	defer context.AfterFunc(ctx, c.close)()
	for sent := time.Now(); sent.Before(end); {
		a, err := c.exchange(request)
		if t.err = errors.Join(err, a.err); t.err != nil {
			return t
		}
		now := time.Now()
		t.waits = append(t.waits, now.Sub(sent).Nanoseconds())
		sent = now
	}
	return t
}

func summarize(turns []clientTurn) FairSample {
	var s FairSample
	var waits []int64
	shares := make([]float64, len(turns))
	s.Fewest = len(turns[0].waits)
	for i, t := range turns {
		if t.err != nil {
			if s.Errors++; s.FirstError == "" {
				s.FirstError = t.err.Error()
			}
		}
		waits = append(waits, t.waits...)
		shares[i] = float64(len(t.waits))
		s.Fewest, s.Most = min(s.Fewest, len(t.waits)), max(s.Most, len(t.waits))
	}
	s.Transactions, s.Jain = int64(len(waits)), jain(shares)
	if len(waits) == 0 {
		return s
	}
	slices.Sort(waits)
	s.P50, s.P99 = time.Duration(percentile(waits, 50)), time.Duration(percentile(waits, 99))
	s.Longest = time.Duration(waits[len(waits)-1])
	s.Spread = float64(s.P99) / float64(s.P50)
	return s
}
