package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
)

// TestProgram runs the real program, built once.
func TestProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	path := buildWeir(t)
	t.Run("the first drains", func(t *testing.T) { firstSignalDrains(t, path) })
	t.Run("a hang-up has it read its configuration anew", func(t *testing.T) { hangUpReloads(t, path) })
	t.Run("before it drains it is not ready and serves on", func(t *testing.T) { graceBeforeTheDrain(t, path) })
	t.Run("while it drains it takes cancel requests", func(t *testing.T) { cancelInADrain(t, path) })
	t.Run("the next one takes its addresses", func(t *testing.T) { nextTakesOver(t, path) })
	t.Run("two beside each other", func(t *testing.T) { twoOnOnePort(t, path) })
	t.Run("systemd's sockets and notes", func(t *testing.T) { underSystemd(t, path) })
	t.Run("without clients it stops at once", func(t *testing.T) { stopsWithoutClients(t, path) })
	t.Run("the second stops at once", func(t *testing.T) { secondSignalStops(t, path) })
	t.Run("with drain_timeout 0 a transaction is waited for", func(t *testing.T) { drainWaitsForTransactions(t, path) })
	t.Run("with few descriptors clients are refused and backends are not", func(t *testing.T) { fewDescriptors(t, path) })
	t.Run("with few descriptors strangers keep nobody out", func(t *testing.T) { silentOnFewDescriptors(t, path) })
	t.Run("with too few descriptors it says so", func(t *testing.T) { tooFewDescriptors(t, path) })
	t.Run("a reader of the log that stops or ends costs lines only", func(t *testing.T) { readerOfTheLog(t, path) })
	t.Run("with a file of PgBouncer's SIGINT waits for backends", func(t *testing.T) { interruptWaitsForBackends(t, path) })
	t.Run("with a file of PgBouncer's SIGTERM waits for clients", func(t *testing.T) { terminationWaitsForClients(t, path) })
}

// weirProcess is the real program.
type weirProcess struct {
	t    *testing.T
	cmd  *exec.Cmd
	Log  *logCapture
	Addr string // of clients
	HTTP string
	pipe *logPipe
	done chan error
	file string
}

// buildWeir compiles the program.
func buildWeir(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "weir")
	if out, err := exec.Command("go", "build", "-o", path, "weir/cmd/weir").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// rewrite changes the program's configuration file.
