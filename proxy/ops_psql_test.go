package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"weir/internal/pgserver"
)

// psqlScripts are what people do with psql. Each runs with PostgreSQL itself and through weir; what psql prints, and what it
// writes into its files, must be the same, and contain what it is there to show. FILE is a file of the run's own.
var psqlScripts = []struct {
	name   string
	env    []string
	script string
	shows  string // in the output through weir
	from   int    // the first major version of psql that can do this, 0 for any
}{
	{name: "queries and their kinds of answers", script: `
CREATE TABLE book (id int PRIMARY KEY, title text);
INSERT INTO book SELECT n, 'book ' || n FROM generate_series(1, 20) n RETURNING id;
SELECT count(*), NULL AS nothing FROM book;
UPDATE book SET title = upper(title) WHERE id > 10;
\d book
\dt
BEGIN; DELETE FROM book; ROLLBACK;
SELECT sum(id) FROM book;
`, shows: "UPDATE 10"},
	{
		name: "startup options",
		env: []string{
			"PGAPPNAME=till", "PGTZ=Asia/Tokyo", "PGDATESTYLE=German", "PGCLIENTENCODING=LATIN1",
			"PGOPTIONS=-c work_mem=7MB -c search_path=pg_catalog,public -c statement_timeout=123s --random-page-cost=3",
		},
		script: `
SHOW application_name; SHOW TimeZone; SHOW DateStyle; SHOW client_encoding; SHOW work_mem; SHOW search_path;
SHOW statement_timeout; SHOW random_page_cost;
SELECT '2026-08-01 12:00+00'::timestamptz;
\encoding
`, shows: "01.08.2026 21:00:00 JST",
	},
	{name: "errors and what follows them", script: `
SELECT 'before'; SELECT 1/0; SELECT 'behind';
\errverbose
SELEC 1;
BEGIN; SELECT 1/0; SELECT 'refused'; COMMIT;
SELECT 'at the end';
DO $$ BEGIN RAISE NOTICE 'a notice'; RAISE EXCEPTION 'an exception' USING HINT = 'a hint', DETAIL = 'a detail'; END $$;
`, shows: "ERROR:  22012: division by zero"},
	{name: `several statements in one message, \;`, script: `
CREATE TABLE book (title text);
SELECT 'one'\; SELECT 'two', 'three'\; INSERT INTO book VALUES ('four')\; TABLE book;
SELECT 'kept back'\; INSERT INTO book VALUES ('taken back')\; SELECT 1/0\; SELECT 'never';
TABLE book;
BEGIN\; INSERT INTO book VALUES ('five')\; COMMIT\; SELECT count(*) FROM book;
`, shows: "two|three"},
	{name: `\copy in and out`, script: `
CREATE TABLE book (id int, title text);
INSERT INTO book SELECT n, repeat(E'a\tb\\', n % 50) FROM generate_series(1, 30000) n;
\copy book TO 'FILE'
\copy book FROM 'FILE'
SELECT count(*), sum(length(title)) FROM book;
\copy (SELECT id FROM book ORDER BY id LIMIT 3) TO STDOUT
COPY book FROM STDIN;
7	seven
\.
COPY book (title) FROM STDIN WITH (FORMAT csv);
"a book, with a comma"
\.
COPY book FROM STDIN;
seven	7
\.
SELECT count(*) FROM book;
`, shows: "ERROR:  invalid input syntax for type integer"},
	{name: `\copy with more statements in its message`, script: `
CREATE TABLE book (id int);
SELECT 'before'\; COPY book FROM STDIN\; SELECT count(*) FROM book\; COPY book TO STDOUT;
1
2
\.
`, shows: "COPY 2"},
	{name: `\gdesc, \gset and \gexec`, script: `
SELECT 1::int8 AS number, now() AS moment, 'x'::varchar(7) AS text \gdesc
SELEC 1 \gdesc
SELECT 'what \gdesc leaves' AS left;
SELECT 17 AS seventeen \gset
SELECT :seventeen + 1;
SELECT format('SELECT %s * 2', n) FROM generate_series(1, 5) n \gexec
`, shows: "character varying(7)"},
	{name: `\bind`, from: 16, script: `
SELECT $1::int + $2::int \bind 3 4 \g
SELECT $1::int \bind x \g
SELECT 'behind it';
`, shows: "ERROR:  invalid input syntax"},
	{name: "a large result", script: `
\o FILE
SELECT n, repeat(n::text, 200) FROM generate_series(1, 20000) n;
\o
SELECT 'behind it';
`, shows: "behind it"},
	{name: "a large result in pieces, FETCH_COUNT", script: `
\set FETCH_COUNT 97
\o FILE
SELECT n, repeat(n::text, 20) FROM generate_series(1, 5000) n;
\o
SELECT n, 6/(n - 300) FROM generate_series(1, 5000) n;
SELECT 'behind it';
`, shows: "division by zero"},
	{name: "large objects, which libpq asks for by function call", script: `
\o FILE
SELECT repeat('a large object ', 10000);
\o
\lo_import 'FILE' 'a comment'
SELECT length(lo_get(:LASTOID)), md5(lo_get(:LASTOID));
\lo_export :LASTOID 'FILE'
\lo_unlink :LASTOID
SELECT count(*) FROM pg_largeobject_metadata;
`, shows: "lo_unlink"},
	{name: "connecting anew", script: `
CREATE ROLE reader LOGIN;
SET ROLE reader; SELECT current_user;
\c
SELECT current_user, session_user;
\c - reader
SELECT current_user, session_user;
\c - :owner
DROP ROLE reader;
`, shows: "reader|reader"},
}

