package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// CPUOptions are those of the suites cpu and connect.
type CPUOptions struct {
	Modes    []string // of pgbench: simple, extended, prepared; or pipeline
	Clients  []int
	Jobs     int
	Rounds   int
	Duration time.Duration // of one target's turn
	Backends int
	Calls    bool // count system calls, too

	connect bool // each transaction comes with a connection of its own
}

// CPUSample is one target's turn.
type CPUSample struct {
	MicrosPerTransaction float64 `json:"cpu_us_per_transaction"`
	Cores                float64 `json:"cores"` // CPU time by wall time
	pgbenchRun
}

// CPUCell is all rounds of all targets at one load.
type CPUCell struct {
	Mode    string                 `json:"mode"`
	Clients int                    `json:"clients"`
	Rounds  map[string][]CPUSample `json:"rounds"`                      // by target
	Calls   map[string]CallCount   `json:"calls_per_transaction"`       // by target; empty when not asked for
	Ratios  map[string]comparison  `json:"ratio_to_baseline,omitempty"` // by target
}

// CPU measures the proxy's CPU time per transaction under pgbench's SELECT-only load.
func (l *Lab) CPU(ctx context.Context, opts CPUOptions) (Result, error) {
	cells, err := l.cpuCells(ctx, opts)
	if err != nil {
		return Result{}, err
	}
	return Result{
		Suite: "cpu",
		Title: "CPU time per transaction",
		About: fmt.Sprintf("`pgbench -S -n` over TCP, transaction pooling, %d backends reached over %s; user and system time of the "+
			"proxy's process by transactions processed; %d rounds of %v each.", opts.Backends, l.serverWay(), opts.Rounds, opts.Duration),
		Table:   l.cpuTable(cells, l.cpuGoal),
		Samples: cells,
	}, nil
}

// Prepared measures the same for prepared statements, one by one and in pipelines.
func (l *Lab) Prepared(ctx context.Context, opts CPUOptions) (Result, error) {
	cells, err := l.cpuCells(ctx, opts)
	if err != nil {
		return Result{}, err
	}
	return Result{
		Suite: "prepared",
		Title: "CPU time of prepared statements",
		About: fmt.Sprintf("`pgbench -M prepared`: one `-S` query a transaction, and pipelines of %d of them, where the figures are those of a "+
			"pipeline; otherwise as above: %d backends reached over %s; %d rounds of %v each.",
			PipelineLen, opts.Backends, l.serverWay(), opts.Rounds, opts.Duration),
		Table:   l.cpuTable(cells, l.cpuGoal),
		Samples: cells,
	}, nil
}

// Connect measures what a connection costs that carries one transaction.
func (l *Lab) Connect(ctx context.Context, opts CPUOptions) (Result, error) {
	opts.connect = true
	cells, err := l.cpuCells(ctx, opts)
	if err != nil {
		return Result{}, err
	}
	return Result{
		Suite: "connect",
		Title: "CPU time per connection",
		About: fmt.Sprintf("Over TCP: connect, log in (SCRAM), one transaction, disconnect; by `pgbench -C -S -n`, which spends milliseconds to "+
			"derive its key for each connection, and (%s) by clients that derive it once, so that the proxy is busy; %d backends reached "+
			"over %s; %d rounds of %v each.", derivedOnce, opts.Backends, l.serverWay(), opts.Rounds, opts.Duration),
		Table:   l.cpuTable(cells, connectGoal),
		Samples: cells,
	}, nil
}

// connectGoal: a login is work of the proxy's own, in which a collected language has something to lose; pgbench's key hides it.
func connectGoal(mode string, _ int) *goal {
	if mode == derivedOnce {
		return &goal{bound: 1.1, format: "%.2f"}
	}
	return &goal{bound: 1.0, format: "%.2f"}
}

func (l *Lab) serverWay() string {
	if l.ServerSocket {
		return "a unix socket"
	}
	return "TCP"
}

// cpuGoal is what the project set itself, against the newest PgBouncer: most is to be won where the loop is busy,
// while with few clients each round trip wakes a sleeping loop.
func (l *Lab) cpuGoal(mode string, clients int) *goal {
	switch {
	case l.TLS:
		return &goal{bound: 1.0, format: "%.2f"}
	case mode == "simple" && clients == 8:
		return &goal{bound: 1.1, format: "%.2f"}
	case mode == "simple" && (clients == 64 || clients == 256):
		return &goal{bound: 0.9, format: "%.2f"}
	case mode == "prepared" && clients == 64:
		return &goal{bound: 0.8, format: "%.2f"}
	case mode == pipelined && clients == 64:
		return &goal{bound: 0.4, format: "%.2f"}
	}
	return nil
}

