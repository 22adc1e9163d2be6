package compare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"weir/bookstore/load"
	"weir/bookstore/report"
)

// turn is one load on one way.
type turn struct {
	*stage
	comparison *comparison
	way        report.Way
	clients    int
	before     int // sessions that were there
}

// Limits of patience with the processes of a turn.
const (
	readyWait  = 30 * time.Second
	emptyWait  = 15 * time.Second
	answerWait = 15 * time.Second // of the observer
	// patienceMore is what clients wait beyond the application's patience: it shall say what it waited for.
	patienceMore = 5 * time.Second
)

func (t *turn) name() string {
	if t.way == report.Proxied {
		return t.opts.ProxyName
	}
	return string(t.way)
}

// label opens each line of progress.
func (t *turn) label() string {
	return fmt.Sprintf("[%d/%d] %d clients, %s", t.comparison.turn, t.comparison.turns, t.clients, t.name())
}

// run starts what the turn needs, puts the load on, and takes all of it away again.
func (t *turn) run(ctx context.Context) (report.Row, error) {
	row := report.Row{Clients: t.clients, Way: t.way, MaxConnections: t.maxConnections}
	sessions, err := t.sessions(ctx)
	if err != nil {
		return row, err
	}
	t.before = sessions.Total()
	dsn, proxy, err := t.proxy(ctx)
	if err != nil {
		return row, err
	}
	defer proxy.stop()
	api, err := t.startAPI(ctx, dsn)
	defer api.stop()
	if err != nil {
		return row, err
	}

	// What goes wrong with a program or the server ends the load at once.
	loadCtx, abort := context.WithCancel(ctx)
	defer abort()
	watch := startSampler(loadCtx, t, api, proxy, abort)
	result, err := t.load(loadCtx, api.targets(t.opts.Path), watch)
	if sampleErr := watch.stop(); ctx.Err() == nil && sampleErr != nil { // it explains the other's
		return row, sampleErr
	}
	if err := errors.Join(ctx.Err(), err); err != nil {
		return row, err
	}
	row.Load = result.Summary()
	row.Samples, row.CPU, row.Wait = watch.samples, watch.cpu(), watch.wait()
	t.opts.Progress.Say("%s: %d answered, %d failed, %.0f a second, %d backends%s", t.label(), row.Load.Succeeded, row.Load.Failed,
		row.Load.PerSecond, row.Backends(), mebibytes(", PostgreSQL ", row.Postgres()))

	api.stop()
	proxy.stop()
	return row, t.waitEmpty(ctx, t.before)
}

// proxy returns the DSN for the application, and starts what it leads through.
func (t *turn) proxy(ctx context.Context) (dsn string, proxy *weirProcess, err error) {
	switch {
	case t.way == report.Direct:
		return t.direct, nil, nil
	case t.opts.Proxied != "":
		return t.opts.Proxied, &weirProcess{metrics: t.opts.ProxyMetrics}, nil
	}
	proxy, err = t.startWeir(ctx)
	if err != nil {
		return "", nil, err
	}
	return t.proxiedDSN(proxy.address), proxy, nil
}

// load warms up and measures, without a pause in between: a load that starts anew would be measured with its rush of
// connections at the start.
func (t *turn) load(ctx context.Context, targets []load.Target, watch *sampler) (result *load.Result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts := load.Options{
		Targets: targets, Visit: t.opts.Path == Visit, Concurrency: t.clients, Timeout: t.opts.Patience + patienceMore, Counts: watch.counts,
	}
	if t.way == report.Proxied {
		if err := t.fillPool(ctx, opts); err != nil {
			return nil, err
		}
	}
	begin, ended := make(chan struct{}), make(chan error, 1)
	opts.Duration, opts.Begin = t.opts.Duration, begin
	go func() {
		var err error
		result, err = load.Run(ctx, opts)
		ended <- err
	}()
	err = t.warmUp(ctx, watch)
	if err == nil {
		err = watch.measure()
	}
	if err != nil {
		cancel()
	}
	close(begin)
	return result, errors.Join(err, <-ended)
}

// fillPool makes every backend of a pool whose size is known work before the first turn's few clients are measured:
// weir's pool keeps its size here, so the memory of backends that have never worked would only be late.
func (t *turn) fillPool(ctx context.Context, opts load.Options) error {
	if t.clients >= 2*t.poolSize {
		return nil
	}
	opts.Concurrency, opts.Duration = 2*t.poolSize, t.opts.WarmUp/2
	if opts.Duration <= 0 {
		return nil
	}
	_, err := load.Run(ctx, opts)
	return err
}

// warmUpRounds bounds the warm-up.
const warmUpRounds = 3

// warmUp waits, and goes on waiting as long as the application's pools grow: a slow machine needs longer to fill them,
// and what is measured while they grow is neither this nor that.
func (t *turn) warmUp(ctx context.Context, watch *sampler) error {
	if t.opts.WarmUp <= 0 {
		return nil
	}
	before := t.before
	for range warmUpRounds {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(t.opts.WarmUp):
		}
		if err := watch.look(ctx); err != nil {
			return err
		}
		n := watch.sessionsNow()
		if n <= before+before/20 {
			return nil
		}
		before = n
	}
	return nil
}

// api is the application: several processes, each with pools of its own.
type api struct {
	processes []*program
	addresses []string
}

func (t *turn) startAPI(ctx context.Context, dsn string) (*api, error) {
	a := &api{}
	for i := range t.opts.Processes {
		address, err := freeAddress()
		if err != nil {
			return a, err
		}
		// The DSN holds a password: in the environment it is not for all to see.
		process, err := startProgram(t.logPath(fmt.Sprint("bookstore", i)), []string{"BOOKSTORE_DSN=" + dsn},
			t.opts.Bookstore, "serve", "--listen", address, "--log-level", "warn", "--wait", readyWait.String(),
			"--timeout", t.opts.Patience.String(),
			"--sync-pool", fmt.Sprint(t.opts.SyncPool), "--async-pool", fmt.Sprint(t.opts.AsyncPool),
			"--async-overflow", fmt.Sprint(t.opts.AsyncOverflow))
		if err != nil {
			return a, fmt.Errorf("start the bookstore: %w", err)
		}
		a.processes, a.addresses = append(a.processes, process), append(a.addresses, address)
	}
	for i, process := range a.processes {
		err := process.waitReady(ctx, func(ctx context.Context) error { return answers(ctx, "http://"+a.addresses[i]+"/healthz") })
		if err != nil {
			return a, fmt.Errorf("start the bookstore: %w", err)
		}
	}
	return a, nil
}

// answers is an error unless a GET of url gets an answer, whatever it says: who listens has migrated its database.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (a *api) targets(path string) []load.Target {
	if path == Visit {
		path = "/"
	}
	targets := make([]load.Target, len(a.addresses))
	for i, address := range a.addresses {
		targets[i] = load.Target{URL: "http://" + address + path}
	}
	return targets
}

func (a *api) running() error {
	for _, p := range a.processes {
		if err := p.running(); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) stop() {
	for _, p := range a.processes { // all at once: each may take a while
		p.terminate()
	}
	for _, p := range a.processes {
		p.stop()
	}
}

// mebibytes is empty for what was not measured.
func mebibytes(before string, bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%s%d MiB", before, bytes>>20)
}
