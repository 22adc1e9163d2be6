package bench

import (
	"bufio"
	"context"
	"fmt"
	"time"
)

// bulkGoal is what the project set itself for the CPU time of bulk transfers, against the newest PgBouncer.
var bulkGoal = &goal{bound: 0.35, format: "%.2f"}

// Bulk measures the proxy's CPU time per gigabyte of large results, COPY out and COPY in, with each number of loops.
func (l *Lab) Bulk(ctx context.Context, opts ScaleOptions) (Result, error) {
	s, pinned, err := l.scaleRun(ctx, opts)
	if err != nil {
		return Result{}, err
	}
	if err := s.bulk(ctx); err != nil {
		return Result{}, err
	}
	table := scaleTable(s.rows)
	table.Columns = append(table.Columns, "goal")
	for i, r := range s.rows {
		verdict := ""
		if r.ToRival != nil && !l.TLS {
			verdict = bulkGoal.verdict(r.ToRival.Ratio)
		}
		table.Rows[i] = append(table.Rows[i], verdict)
	}
	return Result{
		Suite: "bulk",
		Title: "Bulk transfers",
		About: fmt.Sprintf("One transfer of %d MB at a time, rows of %d bytes, backends reached over %s; %s. User and system time of the "+
			"proxy's process by gigabytes; %d rounds.", opts.Size/1e6, rowBytes, s.serverWay(), pinned, opts.Load.Rounds),
		Table:   table,
		Samples: s.rows,
	}, nil
}

// bulkSample is one transfer.
type bulkSample struct{ secondsPerGB, megabytesPerSecond float64 }

// bulk moves one large result, or one COPY, at a time.
func (s *scaleRun) bulk(ctx context.Context) error {
	targets, err := s.startAll(ctx, targetOptions{backends: s.opts.Load.Backends, clients: 1})
	if err != nil {
		return err
	}
	defer func() { stopAll(targets) }()
	rows := s.opts.Size / rowBytes
	for _, transfer := range []struct {
		name string
		run  func(t *target) (int64, error)
	}{
		{"select", func(t *target) (int64, error) {
			return readSlowly(ctx, t, fmt.Sprintf("select repeat('x', %d) from generate_series(1, %d)", rowBytes, rows), 0, rows*rowBytes)
		}},
		{"COPY out", func(t *target) (int64, error) { return copyOut(ctx, t, rows) }},
		{"COPY in", func(t *target) (int64, error) { return copyIn(ctx, t, rows, 0) }},
	} {
		samples, err := interleave(ctx, len(targets), s.opts.Load.Rounds, func(_ context.Context, i, round int) (bulkSample, error) {
			b, err := bulkTurn(targets[i], transfer.run)
			if err != nil {
				return b, targets[i].failed(transfer.name, err)
			}
			s.Progress("%s, round %d of %d: %s %.3f s/GB, %.0f MB/s", transfer.name, round+1, s.opts.Load.Rounds, targets[i].Name, b.secondsPerGB, b.megabytesPerSecond)
			return b, nil
		})
		if err != nil {
			return err
		}
		var figures, perSecond [][]float64
		for i := range targets {
			figures = append(figures, pick(samples[i], func(b bulkSample) float64 { return b.secondsPerGB }))
			perSecond = append(perSecond, pick(samples[i], func(b bulkSample) float64 { return b.megabytesPerSecond }))
		}
		s.add(ScaleRow{Load: transfer.name, Clients: 1, format: "%.3f s/GB", rate: "%.0f MB"}, figures, perSecond)
	}
	return nil
}

func bulkTurn(t *target, run func(t *target) (int64, error)) (bulkSample, error) {
	before, err := cpuTime(t.PID)
	if err != nil {
		return bulkSample{}, err
	}
	start := time.Now()
	bytes, err := run(t)
	took := time.Since(start)
	if err != nil {
		return bulkSample{}, err
	}
	after, err := cpuTime(t.PID)
	gigabytes := float64(bytes) / 1e9
	return bulkSample{(after - before).Seconds() / gigabytes, gigabytes * 1000 / took.Seconds()}, err
}

// copyOut reads rows as fast as they come.
func copyOut(ctx context.Context, t *target, rows int64) (int64, error) {
	c, end, err := dialBulk(ctx, t)
	if err != nil {
		return 0, err
	}
	defer end()
	c.r = bufio.NewReaderSize(c.conn, 64<<10)
	a, err := c.exchange(queryMessage(fmt.Sprintf("copy (select repeat('x', %d) from generate_series(1, %d)) to stdout", rowBytes, rows)))
	if err == nil {
		err = a.err
	}
	if want := fmt.Sprintf("COPY %d", rows); err == nil && a.tag != want {
		err = fmt.Errorf("the server answered %q, not %q", a.tag, want)
	}
	return rows * (rowBytes + 1), err
}
