package proxy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// TestNewDefaultsReachNewLogins: what ALTER ROLE, ALTER DATABASE and a reload set holds for clients that log in after that, whoever made
// the change, and what the backends were doing meanwhile.
func TestNewDefaultsReachNewLogins(t *testing.T) {
	d := privateServer(t, pgserver.Options{})
	d.Exec(t, "CREATE ROLE app LOGIN SUPERUSER", "CREATE DATABASE other")
	admin := direct(t, d)
	w := start(t, d, "[pool]\npool_size = 3\n")
	login := func(t *testing.T, params ...string) *pgconn.PgConn {
		t.Helper()
		return connectAs(t, w, d, "app", params...)
	}
	old := login(t)
	ask(t, old, "select 1")
	// A change that was made past weir reaches logins within seconds; those before it say nothing of it.
	reaches := func(t *testing.T, what, want string, params ...string) {
		t.Helper()
		eventually(t, func() string {
			c := login(t, params...)
			defer func() { _ = c.Close(context.Background()) }()
			if got := ask(t, c, "show "+what); got != want {
				return fmt.Sprintf("%s is %s, want %s", what, got, want)
			}
			if told := c.ParameterStatus(what); told != "" && told != want {
				t.Fatalf("the client was told %s = %s, and it is %s", what, told, want)
			}
			return ""
		})
	}
	t.Run("altered", func(t *testing.T) {
		// The backend that is asked is in the settings of its last client, none of which counts for the question.
		hostile := []string{
			"default_transaction_isolation", "serializable", "default_transaction_deferrable", "on", "default_transaction_read_only", "on",
			"search_path", "evil, pg_catalog", "statement_timeout", "200ms",
		}
		ask(t, old, "create schema evil; create function evil.hashtext(text) returns int language sql as 'select 0'")
		ask(t, login(t, hostile...), "select 1")
		for _, sql := range []string{
			"ALTER ROLE app SET work_mem = '11MB'", "ALTER DATABASE %s SET lock_timeout = '12s'", "ALTER ROLE app IN DATABASE %s SET work_mem = '13MB'",
			"ALTER ROLE ALL SET default_statistics_target = 14", "ALTER ROLE app SET TimeZone = 'Asia/Tokyo'",
		} {
			ask(t, admin, strings.ReplaceAll(sql, "%s", d.Name))
		}
		reaches(t, "TimeZone", "Asia/Tokyo")
		reaches(t, "work_mem", "13MB")
		reaches(t, "lock_timeout", "12s")
		reaches(t, "default_statistics_target", "14")
		reaches(t, "TimeZone", "Europe/Rome", "TimeZone", "Europe/Rome")
	})
	t.Run("reset", func(t *testing.T) {
		ask(t, admin, "ALTER ROLE app IN DATABASE "+d.Name+" RESET ALL")
		reaches(t, "work_mem", "11MB")
	})
	t.Run("reload", func(t *testing.T) {
		ask(t, admin, "ALTER SYSTEM SET work_mem = '3MB'")
		ask(t, admin, "ALTER SYSTEM SET DateStyle = 'SQL, DMY'")
		ask(t, admin, "SELECT pg_reload_conf()")
		reaches(t, "DateStyle", "SQL, DMY")
		reaches(t, "work_mem", "11MB", "application_name", "someone")
	})
	t.Run("through weir at once", func(t *testing.T) {
		for i, sql := range []string{"ALTER ROLE app SET work_mem = '%dMB'", "BEGIN; ALTER ROLE app SET work_mem = '%dMB'; COMMIT"} {
			ask(t, old, fmt.Sprintf(sql, 21+i))
			if got, want := ask(t, login(t), "show work_mem"), fmt.Sprintf("%dMB", 21+i); got != want {
				t.Errorf("work_mem is %s, want %s", got, want)
			}
		}
	})
	t.Run("while a transaction is open", func(t *testing.T) {
		busy := login(t)
		ask(t, busy, "begin")
		ask(t, admin, "ALTER ROLE app SET work_mem = '31MB'")
		reaches(t, "work_mem", "31MB")
		if got := ask(t, busy, "show work_mem"); got == "31MB" {
			t.Errorf("a session of before the change has work_mem %s", got)
		}
		ask(t, busy, "commit")
		eventually(t, func() string { return differ(ask(t, busy, "show work_mem"), "31MB") })
	})
	t.Run("clients that stay", func(t *testing.T) {
		ask(t, admin, "ALTER ROLE app SET work_mem = '41MB'")
		eventually(t, func() string { return differ(ask(t, old, "show work_mem"), "41MB") })
	})
	t.Run("another pool", func(t *testing.T) {
		d2 := *d
		d2.Name = "other"
		ask(t, connectAs(t, w, &d2, "app"), "select 1")
		ask(t, old, "ALTER DATABASE other SET work_mem = '5MB'; ALTER ROLE app RESET work_mem")
		if got := ask(t, connectAs(t, w, &d2, "app"), "show work_mem"); got != "5MB" {
			t.Errorf("work_mem is %s", got)
		}
	})
}

