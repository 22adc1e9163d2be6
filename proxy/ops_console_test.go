package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

// consoleWeir is a weir with an administrator and a user who may look, and a unix socket.
func consoleWeir(t *testing.T, d *pgserver.Database, toml string) (w *weirUnderTest, dir string) {
	t.Helper()
	dir = t.TempDir()
	return start(t, d, fmt.Sprintf("[listen]\naddresses = [\"127.0.0.1:0\"]\nunix_socket_dir = %q\n[admin]\nadmin_users = [\"boss\"]\nstats_users = [\"watcher\"]\n%s", dir, toml)), dir
}

// console logs in to the console.
func (w *weirUnderTest) console(t *testing.T, user string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.Connect(context.Background(), fmt.Sprintf("postgres://%s@%s/pgbouncer?sslmode=%s", user, w.Addr, map[bool]string{true: "require", false: "disable"}[w.secret]))
	if err != nil {
		t.Fatalf("log in to the console: %v", err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// unixDSN leads to weir's unix socket.
func (w *weirUnderTest) unixDSN(t *testing.T, dir, database string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable", dir, port, account.Username, database)
}

func TestConsoleShowsEverything(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "")
	c := enter(t, w, d)
	_ = c
	boss := w.console(t, "boss")
	for _, name := range strings.Fields("CLIENTS SERVERS SOCKETS ACTIVE_SOCKETS POOLS PEER_POOLS PEERS DATABASES USERS LISTS STATS STATS_TOTALS STATS_AVERAGES TOTALS CONFIG MEM DNS_HOSTS DNS_ZONES STATE VERSION HELP PINS WAITS STATEMENTS ERRORS HOSTS") {
		t.Logf("%s:\n%s", name, ask(t, boss, "SHOW "+name))
	}
}
