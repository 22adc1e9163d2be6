package proxy_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/config"
	"weir/internal/pgserver"
	"weir/proxy"
)

// patience bounds everything that a test waits for. It is never reached unless something is wrong.
const patience = 20 * time.Second

// sweepEvery is the grain of the timeouts of a weir under test, which is a second otherwise.
const sweepEvery = 50 * time.Millisecond

var debugLog = flag.Bool("weirlog", false, "let weir log at level debug, and show its log also where a test passes")

// everywhereTLS lets the tests that say nothing about TLS have it on both sides: make tls.
var everywhereTLS = flag.Bool("weirtls", false, "use TLS between clients and weir, and between weir and PostgreSQL")

// everywhereLoops lets the tests that say nothing about loops have so many, and their pools a lane on each: make loops.
var everywhereLoops = flag.Int("weirloops", 0, "loops of the weirs under test, over which all pools spread; 0: as the test says")

func TestMain(m *testing.M) {
	flag.Parse()
	pgserver.SharedOptions = pgserver.Options{Settings: map[string]string{"ssl": "on", "ssl_ca_file": "root.crt"}, HBA: serverHBA, Files: serverFiles()}
	pgserver.Main(m)
}

// database is a test's own database on the package's PostgreSQL.
func database(t *testing.T) *pgserver.Database {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	return pgserver.ForTest(t)
}

// weirUnderTest is a weir that runs in this process.
type weirUnderTest struct {
	t     *testing.T
	Addr  string // its first TCP listener
	Proxy *proxy.Proxy
	Log   *logCapture

	secret    bool   // enter uses TLS
	protected string // the sections that make it so, where the test has none
}

// start runs a weir in front of d's server until the test ends, and then looks for what it has left behind: goroutines,
// descriptors, backends. The text needs to hold only what the test is about: a free port, trust, no HTTP and the server as
// [databases."*"] are added where it has no section of that name, and backends are not asked about statements that read as
// harmless. Tests that start a weir do not run in parallel: it would be the leak of another.
func start(t *testing.T, d *pgserver.Database, toml string) *weirUnderTest {
	t.Helper()
	var o proxy.Options
	o.SweepEvery(sweepEvery)
	return startWith(t, d, toml, o)
}

// startAsUsual runs one that looks at timeouts once a second, as weir does.
func startAsUsual(t *testing.T, d *pgserver.Database, toml string) *weirUnderTest {
	t.Helper()
	return startWith(t, d, toml, proxy.Options{})
}

func startWith(t *testing.T, d *pgserver.Database, toml string, options proxy.Options) *weirUnderTest {
	t.Helper()
	before, processors := footprintOf(d), runtime.GOMAXPROCS(0)
	protected := ""
	if *everywhereTLS && !speaksOfTLS(toml) {
		dir := tlsFolder(t)
		protected = "\n" + clientTLS(dir, "prefer", "") + serverTLS(dir)
		toml += protected
	}
	if *everywhereLoops > 0 && !strings.Contains(toml, "[loops]") {
		options.SpreadPools()
	}
	c, err := config.Parse("test.toml", []byte(complete(d, toml)), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("configuration: %v\n%s", err, complete(d, toml))
	}
	if !strings.Contains(toml, "session_audit") {
		c.Pool.SessionAudit = config.AuditOff // a backend that is asked something is not where a test waits for it
	}
	options.Version = "under test"
	w := &weirUnderTest{t: t, Log: new(logCapture), secret: protected != "", protected: protected}
	var level slog.Leveler = slog.LevelInfo
	switch {
	case *debugLog:
		level = slog.LevelDebug
	case options.Level != nil:
		level = options.Level
	}
	w.Proxy, err = proxy.Start(context.Background(), c, slog.New(slog.NewTextHandler(w.Log, &slog.HandlerOptions{Level: level})), options)
	if err != nil {
		t.Fatalf("start weir: %v", err)
	}
	w.Addr = w.Proxy.Addresses()[0]
	t.Cleanup(func() {
		w.Stop()
		if n := w.Proxy.Seats(); n != 0 {
			t.Errorf("weir has stopped, and counts %d connections on its loops", n)
		}
		runtime.GOMAXPROCS(processors) // of which a weir with many loops wants more
		before.expect(t, d)
		if t.Failed() || *debugLog {
			t.Logf("weir's log:\n%s", w.Log.tail())
		}
	})
	return w
}

func speaksOfTLS(toml string) bool {
	return strings.Contains(toml, "[client_tls") || strings.Contains(toml, "[server_tls")
}

// complete adds to a configuration what most tests do not care about.
func complete(d *pgserver.Database, toml string) string {
	add := func(section, body string) {
		if !strings.Contains(toml, "["+section) {
			toml = strings.TrimRight(toml, "\n") + "\n[" + section + body + "\n"
		}
	}
	if *everywhereLoops > 0 {
		add("loops", fmt.Sprintf("]\ncount = %d", *everywhereLoops))
	}
	add("listen", "]\naddresses = [\"127.0.0.1:0\"]")
	add("http", "]\naddress = \"\"")
	add("auth", "]\ntype = \"trust\"")
	add("server_tls", "]\nsslmode = \"disable\"")
	add("databases", fmt.Sprintf(".\"*\"]\nhost = \"127.0.0.1\"\nport = %d", d.Server.Port()))
	return toml
}

