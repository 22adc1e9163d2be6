package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"weir/bookstore/compare"
	"weir/bookstore/report"
)

// programs are those that a comparison runs.
type programs struct {
	Weir      string `placeholder:"PATH" help:"The program weir; without it, the one beside bookstore, or in PATH."`
	Bookstore string `placeholder:"PATH" help:"The program that serves the shop; without it, this one."`
}

type compareCmd struct {
	programs
	Direct       string `env:"BOOKSTORE_DIRECT_DSN" placeholder:"DSN" help:"The database on its server. Its tables are made and filled. Without it a private server is started."`
	Proxied      string `env:"BOOKSTORE_PROXIED_DSN" placeholder:"DSN" help:"The same database through the pooler."`
	ProxyName    string `default:"weir" help:"What the report calls the pooler."`
	ProxyMetrics string `placeholder:"URL" help:"weir's metrics, with --proxied: http://host:9127/metrics."`

	Quick    bool          `help:"Fewer rungs and shorter turns, as make demo."`
	Ladder   []int         `placeholder:"N" help:"Concurrent clients of each pair of turns (${ladder})."`
	WarmUp   time.Duration `placeholder:"TIME" help:"How long each turn warms up, which is not counted (${warmUp})."`
	Duration time.Duration `placeholder:"TIME" help:"How long each turn's load lasts (${duration})."`
	Patience time.Duration `placeholder:"TIME" help:"How long the application waits for its database (${patience})."`
	Path     string        `default:"${path}" help:"What the clients ask for: /async_books/, /books/, /authors/, or visit for the front page with its images."`

	Processes     int `default:"${processes}" help:"Processes of the application."`
	SyncPool      int `default:"${comparedSyncPool}" help:"Connections that /books/ and the like may open in each process."`
	AsyncPool     int `default:"${comparedAsyncPool}" help:"Connections that /async_books/ may open in each process."`
	AsyncOverflow int `default:"${comparedAsyncOverflow}" help:"Connections that it may open beyond these."`

	ServerConnections int   `default:"${serverConnections}" help:"max_connections of the private PostgreSQL."`
	PoolSize          int   `default:"${poolSize}" help:"Backends of weir's pool."`
	MaxConnections    []int `placeholder:"N" help:"Then repeat the original's tuning directly, with each of these max_connections: 100,150,300,600,1000."`
	WalkClients       int   `default:"${walkClients}" help:"Concurrent clients of these turns."`

	Out    string `default:"out/compare" placeholder:"DIR" help:"Where report, JSON and CSV go (${default})."`
	Assert bool   `help:"Fail if a request through the pooler failed, if PostgreSQL's memory at the top of the ladder is more than 10 % above that at its foot, or if throughput there is below 0.8 of the best."`
}

func compareDefaults(vars map[string]string) {
	o := compare.DefaultOptions()
	for name, value := range map[string]any{
		"ladder": strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Clients), " ", ","), "[]"), "warmUp": o.WarmUp, "duration": o.Duration, "patience": o.Patience, "path": o.Path,
		"processes": o.Processes, "comparedSyncPool": o.SyncPool, "comparedAsyncPool": o.AsyncPool, "comparedAsyncOverflow": o.AsyncOverflow,
		"serverConnections": o.MaxConnections, "poolSize": o.PoolSize, "walkClients": o.WalkClients,
	} {
		vars[name] = fmt.Sprint(value)
	}
}