func (p *weirProcess) rewrite(old, now string) {
	p.t.Helper()
	text, err := os.ReadFile(p.file)
	if err == nil {
		err = os.WriteFile(p.file, bytes.ReplaceAll(text, []byte(old), []byte(now)), 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// launch runs the program in front of d's server with some more configuration. prelude is what a shell does first.
func launch(t *testing.T, path string, d *pgserver.Database, toml, prelude string) *weirProcess {
	t.Helper()
	return launchInto(t, path, d, toml, prelude, nil)
}

// launchInto is launch with the log in a pipe; nil: in memory. files are the program's from descriptor 3 on.
func launchInto(t *testing.T, path string, d *pgserver.Database, toml, prelude string, pipe *logPipe, files ...*os.File) *weirProcess {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.toml")
	if !strings.Contains(toml, "[http]") {
		toml = "[http]\naddress = \"127.0.0.1:0\"\n" + toml
	}
	toml = complete(d, toml)
	if err := os.WriteFile(file, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &weirProcess{t: t, cmd: exec.Command("/bin/sh", "-c", prelude+`exec "$0" serve -c "$1"`, path, file), pipe: pipe, file: file}
	p.cmd.ExtraFiles = files
	p.run()
	return p
}

// launchFile runs the program with a file of PgBouncer's, in front of d's server.
func launchFile(t *testing.T, path string, d *pgserver.Database, settings string) *weirProcess {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pgbouncer.ini")
	ini := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d user=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = 0\nunix_socket_dir =\n"+
		"auth_type = any\nserver_tls_sslmode = disable\npool_mode = transaction\n%s", d.Server.Port(), d.Server.Superuser(), settings)
	if err := os.WriteFile(file, []byte(ini), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &weirProcess{t: t, cmd: exec.Command(path, file), file: file}
	p.run()
	return p
}

// run starts the program and returns when it serves.
func (p *weirProcess) run() {
	t := p.t
	t.Helper()
	p.Log, p.done = new(logCapture), make(chan error, 1)
	p.cmd.Stderr = p.Log
	if p.pipe != nil {
		p.cmd.Stderr = p.pipe.in
		go p.pipe.read(p.Log)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("weir's log:\n%s", p.Log.tail())
		}
	})
	serves := regexp.MustCompile(`listen=\[([^ \]]+)\] http=(\S*)`)
	eventually(t, func() string {
		m := serves.FindStringSubmatch(p.Log.String())
		if m == nil {
			return "it does not serve:\n" + p.Log.String()
		}
		p.Addr, p.HTTP = m[1], m[2]
		return ""
	})
}

func (p *weirProcess) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// expectExit waits until the program has ended, in good order.
func (p *weirProcess) expectExit() {
	p.t.Helper()
	eventually(p.t, func() string {
		select {
		case err := <-p.done:
			if err != nil {
				p.t.Errorf("exit: %v", err)
			}
			return ""
		default:
			return "it runs"
		}
	})
}

func (p *weirProcess) ready() (int, string) {
	res, err := http.Get("http://" + p.HTTP + "/readyz")
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	var body bytes.Buffer
	_, _ = io.Copy(&body, res.Body)
	return res.StatusCode, body.String()
}

func (p *weirProcess) expectRefusing() {
	p.t.Helper()
	expectRefusing(p.t, p.Addr, "postgres")
}

// expectRefusing waits until a weir that has been told to stop lets nobody in.
func expectRefusing(t *testing.T, addr, database string) {
	t.Helper()
	eventually(t, func() string {
		late, err := tryDial(t, addr, "postgres", database)
		if err == nil {
			late.Vanish() // a drain would wait for it
		}
		if !isCode(err, "57P03") {
			return fmt.Sprintf("a login: %v", err)
		}
		return ""
	})
}

// firstSignalDrains: SIGTERM means drain (trap 23): not ready, nobody new; idle clients go on until drain_timeout, transactions until their end.
func firstSignalDrains(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[timeouts]\ndrain_timeout = \"4s\"", "") // in which it is seen what a drain lets go on
	if code, body := p.ready(); code != http.StatusOK {
		t.Fatalf("/readyz says %d %s", code, body)
	}
	idle, busy := dial(t, p.Addr, "postgres", d.Name), dial(t, p.Addr, "postgres", d.Name)
	busy.Query("BEGIN")
	p.signal(syscall.SIGTERM)
	eventually(t, func() string {
		if code, body := p.ready(); code != http.StatusServiceUnavailable || !strings.Contains(body, "draining") {
			return fmt.Sprintf("/readyz says %d %s", code, body)
		}
		return ""
	})
	p.expectRefusing()
	idle.Query("SELECT 'still served'")
	idle.expectLastError("57P01")
	busy.Query("SELECT 'in a transaction'")
	busy.Query("COMMIT")
	busy.expectLastError("57P01")
	p.expectExit()
}

// drainWaitsForTransactions: what drain_timeout bounds is how long clients without a transaction may stay.
func drainWaitsForTransactions(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[timeouts]\ndrain_timeout = \"0s\"", "")
	idle, busy := dial(t, p.Addr, "postgres", d.Name), dial(t, p.Addr, "postgres", d.Name)
	busy.Query("BEGIN")
	p.signal(syscall.SIGTERM)
	idle.expectLastError("57P01")
	eventually(t, func() string {
		if !p.Log.Contains("drain: clients in a transaction are waited for") {
			return "the log does not say what it waits for"
		}
		return ""
	})
	busy.Query("SELECT 'still here'")
	busy.Query("COMMIT")
	busy.expectLastError("57P01")
	p.expectExit()
}

// hangUpReloads: the same file, with the flags of the command line as at the start.
func hangUpReloads(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[pool]\npool_size = 1", "")
	c := dial(t, p.Addr, "postgres", d.Name)
	c.Query("BEGIN")
	logged := func(words ...string) {
		t.Helper()
		eventually(t, func() string {
			if !p.Log.Contains(words...) {
				return fmt.Sprintf("the log does not say %q", words)
			}
			return ""
		})
	}
	p.rewrite("pool_size = 1", "pool_size = 2")
	p.signal(syscall.SIGHUP)
	logged("configuration changed", "[pool] pool_size: 1 -> 2")
	logged("configuration reloaded", "changes=1")
	p.rewrite("pool_size = 2", "pool_size = two")
	p.signal(syscall.SIGHUP)
	logged("level=ERROR", "configuration not reloaded", "weir.toml:")
	dial(t, p.Addr, "postgres", d.Name).Query("BEGIN")
	c.Query("COMMIT")
}

func stopsWithoutClients(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[timeouts]\ndrain_timeout = \"1h\"", "")
	dial(t, p.Addr, "postgres", d.Name).Terminate()
	p.signal(syscall.SIGINT)
	p.expectExit()
}

func secondSignalStops(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[timeouts]\ndrain_timeout = \"1h\"", "")
	idle, busy := dial(t, p.Addr, "postgres", d.Name), dial(t, p.Addr, "postgres", d.Name)
	busy.Query("BEGIN")
	p.signal(syscall.SIGTERM)
	p.expectRefusing()
	busy.Query("SELECT 1")
	p.signal(syscall.SIGTERM)
	idle.expectLastError("57P01")
	busy.expectLastError("57P01")
	p.expectExit()
	expectBackends(t, d, 0)
}

