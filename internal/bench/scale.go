package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
)

// ScaleOptions are those of the suite scale.
type ScaleOptions struct {
	Loops   []int      // of each weir, the first of which the others are compared with
	Load    CPUOptions // modes and clients of pgbench
	Connect CPUOptions
	Size    int64 // of a bulk transfer
	Idle    IdleOptions
}

// ScaleRow is one load on one target.
type ScaleRow struct {
	Load      string      `json:"load"`
	Clients   int         `json:"clients"`
	Target    string      `json:"target"`
	Figure    []float64   `json:"figure"` // of each round
	PerSecond []float64   `json:"per_second"`
	ToFirst   *comparison `json:"ratio_to_first_loops,omitempty"`
	ToRival   *comparison `json:"ratio_to_baseline,omitempty"`

	format, rate string // of a figure, and of what is done in a second
}

// scaleRun collects the rows of one load after the other.
type scaleRun struct {
	*Lab
	opts ScaleOptions
	rows []ScaleRow
}

// Scale measures one, two and more loops of each weir, and the rival, under the same loads in the same rounds.
func (l *Lab) Scale(ctx context.Context, opts ScaleOptions) (Result, error) {
	s, pinned, err := l.scaleRun(ctx, opts)
	if err != nil {
		return Result{}, err
	}
	for _, part := range []func(context.Context) error{s.transactions, s.connects, s.bulk, s.idle} {
		if err := part(ctx); err != nil {
			return Result{}, err
		}
	}
	return Result{
		Suite: "scale",
		Title: "One loop, two loops",
		About: fmt.Sprintf("One database, one user, %d backends reached over %s; %s. CPU is user and system time of the proxy's process: by "+
			"transactions of `pgbench -S -n`; by connections that log in with SCRAM, run one query and leave (%s); by gigabytes of one transfer "+
			"at a time. Idle is the growth of its Pss by logged-in clients, and how many logged in each second. %d rounds, for transactions of %v.",
			opts.Load.Backends, s.serverWay(), pinned, derivedOnce, opts.Load.Rounds, opts.Load.Duration),
		Table:   scaleTable(s.rows),
		Samples: s.rows,
	}, nil
}

// scaleRun prepares a run with each number of loops, and says which cores the processes get.
func (l *Lab) scaleRun(ctx context.Context, opts ScaleOptions) (s *scaleRun, pinned string, err error) {
	lab := *l
	lab.Programs = withLoops(l.Programs, opts.Loops)
	pinned = "PostgreSQL, clients and proxies share all cores: there are too few for each to have its own, so throughput does not show what a loop more gives"
	if d, ok := divide(runtime.NumCPU(), slices.Max(opts.Loops)); ok {
		if err := lab.divideCores(ctx, d); err != nil {
			return nil, "", err
		}
		pinned = fmt.Sprintf("the proxies are pinned to the cores %s, PostgreSQL and the clients to %s", d.proxies, d.others)
	}
	return &scaleRun{Lab: &lab, opts: opts}, pinned, nil
}

// withLoops has each weir once for each number of loops.
func withLoops(programs []Program, loops []int) (all []Program) {
	for _, p := range programs {
		if p.Kind != Weir {
			all = append(all, p)
			continue
		}
		for _, n := range loops {
			p := Program{Name: fmt.Sprintf("%s, %s", p.Name, plural(n, "loop")), Kind: p.Kind, Path: p.Path, Loops: n}
			all = append(all, p)
		}
	}
	return all
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// add notes what the rounds of one load have found, program by program.
func (s *scaleRun) add(row ScaleRow, figures, perSecond [][]float64) {
	base := s.baseline()
	first := 0
	for i, p := range s.Programs {
		r := row
		r.Target, r.Figure, r.PerSecond = p.Name, figures[i], perSecond[i]
		if p.Kind == Weir && p.Loops == s.opts.Loops[0] {
			first = i
		}
		if p.Kind == Weir && i != first {
			c := compare(figures[i], figures[first])
			r.ToFirst = &c
		}
		if p.Kind == Weir && base >= 0 {
			c := compare(figures[i], figures[base])
			r.ToRival = &c
		}
		s.rows = append(s.rows, r)
	}
}

func (s *scaleRun) transactions(ctx context.Context) error {
	return s.cells(ctx, s.opts.Load)
}

func (s *scaleRun) connects(ctx context.Context) error {
	opts := s.opts.Connect
	opts.connect = true
	return s.cells(ctx, opts)
}

func (s *scaleRun) cells(ctx context.Context, opts CPUOptions) error {
	cells, err := s.cpuCells(ctx, opts)
	if err != nil {
		return err
	}
	for _, cell := range cells {
		var figures, perSecond [][]float64
		for _, p := range s.Programs {
			figures = append(figures, pick(cell.Rounds[p.Name], func(c CPUSample) float64 { return c.MicrosPerTransaction }))
			perSecond = append(perSecond, pick(cell.Rounds[p.Name], func(c CPUSample) float64 { return c.TPS }))
		}
		load := cell.Mode
		if opts.connect {
			load = "connect, " + cell.Mode
		}
		s.add(ScaleRow{Load: load, Clients: cell.Clients, format: "%.1f µs", rate: "%.0f"}, figures, perSecond)
	}
	return nil
}

// idle has clients log in and stay.
func (s *scaleRun) idle(ctx context.Context) error {
	opts := s.opts.Idle
	opts.Clients = s.withinLimit(opts.Clients)
	samples, err := s.idleSamples(ctx, opts)
	if err != nil {
		return err
	}
	var figures, perSecond [][]float64
	for i := range s.Programs {
		figures = append(figures, pick(samples[i], func(x IdleSample) float64 { return x.perClient(max(x.LoggedIn, x.Queried)) }))
		perSecond = append(perSecond, pick(samples[i], func(x IdleSample) float64 { return float64(x.Clients) / x.Took.Seconds() }))
	}
	s.add(ScaleRow{Load: "idle", Clients: opts.Clients, format: "%.0f bytes", rate: "%.0f"}, figures, perSecond)
	return nil
}

func scaleTable(rows []ScaleRow) Table {
	t := Table{Columns: []string{"load", "clients", "target", "CPU or memory", "to one loop", "to PgBouncer", "per second"}}
	for _, r := range rows {
		row := []string{
			r.Load, strconv.Itoa(r.Clients), r.Target, fmt.Sprintf(r.format, median(r.Figure)), "", "", fmt.Sprintf(r.rate, median(r.PerSecond)),
		}
		if r.ToFirst != nil {
			row[4] = r.ToFirst.String()
		}
		if r.ToRival != nil {
			row[5] = r.ToRival.String()
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
