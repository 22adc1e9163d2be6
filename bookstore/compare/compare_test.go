package compare

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/bookstore/report"
)

// builtIn is the folder of the programs once a test has needed them.
var builtIn string

// build makes the programs once, as `make demo` does.
var build = sync.OnceValue(func() (err error) {
	if builtIn, err = os.MkdirTemp("", "weir-compare-test-"); err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-o", builtIn+"/", "weir/cmd/weir", "weir/cmd/bookstore").CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(builtIn)
	os.Exit(code)
}

// small is a comparison of a few seconds with the original's proportions: more pools than server, more clients than both.
func small(t *testing.T, progress *bytes.Buffer) Options {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir()) // to see what is left there
	return Options{
		Weir: filepath.Join(builtIn, "weir"), Bookstore: filepath.Join(builtIn, "bookstore"), ProxyName: "weir",
		Clients: []int{2, 40}, WarmUp: 200 * time.Millisecond, Duration: time.Second, Patience: 10 * time.Second, Path: "/async_books/",
		Processes: 2, SyncPool: 4, AsyncPool: 10, AsyncOverflow: 2,
		MaxConnections: 14, PoolSize: 3, Progress: NewProgress(progress, false),
	}
}

// nothingLeft checks that no process and no file outlived a run.
func nothingLeft(t *testing.T) {
	t.Helper()
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "weir-*"))
	if len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
	if runtime.GOOS != "linux" {
		return
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		if b, _ := os.ReadFile(task); len(bytes.TrimSpace(b)) > 0 {
			t.Errorf("processes left: %s", b)
		}
	}
}

func TestWeirServesWhatPostgresRefuses(t *testing.T) {
	var progress bytes.Buffer
	opts := small(t, &progress)
	opts.Walk, opts.WalkClients = []int{8}, 40
	result, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	nothingLeft(t)

	var text strings.Builder
	if err := result.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	if len(result.Rows) != 4 || len(result.Walk) != 1 {
		t.Fatalf("%d rows and %d of the walk, want 4 and 1", len(result.Rows), len(result.Walk))
	}
	for i, row := range append(result.Rows, result.Walk...) {
		most := opts.PoolSize
		if row.Way == report.Direct {
			most = row.MaxConnections - reserved
		}
		if want := []report.Way{report.Direct, report.Proxied}[i%2]; row.Way != want {
			t.Errorf("row %d is %s, want %s", i, row.Way, want)
		}
		if n := row.Backends(); n < 1 || n > most {
			t.Errorf("%d clients, %s: %d backends, want 1 to %d", row.Clients, row.Way, n, most)
		}
		measured := row.Load.Succeeded > 0 && row.Postgres() > 0 && row.API() > 0 && row.CPU.Postgres > 0 && row.CPU.API > 0 && row.CPU.Load > 0
		if proxied := row.Way == report.Proxied; !measured || proxied != (row.Proxy() > 0) || proxied != (row.Wait != nil) {
			t.Errorf("%d clients, %s: something was not measured: %+v", row.Clients, row.Way, row)
		}
		if row.Way == report.Proxied && row.Load.Failed > 0 {
			t.Errorf("%d clients through weir: failures %v", row.Clients, row.Load.Errors)
		}
	}
	if runtime.GOOS == "linux" {
		if p := result.Rows[0].Samples[len(result.Rows[0].Samples)-1].Programs; p == nil || p.Machine < p.Postgres.CPU+p.API.CPU {
			t.Errorf("the machine was less busy than its programs: %+v", p)
		}
	}
	if wait := result.Rows[3].Wait; wait.Count == 0 || wait.Mean <= 0 || result.Rows[3].Waiting() == 0 {
		t.Errorf("40 clients on 3 backends never waited: %+v", wait)
	}
	for _, row := range []report.Row{result.Rows[2], result.Walk[0]} {
		if e := row.Load.Errors; len(e) == 0 || e[0].SQLState != "53300" {
			t.Errorf("40 clients on %d places directly: failures %v, want 53300", row.MaxConnections-reserved, e)
		}
	}
	for _, missed := range result.Check() {
		if strings.Contains(missed, "is the limit") {
			t.Log(missed) // on a machine with other things to do, speed and a moment's memory prove nothing
			continue
		}
		t.Error(missed)
	}
	if result.Setup.MayOpen() != 2*(4+10+2) {
		t.Errorf("the application may open %d", result.Setup.MayOpen())
	}
	if got := strings.Count(progress.String(), "\n"); got < 6 {
		t.Errorf("progress has %d lines:\n%s", got, progress.String())
	}
}