// Whoever waits for a backend when weir stops is told, too, and a login under way.
func TestStopTellsThoseWhoWait(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n[auth]\ntype = \"trust\"")
	holder, waiter := enter(t, w, d), enter(t, w, d)
	holder.Query("BEGIN")
	waiter.inBackground("SELECT 1")
	expectWaiting(t, w, 1)
	silent := newClient(t, dialRaw(t, w.Addr))
	w.Stop()
	waiter.expectLastError("57P01")
	holder.expectLastError("57P01")
	if e := silent.ExpectClosed(); e != nil {
		t.Errorf("who never spoke is told %v", e)
	}
}

// TestNoQueryOutlivesWeir: what its clients have left running is cancelled before weir ends, however it ends. Servers notice only at the end of a
// query that its client is gone.
func TestNoQueryOutlivesWeir(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, w *weirUnderTest, c *wireClient){
		"the last client of a drain has vanished": func(_ *testing.T, w *weirUnderTest, c *wireClient) {
			w.Proxy.Drain()
			c.reset()
		},
		"weir is stopped": func(_ *testing.T, w *weirUnderTest, _ *wireClient) { w.Stop() },
		"weir is stopped while it drains": func(_ *testing.T, w *weirUnderTest, _ *wireClient) {
			w.Proxy.Drain()
			w.Stop()
		},
		"SHUTDOWN": func(t *testing.T, w *weirUnderTest, _ *wireClient) {
			_, _ = tryAsk(w.console(t, "boss"), "SHUTDOWN")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := database(t)
			w, _ := consoleWeir(t, d, "[timeouts]\ndrain_timeout = \"0s\"")
			last, watcher := enter(t, w, d), direct(t, d)
			asleep := func() string {
				return ask(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
			}
			last.inBackground("BEGIN; SELECT pg_sleep(600)")
			last.Send(&pgproto3.Query{String: "SELECT pg_sleep(600)"})
			eventually(t, func() string {
				if n := asleep(); n != "1" {
					return n + " backends sleep, want 1"
				}
				return ""
			})
			end(t, w, last)
			w.expectStopped()
			if n := asleep(); n != "0" {
				t.Errorf("weir has stopped, and %s backends sleep", n)
			}
		})
	}
}

// TestClientsThatHaveBeenToldToGoAreInNoTransaction: they have two seconds to read that, and the log does not take them for others.
func TestClientsThatHaveBeenToldToGoAreInNoTransaction(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\ndrain_timeout = \"0s\"")
	idle := enter(t, w, d)
	idle.Query("SELECT 1")
	w.Proxy.Drain()
	w.expectStopped() // it has not read on, nor closed its connection
	if w.Log.Contains("drain: clients in a transaction are waited for") {
		t.Error("the log speaks of a transaction")
	}
	idle.expectLastError("57P01")
}

// expectNotListening waits until connections are refused.
func (p *weirProcess) expectNotListening() {
	p.t.Helper()
	eventually(p.t, func() string {
		nc, err := net.DialTimeout("tcp", p.Addr, patience)
		if err != nil {
			return ""
		}
		_ = nc.Close()
		return "it listens"
	})
}

// interruptWaitsForBackends: with SIGINT clients without a backend are sent away at once, the others when theirs comes free.
func interruptWaitsForBackends(t *testing.T, path string) {
	d := database(t)
	p := launchFile(t, path, d, "")
	idle, busy := dial(t, p.Addr, d.Server.Superuser(), d.Name), dial(t, p.Addr, d.Server.Superuser(), d.Name)
	busy.Query("BEGIN")
	p.signal(syscall.SIGINT)
	p.expectNotListening()
	if e := idle.ExpectClosed(); e == nil || e.Message != "server shutting down" {
		t.Errorf("a client without a backend: %v", e)
	}
	busy.Query("SELECT 'in a transaction'")
	busy.Query("COMMIT")
	if e := busy.ExpectClosed(); e == nil || e.Message != "server shutting down" {
		t.Errorf("a client whose transaction is over: %v", e)
	}
	p.expectExit()
}

// terminationWaitsForClients: with SIGTERM nobody is sent away, until the second.
func terminationWaitsForClients(t *testing.T, path string) {
	d := database(t)
	p := launchFile(t, path, d, "")
	c := dial(t, p.Addr, d.Server.Superuser(), d.Name)
	p.signal(syscall.SIGTERM)
	p.expectNotListening()
	c.Query("SELECT 'still served'")
	c.Terminate()
	p.expectExit()

	p = launchFile(t, path, d, "")
	c = dial(t, p.Addr, d.Server.Superuser(), d.Name)
	c.Query("BEGIN")
	p.signal(syscall.SIGTERM)
	p.expectNotListening()
	c.Query("SELECT 'still served'")
	p.signal(syscall.SIGTERM)
	c.ExpectClosed()
	p.expectExit()
}
