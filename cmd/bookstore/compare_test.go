package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"weir/internal/pgserver"
)

// builtIn is the folder of weir and bookstore once a test has needed them.
var builtIn string

var buildOnce = sync.OnceValue(func() (err error) {
	if builtIn, err = os.MkdirTemp("", "weir-bookstore-test-"); err != nil {
		return err
	}
	if b, err := exec.Command("go", "build", "-o", builtIn+"/", "weir/cmd/weir", "weir/cmd/bookstore").CombinedOutput(); err != nil {
		return errors.New(string(b))
	}
	return nil
})

// build makes the programs, once for all tests, and returns their folder.
func build(t *testing.T) (dir string) {
	t.Helper()
	if err := buildOnce(); err != nil {
		t.Fatal(err)
	}
	return builtIn
}

// withoutPrograms runs the tests and then removes what build has made.
type withoutPrograms struct{ *testing.M }

func (m withoutPrograms) Run() int {
	defer func() { _ = os.RemoveAll(builtIn) }()
	return m.M.Run()
}

// onlySpeed reports whether all that was not reached is a share of the best speed.
func onlySpeed(said string) bool {
	_, missed, found := strings.Cut(said, "bookstore: not reached:\n")
	for line := range strings.Lines(missed) {
		found = found && strings.Contains(line, " of the best, ")
	}
	return found
}

// TestCompareEndsWithAReport runs the real programs for seconds.
func TestCompareEndsWithAReport(t *testing.T) {
	bin, out := build(t), filepath.Join(t.TempDir(), "out")
	args := []string{
		"compare", "--weir", bin + "/weir", "--bookstore", bin + "/bookstore", "--out", out, "--ladder", "2,30",
		"--warm-up", "500ms", "--duration", "1s", "--sync-pool", "2", "--async-pool", "10", "--async-overflow", "0",
		"--server-connections", "12", "--pool-size", "3", "--assert",
	}
	code, said, errs := command(t, args...)
	if code == 1 && onlySpeed(errs) {
		t.Log(errs) // on a machine with other things to do, speed proves nothing
		code, said = 0, said+"\nReached: no error"
	}
	if code != 0 || !strings.Contains(said, "Reached: no error") || !strings.Contains(said, "Report: "+filepath.Join(out, "report.html")) || !strings.Contains(errs, "[4/4] 30 clients, direct") {
		t.Fatalf("exit %d:\n%s%s", code, said, errs)
	}
	for _, file := range []string{"report.html", "result.json", "rows.csv", "samples.csv", "chart.svg"} {
		if st, err := os.Stat(filepath.Join(out, file)); err != nil || st.Size() < 500 {
			t.Errorf("%s: %v, %v", file, st, err)
		}
	}

	again, svg := filepath.Join(t.TempDir(), "again"), filepath.Join(t.TempDir(), "compare.svg")
	code, said2, errs := command(t, "report", filepath.Join(out, "result.json"), "--out", again, "--svg", svg)
	if code != 0 || said2 == "" || !strings.Contains(said, strings.TrimSpace(said2)) {
		t.Errorf("report: exit %d:\n%s%s\nwant what compare said:\n%s", code, said2, errs, said)
	}
	for _, pair := range [][2]string{{out + "/report.html", again + "/report.html"}, {out + "/chart.svg", svg}} {
		a, err1 := os.ReadFile(pair[0])
		b, err2 := os.ReadFile(pair[1])
		if err1 != nil || err2 != nil || string(a) != string(b) {
			t.Errorf("%s and %s differ: %v, %v", pair[0], pair[1], err1, err2)
		}
	}

	// What was reached decides the exit code, and result.json may be asked later.
	b, err := os.ReadFile(filepath.Join(out, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	spoilt := filepath.Join(t.TempDir(), "spoilt.json")
	if err := os.WriteFile(spoilt, []byte(strings.Replace(string(b), `"rows": [`, `"unfinished": "cut short", "rows": [`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := command(t, "report", spoilt, "--assert"); code != 1 || !strings.Contains(errs, "not reached") || !strings.Contains(errs, "cut short") {
		t.Errorf("report --assert of a comparison that was cut short: exit %d: %s", code, errs)
	}
}

// PostgreSQL itself, called a pooler, is none: a real run in which everything that --assert demands is missed.
func TestAssertFailsWhereNoPoolerIs(t *testing.T) {
	server, err := pgserver.Start(t.Context(), pgserver.Options{Settings: map[string]string{"max_connections": "33"}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	if err := server.Exec(t.Context(), "postgres", "CREATE ROLE shop LOGIN"); err != nil {
		t.Fatal(err)
	}
	if err := server.CreateDatabase(t.Context(), "shop", "shop"); err != nil {
		t.Fatal(err)
	}
	dsn := server.DSN("shop", "shop")
	code, said, errs := command(t, "compare", "--bookstore", build(t)+"/bookstore", "--out", t.TempDir(), "--ladder", "1,80", "--proxy-name", "nobody",
		"--warm-up", "500ms", "--duration", "1s", "--direct", dsn, "--proxied", dsn, "--assert")
	for _, want := range []string{"not reached", "with 80 clients", "requests through nobody failed", "with SQLSTATE 53300"} {
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("exit %d, want %q in\n%s%s", code, want, said, errs)
		}
	}
	if runtime.GOOS == "linux" && !strings.Contains(errs, "PostgreSQL's memory was") {
		t.Errorf("memory is not missed in\n%s%s", said, errs)
	}
}
