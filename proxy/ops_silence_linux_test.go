package proxy_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestServerThatTakesNothingInForLongIsNoLostOne: its process stands still, as in a COPY that waits for a lock, while much more is
// sent than the sockets hold; its kernel acknowledges that it is there.
func TestServerThatTakesNothingInForLongIsNoLostOne(t *testing.T) {
	const limit = 2 * time.Second
	d := database(t)
	d.Exec(t, "CREATE TABLE much (a text)")
	w := start(t, d, serverAt(d.Server.Addr())+fmt.Sprintf("[timeouts]\nserver_tcp_timeout = %q\n", limit))
	ctx := context.Background()
	c, err := pgx.Connect(ctx, fmt.Sprintf("postgres://%s@%s/%s?sslmode=prefer", d.Server.Superuser(), w.Addr, d.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	var pid int
	if err := c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1<<16) + "\n"
	const lines = 400 // 26 MB
	data := &standstill{Reader: strings.NewReader(strings.Repeat(line, lines)), pid: pid}
	done := make(chan error, 1)
	go func() {
		_, err := c.PgConn().CopyFrom(ctx, data, "COPY much FROM STDIN")
		done <- err
	}()
	select {
	case err := <-done:
		t.Error("the COPY ended while its server stood still:", err)
		done <- err
	case <-time.After(2 * limit):
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var n int
	if err := c.QueryRow(ctx, "SELECT count(*) FROM much").Scan(&n); err != nil || n != lines {
		t.Errorf("%d rows, %v", n, err)
	}
}

// standstill stops a process when the first of it is read.
type standstill struct {
	io.Reader
	pid int
}

func (s *standstill) Read(p []byte) (int, error) {
	if s.pid != 0 {
		if err := syscall.Kill(s.pid, syscall.SIGSTOP); err != nil {
			return 0, err
		}
		s.pid = 0
	}
	return s.Reader.Read(p)
}
