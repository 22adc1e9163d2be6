package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// pgbenchRun is what pgbench reports of one run.
type pgbenchRun struct {
	Transactions int64   `json:"transactions"` // actually processed
	TPS          float64 `json:"tps"`          // without the time to connect; with it under -C
}

// pgbenchArgs says how to load a target.
type pgbenchArgs struct {
	mode     string // simple, extended, prepared, pipeline
	clients  int
	jobs     int
	duration time.Duration
	connect  bool // a new connection per transaction
}

// pipelined is the mode in which a transaction is a pipeline of prepared statements: PipelineLen times what pgbench -S does.
const pipelined = "pipeline"

// PipelineLen is the number of statements in a pipeline.
const PipelineLen = 10

// keepsStatements tells the modes in which a client prepares once and executes often.
func keepsStatements(mode string) bool { return mode == "prepared" || mode == pipelined }

// script is what pgbench reads where -S does not do.
func (a pgbenchArgs) script() string {
	if a.mode != pipelined {
		return ""
	}
	const one = "\\set aid random(1, 100000)\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n"
	return "\\startpipeline\n" + strings.Repeat(one, PipelineLen) + "\\endpipeline\n"
}

// work is what each transaction does.
func (a pgbenchArgs) work() []string {
	if a.script() != "" {
		return []string{"-M", "prepared", "-f", "-"}
	}
	return []string{"-S", "-M", a.mode}
}

func (a pgbenchArgs) list(addr hostPort) []string {
	args := append([]string{"-h", addr.host, "-p", strconv.Itoa(addr.port), "-U", user, "-n"}, a.work()...)
	args = append(args,
		"-c", strconv.Itoa(a.clients), "-j", strconv.Itoa(min(a.jobs, a.clients)),
		"-T", strconv.Itoa(max(1, int(a.duration.Seconds()))),
	)
	if a.connect {
		args = append(args, "-C")
	}
	return append(args, database)
}

// runPgbench loads a proxy and fails if one of pgbench's clients did.
func (l *Lab) runPgbench(ctx context.Context, addr hostPort, a pgbenchArgs) (pgbenchRun, error) {
	pgbench, err := l.pgbench()
	if err != nil {
		return pgbenchRun{}, err
	}
	cmd := exec.CommandContext(ctx, pgbench, a.list(addr)...)
	sslmode := "disable"
	if addr.tls {
		sslmode = "require"
	}
	cmd.Env = append(cmd.Environ(), "PGSSLMODE="+sslmode, "PGGSSENCMODE=disable", "PGPASSWORD="+password)
	cmd.Stdin = strings.NewReader(a.script())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return pgbenchRun{}, fmt.Errorf("pgbench with %d clients, %s: %w\n%s", a.clients, a.mode, err, tail(string(out)))
	}
	run, err := parsePgbench(string(out))
	if err != nil {
		return pgbenchRun{}, fmt.Errorf("pgbench with %d clients, %s: %w\n%s", a.clients, a.mode, err, tail(string(out)))
	}
	return run, nil
}

// The lines of a report that count, as written by printResults in PostgreSQL's src/bin/pgbench/pgbench.c; releases
// before 14 ended the tps line with "excluding connections establishing". Without -C the tps line names "initial
// connection time", with -C "reconnections".
var (
	processedLine = regexp.MustCompile(`(?m)^number of transactions actually processed: (\d+)`)
	failedLine    = regexp.MustCompile(`(?m)^number of failed transactions: (\d+)`)
	tpsLine       = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \((?:without initial|excluding|including reconnection)`)
	abortedLine   = regexp.MustCompile(`(?m)^.*(?:aborted|Run was aborted).*$`)
)

// parsePgbench reads a report. A run in which a client gave up or a transaction failed is an error: its figures would
// compare different work.
func parsePgbench(out string) (pgbenchRun, error) {
	if line := abortedLine.FindString(out); line != "" {
		return pgbenchRun{}, fmt.Errorf("a client gave up: %s", line)
	}
	if m := failedLine.FindStringSubmatch(out); m != nil && m[1] != "0" {
		return pgbenchRun{}, fmt.Errorf("%s transactions failed", m[1])
	}
	processed, tps := processedLine.FindStringSubmatch(out), tpsLine.FindStringSubmatch(out)
	if processed == nil || tps == nil {
		return pgbenchRun{}, errors.New("no line with the transactions processed and the tps in pgbench's report")
	}
	var run pgbenchRun
	var err error
	if run.Transactions, err = strconv.ParseInt(processed[1], 10, 64); err != nil {
		return pgbenchRun{}, err
	}
	if run.TPS, err = strconv.ParseFloat(tps[1], 64); err != nil {
		return pgbenchRun{}, err
	}
	if run.Transactions == 0 {
		return pgbenchRun{}, errors.New("no transaction was processed")
	}
	return run, nil
}

// tail keeps the last lines of an output for an error text.
func tail(out string) string {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
