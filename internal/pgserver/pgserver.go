// Package pgserver runs a private, throw-away PostgreSQL for the demo, the tests and the benchmarks.
//
// It finds the server programs or gets them (find.go, fetch.go), initialises a data folder from a cached template
// (initdb.go), starts the server on a free loopback port and on a unix socket in its own folder, and takes all of it
// away again, also when the program that started it is killed (process.go).
//
// Owner: the caller of Start; methods may be called from any goroutine, Stop and Restart one at a time. It is
// support code: pool, config and proxy never import it, and of weir it imports internal/child alone.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Options says what kind of server Start makes. The zero value is a trusting server with superuser "postgres".
type Options struct {
	// Superuser is the bootstrap role; "postgres" when empty.
	Superuser string
	// Password is the superuser's; Start sets it when it is not empty, whatever Auth says.
	Password string
	// Auth is the pg_hba.conf method for everybody over TCP and for all but the superuser over the unix socket:
	// "trust" (when empty), "scram-sha-256", "md5" or "password". The superuser is always trusted on the socket, which
	// lies in a folder that only the server's user may enter.
	Auth string
	// HBA lines are put before those that Auth makes, so they win.
	HBA []string
	// Settings are server settings by name, over the defaults in defaultSettings.
	Settings map[string]string
	// Files are put into the data folder, readable by the server alone: "server.crt" and "server.key" are what ssl=on reads.
	Files map[string][]byte
	// InitArgs are further arguments of initdb. Servers with equal arguments share a template.
	InitArgs []string
	// Dir is where the server's folder is made; the system's temporary folder when empty.
	Dir string
	// Progress is told in one line what takes long (fetching programs); may be nil.
	Progress func(string)
}

// defaultSettings make a server that is quick to change and may lose everything: its data is thrown away.
func defaultSettings() map[string]string {
	return map[string]string{
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		"max_connections":    "100",
		"listen_addresses":   "127.0.0.1",
	}
}

// Server is a running private PostgreSQL.
type Server struct {
	opts     Options
	programs programs
	run      runAs
	dir      string // the whole folder, removed by Stop
	owner    *owner // removes it if we cannot

	mu   sync.Mutex
	port int
	proc *postmaster // nil after Stop
}

// Limits of patience. They bound a hang; ordinary starts take a second.
const (
	readyWait     = 60 * time.Second
	fastStopWait  = 10 * time.Second // then immediate shutdown
	quickStopWait = 5 * time.Second  // then SIGKILL
	portTries     = 5
)

// errPortTaken means that another process took the port between our look and the server's bind. Another port may do.
var errPortTaken = errors.New("port was taken")