// The shop's role owns its tables on a server of ours; what was given is used as it is.
func TestGivenDatabasesAreUsedAsTheyAre(t *testing.T) {
	var progress bytes.Buffer
	opts := small(t, &progress)
	// A stage of the same kind, whose weir and server stand for somebody's.
	theirs := &comparison{opts: opts}
	s, err := theirs.open(t.Context(), 40)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	weir, err := s.startWeir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer weir.stop()

	opts.Direct, opts.Proxied, opts.ProxyMetrics = s.direct, s.proxiedDSN(weir.address), weir.metrics
	opts.Weir, opts.ProxyName, opts.Clients = "/nowhere/weir", "their weir", []int{5}
	result, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if result.Setup.Private || result.Setup.MaxConnections != 40 || result.Setup.PoolSize != 3 || len(result.Rows) != 2 {
		t.Errorf("setup %+v, %d rows", result.Setup, len(result.Rows))
	}
	row := result.Rows[1]
	if row.Load.Succeeded == 0 || row.Load.Failed > 0 || row.Wait == nil || row.Proxy() == 0 || row.CPU.Proxy == 0 {
		t.Errorf("the row through their weir: %+v", row)
	}
	if runtime.GOOS == "linux" && row.Postgres() == 0 {
		t.Error("the server runs here, and its memory was not measured")
	}
	if err := s.observer.Ping(t.Context()); err != nil {
		t.Errorf("their server was stopped: %v", err)
	}
	if err := weir.running(); err != nil {
		t.Errorf("their weir was stopped: %v", err)
	}

	t.Run("and what is wrong with them is told before the load", func(t *testing.T) {
		for says, change := range map[string]func(*Options){
			"connect through their weir: ":     func(o *Options) { o.Proxied = "postgres://x@127.0.0.1:1/x" },
			"28P01":                            func(o *Options) { o.Proxied = strings.Replace(o.Proxied, s.password, "wrong", 1) },
			"ask their weir for its metrics: ": func(o *Options) { o.ProxyMetrics = "http://127.0.0.1:1/metrics" },
			"answers are not weir's metrics":   func(o *Options) { o.ProxyMetrics = strings.Replace(weir.metrics, "/metrics", "/healthz", 1) },
		} {
			var progress bytes.Buffer
			wrong := opts
			wrong.Progress = NewProgress(&progress, false)
			change(&wrong)
			if result, err := Run(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), says) || result != nil {
				t.Errorf("Run: %v, %v; want %q", result, err, says)
			}
			if strings.Contains(progress.String(), "[1/2]") {
				t.Errorf("%s: a turn was run:\n%s", says, progress.String())
			}
		}
	})

	t.Run("and their end is told", func(t *testing.T) {
		opts.Progress = NewProgress(actOn("of 3600 s", s.server.Stop), true)
		opts.Duration = time.Hour // the run ends long before, or its context does
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		result, err := Run(ctx, opts)
		if err == nil || !strings.Contains(err.Error(), "5 clients, direct: count sessions") {
			t.Errorf("Run: %v, want that the sessions cannot be counted", err)
		}
		if result != nil {
			t.Errorf("%+v; want no row", result)
		}
	})
}

// patience bounds what would else go on for ever.
const patience = 2 * time.Minute

// actOn does something once a line of progress holds a text.
func actOn(text string, do func()) io.Writer { return &actor{text, sync.OnceFunc(do)} }

type actor struct {
	text string
	do   func()
}

func (a *actor) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(a.text)) {
		a.do()
	}
	return len(p), nil
}

func TestInterruptedRunReportsWhatThereIsAndLeavesNothingBehind(t *testing.T) {
	opts := small(t, &bytes.Buffer{})
	for text, rows := range map[string]int{
		"starting a private": 0, "[1/4] 2 clients, direct: warming": 0, "[2/4] 2 clients, weir: 1 of 1 s": 1, "[3/4] 40 clients, weir: warming": 2,
	} {
		t.Run(text, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opts.Progress = NewProgress(actOn(text, cancel), true)
			result, err := Run(ctx, opts)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v, want its context's error", err)
			}
			nothingLeft(t)
			switch {
			case rows == 0 && result != nil:
				t.Errorf("a report without rows: %+v", result)
			case rows > 0 && (result == nil || len(result.Rows) != rows || result.Unfinished != "it was interrupted"):
				t.Errorf("the report is %+v, want %d rows and the reason", result, rows)
			}
		})
	}
}

