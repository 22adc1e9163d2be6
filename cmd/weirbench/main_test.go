package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"weir/internal/bench"
)

func parse(t *testing.T, args ...string) (*commandLine, string) {
	t.Helper()
	c := &commandLine{}
	parser, err := kong.New(c)
	if err != nil {
		t.Fatal(err)
	}
	line, err := parser.Parse(args)
	if err != nil {
		t.Fatalf("parse %v: %v", args, err)
	}
	return c, line.Command()
}

func TestEverySuiteIsACommand(t *testing.T) {
	c := &commandLine{}
	for _, s := range c.suites(nil) {
		if _, command := parse(t, s.name); command != s.name {
			t.Errorf("suite %s is command %s", s.name, command)
		}
	}
}

func TestAllRunsEachSuiteWithItsDefaults(t *testing.T) {
	c, command := parse(t, "all")
	if command != "all" {
		t.Fatalf("command is %s", command)
	}
	if got := c.cpu(); !slices.Equal(got.Clients, []int{8, 64, 256}) || !slices.Equal(got.Modes, []string{"simple"}) || got.Backends != 16 || !got.Calls {
		t.Errorf("cpu: %+v", got)
	}
	if got := c.prepared(); !slices.Equal(got.Clients, []int{64}) || !slices.Equal(got.Modes, []string{"prepared", "pipeline"}) || !got.Calls {
		t.Errorf("prepared: %+v", got)
	}
	if got := c.idle(); got.Clients != 10000 {
		t.Errorf("idle: %+v", got)
	}
	if got := c.fair(); got.Clients != 1000 || got.Backends != 10 || got.Query != "select 1" {
		t.Errorf("fair: %+v", got)
	}
	if got := c.slow(); got.Size != 1e9 {
		t.Errorf("slow: %+v", got)
	}
}

func TestFlagsWinOverQuickDefaults(t *testing.T) {
	c, _ := parse(t, "cpu", "--quick", "-T", "7s", "-c", "1,2", "--rounds", "9")
	if got := c.cpu(); got.Duration != 7*time.Second || got.Rounds != 9 || !slices.Equal(got.Clients, []int{1, 2}) {
		t.Errorf("cpu: %+v", got)
	}
	if quick, _ := parse(t, "cpu", "--quick"); quick.cpu().Duration >= new(commandLine).cpu().Duration {
		t.Errorf("a quick turn takes %v", quick.cpu().Duration)
	}
}

func TestProgramsAreNamedOnce(t *testing.T) {
	say := func(string, ...any) {}
	for _, c := range []struct {
		args []string
		want string // names, or a part of the error
	}{
		{[]string{"cpu", "--weir", "sh", "--pgbouncer", "sh"}, "weir pgbouncer"},
		{[]string{"cpu", "--weir", "old=sh", "--weir", "new=sh", "--pgbouncer", "none"}, "old new"},
		{[]string{"cpu", "--weir", "sh", "--weir", "sh"}, "two targets are named weir"},
		{[]string{"cpu", "--weir", "none", "--pgbouncer", "none"}, "nothing to measure"},
		{[]string{"cpu", "--weir", "none", "--pgbouncer", "no-such-program"}, "find pgbouncer"},
	} {
		flags, _ := parse(t, c.args...)
		programs, err := flags.programs(t.Context(), t.TempDir(), say)
		var got []string
		for _, p := range programs {
			got = append(got, p.Name)
		}
		if err != nil {
			if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: err = %v, want one with %q", c.args, err, c.want)
			}
		} else if names := strings.Join(got, " "); names != c.want {
			t.Errorf("%v: programs are %s, want %s", c.args, names, c.want)
		}
	}
}

func TestSuiteThatFailsTakesNothingFromTheOthers(t *testing.T) {
	say := func(string, ...any) {}
	broken := errors.New("the rival cannot")
	works := func(name string) suite {
		return suite{name, func(context.Context) (bench.Result, error) { return bench.Result{Suite: name}, nil }}
	}
	suites := []suite{works("cpu"), {"prepared", func(context.Context) (bench.Result, error) { return bench.Result{}, broken }}, works("idle")}
	for _, c := range []struct {
		args, want string
		fails      bool
	}{
		{"all", "cpu idle", true},
		{"all --tls", "cpu-tls idle-tls", true},
		{"idle", "idle", false},
		{"prepared", "", true},
	} {
		flags, command := parse(t, strings.Fields(c.args)...)
		results, err := flags.runSuites(t.Context(), suites, command, io.Discard, say)
		var got []string
		for _, r := range results {
			got = append(got, r.Suite)
		}
		if names := strings.Join(got, " "); names != c.want || errors.Is(err, broken) != c.fails {
			t.Errorf("%s: results of %q and error %v, want %q", c.args, names, err, c.want)
		}
	}
	interrupted, stop := context.WithCancel(t.Context())
	stop()
	flags, _ := parse(t, "all")
	if results, _ := flags.runSuites(interrupted, suites, "all", io.Discard, say); len(results) > 0 {
		t.Errorf("%d suites ran after an interrupt", len(results))
	}
}

func TestWrongUsageExitsWith2(t *testing.T) {
	if code := run([]string{"cpu", "--no-such-flag"}); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	var out bytes.Buffer
	flags, _ := parse(t, "cpu", "--weir", "none", "--pgbouncer", "none")
	if err := flags.measure(t.Context(), "cpu", nil, &out, &out); !errors.Is(err, errUsage) {
		t.Errorf("err = %v, want %v", err, errUsage)
	}
}
