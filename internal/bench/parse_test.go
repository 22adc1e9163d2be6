package bench

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// report is what pgbench 15 printed for 16 clients on 2 threads.
const report15 = `pgbench (15.20 (Debian 15.20-0+deb12u1))
transaction type: <builtin: select only>
scaling factor: 1
query mode: simple
number of clients: 16
number of threads: 2
maximum number of tries: 1
duration: 1 s
number of transactions actually processed: 31214
number of failed transactions: 0 (0.000%)
latency average = 0.512 ms
initial connection time = 5.318 ms
tps = 31241.706211 (without initial connection time)
`

func TestPgbenchReportsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, out string
		want      pgbenchRun
	}{
		{"15", report15, pgbenchRun{31214, 31241.706211}},
		{"15 with -C", "number of transactions actually processed: 900\naverage connection time = 0.400 ms\n" +
			"tps = 450.5 (including reconnection times)\n", pgbenchRun{900, 450.5}},
		{"13, two tps lines", "number of transactions actually processed: 900\ntps = 440.0 (including connections establishing)\n" +
			"tps = 450.5 (excluding connections establishing)\n", pgbenchRun{900, 450.5}},
	} {
		got, err := parsePgbench(c.out)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
}

func TestPgbenchReportsOfBrokenRunsAreRefused(t *testing.T) {
	for _, c := range []struct{ name, out, want string }{
		{"a client aborted", "pgbench: error: client 3 aborted in command 1 (SQL) of script 0; perhaps the backend died\n" + report15, "gave up"},
		{"transactions failed", strings.Replace(report15, "failed transactions: 0 (0", "failed transactions: 12 (0", 1), "12 transactions failed"},
		{"cut off", report15[:200], "no line"},
		{"idle", strings.Replace(report15, "31214", "0", 1), "no transaction"},
	} {
		if _, err := parsePgbench(c.out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", c.name, err, c.want)
		}
	}
}

func TestPgbenchIsToldTheLoad(t *testing.T) {
	a := pgbenchArgs{mode: "extended", clients: 1, jobs: 2, duration: 3 * time.Second, connect: true}
	got := strings.Join(a.list(hostPort{"127.0.0.1", 6432, false}), " ")
	want := "-h 127.0.0.1 -p 6432 -U postgres -n -S -M extended -c 1 -j 1 -T 3 -C bench" // pgbench wants -j up to -c
	if got != want {
		t.Errorf("arguments are\n%s, want\n%s", got, want)
	}
}

func TestPipelineIsAScript(t *testing.T) {
	a := pgbenchArgs{mode: "pipeline", clients: 64, jobs: 2, duration: time.Second}
	got := strings.Join(a.list(hostPort{"127.0.0.1", 6432, false}), " ")
	want := "-h 127.0.0.1 -p 6432 -U postgres -n -M prepared -f - -c 64 -j 2 -T 1 bench"
	if got != want {
		t.Errorf("arguments are\n%s, want\n%s", got, want)
	}
	if n := strings.Count(a.script(), "SELECT"); n != PipelineLen || !strings.HasPrefix(a.script(), "\\startpipeline\n") {
		t.Errorf("script is\n%s", a.script())
	}
}

func TestCPUModelIsFound(t *testing.T) {
	if got := parseCPUModel("processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC: rev 2\n"); got != "AMD EPYC: rev 2" {
		t.Errorf("got %q", got)
	}
	if got := parseCPUModel("processor : 0\n"); got != "unknown CPU" {
		t.Errorf("got %q", got)
	}
}

func TestSystemCallCountsAreRead(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(string) (int64, error)
		out  string
		want int64 // 0: an error
	}{
		{"perf", parsePerf, "182350;;raw_syscalls:sys_enter;1283547988;100.00;;\n", 182350},
		{"perf without permission", parsePerf, "<not supported>;;raw_syscalls:sys_enter;0;100.00;;\n", 0},
		{"perf that saw nothing", parsePerf, "0;;raw_syscalls:sys_enter;0;100.00;;\n", 0},
		{"perf that failed", parsePerf, "event syntax error\n", 0},
		{"strace", parseStrace, "strace: Process 3 attached\n    calls syscall\n--------- ---\n    10462 sendto\n--------- ---\n    22268 total\n", 22268},
		{"strace that failed", parseStrace, "strace: attach: ptrace(PTRACE_SEIZE, 3): Operation not permitted\n", 0},
	} {
		got, err := c.read(c.out)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%s: got %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}

func TestErrorResponseIsRead(t *testing.T) {
	got := parseError([]byte("SFATAL\x00VFATAL\x00C53300\x00Mtoo many clients\x00\x00"))
	if want := (serverError{"FATAL", "53300", "too many clients"}); *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}

// TestRivalThatCannotShareStatementsIsNotMeasuredWithThem: pgbench's clients would give up one by one.
func TestRivalThatCannotShareStatementsIsNotMeasuredWithThem(t *testing.T) {
	for version, can := range map[string]bool{
		"PgBouncer 1.18.0": false, "PgBouncer 1.20.1": false, "PgBouncer 1.21.0": true, "PgBouncer 1.25.2": true, "PgBouncer 2.0": true,
		"who knows": false,
	} {
		path := filepath.Join(t.TempDir(), "pgbouncer")
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+version+"'\necho libevent 2.1.12\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		err := Program{Name: "pgbouncer", Kind: PgBouncer, Path: path}.sharesStatements(t.Context())
		if (err == nil) != can || err != nil && !strings.HasPrefix(err.Error(), version+" has no prepared statements") {
			t.Errorf("%s: %v", version, err)
		}
	}
	if err := (Program{Kind: Weir}).sharesStatements(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProxyConfigurationsHoldTheSuitesOptions(t *testing.T) {
	listen, server, files := hostPort{"127.0.0.1", 7001, true}, hostPort{"127.0.0.1", 7002, false}, tlsFiles{"/tmp/c", "/tmp/k"}
	opts := targetOptions{backends: 16, clients: 256, prepared: true}
	for _, c := range []struct {
		name, config string
		want         []string
	}{
		{"weir", weirConfig(listen, server, files, 2, opts), []string{
			`addresses = ["127.0.0.1:7001"]`, `type = "trust"`, `mode = "transaction"`, "pool_size = 16", "port = 7002", "max_client_conn = 306", "count = 2",
			`sslmode = "require"`, `cert_file = "/tmp/c"`, `key_file = "/tmp/k"`,
		}},
		{"pgbouncer", pgbouncerConfig(listen, server, "/tmp/u", files, opts), []string{
			"* = host=127.0.0.1 port=7002", "listen_port = 7001", "auth_type = trust", "auth_file = /tmp/u", "pool_mode = transaction",
			"default_pool_size = 16", "max_client_conn = 306", "max_prepared_statements = 200",
			"client_tls_sslmode = require", "client_tls_cert_file = /tmp/c", "client_tls_key_file = /tmp/k",
		}},
	} {
		lines := strings.Split(c.config, "\n")
		for _, want := range c.want {
			if !slices.Contains(lines, want) {
				t.Errorf("%s: no line %q in\n%s", c.name, want, c.config)
			}
		}
	}
	opts.prepared = false // a setting that old versions do not know
	if text := pgbouncerConfig(listen, server, "/tmp/u", files, opts); strings.Contains(text, "prepared") {
		t.Errorf("what nobody needs is set:\n%s", text)
	}
}