// Start finds or gets PostgreSQL, makes a fresh data folder and runs a server in it. It returns when the server takes
// connections. ctx bounds the start only; the server runs until Stop or until this process ends.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Superuser == "" {
		opts.Superuser = "postgres"
	}
	if opts.Auth == "" {
		opts.Auth = "trust"
	}
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	progs, err := findOrFetch(ctx, opts.Progress)
	if err != nil {
		return nil, fmt.Errorf("get PostgreSQL's server programs: %w", err)
	}
	run, err := whoRuns()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, programs: progs, run: run}
	if err := s.makeFolder(ctx); err != nil {
		s.removeFolder()
		return nil, err
	}
	if err := s.launchSomewhere(ctx); err != nil {
		s.removeFolder()
		return nil, err
	}
	if err := s.setPassword(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) makeFolder(ctx context.Context) error {
	base := s.opts.Dir
	if base == "" {
		base = s.run.tempDir()
	}
	dir, err := os.MkdirTemp(base, "weir-pg-")
	if err != nil {
		return fmt.Errorf("make the server's folder: %w", err)
	}
	s.dir = dir
	if s.owner, err = own(dir); err != nil {
		return fmt.Errorf("start the folder's caretaker: %w", err)
	}
	if err := s.run.chown(dir); err != nil {
		return err
	}
	if err := initData(ctx, s.programs, s.run, s.opts, s.DataDir()); err != nil {
		return err
	}
	hba := strings.Join(slices.Concat(s.opts.HBA, []string{
		"local all " + quoteHBA(s.opts.Superuser) + " trust",
		"local all all " + s.opts.Auth,
		"host all all 127.0.0.1/32 " + s.opts.Auth,
		"host all all ::1/128 " + s.opts.Auth,
		"local replication all trust",
		"host replication all 127.0.0.1/32 " + s.opts.Auth,
	}, []string{""}), "\n")
	if err := os.WriteFile(filepath.Join(s.DataDir(), "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	for name, content := range s.opts.Files {
		path := filepath.Join(s.DataDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		if err := s.run.chown(path); err != nil {
			return err
		}
	}
	return nil
}

func quoteHBA(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// launchSomewhere tries further ports when a free one was taken before the server could bind it.
func (s *Server) launchSomewhere(ctx context.Context) error {
	var err error
	for range portTries {
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err = s.launch(ctx); !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// launch writes the settings, starts the server process and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	settings := defaultSettings()
	settings["unix_socket_directories"] = s.dir
	maps.Copy(settings, s.opts.Settings)
	settings["port"] = strconv.Itoa(s.port)
	if err := writeSettings(s.DataDir(), settings); err != nil {
		return err
	}
	logged := len(s.Log())
	proc, err := startPostmaster(s.Bin("postgres"), []string{"-D", s.DataDir()}, s.run, s.LogPath())
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	if err := s.waitReady(ctx, proc); err != nil {
		proc.stop()
		log := s.Log()[logged:]
		if strings.Contains(log, "could not bind") {
			return fmt.Errorf("%w: %w", errPortTaken, err)
		}
		return fmt.Errorf("wait for postgres: %w\n%s", err, logTail(log))
	}
	s.proc = proc
	return nil
}

func (s *Server) waitReady(ctx context.Context, proc *postmaster) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgconn.Connect(ctx, s.socketDSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-proc.Done():
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("%w (last answer: %w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (s *Server) setPassword(ctx context.Context) error {
	if s.opts.Password == "" {
		return nil
	}
	return s.Exec(ctx, "postgres", fmt.Sprintf("ALTER ROLE %s PASSWORD %s",
		pgx.Identifier{s.opts.Superuser}.Sanitize(), quoteLiteral(s.opts.Password)))
}

func quoteLiteral(v string) string { return "'" + strings.ReplaceAll(v, "'", "''") + "'" }

// logTail keeps the last lines of a log for an error text.
func logTail(log string) string {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// Stop ends the server (fast shutdown, then harder) and removes its folder. Calling it again does nothing.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.stop()
		s.proc = nil
	}
	s.removeFolder()
}

func (s *Server) removeFolder() {
	if s.dir == "" {
		return
	}
	_ = os.RemoveAll(s.dir)
	s.owner.release()
}

// Restart stops the server and starts it on the same port, folder and settings. Its connections break.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return errors.New("restart a stopped server")
	}
	s.proc.stop()
	return s.launch(ctx)
}

// DSN is a URL for database db over TCP. user is a role's name and, optionally, its password; without it the
// superuser with its password.
func (s *Server) DSN(db string, user ...string) string {
	u := url.URL{Scheme: "postgres", Host: s.Addr(), Path: "/" + db, RawQuery: "sslmode=disable"}
	switch {
	case len(user) > 1:
		u.User = url.UserPassword(user[0], user[1])
	case len(user) == 1:
		u.User = url.User(user[0])
	case s.opts.Password != "":
		u.User = url.UserPassword(s.opts.Superuser, s.opts.Password)
	default:
		u.User = url.User(s.opts.Superuser)
	}
	return u.String()
}

// socketDSN is the superuser's way in that no HBA line or password can bar. Parameters of libpq's environment that
// would lead elsewhere are overridden.
func (s *Server) socketDSN(db string) string {
	q := url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.port)}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(s.opts.Superuser), Path: "/" + db, RawQuery: q.Encode()}
	return u.String()
}

// Addr is host:port of the TCP listener.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port is the TCP port, and the number in the unix socket's name.
func (s *Server) Port() int { return s.port }

// Superuser is the bootstrap role's name.
func (s *Server) Superuser() string { return s.opts.Superuser }

// SocketDir is the folder of the unix socket. Only the server's user and root may enter it.
func (s *Server) SocketDir() string { return s.dir }

// DataDir is the server's data folder.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// PID is the postmaster's process id; 0 after Stop.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return 0
	}
	return s.proc.PID
}

// Bin is the path of a program of the same PostgreSQL (psql, pgbench, ...), else of that name in PATH, else "": a
// fetched PostgreSQL holds the server's programs only.
func (s *Server) Bin(name string) string { return s.programs.find(name) }

// Version is what `postgres --version` prints.
func (s *Server) Version() string { return s.programs.version }

// LogPath is the server log's file.
func (s *Server) LogPath() string { return filepath.Join(s.dir, "server.log") }

// Log is all that the server has logged, over restarts too; empty after Stop.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.LogPath())
	if err != nil {
		return ""
	}
	return string(b)
}

// Credential is whose the server is, for programs that refuse to run as root, too. nil: this process's user.
func (s *Server) Credential() *syscall.Credential { return s.run.credential() }

// Exec runs statements one by one as superuser in database db, over the unix socket.
func (s *Server) Exec(ctx context.Context, db string, statements ...string) error {
	conn, err := pgconn.Connect(ctx, s.socketDSN(db))
	if err != nil {
		return fmt.Errorf("connect as %s: %w", s.opts.Superuser, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, stmt := range statements {
		if _, err := conn.Exec(ctx, stmt).ReadAll(); err != nil {
			return fmt.Errorf("run %.60q: %w", stmt, err)
		}
	}
	return nil
}

// CreateDatabase makes an empty database, owned by role owner if one is named.
func (s *Server) CreateDatabase(ctx context.Context, name string, owner ...string) error {
	stmt := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize()
	if len(owner) > 0 {
		stmt += " OWNER " + pgx.Identifier{owner[0]}.Sanitize()
	}
	return s.Exec(ctx, "postgres", stmt)
}

// DropDatabase removes a database and ends its sessions (PostgreSQL 13 or newer).
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	return s.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

// Reload makes the server read its files again (SIGHUP).
func (s *Server) Reload(ctx context.Context) error {
	return s.Exec(ctx, "postgres", "SELECT pg_reload_conf()")
}
