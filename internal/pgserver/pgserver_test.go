package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// childVariable makes the test binary a program that starts a server, says where, and waits to be killed.
const childVariable = "PGSERVER_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		s, err := Start(context.Background(), Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(s.PID(), s.SocketDir())
		select {}
	}
	Main(m)
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(context.Background())
	var v string
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// eventually waits for cond, which returns "" when it holds and otherwise says what is missing.
func eventually(t *testing.T, cond func() string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		reason := cond()
		if reason == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still: %s", reason)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	a, b := ForTest(t), ForTest(t)
	if a.Server != b.Server {
		t.Error("two servers for one package")
	}
	a.Exec(t, "CREATE TABLE mine (v text)", "INSERT INTO mine VALUES ('ä')")
	if got := query(t, a.DSN(), "SELECT upper(v) || current_database() FROM mine"); !strings.HasSuffix(got, a.Name) {
		t.Errorf("database is %q, want %q", got, a.Name)
	}
	if got := query(t, b.DSN(), "SELECT count(*)::text FROM pg_tables WHERE tablename = 'mine'"); got != "0" {
		t.Error("the second database sees the first one's table")
	}
}

func TestPasswordsAreAskedForOverTCP(t *testing.T) {
	s, err := Start(t.Context(), Options{
		Superuser: "boss", Password: "o'pen", Auth: "scram-sha-256",
		Settings: map[string]string{"max_connections": "17"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got := query(t, s.DSN("postgres"), "SHOW max_connections"); got != "17" {
		t.Errorf("max_connections = %s, want 17", got)
	}
	_, err = pgx.Connect(t.Context(), s.DSN("postgres", "boss", "wrong"))
	if pgErr := (*pgconn.PgError)(nil); !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
		t.Errorf("wrong password: %v, want 28P01", err)
	}
}

func TestRestartKeepsPortAndData(t *testing.T) {
	s, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if err := s.CreateDatabase(t.Context(), "kept"); err != nil {
		t.Fatal(err)
	}
	dsn, pid := s.DSN("kept"), s.PID()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.PID() == pid {
		t.Error("the same postmaster after Restart")
	}
	if got := query(t, dsn, "SELECT current_database()::text"); got != "kept" {
		t.Errorf("database %q after Restart", got)
	}
	dir := s.SocketDir()
	s.Stop()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder after Stop: %v", err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("first postmaster is still there")
	}
	s.Stop() // a second one is harmless
}

func TestPssCountsBackends(t *testing.T) {
	d := ForTest(t)
	settled(t, d.Server)
	before, err := PssOf(d.Server.PID())
	if err != nil {
		t.Fatal(err)
	}
	if before < 1<<20 {
		t.Fatalf("Pss of a running server = %d bytes", before)
	}
	for range 10 {
		conn, err := pgx.Connect(t.Context(), d.DSN())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
	}
	after, err := PssOf(d.Server.PID())
	if err != nil {
		t.Fatal(err)
	}
	if after < before+10*(256<<10) { // about 1 MiB each is private
		t.Errorf("Pss grew from %d to %d with ten backends", before, after)
	}
}

func TestServerDiesWithItsProgram(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"=1")
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			var dir string
			if _, err := fmt.Sscan(line, &pid, &dir); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			eventually(t, func() string {
				if syscall.Kill(pid, 0) == nil {
					return "the postmaster runs"
				}
				if _, err := os.Stat(dir); err == nil {
					return "the folder is there"
				}
				return ""
			})
		})
	}
}

func TestFailedStartShowsTheServersLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// The test's folder lies in one that is closed to other users.
	if os.Geteuid() == 0 {
		dir = ""
	}
	_, err := Start(t.Context(), Options{Dir: dir, Settings: map[string]string{"shared_buffers": "a lot"}})
	if err == nil || !strings.Contains(err.Error(), `"shared_buffers"`) {
		t.Errorf("Start with a bad setting: %v, want the server's own complaint", err)
	}
}

func TestStartThatIsCalledOffFetchesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{Progress: func(line string) { t.Errorf("it went on: %s", line) }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v, want its context's error", err)
	}
}
