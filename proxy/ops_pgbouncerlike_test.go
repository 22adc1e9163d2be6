package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
	"github.com/jackc/pgx/v5/pgconn"
)

// likePgBouncer serves a file with a console, a database of its own and one of "*".
func likePgBouncer(t *testing.T) (*weirUnderTest, string) {
	t.Helper()
	d := database(t)
	to := fmt.Sprintf("host=127.0.0.1 port=%d user=%s", d.Server.Port(), d.Server.Superuser())
	return startFile(t, d, fmt.Sprintf(`
[databases]
shop = %s dbname=%s pool_size=1 reserve_pool_size=1
spread = %[1]s host=127.0.0.1,127.0.0.2
* = %[1]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 0
unix_socket_dir =
auth_type = any
admin_users = boss
stats_users = watcher
pool_mode = transaction
reserve_pool_timeout = 0.05
max_user_client_connections = 1
auth_query = SELECT 1
server_tls_sslmode = disable
`, to, d.Name), ""), d.Name
}

// consoleSaid is what a console answers to a command: its rows, or its error.
func consoleSaid(t *testing.T, c *pgconn.PgConn, command string) string {
	t.Helper()
	results, err := c.Exec(context.Background(), command).ReadAll()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, r := range results {
		for _, row := range r.Rows {
			for _, v := range row {
				b.WriteString(string(v) + "|")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// The lines that tools and PgBouncer's own tests look for are there by the time that a client sees what they are about.
func TestLogOfAServedFileHasPgBouncersLines(t *testing.T) {
	w, auto := likePgBouncer(t)
	boss := w.console(t, "boss")
	first, second := dial(t, w.Addr, "a", "shop"), dial(t, w.Addr, "b", "shop")
	first.Query("BEGIN")
	second.Query("SELECT 1") // on one of the reserve
	first.Query("COMMIT")
	dial(t, w.Addr, "c", auto).Query("SELECT 1")
	consoleSaid(t, boss, "RECONNECT shop")
	first.Query("SELECT 1")
	for _, line := range []string{
		"login attempt: db=shop user=a tls=no replication=no", "new connection to server (from 127.0.0.1:", "taking connection from reserve_pool",
		"registered new auto-database: db=" + auto,
	} {
		eventuallyLogged(t, w, line)
	}
	eventuallyLogged(t, w, "closing because: database configuration changed (age=") // a backend that is asked about its session is closed after its answer
}

func TestConsoleOfAServedFileIsPgBouncers(t *testing.T) {
	w, _ := likePgBouncer(t)
	boss := w.console(t, "boss")
	w.console(t, "boss") // limits do not hold for admin_users
	w.console(t, "watcher")
	if _, err := pgconn.Connect(context.Background(), fmt.Sprintf("postgres://watcher@%s/pgbouncer?sslmode=disable", w.Addr)); err == nil ||
		!strings.Contains(err.Error(), "client connections exceeded (max_user_client_connections)") {
		t.Errorf("a second client of stats_users: %v", err)
	}
	for _, step := range []struct{ command, want string }{
		{"SHOW VERSION", "PgBouncer 1.26.1|\n"},
		{"SET verbose = 2", ""},
		{"SET verbose = much", "SET failed"},
		{"SHOW CONFIG", "verbose|2||yes|\n"},
		{"SHOW CONFIG", "pkt_buf|4096|4096|no|\n"},
		{"SHOW CONFIG", "peer_id|0|0|no|\n"},
		{"SHOW CONFIG", "pool_mode|transaction|session|yes|\n"},
		{"SET auth_dbname = nowhere", ""},
		{"SET server_tls_sslmode = 'verify-full'", ""},
		{"SHOW DATABASES", "|round-robin|"},
		{"SHOW USERS", "watcher|||"},
		{"SET no_such_setting = 1", "SET failed"},
	} {
		if got := consoleSaid(t, boss, step.command); !strings.Contains(got, step.want) || step.want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", step.command, got, step.want)
		}
	}
	shown, err := boss.Exec(context.Background(), "SHOW CONFIG").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range shown[0].Rows {
		if key := string(row[0]); (row[1] == nil) != (key == "auth_ident_file" || key == "auth_file" || key == "user" ||
			key == "auth_ldap_options" || key == "auth_user" || strings.HasSuffix(key, "_tls13_ciphers")) {
			t.Errorf("SHOW CONFIG of %s: %q", key, row[1])
		}
	}
}

// What operators do to clients is told in PgBouncer's words, to those that replicate, too.
func TestOrdersOfAServedFileAreToldInItsWords(t *testing.T) {
	w, _ := likePgBouncer(t)
	boss := w.console(t, "boss")
	said := func(err error, text string) {
		t.Helper()
		e, ok := errors.AsType[*serverError](err)
		if !ok || e.Severity != "FATAL" || e.Code != "08P01" || e.Message != text || e.Detail != "" {
			t.Errorf("got %v, want FATAL 08P01 %s", err, text)
		}
	}
	told := func(c *wireClient, text string) {
		t.Helper()
		e := c.ExpectClosed()
		if e == nil {
			t.Fatalf("no error, want %s", text)
		}
		said(e, text)
	}
	orders(t, boss, "DISABLE shop")
	_, err := tryDial(t, w.Addr, "a", "shop")
	said(err, `database "shop" is disabled`)
	orders(t, boss, "ENABLE shop")
	_, err = tryDial(t, w.Addr, "a", "pgbouncer")
	said(err, "not allowed")
	client, replica := dial(t, w.Addr, "a", "shop"), dial(t, w.Addr, "b", "shop", "replication", "database")
	client.Query("SELECT 1")
	orders(t, boss, "KILL shop")
	told(client, "database removed")
	told(replica, "database removed")
}

// What PgBouncer finds out at a login, and not before, a login is told.
func TestServedFileWithAWrongLookupRefusesLogins(t *testing.T) {
	d := database(t)
	w := startFile(t, d, fmt.Sprintf(`
[databases]
shop = host=127.0.0.1 port=%d dbname=%s auth_dbname=nowhere
desk = host=127.0.0.1 port=%[1]d dbname=%[2]s auth_query='SELECT * FROM absent($1)'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 0
unix_socket_dir =
auth_type = md5
auth_user = %[3]s
server_tls_sslmode = disable
`, d.Server.Port(), d.Name, d.Server.Superuser()), "")
	for database, reason := range map[string]string{"shop": "is not configured", "desk": "function absent(unknown) does not exist (42883)"} {
		_, err := tryDial(t, w.Addr, "anyone", database)
		if err == nil || !strings.Contains(err.Error(), "bouncer config error") {
			t.Errorf("%s: got %v", database, err)
		}
		eventuallyLogged(t, w, reason)
	}
	eventuallyLogged(t, w, "login failed", "lookup_failed", "absent")
	if w.Log.Contains("names of yours need their schema") {
		t.Error("the log tells of a search_path that is weir's own, and not that of a served file")
	}
}

// What a client is not told of its login the log of a served file says, too.
func TestLogOfAServedFileSaysWhyALoginWasRefused(t *testing.T) {
	d := database(t)
	d.Exec(t, "create role owner_of_it", "alter database "+d.Name+" owner to owner_of_it")
	t.Cleanup(func() { d.Exec(t, "alter database "+d.Name+" owner to current_user", "drop role owner_of_it") })
	w := startFile(t, d, fmt.Sprintf(`
[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 0
unix_socket_dir =
auth_type = md5
auth_user = %s
auth_query = SELECT * FROM lookups.lookup($1)
server_tls_sslmode = disable
`, d.Server.Port(), d.Server.Superuser()), "")
	_, err := pgconn.Connect(t.Context(), fmt.Sprintf("postgres://anyone:secret@%s/%s?sslmode=disable", w.Addr, d.Name))
	if err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("got %v", err)
	}
	eventuallyLogged(t, w, "login failed", "no_such_user", "owner_of_it can create what auth_query names; set auth_dbname")
}

// A backend that is there follows a changed max_prepared_statements from its next lease on.
func TestChangedBoundOnStatementsHoldsForBackendsThatAreThere(t *testing.T) {
	w, _ := likePgBouncer(t)
	c := dial(t, w.Addr, "a", "shop")
	prepare := func(names ...string) string {
		for _, name := range names {
			c.Send(&pgproto3.Parse{Name: name, Query: "SELECT '" + name + "'"}, &pgproto3.Sync{})
			if err := c.Answer().Err(); err != nil {
				t.Fatal(err)
			}
		}
		return c.Query("SELECT count(*) FROM pg_prepared_statements")
	}
	if got := prepare("one", "two", "three"); got != "3" {
		t.Errorf("got %s statements, want 3", got)
	}
	consoleSaid(t, w.console(t, "boss"), "SET max_prepared_statements = 2")
	if got := prepare("four"); got != "2" {
		t.Errorf("with a bound of 2: got %s", got)
	}
}
