package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

func database(t *testing.T) *pgserver.Database {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	return pgserver.ForTest(t)
}

// connect logs in with these startup parameters, as a client without weir would.
func connect(t *testing.T, d *pgserver.Database, settings ...string) (*pgconn.PgConn, error) {
	t.Helper()
	config, err := pgconn.ParseConfig(d.DSN())
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams = map[string]string{}
	for i := 0; i < len(settings); i += 2 {
		config.RuntimeParams[settings[i]] = settings[i+1]
	}
	conn, err := pgconn.ConnectConfig(context.Background(), config)
	if err == nil {
		t.Cleanup(func() { conn.Close(context.Background()) })
	}
	return conn, err
}

func mustConnect(t *testing.T, d *pgserver.Database, settings ...string) *pgconn.PgConn {
	t.Helper()
	conn, err := connect(t, d, settings...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// simple runs a simple Query and returns the first value of its last row.
func simple(conn *pgconn.PgConn, sql string) (string, error) {
	results, err := conn.Exec(context.Background(), sql).ReadAll()
	if err != nil {
		return "", err
	}
	var out string
	for _, r := range results {
		for _, row := range r.Rows {
			out = string(row[0])
		}
	}
	return out, nil
}

func mustSimple(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	out, err := simple(conn, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// state is all that can be seen of a session's settings.
func state(t *testing.T, conn *pgconn.PgConn, names ...string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range append([]string{"role", "session_authorization"}, names...) {
		value := mustSimple(t, conn, `show "`+name+`"`)
		fmt.Fprintf(&b, "%s=%q\n", name, value)
	}
	b.WriteString(mustSimple(t, conn, `select current_user || ' ' || coalesce(string_agg(name || '=' || setting, E'\n' order by name), '')
		from pg_settings where name not in ('role', 'session_authorization', 'transaction_isolation')`))
	return b.String()
}

func apply(t *testing.T, conn *pgconn.PgConn, from, to *Set) error {
	t.Helper()
	sql := AppendSwitch(nil, from, to)
	if len(sql) == 0 {
		return nil
	}
	_, err := simple(conn, string(sql))
	return err
}

// TestSwitchedBackendIsLikeAFreshLogin takes one backend through all sets, from
// each to each, and compares it with sessions that logged in with those settings.
func TestSwitchedBackendIsLikeAFreshLogin(t *testing.T) {
	d := database(t)
	d.Exec(t, `create role r_plain`, `create role r_other`, `create schema "a, b"`)
	t.Cleanup(func() { d.Exec(t, `drop role r_plain`, `drop role r_other`) })
	programs := [][]string{
		nil,
		{"search_path", "a, b", "work_mem", "77MB"},
		{"search_path", `"a, b", public`},
		{"search_path", ""},
		{"DateStyle", "SQL, DMY", "TimeZone", "Europe/Vienna"},
		{"DateStyle", "ISO", "IntervalStyle", "iso_8601"},
		{"DateStyle", "German"},
		{"TimeZone", "<+03>-03", "extra_float_digits", "-5"},
		{"extra_float_digits", "3", "bytea_output", "escape"},
		{"application_name", `it's a "test" \ of \' $$ -- /* `},
		{"application_name", "Gr\u00fc\u00dfe, \u5b57\u7b26"},
		{"application_name", ""},
		{"client_encoding", "LATIN1", "application_name", "x"},
		{"client_encoding", "SJIS", "app.x", "it's \\"},
		{"client_encoding", "UTF8", "standard_conforming_strings", "off", "backslash_quote", "off"},
		{"standard_conforming_strings", "off", "app.x", `\'; select 1; --`},
		{"app.x", "1", "App.Tenant", "Gr\u00fc\u00dfe\t\n\r\x01\x7f"},
		{"app.tenant", ""},
		{"statement_timeout", "12345", "lock_timeout", "1s", "default_transaction_isolation", "serializable"},
		{"default_transaction_read_only", "on", "geqo", "off"},
		{"role", "r_plain", "log_min_messages", "error"}, // the second is a superuser's only
		{"role", "r_plain", "log_min_messages", "fatal"},
		{"role", "r_other"},
	}
	// A custom setting is '' rather than absent once it was used: in every session, for the comparison.
	const custom = `select pg_catalog.set_config('app.x', '', false), pg_catalog.set_config('app.tenant', '', false)`
	var table Table
	var sets []*Set
	var want []string
	names := []string{"app.x", "app.tenant"}
	for _, p := range programs {
		sets = append(sets, mustIntern(t, &table, p...))
		fresh := login(t, d, p...)
		for _, name := range names {
			if _, err := simple(fresh, `show "`+name+`"`); err != nil {
				mustSimple(t, fresh, `select pg_catalog.set_config('`+name+`', '', false)`)
			}
		}
		want = append(want, state(t, fresh, names...))
		if err := fresh.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	backend := mustConnect(t, d)
	mustSimple(t, backend, custom)
	var now *Set
	visit := func(i int) {
		t.Helper()
		if err := apply(t, backend, now, sets[i]); err != nil {
			t.Fatalf("from %q to %q: %v\n%s", now.Settings(), sets[i].Settings(), err, AppendSwitch(nil, now, sets[i]))
		}
		now = sets[i]
	}
	for i := range sets {
		for j := range sets {
			visit(i)
			visit(j)
			if i%5 != j%5 && i != 0 { // the look is what costs time; each set is seen from every fifth
				continue
			}
			if got := state(t, backend, names...); got != want[j] {
				t.Fatalf("from %q to %q: %s", sets[i].Settings(), sets[j].Settings(), diff(got, want[j]))
			}
		}
	}
}

// login is a fresh session with these settings.
func login(t *testing.T, d *pgserver.Database, settings ...string) *pgconn.PgConn {
	t.Helper()
	return mustConnect(t, d, settings...)
}

// diff shows the lines of two states that differ, if not too many.
func diff(got, want string) string {
	var b strings.Builder
	only := func(what, in, out string) {
		for _, line := range strings.Split(in, "\n") {
			if !strings.Contains("\n"+out+"\n", "\n"+line+"\n") && b.Len() < 1000 {
				fmt.Fprintf(&b, "\n  %s %s", what, line)
			}
		}
	}
	only("got ", got, want)
	only("want", want, got)
	return b.String()
}

func TestResetGoesBackToTheLogin(t *testing.T) {
	d := database(t)
	backend := mustConnect(t, d, "application_name", "of the login", "work_mem", "7MB")
	var table Table
	other := mustIntern(t, &table, "application_name", "of a client", "WORK_MEM", "8MB")
	if err := apply(t, backend, nil, other); err != nil {
		t.Fatal(err)
	}
	if got := mustSimple(t, backend, "show work_mem"); got != "8MB" {
		t.Fatalf("work_mem is %s", got)
	}
	if err := apply(t, backend, other, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"application_name": "of the login", "work_mem": "7MB"} {
		if got := mustSimple(t, backend, "show "+name); got != want {
			t.Errorf("%s is %s after the reset, want %s", name, got, want)
		}
	}
}

func TestSwitchAppliesAllOrNothing(t *testing.T) {
	d := database(t)
	var table Table
	before := mustIntern(t, &table, "application_name", "before", "work_mem", "7MB")
	for _, bad := range [][]string{
		{"application_name", "after", "work_mem", "8MB", "zzz_no_such_setting", "1"},
		{"application_name", "after", "timezone", "Nowhere/At_All"},
		{"application_name", "after", "role", "no_such_role"},
		{"application_name", "after", "is_superuser", "on"},
		{"application_name", "after", "app.x", "\xff"}, // not UTF-8
	} {
		backend := mustConnect(t, d)
		if err := apply(t, backend, nil, before); err != nil {
			t.Fatal(err)
		}
		err := apply(t, backend, before, mustIntern(t, &table, bad...))
		var refused *pgconn.PgError
		if !errors.As(err, &refused) {
			t.Errorf("%q: %v, want the server's refusal", bad, err)
			continue
		}
		for name, want := range map[string]string{"application_name": "before", "work_mem": "7MB"} {
			if got := mustSimple(t, backend, "show "+name); got != want {
				t.Errorf("%q failed with %v, but %s is %s", bad, refused, name, got)
			}
		}
		if backend.TxStatus() != 'I' {
			t.Errorf("%q: the backend is left in state %c", bad, backend.TxStatus())
		}
	}
}

// TestClosedCursorsAndStatementsStayAwayAfterRollback is what EndedBy relies on.
func TestClosedCursorsAndStatementsStayAwayAfterRollback(t *testing.T) {
	d := database(t)
	conn := mustConnect(t, d)
	mustSimple(t, conn, "begin; declare c cursor with hold for select 1; prepare p as select 1; commit")
	mustSimple(t, conn, "begin; close all; deallocate all; rollback")
	if got := mustSimple(t, conn, "select (select count(*) from pg_cursors) + (select count(*) from pg_prepared_statements)"); got != "0" {
		t.Errorf("%s cursors and statements came back", got)
	}
}

// TestSwitchChangesWhoTheSessionIs has a superuser's session become others' and its own again, with a role and without.
func TestSwitchChangesWhoTheSessionIs(t *testing.T) {
	d := database(t)
	backend := mustConnect(t, d)
	mustSimple(t, backend, "create role r_who; create role r_other; grant r_other to r_who")
	var table Table
	now := (*Set)(nil)
	who := func() string {
		return mustSimple(t, backend, "select session_user || ' ' || current_user || ' ' || current_setting('log_min_messages')")
	}
	own := who()
	for _, step := range []struct {
		set  []string
		want string
	}{
		{[]string{Authorization, "r_who", "log_min_messages", "log"}, "r_who r_who log"},
		{[]string{Authorization, "r_who", "role", "r_other", "log_min_messages", "error"}, "r_who r_other error"},
		{[]string{Authorization, "r_other", "log_min_messages", "error"}, "r_other r_other error"},
		{nil, own},
	} {
		to := mustIntern(t, &table, step.set...)
		if err := apply(t, backend, now, to); err != nil {
			t.Fatal(err)
		}
		if now = to; who() != step.want {
			t.Errorf("%v: the session is %s, want %s", step.set, who(), step.want)
		}
	}
}