func TestFailedRunSaysWhoFailedAndLeavesNothingBehind(t *testing.T) {
	script := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name   string
		change func(*testing.T, *Options)
		says   []string
	}{
		{
			"weir ends", func(t *testing.T, o *Options) { o.Weir = script(t, "echo no such port >&2; exit 1") },
			[]string{"2 clients, weir: start weir", "ended by itself", "no such port"},
		},
		{"weir is missing", func(_ *testing.T, o *Options) { o.Weir = "/nowhere/weir" }, []string{"start weir", "no such file"}},
		{"the bookstore is missing", func(_ *testing.T, o *Options) { o.Bookstore = "/nowhere/bookstore" }, []string{"fill the database", "no such file"}},
		{
			"the bookstore ends", func(t *testing.T, o *Options) {
				o.Bookstore = script(t, `[ "$1" = seed ] && exit 0; echo the till is empty >&2; exit 1`)
			},
			[]string{"start the bookstore", "ended by itself", "the till is empty"},
		},
		{
			"seeding fails", func(t *testing.T, o *Options) { o.Bookstore = script(t, "echo the press is broken; exit 1") },
			[]string{"fill the database", "the press is broken"},
		},
		{"a DSN is nonsense", func(_ *testing.T, o *Options) { o.Direct, o.Proxied = "nonsense", "nonsense" }, []string{"fill the database", "read the DSN"}},
		{
			"nobody listens", func(_ *testing.T, o *Options) {
				o.Direct, o.Proxied = "postgres://x@127.0.0.1:1/x", "postgres://x@127.0.0.1:1/x"
			},
			[]string{"fill the database", "08001"},
		},
		{"one DSN", func(_ *testing.T, o *Options) { o.Direct = "postgres://x@127.0.0.1:1/x" }, []string{"both DSNs"}},
		{
			"a walk on a given server", func(_ *testing.T, o *Options) { o.Direct, o.Proxied, o.Walk = "a", "b", []int{100} },
			[]string{"servers of its own"},
		},
		{"no rungs", func(_ *testing.T, o *Options) { o.Clients = nil }, []string{"no rungs"}},
		{"no connections", func(_ *testing.T, o *Options) { o.Walk = []int{3} }, []string{"reserved for superusers"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := small(t, &bytes.Buffer{})
			opts.Clients = []int{2}
			c.change(t, &opts)
			_, err := Run(t.Context(), opts)
			for _, says := range c.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("Run: %v, want %q in it", err, says)
				}
			}
			nothingLeft(t)
		})
	}
}

// A program that dies under load ends its turn at once and is named.
func TestProgramThatDiesUnderLoadIsNamed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds the programs in /proc")
	}
	for name, says := range map[string]string{
		"weir": "weir ended by itself", "bookstore": "bookstore ended by itself", "postgres": "PostgreSQL's log ends",
	} {
		t.Run(name, func(t *testing.T) {
			opts := small(t, &bytes.Buffer{})
			opts.Clients, opts.Duration = []int{2}, time.Hour // the turn ends long before, or its context does
			opts.Progress = NewProgress(actOn("of 3600 s", func() { killChild(t, name) }), true)
			// The direct turn comes first and would last as long.
			c := &comparison{opts: opts, started: time.Now(), turns: 1, report: &report.Report{}}
			s, err := c.open(t.Context(), opts.MaxConnections)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err = c.run(ctx, s, report.Proxied, 2)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("run: %v, want %q", err, says)
			}
			s.close()
			nothingLeft(t)
		})
	}
}

// killChild kills a child of this process by its program's name.
func killChild(t *testing.T, name string) {
	entries, _ := filepath.Glob("/proc/self/task/*/children")
	for _, entry := range entries {
		b, _ := os.ReadFile(entry)
		for pid := range strings.FieldsSeq(string(b)) {
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			if strings.TrimSpace(string(comm)) == name {
				n := 0
				for _, digit := range pid {
					n = 10*n + int(digit-'0')
				}
				if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				return
			}
		}
	}
	t.Errorf("no child runs %s", name)
}

func TestProgressIsOneLineOnATerminalAndPlainLinesElsewhere(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		want     string
	}{
		{true, "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[Kstays\n\r\x1b[Kthree\r\x1b[K"},
		{false, "stays\n"},
	} {
		var b bytes.Buffer
		p := NewProgress(&b, c.terminal)
		p.Update("one")
		p.Update("two")
		p.Say("stays")
		p.Update("three")
		p.Done()
		p.Done()
		if b.String() != c.want {
			t.Errorf("terminal %v: %q, want %q", c.terminal, b.String(), c.want)
		}
	}
	(*Progress)(nil).Say("nobody looks")
}