func TestPsqlSeesWhatItSeesDirectly(t *testing.T) {
	d, through := database(t), database(t)
	version := psqlVersion(t, d)
	w := start(t, through, "[pool]\npool_size = 1") // what one psql leaves open would block the next
	for _, s := range psqlScripts {
		t.Run(s.name, func(t *testing.T) {
			if version < s.from {
				t.Skipf("psql is of version %d, this needs %d", version, s.from)
			}
			for _, d := range []*pgserver.Database{d, through} {
				d.Exec(t, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
			}
			wantText, wantFile := runPsql(t, d, d.Server.Addr(), s.env, s.script)
			text, file := runPsql(t, through, w.Addr, s.env, s.script)
			if text != wantText {
				t.Errorf("through weir psql prints\n%s\nand directly\n%s", text, wantText)
			}
			if file != wantFile {
				t.Errorf("through weir psql writes %d bytes, directly %d, and they differ", len(file), len(wantFile))
			}
			if !strings.Contains(text, s.shows) {
				t.Errorf("psql prints\n%s\nwithout %q", text, s.shows)
			}
		})
	}
}

// psqlVersion is psql's major version.
func psqlVersion(t *testing.T, d *pgserver.Database) (major int) {
	t.Helper()
	out, err := exec.Command(clientProgram(t, d, "psql"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(out), "psql (PostgreSQL) %d", &major); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return major
}

// clientProgram finds a client program of PostgreSQL, which is not among the server's own where those were fetched.
func clientProgram(t *testing.T, d *pgserver.Database, name string) string {
	t.Helper()
	path := d.Server.Bin(name)
	if path == "" {
		t.Skipf("no %s: install PostgreSQL's client programs", name)
	}
	return path
}

// psqlCommand is psql as superuser in d at addr, with no one's configuration and with this environment only.
func psqlCommand(t *testing.T, d *pgserver.Database, addr string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 6*patience) // what it does at a terminal is waited for step by step
	t.Cleanup(cancel)
	args = append([]string{"-X", "-P", "pager=off", "-v", "owner=" + d.Server.Superuser()}, args...)
	cmd := exec.CommandContext(ctx, clientProgram(t, d, "psql"), args...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TERM=dumb", "PGSSLMODE=disable",
		"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + d.Server.Superuser(), "PGDATABASE=" + d.Name,
	}, env...)
	return cmd
}

// runPsql runs a script and returns what psql printed, errors among it, and what it wrote to FILE. What must differ from run to
// run is masked.
func runPsql(t *testing.T, d *pgserver.Database, addr string, env []string, script string) (text, file string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	cmd := psqlCommand(t, d, addr, env, "-A", "-f", "-")
	_, port, _ := net.SplitHostPort(addr)
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(script, "FILE", path))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql at %s: %v\n%s", addr, err, out)
	}
	content, _ := os.ReadFile(path) // not every script writes one
	text = strings.NewReplacer(d.Name, "DATABASE", path, "FILE", port, "PORT").Replace(string(out))
	return maskOIDs(text), string(content)
}

// maskOIDs masks the numbers of large objects.
func maskOIDs(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if what, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(what, "lo_") {
			line = what + " OID\n"
		}
		out.WriteString(line)
	}
	return out.String()
}

