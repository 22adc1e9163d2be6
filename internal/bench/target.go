package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weir/internal/child"
	"weir/internal/pgserver"
)

// Kind is a make of proxy; it decides configuration and command line.
type Kind string

// The kinds there are.
const (
	Weir      Kind = "weir"
	PgBouncer Kind = "pgbouncer"
)

// Program is a proxy to measure.
type Program struct {
	Name string // in the report; unique in a Lab
	Kind Kind
	Path string // of the executable
	// Loops is how many event loops a weir gets; 0: as many as it chooses.
	Loops int
}

// Version is the first line of what the program says of itself.
func (p Program) Version(ctx context.Context) string {
	arg := "version"
	if p.Kind == PgBouncer {
		arg = "--version"
	}
	out, err := exec.CommandContext(ctx, p.Path, arg).Output()
	if err != nil {
		return p.Name + " (version unknown)"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// sharesStatements says why a program cannot carry named prepared statements in transaction mode; nil if it can.
func (p Program) sharesStatements(ctx context.Context) error {
	if p.Kind != PgBouncer {
		return nil
	}
	version := p.Version(ctx)
	major, minor, ok := release(version)
	if ok && (major > 1 || minor >= 21) {
		return nil
	}
	return fmt.Errorf("%s has no prepared statements in transaction mode; name a newer one with --pgbouncer, 1.21 or later", version)
}

var releaseNumber = regexp.MustCompile(`(\d+)\.(\d+)`)

// release reads the first two numbers of a version.
func release(version string) (major, minor int, ok bool) {
	m := releaseNumber.FindStringSubmatch(version)
	if m == nil {
		return 0, 0, false
	}
	major, errMajor := strconv.Atoi(m[1])
	minor, errMinor := strconv.Atoi(m[2])
	return major, minor, errMajor == nil && errMinor == nil
}

// hostPort is a TCP address in the two parts that programs want.
type hostPort struct {
	host string
	port int
	tls  bool // clients encrypt
}

func (a hostPort) String() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// targetOptions is what a suite sets; everything else is the program's default.
type targetOptions struct {
	backends int  // pool size
	scram    bool // clients log in with SCRAM rather than trust
	clients  int  // that the suite brings; PgBouncer's own limit, 100, would refuse most of them
	prepared bool // clients use named prepared statements, which PgBouncer before 1.24 must be asked for
}

// auth is what both proxies call it.
func (o targetOptions) auth() string {
	if o.scram {
		return "scram-sha-256"
	}
	return "trust"
}

// password is the user's, where it needs one. PostgreSQL trusts the proxies.
const password = "bench"

// spareClients are those that may be on their way out, or come to look, while the suite's own are there.
const spareClients = 50

// target is a running proxy.
type target struct {
	Program
	*child.Process
	addr hostPort
	log  string // path
}

// Limits of patience: they bound a hang.
const (
	readyWait = 20 * time.Second
	stopWait  = 5 * time.Second
	portTries = 5
)

// start runs a program in front of the lab's PostgreSQL and returns when it has answered a query.
func (l *Lab) start(ctx context.Context, p Program, opts targetOptions) (*target, error) {
	var err error
	for range portTries { // another process may take the port between our look and the target's bind
		var t *target
		if t, err = l.tryStart(ctx, p, opts); err == nil {
			return t, nil
		}
		if !errors.Is(err, errEnded) || ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start %s: %w", p.Name, err)
}

// errEnded means that the target ended before it was ready.
var errEnded = errors.New("it ended at once")

func (l *Lab) tryStart(ctx context.Context, p Program, opts targetOptions) (*target, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	t := &target{Program: p, addr: hostPort{"127.0.0.1", port, l.TLS}}
	t.log = l.path(fmt.Sprintf("%s-%d.log", p.Name, port))
	cmd, err := l.command(p, t.addr, opts)
	if err != nil {
		return nil, err
	}
	if err := l.launch(t, l.pinned(cmd)); err != nil {
		return nil, err
	}
	if err := t.waitReady(ctx, opts.scram); err != nil {
		t.stop()
		return nil, fmt.Errorf("%w\n%s", err, t.logTail())
	}
	return t, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (l *Lab) command(p Program, addr hostPort, opts targetOptions) (*exec.Cmd, error) {
	server := hostPort{"127.0.0.1", l.pg.Port(), false}
	if l.ServerSocket {
		server.host = l.pg.SocketDir()
	}
	switch p.Kind {
	case Weir:
		file := l.path(fmt.Sprintf("weir-%d.toml", addr.port))
		err := os.WriteFile(file, []byte(weirConfig(addr, server, l.files(), p.Loops, opts)), 0o644)
		return exec.Command(p.Path, "serve", "-c", file), err
	case PgBouncer:
		users := l.path("userlist.txt")
		if err := os.WriteFile(users, []byte(strconv.Quote(user)+" "+strconv.Quote(password)+"\n"), 0o644); err != nil {
			return nil, err
		}
		file := l.path(fmt.Sprintf("pgbouncer-%d.ini", addr.port))
		err := os.WriteFile(file, []byte(pgbouncerConfig(addr, server, users, l.files(), opts)), 0o644)
		return exec.Command(p.Path, file), err
	default:
		return nil, fmt.Errorf("unknown kind of proxy %q", p.Kind)
	}
}

// launch runs the program until it ends. PgBouncer refuses to be root. It could change its user itself (setting "user"), but that would undo
// the kernel's promise to end it with us (child.Start).
func (l *Lab) launch(t *target, cmd *exec.Cmd) error {
	log, err := os.Create(t.log)
	if err != nil {
		return err
	}
	if t.Kind == PgBouncer {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.pg.Credential()}
	}
	t.Process, err = child.Start(cmd, log, syscall.SIGKILL)
	return err
}

// waitReady waits for an answer to a query, or, where that needs a login of more than trust, for the port to be open: the warm-up
// does the rest.
func (t *target) waitReady(ctx context.Context, scram bool) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := dialClient(ctx, t.addr, 0)
		if scram && !errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		if err == nil {
			_, err = c.query("select 1")
			c.close()
			if err == nil {
				return nil
			}
		}
		select {
		case <-t.Done():
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// stop ends the process: SIGINT is PgBouncer's fast shutdown in one version and a slow one in another, SIGTERM weir's
// drain, and this package does not wait for their clients. Calling it again does nothing.
func (t *target) stop() {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(t.PID, signal)
		select {
		case <-t.Done():
			return
		case <-time.After(stopWait):
		}
	}
	<-t.Done()
}

func (t *target) pss() (int64, error) { return pgserver.PssOf(t.PID) }

func (t *target) logTail() string {
	b, err := os.ReadFile(t.log)
	if err != nil {
		return err.Error()
	}
	return tail(string(b))
}

// failed adds the target's name and the end of its log to an error of a measurement.
func (t *target) failed(doing string, err error) error {
	select {
	case <-t.Done():
		return fmt.Errorf("%s: %s ended: %w\n%s", doing, t.Name, err, t.logTail())
	default:
		return fmt.Errorf("%s through %s: %w\n%s", doing, t.Name, err, t.logTail())
	}
}
