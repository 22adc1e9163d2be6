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
	way     report.Way
	clients int
	number  int // from 1
}

// Limits of patience with the processes of a turn.
const (
	readyWait = 30 * time.Second
	emptyWait = 15 * time.Second
	// requestTimeout keeps a turn that goes wrong short; the application's own patience of 30 s would not.
	requestTimeout = 15 * time.Second
)

// run starts what the turn needs, puts the load on, and takes all of it away again.
func (t *turn) run(ctx context.Context) (report.Row, error) {
	row := report.Row{Clients: t.clients, Way: t.way}
	dsn := t.directDSN()
	var proxy *child
	if t.way == report.Weir {
		var err error
		if proxy, dsn, err = t.startWeir(ctx); err != nil {
			return row, err
		}
		defer proxy.stop()
	}
	api, address, err := t.startAPI(ctx, dsn)
	if err != nil {
		return row, err
	}
	defer api.stop()

	counts := &load.Counts{}
	watch := startSampler(ctx, t, api, proxy, counts)
	row.Load, err = t.load(ctx, "http://"+address+t.opts.Path, counts)
	peaks, sampleErr := watch.stop()
	if ctx.Err() != nil {
		return row, ctx.Err()
	}
	if err := errors.Join(err, sampleErr, api.running(), proxy.running()); err != nil {
		return row, err
	}
	row.Backends, row.Postgres, row.API, row.Proxy = peaks.backends, peaks.postgres, peaks.api, peaks.proxy
	t.opts.Progress.say("[%d/%d] %d clients, %s: %d answered, %d failed", t.number, t.turns(), t.clients, t.way,
		row.Load.Succeeded.Count(), row.Load.Failed.Count())

	api.stop()
	proxy.stop()
	return row, t.waitEmpty(ctx)
}

// load warms up and measures.
func (t *turn) load(ctx context.Context, url string, counts *load.Counts) (*load.Result, error) {
	opts := load.Options{URL: url, Concurrency: t.clients, Duration: t.opts.WarmUp, Timeout: requestTimeout}
	if t.opts.WarmUp > 0 {
		if _, err := load.Run(ctx, opts); err != nil {
			return nil, err
		}
	}
	opts.Duration, opts.Counts = t.opts.Duration, counts
	return load.Run(ctx, opts)
}

func (s *stage) turns() int { return 2 * len(s.opts.Clients) }

func (s *stage) startAPI(ctx context.Context, dsn string) (api *child, address string, err error) {
	if address, err = freeAddress(); err != nil {
		return nil, "", err
	}
	// The DSN holds a password: in the environment it is not for all to see.
	api, err = startChild(s.logPath("bookstore"), []string{"BOOKSTORE_DSN=" + dsn},
		s.opts.Bookstore, "serve", "--listen", address, "--log-level", "warn")
	if err != nil {
		return nil, "", fmt.Errorf("start the bookstore: %w", err)
	}
	err = api.waitReady(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return err
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	if err != nil {
		api.stop()
		return nil, "", fmt.Errorf("start the bookstore: %w", err)
	}
	return api, address, nil
}

// waitEmpty waits until the server has ended the backends of the turn: the next one shall not find them.
func (s *stage) waitEmpty(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, emptyWait)
	defer cancel()
	for {
		n, err := s.backends(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d backends are still there after the turn: %w", n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// backends counts those of clients, without the observer's own.
func (s *stage) backends(ctx context.Context) (n int, err error) {
	err = s.observer.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count backends: %w", err)
	}
	return n, nil
}