// A person at a terminal stops what takes too long, and works on in the same session and transaction.
func TestInterruptInPsqlStopsTheQueryOnly(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE book (title text)")
	w := start(t, d, "[pool]\npool_size = 1")
	psql := atTerminal(t, psqlCommand(t, d, w.Addr, nil, "-n", "-q", "-A", "-t", "-v", "PROMPT1=", "-v", "PROMPT2="))

	psql.says("SELECT 'ready';")
	psql.hears("\nready")
	for range 3 {
		psql.says("SELECT pg_sleep(60);")
		psql.interruptsOnce(d, "SELECT pg_sleep(60);")
		psql.hears("ERROR:  canceling statement due to user request")
		psql.says("SELECT 'goes ' || 'on';")
		psql.hears("\ngoes on")
	}

	psql.says("BEGIN;")
	psql.says("INSERT INTO book VALUES ('kept');")
	psql.says("SAVEPOINT here;")
	psql.says("SELECT pg_sleep(60);")
	psql.interruptsOnce(d, "SELECT pg_sleep(60);")
	psql.hears("ERROR:  canceling statement due to user request")
	psql.says("ROLLBACK TO here;")
	psql.says("COMMIT;")
	psql.says("SELECT title || ' in the table' FROM book;")
	psql.hears("\nkept in the table")

	psql.says(`SELECT 'ti' || 'ck' \watch 0.05`)
	psql.hears("\ntick", "\ntick", "\ntick")
	psql.types("\x03")
	psql.says("SELECT 'behind ' || 'it';")
	psql.hears("\nbehind it")

	psql.says(`\copy (SELECT repeat('x', 1000) FROM generate_series(1, 100000000)) TO '/dev/null'`)
	psql.interruptsOnce(d, "COPY")
	psql.hears("ERROR:  canceling statement due to user request")
	psql.says("SELECT 'behind ' || 'the copy';")
	psql.hears("\nbehind the copy")
	psql.says(`\q`)
	psql.leaves()

	if p := w.Proxy.Snapshot().Pools[0]; p.Totals.Dials != 1 || p.Totals.BackendsLost != 0 {
		t.Errorf("all that took %d backends, %d of which were lost", p.Totals.Dials, p.Totals.BackendsLost)
	}
}

// terminal is a program that a person uses.
type terminal struct {
	t    *testing.T
	file *os.File
	out  *logCapture
	seen int // how much of out has been heard
	done chan error
}

func atTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	file, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, file: file, out: new(logCapture), done: make(chan error, 1)}
	go func() {
		_, _ = file.WriteTo(term.out) // ends with EIO when the program has gone
		term.done <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = file.Close()
		if t.Failed() {
			t.Logf("the terminal shows:\n%s", term.out)
		}
	})
	return term
}

func (p *terminal) types(keys string) {
	p.t.Helper()
	if _, err := p.file.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

func (p *terminal) says(line string) {
	p.t.Helper()
	p.types(line + "\n")
}

// hears waits until all of these have been printed, in this order, behind what was heard before.
func (p *terminal) hears(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		eventually(p.t, func() string {
			at := strings.Index(p.out.String()[p.seen:], text)
			if at < 0 {
				return fmt.Sprintf("%q has not been printed", text)
			}
			p.seen += at + len(text)
			return ""
		})
	}
}

// interruptsOnce presses Ctrl-C when the server is running a statement that begins like this.
func (p *terminal) interruptsOnce(d *pgserver.Database, statement string) {
	p.t.Helper()
	expectRunning(p.t, d, statement, 1)
	p.types("\x03")
}

// leaves waits until the program has ended in good order.
func (p *terminal) leaves() {
	p.t.Helper()
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Errorf("exit: %v", err)
		}
	case <-time.After(patience):
		p.t.Fatal("it stays")
	}
}

// expectRunning waits until the server runs n statements that begin like this.
func expectRunning(t *testing.T, d *pgserver.Database, statement string, n int) {
	t.Helper()
	conn := direct(t, d)
	defer func() { _ = conn.Close(context.Background()) }()
	count := fmt.Sprintf("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND datname = '%s' AND starts_with(query, '%s')",
		d.Name, strings.ReplaceAll(statement, "'", "''"))
	eventually(t, func() string {
		if got := ask(t, conn, count); got != strconv.Itoa(n) {
			return fmt.Sprintf("%s of %d run %s", got, n, statement)
		}
		return ""
	})
}
