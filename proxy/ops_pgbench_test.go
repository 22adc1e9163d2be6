package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// pgbenchPatience bounds one run of pgbench, each of which takes a second.
const pgbenchPatience = time.Minute

// Scripts of pgbench's own language. A pipeline is what it can do beyond its built-in scripts; it needs the extended protocol.
const (
	pipelineScript = `
\set aid random(1, 100000)
\set delta random(-5000, 5000)
\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = 1 + :client_id;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = 1;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1 + :client_id, 1, :aid, :delta, CURRENT_TIMESTAMP);
END;
\endpipeline
`
	manyPipelinesScript = `
\startpipeline
SELECT 1;
SELECT :client_id;
SELECT abalance FROM pgbench_accounts WHERE aid = 1 + :client_id;
SELECT 4;
SELECT 5;
\endpipeline
\set x 1
\startpipeline
SELECT generate_series(1, 50);
SELECT :x + 1;
\endpipeline
`
	resultScript = `
SELECT :client_id AS id, :client_id * 2 AS twice \gset
\if :id <> :client_id or :twice <> :client_id * 2
SELECT 'the answer of another client' / 0;
\endif
`
)

// TestPgbench: more clients than backends, in each of pgbench's ways; no transaction fails, each counts once, and the books
// balance afterwards.
func TestPgbench(t *testing.T) {
	const clients, backends = 10, 4
	d := database(t)
	pgbench := clientProgram(t, d, "pgbench")
	w := start(t, d, fmt.Sprintf("[pool]\npool_size = %d", backends))
	runPgbench(t, pgbench, w.Addr, d, "-i", "-q", "--foreign-keys")
	written := 0
	for _, c := range []struct {
		name, script, mode string
		args               []string
		transactions       int  // of each client
		writes             bool // each changes the books once
	}{
		{name: "TPC-B, simple", mode: "simple", transactions: 10, writes: true},
		{name: "TPC-B, extended", mode: "extended", transactions: 10, writes: true},
		{name: "TPC-B, prepared", mode: "prepared", transactions: 10, writes: true},
		{name: "TPC-B, a connection for each", mode: "simple", args: []string{"-C"}, transactions: 5, writes: true},
		{name: "TPC-B, prepared, a connection for each", mode: "prepared", args: []string{"-C"}, transactions: 5, writes: true},
		{name: "select only, simple", mode: "simple", args: []string{"-S"}, transactions: 100},
		{name: "select only, extended", mode: "extended", args: []string{"-S"}, transactions: 100},
		{name: "select only, prepared", mode: "prepared", args: []string{"-S"}, transactions: 100},
		{name: "a pipeline, extended", mode: "extended", script: pipelineScript, transactions: 10, writes: true},
		{name: "a pipeline, prepared", mode: "prepared", script: pipelineScript, transactions: 10, writes: true},
		{name: "several pipelines, extended", mode: "extended", script: manyPipelinesScript, transactions: 50},
		{name: "several pipelines, prepared", mode: "prepared", script: manyPipelinesScript, transactions: 50},
		{name: "everybody's own answers, simple", mode: "simple", script: resultScript, transactions: 100},
		{name: "everybody's own answers, prepared", mode: "prepared", script: resultScript, transactions: 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A thread for each client: pgbench waits for the answer to its Prepare with the whole thread, and so could wait for
			// a backend that another client of the same thread has.
			n := strconv.Itoa(clients)
			args := append([]string{"-n", "-M", c.mode, "-c", n, "-j", n, "-t", strconv.Itoa(c.transactions)}, c.args...)
			if c.script != "" {
				path := filepath.Join(t.TempDir(), "script.sql")
				if err := os.WriteFile(path, []byte(c.script), 0o644); err != nil {
					t.Fatal(err)
				}
				args = append(args, "-f", path)
			}
			expectAllProcessed(t, runPgbench(t, pgbench, w.Addr, d, args...), clients*c.transactions)
			if c.writes {
				written += clients * c.transactions
			}
			expectBooksToBalance(t, d, written)
			p := w.Proxy.Snapshot().Pools[0]
			if n := p.Totals.Doubts.Sum() + p.Totals.BackendsLost; n != 0 {
				t.Errorf("%d backends were given up", n)
			}
		})
	}
	watcher := direct(t, d)
	eventually(t, func() string { // those of the books' own connections end some time after these
		got := ask(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"+
			" AND datname = current_database()")
		if atoi(t, got) > backends {
			return fmt.Sprintf("%s backends, want %d at most", got, backends)
		}
		return ""
	})
	expectPool(t, w, "without clients", func(p status.Pool) bool { return clientCount(p) == 0 })
}

// runPgbench runs it as superuser in d at addr and returns what it printed.
func runPgbench(t *testing.T, pgbench, addr string, d *pgserver.Database, args ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), pgbenchPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, pgbench, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "PGSSLMODE=disable",
		"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + d.Server.Superuser(), "PGDATABASE=" + d.Name,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

var (
	processed = regexp.MustCompile(`number of transactions actually processed: (\d+)/(\d+)`)
	failed    = regexp.MustCompile(`number of failed transactions: (\d+) `) // since version 15
)

// expectAllProcessed reads pgbench's summary.
func expectAllProcessed(t *testing.T, summary string, want int) {
	t.Helper()
	m := processed.FindStringSubmatch(summary)
	if m == nil || m[1] != strconv.Itoa(want) || m[2] != m[1] {
		t.Errorf("want %d transactions processed:\n%s", want, summary)
	}
	if m := failed.FindStringSubmatch(summary); m != nil && m[1] != "0" {
		t.Errorf("transactions failed:\n%s", summary)
	}
	if strings.Contains(summary, "error:") || strings.Contains(summary, "ERROR:") {
		t.Errorf("pgbench reports errors:\n%s", summary)
	}
}

// expectBooksToBalance: the four tables tell the same story, and each transaction has written one line of history.
func expectBooksToBalance(t *testing.T, d *pgserver.Database, transactions int) {
	t.Helper()
	got := ask(t, direct(t, d), `SELECT (SELECT count(*) FROM pgbench_history) || ' ' ||
		((SELECT sum(abalance) FROM pgbench_accounts) = coalesce(sum(delta), 0)) || ' ' ||
		((SELECT sum(bbalance) FROM pgbench_branches) = coalesce(sum(delta), 0)) || ' ' ||
		((SELECT sum(tbalance) FROM pgbench_tellers) = coalesce(sum(delta), 0)) FROM pgbench_history`)
	if want := fmt.Sprintf("%d true true true", transactions); got != want {
		t.Errorf("lines of history, and whether accounts, branches and tellers agree with it: %s, want %s", got, want)
	}
}
