package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"weir/internal/bench"
)

// errUsage marks what the caller must change in the command line.
var errUsage = errors.New("wrong usage")

// none, as a path, leaves something out.
const none = "none"

// measure runs the suite that was named, or all, and reports. Tables go to out, progress to progress; where JSON takes
// out, the tables go to progress as well.
func (c *commandLine) measure(ctx context.Context, command string, args []string, out, progress io.Writer) error {
	dir, err := os.MkdirTemp("", "weirbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tables := out
	if c.JSON == "-" {
		tables = progress
	}
	start := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(progress, "%6.1fs  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	programs, err := c.programs(ctx, dir, say)
	if err != nil {
		return err
	}
	lab, err := bench.Open(ctx, programs, c.ServerSocket, say)
	if err != nil {
		return err
	}
	defer lab.Close()
	lab.TLS = c.TLS
	report := bench.Report{Command: bench.CommandLine(args), Date: start, Machine: lab.Describe(ctx)}
	say("%s", report.Machine)
	report.Results, err = c.runSuites(ctx, c.suites(lab), command, tables, say)
	return errors.Join(err, c.write(report, out, say))
}

// runSuites runs the suite that was named, or all. One that fails takes nothing from the others: each result is worth minutes.
func (c *commandLine) runSuites(ctx context.Context, suites []suite, command string, tables io.Writer, say func(string, ...any)) ([]bench.Result, error) {
	var results []bench.Result
	var failures error
	for _, suite := range suites {
		if command != "all" && command != suite.name || ctx.Err() != nil {
			continue
		}
		say("suite %s", suite.name)
		result, err := suite.run(ctx)
		if err != nil {
			if command == "all" {
				say("suite %s failed: %v", suite.name, err)
			}
			failures = errors.Join(failures, fmt.Errorf("suite %s: %w", suite.name, err))
			continue
		}
		if c.TLS {
			result = result.OverTLS()
		}
		if err := result.Print(tables); err != nil {
			return results, errors.Join(failures, err)
		}
		results = append(results, result)
	}
	return results, failures
}

// modelled is how long the model's time is: it does not depend on the machine.
const modelled = 200 * time.Millisecond

type suite struct {
	name string
	run  func(context.Context) (bench.Result, error)
}

func (c *commandLine) suites(lab *bench.Lab) []suite {
	return []suite{
		{"cpu", func(ctx context.Context) (bench.Result, error) { return lab.CPU(ctx, c.cpu()) }},
		{"prepared", func(ctx context.Context) (bench.Result, error) { return lab.Prepared(ctx, c.prepared()) }},
		{"idle", func(ctx context.Context) (bench.Result, error) { return lab.Idle(ctx, c.idle()) }},
		{"crowd", func(ctx context.Context) (bench.Result, error) { return lab.Crowd(ctx, c.crowd()) }},
		{"fair", func(ctx context.Context) (bench.Result, error) { return lab.Fair(ctx, c.fair()) }},
		{"slow", func(ctx context.Context) (bench.Result, error) { return lab.Slow(ctx, c.slow()) }},
		{"connect", func(ctx context.Context) (bench.Result, error) { return lab.Connect(ctx, c.connect()) }},
		{"scale", func(ctx context.Context) (bench.Result, error) { return lab.Scale(ctx, c.scale()) }},
		{"bulk", func(ctx context.Context) (bench.Result, error) { return lab.Bulk(ctx, c.bulk()) }},
		{"model", func(context.Context) (bench.Result, error) { return bench.ModelSuite(modelled), nil }},
	}
}

// programs are the weirs, in the order given, and the rival as the last.
func (c *commandLine) programs(ctx context.Context, dir string, say func(string, ...any)) ([]bench.Program, error) {
	var programs []bench.Program
	switch {
	case len(c.Weir) == 1 && c.Weir[0] == none:
	case len(c.Weir) == 0:
		path := filepath.Join(dir, "weir")
		say("building weir")
		build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/weir")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build weir: %w\n%s", err, out)
		}
		programs = append(programs, bench.Program{Name: "weir", Kind: bench.Weir, Path: path})
	default:
		for _, arg := range c.Weir {
			name, path, named := strings.Cut(arg, "=")
			if !named {
				name, path = "weir", arg
			}
			programs = append(programs, bench.Program{Name: name, Kind: bench.Weir, Path: path})
		}
	}
	if c.PgBouncer != none {
		programs = append(programs, bench.Program{Name: "pgbouncer", Kind: bench.PgBouncer, Path: c.PgBouncer})
	}
	if len(programs) == 0 {
		return nil, fmt.Errorf("%w: nothing to measure", errUsage)
	}
	seen := map[string]bool{}
	for i, p := range programs {
		if seen[p.Name] {
			return nil, fmt.Errorf("%w: two targets are named %s; give names with --weir NAME=PATH", errUsage, p.Name)
		}
		seen[p.Name] = true
		path, err := exec.LookPath(p.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: find %s: %w", errUsage, p.Name, err)
		}
		programs[i].Path = path
	}
	return programs, nil
}

// write leaves the page alone after a quick run and after one without the rival: such figures must not take the
// place of better ones.
func (c *commandLine) write(report bench.Report, out io.Writer, say func(string, ...any)) error {
	if len(report.Results) == 0 {
		return nil
	}
	if c.JSON != "" {
		if err := writeJSON(report, c.JSON, out); err != nil {
			return err
		}
	}
	alone := c.PgBouncer == none || len(c.Weir) == 1 && c.Weir[0] == none
	if c.Doc == none || c.Quick || alone {
		return nil
	}
	say("refreshing %s", c.Doc)
	return report.WriteDoc(c.Doc)
}

func writeJSON(report bench.Report, path string, out io.Writer) error {
	b, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	b = append(b, '\n')
	if path == "-" {
		_, err = out.Write(b)
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