func (l *Lab) cpuCells(ctx context.Context, opts CPUOptions) ([]CPUCell, error) {
	target := targetOptions{
		backends: opts.Backends, scram: opts.connect, clients: slices.Max(opts.Clients), prepared: slices.ContainsFunc(opts.Modes, keepsStatements),
	}
	if target.prepared {
		for _, p := range l.Programs {
			if err := p.sharesStatements(ctx); err != nil {
				return nil, err
			}
		}
	}
	targets, err := l.startAll(ctx, target)
	if err != nil {
		return nil, err
	}
	defer func() { stopAll(targets) }()
	var cells []CPUCell
	for _, mode := range opts.Modes {
		for _, clients := range opts.Clients {
			load := pgbenchArgs{mode: mode, clients: clients, jobs: opts.Jobs, duration: opts.Duration, connect: opts.connect}
			cell, err := l.cpuCell(ctx, targets, load, opts)
			if err != nil {
				return nil, err
			}
			cells = append(cells, cell)
		}
	}
	return cells, nil
}

func (l *Lab) cpuCell(ctx context.Context, targets []*target, load pgbenchArgs, opts CPUOptions) (CPUCell, error) {
	cell := CPUCell{Mode: load.mode, Clients: load.clients, Rounds: map[string][]CPUSample{}, Calls: map[string]CallCount{}}
	warm := load
	warm.duration = time.Second // the pool opens its backends and memory gets warm outside the measured rounds
	for _, t := range targets {
		if _, err := l.load(ctx, t.addr, warm); err != nil {
			return cell, t.failed("warm up", err)
		}
	}
	samples, err := interleave(ctx, len(targets), opts.Rounds, func(ctx context.Context, i, round int) (CPUSample, error) {
		s, err := l.cpuTurn(ctx, targets[i], load)
		if err != nil {
			return s, targets[i].failed("measure CPU time", err)
		}
		l.Progress("%s, %d clients, round %d of %d: %s %.1f µs, %.0f tps", load.mode, load.clients, round+1, opts.Rounds,
			targets[i].Name, s.MicrosPerTransaction, s.TPS)
		return s, nil
	})
	if err != nil {
		return cell, err
	}
	for i, t := range targets {
		cell.Rounds[t.Name] = samples[i]
		if opts.Calls {
			if cell.Calls[t.Name], err = l.countCalls(ctx, t, load); err != nil {
				l.Progress("system calls of %s not counted: %v", t.Name, err)
				delete(cell.Calls, t.Name)
			}
		}
	}
	cell.Ratios = ratios(l, cell.Rounds, func(s CPUSample) float64 { return s.MicrosPerTransaction })
	return cell, nil
}

// cpuTurn loads one target for one turn. Logging the clients in is part of it: some milliseconds of a turn of
// seconds, and for both the same number.
func (l *Lab) cpuTurn(ctx context.Context, t *target, load pgbenchArgs) (CPUSample, error) {
	before, err := cpuTime(t.PID)
	if err != nil {
		return CPUSample{}, err
	}
	start := time.Now()
	run, err := l.load(ctx, t.addr, load)
	if err != nil {
		return CPUSample{}, err
	}
	wall := time.Since(start)
	after, err := cpuTime(t.PID)
	if err != nil {
		return CPUSample{}, err
	}
	used := after - before
	return CPUSample{
		MicrosPerTransaction: float64(used.Nanoseconds()) / 1e3 / float64(run.Transactions),
		Cores:                used.Seconds() / wall.Seconds(),
		pgbenchRun:           run,
	}, nil
}

// load puts load on a target, with pgbench where it can.
func (l *Lab) load(ctx context.Context, addr hostPort, a pgbenchArgs) (pgbenchRun, error) {
	if a.mode == derivedOnce {
		return l.runLogins(ctx, addr, a)
	}
	return l.runPgbench(ctx, addr, a)
}

// ratios compares a figure of every target with the baseline's, if there is one and somebody to compare.
func ratios[T any](l *Lab, rounds map[string][]T, figure func(T) float64) map[string]comparison {
	base := l.baseline()
	if base < 0 {
		return nil
	}
	out := map[string]comparison{}
	for i, p := range l.Programs {
		if i != base {
			out[p.Name] = compare(pick(rounds[p.Name], figure), pick(rounds[l.Programs[base].Name], figure))
		}
	}
	return out
}

// cpuTable has a row per load and target, so that any number of targets fits the page.
func (l *Lab) cpuTable(cells []CPUCell, goalOf func(mode string, clients int) *goal) Table {
	t := Table{Columns: []string{"mode", "clients", "target", "CPU µs", "ratio", "goal", "per second", "system calls"}}
	for _, cell := range cells {
		for _, p := range l.Programs {
			samples := cell.Rounds[p.Name]
			row := []string{
				cell.Mode, strconv.Itoa(cell.Clients), p.Name,
				fmt.Sprintf("%.1f", median(pick(samples, func(s CPUSample) float64 { return s.MicrosPerTransaction }))),
				"", "",
				fmt.Sprintf("%.0f", median(pick(samples, func(s CPUSample) float64 { return s.TPS }))),
				"",
			}
			if c, ok := cell.Ratios[p.Name]; ok {
				row[4] = c.String()
				row[5] = goalOf(cell.Mode, cell.Clients).verdict(c.Ratio)
			}
			if calls, ok := cell.Calls[p.Name]; ok {
				row[7] = fmt.Sprintf("%.1f", calls.PerTransaction)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func (c comparison) String() string { return fmt.Sprintf("%.2f (%.2f-%.2f)", c.Ratio, c.Least, c.Most) }