// Stop ends weir at once; it may be called more than once.
func (w *weirUnderTest) Stop() { w.Proxy.Stop() }

// expectStopped waits until weir has ended by itself.
func (w *weirUnderTest) expectStopped() {
	w.t.Helper()
	select {
	case <-w.Proxy.Stopped():
	case <-time.After(patience):
		w.t.Fatal("weir goes on")
	}
}

// DSN is a URL for d through weir. params are names and values of startup parameters.
func (w *weirUnderTest) DSN(d *pgserver.Database, params ...string) string {
	q := url.Values{"sslmode": {"disable"}}
	if w.secret {
		q.Set("sslmode", "require")
	}
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	u := url.URL{Scheme: "postgres", User: url.User(d.Server.Superuser()), Host: w.Addr, Path: "/" + d.Name, RawQuery: q.Encode()}
	return u.String()
}

// logCapture keeps what weir logs.
type logCapture struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logCapture) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all that was logged.
func (l *logCapture) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Contains reports whether all the parts stand in one line of the log.
func (l *logCapture) Contains(parts ...string) bool {
	for line := range strings.Lines(l.String()) {
		found := 0
		for _, part := range parts {
			if strings.Contains(line, part) {
				found++
			}
		}
		if found == len(parts) {
			return true
		}
	}
	return false
}

func (l *logCapture) tail() string {
	const most = 8 << 10
	text := l.String()
	return text[max(0, len(text)-most):]
}

// eventually waits until cond is content. cond says what is still amiss, or "". It may be called often.
func eventually(t *testing.T, cond func() string) {
	t.Helper()
	if last := settled(cond); last != "" {
		t.Fatalf("after %s still: %s", patience, last)
	}
}

func settled(cond func() string) string {
	deadline := time.Now().Add(patience)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		last := cond()
		if last == "" || time.Now().After(deadline) {
			return last
		}
		time.Sleep(wait)
	}
}

// direct is a superuser's session on the server itself, for looking at what weir does.
func direct(t *testing.T, d *pgserver.Database) *pgconn.PgConn {
	t.Helper()
	conn, err := pgconn.Connect(context.Background(), d.DSN())
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// ask runs a statement and returns its rows: columns parted by |, a line each.
func ask(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	text, err := tryAsk(conn, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

func tryAsk(conn *pgconn.PgConn, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	results, err := conn.Exec(ctx, sql).ReadAll()
	var lines []string
	for _, r := range results {
		for _, row := range r.Rows {
			lines = append(lines, string(bytes.Join(row, []byte("|"))))
		}
	}
	return strings.Join(lines, "\n"), err
}

// footprint is what a weir must leave as it found it.
type footprint struct {
	descriptors map[string]string
	backends    map[string]bool
}

func footprintOf(d *pgserver.Database) footprint {
	return footprint{descriptors: descriptors(), backends: backendsOf(d)}
}

func (f footprint) expect(t *testing.T, d *pgserver.Database) {
	t.Helper()
	last := settled(func() string {
		if g := weirGoroutines(); g != "" {
			return "goroutines of weir are left:\n" + g
		}
		for fd, target := range descriptors() {
			// A server that was restarted, this one or another, has its log open under another number; that is the test's own.
			if f.descriptors[fd] == "" && filepath.Base(target) != filepath.Base(d.Server.LogPath()) {
				return "a descriptor is left: " + fd + " is " + target
			}
		}
		for pid := range backendsOf(d) {
			if !f.backends[pid] {
				return "a backend is left: " + pid
			}
		}
		return ""
	})
	if last != "" {
		t.Errorf("weir has stopped, but %s", last)
	}
}

// weirGoroutines are the stacks of goroutines that run weir's own code.
func weirGoroutines() string {
	var all bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&all, 2)
	var ours []string
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		code := strings.ReplaceAll(stack, "weir/proxy_test.", "")
		if strings.Contains(code, "weir/proxy.") || strings.Contains(code, "weir/proxy/") {
			ours = append(ours, stack)
		}
	}
	return strings.Join(ours, "\n\n")
}

// descriptors are this process's open files, as far as the system lets one see them.
func descriptors() map[string]string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	open := map[string]string{}
	if err != nil {
		return open
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		// A pidfd is the Go runtime's, of a process that the test itself has started.
		if err == nil && target != "/proc/self/fd" && !strings.HasPrefix(target, "/proc/") && target != "anon_inode:[pidfd]" {
			open[e.Name()] = target
		}
	}
	return open
}

// backendsOf are the server's processes that serve d.
func backendsOf(d *pgserver.Database) map[string]bool {
	pids := map[string]bool{}
	conn, err := pgconn.Connect(context.Background(), d.Server.DSN("postgres"))
	if err != nil {
		return pids
	}
	defer func() { _ = conn.Close(context.Background()) }()
	text, _ := tryAsk(conn, "SELECT pid FROM pg_stat_activity WHERE datname = '"+d.Name+"'")
	for pid := range strings.FieldsSeq(text) {
		pids[pid] = true
	}
	return pids
}

// dialRaw opens a TCP connection that fails the test rather than hang.
func dialRaw(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatalf("connect to %s: %v", addr, err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return nc.(*net.TCPConn)
}
