package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// SlowOptions are those of the suite slow.
type SlowOptions struct {
	Size     int64         // bytes of a transfer
	Stall    time.Duration // how long the slow side is slow
	Rounds   int
	Backends int
}

// SlowSample is one transfer through one target.
type SlowSample struct {
	Bytes  int64         `json:"bytes"`
	Took   time.Duration `json:"took_ns"`
	Before int64         `json:"pss_before"`
	Peak   int64         `json:"pss_peak"`
	Looks  int           `json:"pss_looks"` // how often Pss was read
}

// growth is in MiB.
func (s SlowSample) growth() float64 { return float64(s.Peak-s.Before) / (1 << 20) }

// slowGoal bounds what a transfer of any size may add to the proxy's memory.
var slowGoal = &goal{bound: 2, format: "%.0f MiB"}

// transfer is one kind of bulk work with a slow side.
type transfer struct {
	name string
	run  func(ctx context.Context, t *target, opts SlowOptions) (bytes int64, err error)
}

// valueMax keeps a single value well below the 1 GB that PostgreSQL takes, and its backend's memory, which holds the
// value several times, below that of small machines.
const valueMax = 256 << 20

func transfers() []transfer {
	return []transfer{
		{"result of many rows, slow client", func(ctx context.Context, t *target, o SlowOptions) (int64, error) {
			return readSlowly(ctx, t, fmt.Sprintf("select repeat('x', %d) from generate_series(1, %d)", rowBytes, o.Size/rowBytes), o.Stall, o.Size/rowBytes*rowBytes)
		}},
		{"result of one value, slow client", func(ctx context.Context, t *target, o SlowOptions) (int64, error) {
			size := min(o.Size, valueMax)
			return readSlowly(ctx, t, fmt.Sprintf("select repeat('x', %d)", size), o.Stall, size)
		}},
		{"COPY in, slow server", func(ctx context.Context, t *target, o SlowOptions) (int64, error) {
			return copyIn(ctx, t, o.Size/rowBytes, o.Stall)
		}},
	}
}

// rowBytes is the length of a row's text in bulk transfers.
const rowBytes = 1000

// Slow measures the memory that a peer costs which does not keep up. Every turn has a fresh process.
func (l *Lab) Slow(ctx context.Context, opts SlowOptions) (Result, error) {
	table := Table{Columns: []string{"transfer", "target", "bytes", "took", "Pss before", "growth", "goal"}}
	all := map[string]map[string][]SlowSample{}
	for _, tr := range transfers() {
		samples, err := interleave(ctx, len(l.Programs), opts.Rounds, func(ctx context.Context, i, _ int) (SlowSample, error) {
			return l.slowTurn(ctx, l.Programs[i], tr, opts)
		})
		if err != nil {
			return Result{}, err
		}
		all[tr.name] = map[string][]SlowSample{}
		for i, p := range l.Programs {
			all[tr.name][p.Name] = samples[i]
			table.Rows = append(table.Rows, slowRow(tr, p, samples[i]))
		}
	}
	return Result{
		Suite: "slow",
		Title: "Memory while a peer is slow",
		About: fmt.Sprintf("Results are read in small pieces with pauses for %v and then at full speed; COPY in meets a trigger that sleeps "+
			"for %v. Peak of the proxy's Pss, read every %v, over that before the transfer.", opts.Stall, opts.Stall, pssLook),
		Table:   table,
		Samples: all,
	}, nil
}

func slowRow(tr transfer, p Program, samples []SlowSample) []string {
	at := func(figure func(SlowSample) float64) float64 { return median(pick(samples, figure)) }
	growth := at(SlowSample.growth)
	row := []string{
		tr.name, p.Name,
		fmt.Sprintf("%.0f MB", at(func(s SlowSample) float64 { return float64(s.Bytes) / 1e6 })),
		fmt.Sprintf("%.1f s", at(func(s SlowSample) float64 { return s.Took.Seconds() })),
		mebibytes(at(func(s SlowSample) float64 { return float64(s.Before) })),
		fmt.Sprintf("%.2f MiB", growth), "",
	}
	if p.Kind == Weir {
		row[6] = slowGoal.verdict(growth)
	}
	return row
}

func (l *Lab) slowTurn(ctx context.Context, p Program, tr transfer, opts SlowOptions) (s SlowSample, err error) {
	t, err := l.start(ctx, p, targetOptions{backends: opts.Backends, clients: 1})
	if err != nil {
		return s, err
	}
	defer t.stop()
	if s.Before, err = settledPss(ctx, t); err != nil {
		return s, err
	}
	peak := watchPss(t)
	start := time.Now()
	s.Bytes, err = tr.run(ctx, t, opts)
	s.Took = time.Since(start)
	s.Peak, s.Looks = peak()
	if err != nil {
		return s, t.failed(tr.name, err)
	}
	l.Progress("%s: %s, %d MB in %.1f s, growth %.2f MiB", tr.name, t.Name, s.Bytes/1e6, s.Took.Seconds(), s.growth())
	return s, nil
}

// pssLook is how often a watched process is looked at. A look costs a fraction of a millisecond.
const pssLook = 20 * time.Millisecond