func (c *compareCmd) Run(ctx context.Context, s streams) error {
	opts := compare.DefaultOptions()
	if c.Quick {
		opts.Quick()
	}
	if len(c.Ladder) > 0 {
		opts.Clients = c.Ladder
	}
	if c.WarmUp > 0 {
		opts.WarmUp = c.WarmUp
	}
	if c.Duration > 0 {
		opts.Duration = c.Duration
	}
	if c.Patience > 0 {
		opts.Patience = c.Patience
	}
	opts.Direct, opts.Proxied, opts.ProxyName, opts.ProxyMetrics = c.Direct, c.Proxied, c.ProxyName, c.ProxyMetrics
	opts.Path, opts.Processes = c.Path, c.Processes
	opts.SyncPool, opts.AsyncPool, opts.AsyncOverflow = c.SyncPool, c.AsyncPool, c.AsyncOverflow
	opts.MaxConnections, opts.PoolSize = c.ServerConnections, c.PoolSize
	opts.Walk, opts.WalkClients = c.MaxConnections, c.WalkClients
	result, err := runComparison(ctx, s, c.programs, opts, c.Out)
	if err != nil {
		return err
	}
	if !c.Assert {
		return nil
	}
	if missed := result.Check(); len(missed) > 0 {
		return errors.New("not reached:\n  " + strings.Join(missed, "\n  "))
	}
	fmt.Fprintln(s.out, "\nReached: no error through the pooler, PostgreSQL's memory flat, throughput kept.")
	return nil
}

// runComparison compares, prints, and saves. An interrupted comparison prints and saves what there is.
func runComparison(ctx context.Context, s streams, p programs, opts compare.Options, out string) (*report.Report, error) {
	if err := p.find(&opts); err != nil {
		return nil, err
	}
	if err := report.CheckFolder(out); err != nil {
		return nil, err
	}
	opts.Progress = compare.NewProgress(s.err, isTerminal(s.err))
	result, err := compare.Run(ctx, opts)
	opts.Progress.Done()
	if result == nil {
		return nil, err
	}
	fmt.Fprintln(s.out)
	err = errors.Join(err, result.WriteText(s.out))
	if saveErr := result.Save(out); saveErr != nil {
		return nil, errors.Join(err, saveErr)
	}
	fmt.Fprintf(s.out, "\nReport: %s (beside it: %s, %s, %s, %s)\n", filepath.Join(out, report.PageFile),
		report.JSONFile, report.RowsFile, report.SamplesFile, report.ChartFile)
	return result, err
}

// find fills in the programs that were not named.
func (p programs) find(opts *compare.Options) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if p.Bookstore == "" {
		p.Bookstore = self
	}
	if p.Weir == "" {
		p.Weir = "weir"
		if beside := filepath.Join(filepath.Dir(self), "weir"); isFile(beside) {
			p.Weir = beside
		}
	}
	if opts.Bookstore, err = exec.LookPath(p.Bookstore); err != nil {
		return fmt.Errorf("find the program bookstore: %w", err)
	}
	if opts.Proxied != "" {
		return nil
	}
	if opts.Weir, err = exec.LookPath(p.Weir); err != nil {
		return fmt.Errorf("find the program weir: %w (make build makes it; --weir names it)", err)
	}
	return nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

type reportCmd struct {
	Result string `arg:"" help:"The result.json of a comparison."`
	Out    string `placeholder:"DIR" help:"Write the page and the other files again, into this folder."`
	SVG    string `name:"svg" placeholder:"PATH" help:"Write the one chart that sums the comparison up, as a README shows it: light or dark as its reader prefers."`
	Assert bool   `help:"Fail as compare --assert does."`
}

func (c *reportCmd) Run(s streams) error {
	f, err := os.Open(c.Result)
	if err != nil {
		return fmt.Errorf("open the comparison: %w", err)
	}
	defer f.Close()
	result, err := report.Read(f)
	if err != nil {
		return err
	}
	if err := result.WriteText(s.out); err != nil {
		return err
	}
	if c.Out != "" {
		if err := errors.Join(report.CheckFolder(c.Out), result.Save(c.Out)); err != nil {
			return err
		}
	}
	if c.SVG != "" {
		if err := report.WriteFile(c.SVG, func(w io.Writer) error { return result.WriteChart(w) }); err != nil {
			return err
		}
	}
	if missed := result.Check(); c.Assert && len(missed) > 0 {
		return errors.New("not reached:\n  " + strings.Join(missed, "\n  "))
	}
	return nil
}
