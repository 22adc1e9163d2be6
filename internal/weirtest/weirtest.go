// Package weirtest runs the program weir for tests of those who use it as everybody does: as a program with an address.
//
// The program is built once for each test binary, from this module. It is support code: it imports nothing of weir but
// internal/pgserver and internal/child, and of pool, config and proxy not even that they exist.
package weirtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/internal/child"
	"weir/internal/pgserver"
)

// Hasty may log in, too; weir lets it wait for a backend for HastyWait only.
const (
	Hasty     = "hasty"
	HastyWait = 200 * time.Millisecond
)

// PoolSize is how many backends weir opens for a database and a role: few, so that clients have to share.
const PoolSize = 3

// Limits of patience.
const (
	readyWait = 30 * time.Second
	stopWait  = 10 * time.Second
)

// Weir is a running weir in front of a server, with all its databases.
type Weir struct {
	address string
	metrics string
	dir     string
	program *child.Process
}

var shared struct {
	mu   sync.Mutex
	weir *Weir
	err  error
}

// For is the weir of this test binary, in front of the server, in transaction mode; the first call starts it. All tests
// share it, and Run stops it.
func For(t pgserver.TB, server *pgserver.Server) *Weir {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.weir == nil && shared.err == nil {
		shared.weir, shared.err = start(server)
	}
	if shared.err != nil {
		t.Fatalf("start weir: %v", shared.err)
	}
	w := shared.weir
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("end of weir's log:\n%s", w.lastWords())
		}
	})
	return w
}

// Tests is what TestMain gets.
type Tests interface{ Run() int }

// Then runs tests and stops what For started. It is made for pgserver.Main:
//
//	func TestMain(m *testing.M) { pgserver.Main(weirtest.Then{Tests: m}) }
type Then struct{ Tests }

// Run implements Tests.
func (t Then) Run() int {
	code := t.Tests.Run()
	if shared.weir != nil {
		shared.weir.stop()
	}
	return code
}

// MetricsURL is where weir's metrics are.
func (w *Weir) MetricsURL() string { return "http://" + w.metrics + "/metrics" }

// DSN is a URL for a database through weir, as a role.
func (w *Weir) DSN(database, role string) string {
	u := url.URL{Scheme: "postgres", Host: w.address, Path: "/" + database, User: url.User(role), RawQuery: "sslmode=disable"}
	return u.String()
}

func start(server *pgserver.Server) (*Weir, error) {
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		return nil, err
	}
	w := &Weir{dir: dir}
	if err := w.launch(server); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWait)
	defer cancel()
	if err := w.waitReady(ctx, server); err != nil {
		err = fmt.Errorf("%w, and it says:\n%s", err, w.lastWords())
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *Weir) launch(server *pgserver.Server) error {
	program := filepath.Join(w.dir, "weir")
	if out, err := exec.Command("go", "build", "-o", program, "weir/cmd/weir").CombinedOutput(); err != nil {
		return fmt.Errorf("build it: %w\n%s", err, out)
	}
	for _, address := range []*string{&w.address, &w.metrics} {
		var err error
		if *address, err = free(); err != nil {
			return err
		}
	}
	file := filepath.Join(w.dir, "weir.toml")
	if err := os.WriteFile(file, []byte(w.config(server)), 0o600); err != nil {
		return err
	}
	log, err := os.Create(w.logPath())
	if err != nil {
		return err
	}
	w.program, err = child.Start(exec.Command(program, "serve", "-c", file), log, syscall.SIGTERM)
	return err
}

// config is the text of weir.toml.
func (w *Weir) config(server *pgserver.Server) string {
	return fmt.Sprintf(`[listen]
addresses = [%q]

[http]
address = %q

[auth]
type = "trust"

[pool]
mode = "transaction"
pool_size = %d

[databases."*"]
host = "127.0.0.1"
port = %d

[users.%s]
query_wait_timeout = %q
`, w.address, w.metrics, PoolSize, server.Port(), Hasty, HastyWait.String())
}

// free is an address for weir; if another process takes it in between, the start fails.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (w *Weir) waitReady(ctx context.Context, server *pgserver.Server) error {
	for {
		conn, err := pgx.Connect(ctx, w.DSN("postgres", server.Superuser()))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-w.program.Done():
			return errors.New("it ended by itself")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *Weir) logPath() string { return filepath.Join(w.dir, "weir.log") }

func (w *Weir) lastWords() string {
	b, err := os.ReadFile(w.logPath())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func (w *Weir) stop() {
	w.program.Signal(syscall.SIGTERM)
	select {
	case <-w.program.Done():
	case <-time.After(stopWait):
		w.program.Signal(syscall.SIGKILL)
		<-w.program.Done()
	}
	_ = os.RemoveAll(w.dir)
}
