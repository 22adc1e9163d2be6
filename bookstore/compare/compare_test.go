package compare

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/bookstore/load"
	"weir/bookstore/report"
)

// build makes the programs once, as `make demo` does.
var build = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "weir-compare-test-"); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/", "weir/cmd/weir", "weir/cmd/bookstore").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := build(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// small is a comparison of a few seconds with the demo's proportions: more pool than server, more clients than both.
func small(t *testing.T, progress *bytes.Buffer) Options {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir()) // to see what is left there
	return Options{
		Weir: filepath.Join(dir, "weir"), Bookstore: filepath.Join(dir, "bookstore"),
		Clients: []int{2, 40}, WarmUp: 200 * time.Millisecond, Duration: time.Second, Path: "/async_books/",
		MaxConnections: 14, PoolSize: 3, Progress: NewProgress(progress, false),
	}
}

// nothingLeft checks that no process and no file outlived a run.
func nothingLeft(t *testing.T) {
	t.Helper()
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "weir-[cp]*")) // the template weir-initdb-* may stay
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
	result, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	nothingLeft(t)

	var table strings.Builder
	if err := result.Write(&table); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table.String())
	if len(result.Rows) != 4 {
		t.Fatalf("%d rows, want 4", len(result.Rows))
	}
	for _, row := range result.Rows {
		most := opts.PoolSize
		if row.Way == report.Direct {
			most = opts.MaxConnections - reserved
		}
		if row.Backends < 1 || row.Backends > most {
			t.Errorf("%d clients, %s: %d backends, want 1 to %d", row.Clients, row.Way, row.Backends, most)
		}
		if row.Load.Succeeded.Count() == 0 || row.Postgres == 0 || row.API == 0 || (row.Way == report.Weir) != (row.Proxy > 0) {
			t.Errorf("%d clients, %s: something was not measured: %+v", row.Clients, row.Way, row)
		}
		if row.Way == report.Weir && row.Load.Failed.Count() > 0 {
			t.Errorf("%d clients through weir: failures %v", row.Clients, row.Load.Kinds)
		}
	}
	if kinds := result.Rows[2].Load.Kinds; kinds[load.Kind("HTTP 503 53300")] == 0 {
		t.Errorf("40 clients on 11 places directly: failures %v, want 53300", kinds)
	}
	if got := strings.Count(progress.String(), "\n"); got < 5 {
		t.Errorf("progress has %d lines:\n%s", got, progress.String())
	}
}

// cancelOn cancels when a line of progress holds a text.
type cancelOn struct {
	text   string
	cancel func()
}

func (c cancelOn) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.text)) {
		c.cancel()
	}
	return len(p), nil
}

func TestInterruptedRunLeavesNothingBehind(t *testing.T) {
	opts := small(t, &bytes.Buffer{})
	for _, text := range []string{"starting a private", "[1/4] 2 clients, direct: warming", "[2/4] 2 clients, weir: 1 s"} {
		t.Run(text, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opts.Progress = NewProgress(cancelOn{text, cancel}, true)
			if _, err := Run(ctx, opts); !errors.Is(err, context.Canceled) {
				t.Errorf("Run: %v, want its context's error", err)
			}
			nothingLeft(t)
		})
	}
}

func TestFailedRunSaysWhoFailedAndLeavesNothingBehind(t *testing.T) {
	opts := small(t, &bytes.Buffer{})
	script := filepath.Join(t.TempDir(), "weir")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no such port >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	opts.Weir, opts.Clients = script, []int{2}
	_, err := Run(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "weir ended by itself") || !strings.Contains(err.Error(), "no such port") {
		t.Errorf("Run: %v, want weir's own words", err)
	}
	nothingLeft(t)
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
		p.update("one")
		p.update("two")
		p.say("stays")
		p.update("three")
		p.Done()
		p.Done()
		if b.String() != c.want {
			t.Errorf("terminal %v: %q, want %q", c.terminal, b.String(), c.want)
		}
	}
	(*Progress)(nil).say("nobody looks")
}