// TestRoleWhoseNameChangesHands: a backend stays who it was when it logged in, and is not to serve another role that has the name now.
func TestRoleWhoseNameChangesHands(t *testing.T) {
	d := database(t)
	admin := direct(t, d)
	d.Exec(t, "CREATE ROLE handed LOGIN", "CREATE TABLE mine (id int)", "GRANT SELECT ON mine TO handed")
	w := start(t, d, "[pool]\npool_size = 2\n")
	served := func() string {
		c := connectAs(t, w, d, "handed")
		defer func() { _ = c.Close(context.Background()) }()
		rows, err := tryAsk(c, "select session_user || ' ' || has_table_privilege('mine', 'select')")
		if err != nil {
			return err.Error()
		}
		return rows
	}
	if got := served(); got != "handed true" {
		t.Fatal(got)
	}
	ask(t, admin, "BEGIN; ALTER ROLE handed RENAME TO other_hand; CREATE ROLE handed LOGIN; COMMIT")
	t.Cleanup(func() { d.Exec(t, "DROP OWNED BY other_hand, handed", "DROP ROLE other_hand, handed") })
	eventually(t, func() string { return differ(served(), "handed false") })
	ask(t, admin, "GRANT SELECT ON mine TO handed")
	if got := served(); got != "handed true" {
		t.Fatal(got)
	}
	ask(t, admin, "BEGIN; DROP OWNED BY handed; DROP ROLE handed; CREATE ROLE handed LOGIN; COMMIT")
	eventually(t, func() string { return differ(served(), "handed false") })
	// Through weir from the next login on.
	ask(t, admin, "GRANT SELECT ON mine TO handed")
	through, err := pgconn.Connect(t.Context(), w.DSN(d))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = through.Close(context.Background()) }()
	ask(t, through, "BEGIN; DROP OWNED BY handed; DROP ROLE handed; CREATE ROLE handed LOGIN; COMMIT")
	if got := served(); got != "handed false" {
		t.Errorf("after a change through weir: %s", got)
	}
}

func differ(got, want string) string {
	if got == want {
		return ""
	}
	return got + ", want " + want
}

func connectAs(t *testing.T, w *weirUnderTest, d *pgserver.Database, user string, params ...string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.ParseConfig(w.DSN(d, params...))
	if err != nil {
		t.Fatal(err)
	}
	c.User = user
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		t.Fatalf("log in as %s: %v", user, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// TestAskingDisturbsNoClient: clients that come and go while others change what logins get wait no longer than that takes, and get either.
func TestAskingDisturbsNoClient(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE ROLE asking LOGIN")
	t.Cleanup(func() { d.Exec(t, "DROP OWNED BY asking", "DROP ROLE asking") })
	w := start(t, d, "[pool]\npool_size = 2\n")
	stop := time.Now().Add(1500 * time.Millisecond)
	done := make(chan error)
	for range 6 {
		go func() {
			for time.Now().Before(stop) {
				c, err := pgconn.ParseConfig(w.DSN(d))
				if err != nil {
					done <- err
					return
				}
				c.User = "asking"
				conn, err := pgconn.ConnectConfig(context.Background(), c)
				if err != nil {
					done <- err
					return
				}
				if _, err = tryAsk(conn, "select 1"); err != nil {
					done <- err
					return
				}
				_ = conn.Close(context.Background())
			}
			done <- nil
		}()
	}
	admin := direct(t, d)
	for i := 0; time.Now().Before(stop); i++ {
		ask(t, admin, fmt.Sprintf("ALTER ROLE asking SET lock_timeout = %d", i+1))
		time.Sleep(100 * time.Millisecond)
	}
	for range 6 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	expectPool(t, w, "nothing is left", func(p status.Pool) bool { return p.Totals.BackendsLost == 0 && p.Totals.DialsFailed == 0 })
}