// watchPss reads the target's memory until the function that it returns is called, which answers the highest.
func watchPss(t *target) (stop func() (peak int64, looks int)) {
	ended, done := make(chan struct{}), make(chan struct{})
	var peak int64
	var looks int
	go func() {
		defer close(done)
		tick := time.NewTicker(pssLook)
		defer tick.Stop()
		for {
			if pss, err := t.pss(); err == nil { // a target that died fails the transfer, too
				peak = max(peak, pss)
				looks++
			}
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (int64, int) {
		close(ended)
		<-done
		return peak, looks
	}
}

// slowReader reads in small pieces with a pause before each until a time, and at full speed from then on.
type slowReader struct {
	r     io.Reader
	until time.Time
}

// 4 KiB each 10 ms is 400 KB/s, against gigabytes per second on loopback: the proxy's socket buffers are full after
// a few milliseconds and stay so.
const (
	slowPiece = 4096
	slowPause = 10 * time.Millisecond
)

func (s *slowReader) Read(p []byte) (int, error) {
	if time.Now().Before(s.until) {
		time.Sleep(slowPause)
		p = p[:min(len(p), slowPiece)]
	}
	return s.r.Read(p)
}

// bulkTimeout bounds a transfer: a gigabyte at 10 MB/s and the pauses.
const bulkTimeout = 5 * time.Minute

// dialBulk logs a client in that reads one transfer. end closes it, as the end of ctx does.
func dialBulk(ctx context.Context, t *target) (c *client, end func(), err error) {
	if c, err = dialClient(ctx, t.addr, 0); err != nil {
		return nil, nil, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(bulkTimeout)); err != nil {
		c.close()
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, c.close)
	return c, func() {
		stop()
		c.close()
	}, nil
}

// readSlowly runs a query, reads its result slowly and checks that all of it came.
func readSlowly(ctx context.Context, t *target, sql string, stall time.Duration, want int64) (int64, error) {
	c, end, err := dialBulk(ctx, t)
	if err != nil {
		return 0, err
	}
	defer end()
	c.r = bufio.NewReaderSize(&slowReader{r: c.conn, until: time.Now().Add(stall)}, 64<<10)
	a, err := c.exchange(queryMessage(sql))
	if err := errors.Join(err, a.err); err != nil {
		return a.bytes, err
	}
	if got := a.bytes - 6*a.rows; got != want { // a row of one column: int16 columns, int32 length
		return a.bytes, fmt.Errorf("%d bytes of values came, not %d", got, want)
	}
	return a.bytes, nil
}

// copyTable takes rows slowly: its trigger sleeps at one row soon after the start, long enough for every buffer on
// the way to fill, and throws most rows away, so that a gigabyte needs no disk. What it keeps proves that all came.
const (
	copyTable = `drop table if exists bench_copy;
create unlogged table bench_copy (n bigint, stuff text);
create or replace function bench_slow() returns trigger language plpgsql as $$
begin
  if new.n = %d then perform pg_sleep(%f); end if;
  if new.n %% %d = 0 then return new; end if;
  return null;
end $$;
create trigger slow before insert on bench_copy for each row execute function bench_slow()`
	copySleepsAt = 100
	copyKeeps    = 1000 // one of so many
)

// copyIn sends rows as fast as the proxy takes them.
func copyIn(ctx context.Context, t *target, rows int64, stall time.Duration) (int64, error) {
	c, err := dialClient(ctx, t.addr, 0)
	if err != nil {
		return 0, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, c.close)()
	if _, err := c.query(fmt.Sprintf(copyTable, copySleepsAt, stall.Seconds(), copyKeeps)); err != nil {
		return 0, fmt.Errorf("make the table: %w", err)
	}
	if err := c.conn.SetDeadline(time.Now().Add(bulkTimeout)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(queryMessage("copy bench_copy from stdin")); err != nil {
		return 0, err
	}
	a, err := c.readAnswer('G') // CopyInResponse
	if err := errors.Join(err, a.err); err != nil {
		return 0, fmt.Errorf("begin COPY: %w", err)
	}
	sent, err := c.sendRows(rows)
	if err != nil {
		return sent, fmt.Errorf("send rows: %w", err)
	}
	a, err = c.exchange([]byte{'c', 0, 0, 0, 4}) // CopyDone
	if err := errors.Join(err, a.err); err != nil {
		return sent, fmt.Errorf("end COPY: %w", err)
	}
	if want := fmt.Sprintf("COPY %d", rows/copyKeeps); a.tag != want {
		return sent, fmt.Errorf("the server answered %q, not %q", a.tag, want)
	}
	return sent, nil
}

// copyDataBytes is the size of a CopyData message: libpq's and pgx's are of this order.
const copyDataBytes = 64 << 10

// sendRows writes rows 1..n in CopyData messages.
func (c *client) sendRows(n int64) (sent int64, err error) {
	stuff := strings.Repeat("x", rowBytes)
	var data bytes.Buffer
	flush := func() error {
		head := binary.BigEndian.AppendUint32([]byte{'d'}, uint32(data.Len()+4))
		if _, err := c.conn.Write(append(head, data.Bytes()...)); err != nil {
			return err
		}
		sent += int64(data.Len())
		data.Reset()
		return nil
	}
	for i := range n {
		fmt.Fprintf(&data, "%d\t%s\n", i+1, stuff)
		if data.Len() >= copyDataBytes {
			if err := flush(); err != nil {
				return sent, err
			}
		}
	}
	if data.Len() > 0 {
		err = flush()
	}
	return sent, err
}
