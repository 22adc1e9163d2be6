package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"golang.org/x/sys/unix"
)

// logPipe is a pipe for the log, with a reader that can stop.
type logPipe struct {
	out, in *os.File
	stopped atomic.Bool
}

func newLogPipe(t *testing.T) *logPipe {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = out.Close(), in.Close() })
	return &logPipe{out: out, in: in}
}

// read copies what comes, until it is stopped.
func (p *logPipe) read(to io.Writer) {
	var b [4096]byte
	for {
		n, err := p.out.Read(b[:])
		if err != nil || p.stopped.Load() {
			return
		}
		_, _ = to.Write(b[:n])
	}
}

// fill stops the reader and writes into the pipe until it takes no more.
func (p *logPipe) fill(t *testing.T) {
	t.Helper()
	p.stopped.Store(true)
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		for {
			if _, err := p.in.Write([]byte(strings.Repeat("x", 1023) + "\n")); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { <-filled }) // the end of the reader ends it
	eventually(t, func() string {
		room := []unix.PollFd{{Fd: int32(p.in.Fd()), Events: unix.POLLOUT}}
		if n, err := unix.Poll(room, 0); n != 0 || err != nil {
			return fmt.Sprintf("the pipe has room: %d %v", n, err)
		}
		return ""
	})
}

// readerOfTheLog: a log that takes nothing, and one that is gone.
func readerOfTheLog(t *testing.T, path string) {
	d := database(t)
	pipe := newLogPipe(t)
	p := launchInto(t, path, d, "[auth]\ntype = \"scram-sha-256\"\n[users.postgres]\npassword = \"secret\"\n", "", pipe)
	worthALine := func() {
		t.Helper()
		c := newClient(t, dialRaw(t, p.Addr))
		c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "stranger"}})
		if m, err := c.TryReceive(); err != nil {
			t.Fatalf("a stranger is not even asked: %v", err)
		} else if _, ok := m.(*pgproto3.AuthenticationSASL); !ok {
			t.Fatalf("got %T", m)
		}
		c.Send(&pgproto3.PasswordMessage{Password: "nonsense"})
		c.expectLastError("08P01")
	}
	pipe.fill(t)
	for range 5 {
		worthALine()
	}
	_ = pipe.out.Close()
	eventually(t, func() string {
		worthALine()
		if n := droppedLines(t, p); n == 0 {
			return "no line is counted as dropped"
		}
		return ""
	})
	p.signal(syscall.SIGTERM)
	p.expectExit()
}

func droppedLines(t *testing.T, p *weirProcess) int {
	t.Helper()
	res, err := http.Get("http://" + p.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^weir_log_lines_dropped_total (\d+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatal("there is no such metric")
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

const fewFiles = "ulimit -n 64; "

// fewDescriptors: clients are refused while backends, metrics and cancel requests still get theirs.
func fewDescriptors(t *testing.T, path string) {
	d := database(t)
	const backends = 20
	p := launch(t, path, d, fmt.Sprintf("[pool]\npool_size = %d", backends), fewFiles)
	eventually(t, func() string { // the line comes after the one that launch waits for
		if !p.Log.Contains("descriptors are short", "limit=64", "need=", "clients=") {
			return "the start does not say so"
		}
		return ""
	})
	var clients []*wireClient
	for refusedYet := false; !refusedYet; {
		c, err := tryDial(t, p.Addr, d.Server.Superuser(), d.Name)
		if err != nil {
			if e := refused(t, err, "53300"); !strings.Contains(e.Detail, "descriptors") {
				t.Errorf("the refusal says %q", e.Detail)
			}
			refusedYet = true
		} else if clients = append(clients, c); len(clients) > 64 {
			t.Fatal("no client is refused")
		}
	}
	if len(clients) < 10 {
		t.Errorf("only %d clients fit", len(clients))
	}
	for _, c := range clients {
		c.Query("BEGIN") // each takes a backend
	}
	if code, body := p.ready(); code != http.StatusOK {
		t.Errorf("/readyz says %d %s", code, body)
	}
	last := clients[len(clients)-1]
	last.inBackground("SELECT pg_sleep(60)")
	expectRunning(t, d, "SELECT pg_sleep", 1)
	cancelRequest(t, p.Addr, last.pid, last.secret)
	refused(t, last.Answer().Err(), "57014")
	clients[0].Terminate()
	eventually(t, func() string {
		if _, err := tryDial(t, p.Addr, d.Server.Superuser(), d.Name); err != nil {
			return err.Error()
		}
		return ""
	})
	if p.Log.Contains("accept failed") {
		t.Error("descriptors have run out")
	}
}

// silentOnFewDescriptors: connections that say nothing take no client's descriptor for long.
func silentOnFewDescriptors(t *testing.T, path string) {
	d := database(t)
	p := launch(t, path, d, "[limits]\nmax_logins = 1000\n[pool]\npool_size = 2", fewFiles)
	c := dial(t, p.Addr, "postgres", d.Name)
	for range 100 {
		dialRaw(t, p.Addr)
	}
	c.Query("SELECT 1")
	eventually(t, func() string { // until those that make room are closed
		if _, err := tryDial(t, p.Addr, "postgres", d.Name); err != nil {
			return err.Error()
		}
		return ""
	})
	if code, body := p.ready(); code != http.StatusOK {
		t.Errorf("/readyz says %d %s", code, body)
	}
	p.signal(syscall.SIGTERM)
	p.expectRefusing()
	p.signal(syscall.SIGTERM)
	p.expectExit()
}

// tooFewDescriptors: an error says so, and no panic.
func tooFewDescriptors(t *testing.T, path string) {
	file := filepath.Join(t.TempDir(), "weir.toml")
	if err := os.WriteFile(file, []byte("[listen]\naddresses = [\"127.0.0.1:0\"]\n[loops]\ncount = 20\n[databases.\"*\"]\nhost = \"127.0.0.1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, says := range map[int]string{12: "at least 32", 40: "too many open files"} { // 40: not enough for 20 loops
		out, err := exec.Command("/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" serve -c "$1"`, limit), path, file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) || strings.Contains(string(out), "panic") || strings.Contains(string(out), "goroutine") {
			t.Errorf("with %d descriptors: %v\n%s", limit, err, out)
		}
	}
}
