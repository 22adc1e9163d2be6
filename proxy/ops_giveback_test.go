package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// What a client resets becomes what its own login gave, at once and within a transaction, and it is told of no other value meanwhile.
func TestResetGivesWhatTheLoginGaveAtOnce(t *testing.T) {
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) { resetsGiveWhatTheLoginGave(t, mode) })
	}
}

func resetsGiveWhatTheLoginGave(t *testing.T, mode string) {
	d := database(t)
	size := map[string]int{"transaction": 1, "session": 2}[mode]
	w := start(t, d, fmt.Sprintf("[pool]\npool_size = %d\npool_mode = %q\nsession_audit = \"learn\"", size, mode))
	params := []string{"search_path", "a,public", "TimeZone", "Asia/Tokyo", "work_mem", "8192", "app.tenant", "7", "application_name", "x"}
	through, directly, other := enter(t, w, d, params...), enterDirectly(t, d, params...), enter(t, w, d)
	const shows = "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('work_mem'), current_setting('app.tenant', true), current_setting('application_name')"
	steps := []step{
		queries("SET TimeZone = 'UTC'"), queries("RESET TimeZone"), queries(shows), queries("SET TimeZone TO DEFAULT"), queries(shows),
		queries("BEGIN"), queries("RESET search_path"), queries(shows), queries("SET TIME ZONE DEFAULT"), queries("SET LOCAL work_mem TO DEFAULT"), queries(shows),
		queries("COMMIT"), queries(shows),
		queries("BEGIN", "SET work_mem = '1MB'", "RESET work_mem", shows, "ROLLBACK", shows),
		queries("BEGIN", "SET TimeZone = 'Europe/Rome'", "SAVEPOINT s", "RESET ALL", shows, "ROLLBACK TO s", shows, "COMMIT", shows), queries("RESET ALL", shows),
		inOneWrite(queries("RESET search_path"), parsesAndRuns(t, "", shows)),
		inOneWrite(parsesAndRuns(t, "", "RESET TimeZone"), queries(shows), parsesAndRuns(t, "", "RESET app.tenant"), parsesAndRuns(t, "", shows)),
		queries("SET search_path = b"), queries("DISCARD ALL"), queries(shows), queries("DISCARD ALL", shows), queries("RESET ALL; SELECT 1"), queries(shows),
		queries("BEGIN"), queries("RESET ALL"), queries("SELECT 1/0"), queries("ROLLBACK"), queries(shows),
		queries("BEGIN"), synced(t, parse("", "RESET TimeZone"), &pgproto3.Bind{}, &pgproto3.Execute{}), queries(shows), queries("ROLLBACK"), queries(shows),

		// What follows in the same text.
		queries("SET work_mem = '1MB'; RESET work_mem /* c */ ; -- d\n" + shows), queries("RESET ALL; " + shows + "; RESET search_path; " + shows + ";"),
		queries("SET TIME ZONE 'UTC'; SET TIME ZONE LOCAL; " + shows + "; SET SESSION work_mem = DEFAULT; SET app.tenant TO DEFAULT; " + shows),
		queries("BEGIN; SET work_mem = '1MB'; SET LOCAL work_mem TO DEFAULT; " + shows + "; COMMIT; " + shows), queries("RESET work_mem"), queries(shows),
		queries("SET default_transaction_isolation = 'repeatable read'; SET TIME ZONE LOCAL; " + shows), queries("RESET default_transaction_isolation; SELECT 1"),
		queries("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET TIME ZONE LOCAL; " + shows), queries("RESET default_transaction_read_only"),
		queries("SET LOCAL work_mem TO DEFAULT"), queries("SELECT 1; SET LOCAL work_mem TO DEFAULT; " + shows), queries(shows),
		queries("RESET ALL; CREATE TEMP TABLE there (a int) ON COMMIT DROP; " + shows), queries("SELECT set_config('work_mem', '2MB', true); RESET work_mem; " + shows), queries(shows),
		queries("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL; " + shows), queries("DEALLOCATE ALL; RESET ALL; " + shows),
		queries("RESET ALL; DO $$ BEGIN PERFORM set_config('work_mem', '3MB', false); END $$; RESET work_mem; " + shows),

		// Errors, and where they are.
		queries("RESET work_mem; SELECT 1/0; " + shows), queries(shows), queries("RESET work_mem; SELEC 1"), queries("RESET ALL; SELECT missing"),
		queries("SELECT 'é'; RESET ALL; SELECT 'ü', missing"), queries("SELECT missing; RESET ALL"), queries("RESET ALL; RESET work_mem; SELECT 1 FROM"),
		queries("RESET no_such_setting; " + shows), queries("RESET work_mem; RESET no_such_setting; " + shows), queries("BEGIN; SELECT 1/0"),
		queries("RESET work_mem; " + shows), queries("ROLLBACK; RESET work_mem; " + shows), queries(shows),

		// It is no query: the modes of a transaction can be set after it.
		queries("BEGIN"), queries("RESET work_mem"), queries("SET TIME ZONE DEFAULT"), queries("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), queries(shows), queries("COMMIT"),
		queries("BEGIN; RESET work_mem; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; " + shows + "; COMMIT"),

		// And what follows in the same pipeline.
		synced(t, pipelined(t, "SET work_mem = '1MB'", "RESET work_mem", shows, "RESET ALL", shows, "SELECT 1")...), queries(shows),
		synced(t, pipelined(t, "RESET ALL", "RESET search_path", shows, "SET TIME ZONE 'UTC'", "SET TIME ZONE LOCAL", shows, "SELECT 1/0", "RESET work_mem", shows)...), queries(shows),
		synced(t, pipelined(t, "SET LOCAL work_mem TO DEFAULT", shows)...), synced(t, pipelined(t, "RESET no_such_setting", shows)...), queries(shows),
		queries("SET standard_conforming_strings = off; RESET ALL; " + shows), queries(shows),
		queries("BEGIN"), synced(t, pipelined(t, "RESET TimeZone", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", shows)...), queries("ROLLBACK"), queries(shows),
		synced(t, pipelined(t, "DISCARD ALL", shows)...), queries(shows),

		// One command with several settings, and one that holds for a transaction that begins in the same text or pipeline.
		queries("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE; RESET TimeZone; SELECT 1; RESET work_mem; " + shows), queries(shows),
		queries("SHOW default_transaction_isolation"), queries("RESET default_transaction_isolation"), queries("RESET default_transaction_read_only"),
		queries("BEGIN; SET LOCAL work_mem TO DEFAULT; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; " + shows + "; COMMIT"),
		synced(t, pipelined(t, "BEGIN", "SET LOCAL work_mem TO DEFAULT", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", shows, "COMMIT")...),
		synced(t, pipelined(t, "SELECT 1", "SET LOCAL work_mem TO DEFAULT", shows)...), queries("/* c */ SET LOCAL work_mem TO DEFAULT; -- d"), queries(shows),

		// Notices have positions, too.
		queries("SET standard_conforming_strings = off"), queries("RESET work_mem; SELECT 'a\\nb'; RESET TimeZone; SELECT 'c\\nd'"), queries("RESET standard_conforming_strings"),
	}
	if mode != "session" { // where weir does not know what is prepared under a name
		steps = append(steps,
			synced(t, parse("named", "RESET work_mem"), &pgproto3.Bind{PreparedStatement: "named", DestinationPortal: "p"}, &pgproto3.Describe{ObjectType: 'P', Name: "p"},
				&pgproto3.Execute{Portal: "p"}, &pgproto3.Flush{}, parse("", shows), &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Execute{Portal: "p"}, &pgproto3.Execute{}),
			queries("SET work_mem = '1MB'"), synced(t, &pgproto3.Bind{PreparedStatement: "named"}, &pgproto3.Execute{}, parse("", shows), &pgproto3.Bind{}, &pgproto3.Execute{}),
		)
	}
	for _, s := range steps {
		got, want := told(through, s), told(directly, s)
		if !slices.Equal(got, want) {
			t.Errorf("%.200q:\n%s\ndirectly\n%s", s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if through.status == 'I' {
			if got := other.Query("SELECT current_setting('TimeZone') || current_setting('search_path')"); got != `Etc/UTC"$user", public` {
				t.Fatalf("after %.200q another client finds %s", s.send, got)
			}
		}
	}
}

// pipelined parses and runs statements without a Sync.
func pipelined(t *testing.T, texts ...string) (messages []pgproto3.FrontendMessage) {
	t.Helper()
	for _, text := range texts {
		messages = append(messages, parse("", text), &pgproto3.Bind{}, &pgproto3.Execute{})
	}
	return messages
}

// told is take with what a server reports in passing.
func told(c *wireClient, s step) (heard []string) {
	c.t.Helper()
	c.SendBytes(s.send)
	for s.answers > 0 {
		m := c.Receive()
		if _, ready := m.(*pgproto3.ReadyForQuery); ready {
			s.answers--
		}
		text := printMessage(m)
		if e, failed := m.(*pgproto3.ErrorResponse); failed {
			text += fmt.Sprint(" at ", e.Position)
		}
		if n, told := m.(*pgproto3.NoticeResponse); told {
			text += fmt.Sprint(" at ", n.Position)
		}
		heard = append(heard, text)
	}
	return heard
}

// With the session's user the server resets the role that a login gave; and a client may leave what its login gave by a value that looks like none.
func TestRoleOfTheLoginIsGivenBack(t *testing.T) {
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			d := database(t)
			w := start(t, d, fmt.Sprintf("[pool]\npool_size = %d\npool_mode = %q\nsession_audit = \"learn\"", map[string]int{"transaction": 1, "session": 2}[mode], mode))
			params := []string{"app.tenant", "7", "options", "-c role=pg_read_all_data"}
			through, directly, other := enter(t, w, d, params...), enterDirectly(t, d, params...), enter(t, w, d)
			const shows = "SELECT current_setting('app.tenant', true), current_setting('role'), current_user, session_user"
			for _, s := range []step{
				queries("RESET SESSION AUTHORIZATION; " + shows), queries(shows), queries("SET SESSION AUTHORIZATION DEFAULT"), queries(shows),
				synced(t, pipelined(t, "RESET SESSION AUTHORIZATION", shows)...), queries("BEGIN; SET LOCAL SESSION AUTHORIZATION DEFAULT; " + shows + "; COMMIT; " + shows),
				queries("SET SESSION AUTHORIZATION pg_monitor"), queries(shows), queries("BEGIN; RESET SESSION AUTHORIZATION; " + shows + "; ROLLBACK"), queries(shows),
				queries("RESET SESSION AUTHORIZATION; " + shows), queries(shows),
				queries("SET ROLE none"), queries(shows), queries("RESET ROLE"), queries(shows), queries("SET role TO 'none'"), queries(shows), queries("RESET ROLE; " + shows), queries(shows),
				queries("SET app.tenant = ''"), queries(shows), queries("RESET app.tenant"), queries(shows),
				queries("SELECT set_config('app.tenant', '', false)"), queries(shows), queries("RESET app.tenant"), queries(shows),
				queries("DO $$ BEGIN PERFORM set_config('app.tenant', '', false); END $$"), queries(shows), queries("RESET app.tenant"), queries(shows),
			} {
				if got, want := told(through, s), told(directly, s); !slices.Equal(got, want) {
					t.Errorf("%.200q:\n%s\ndirectly\n%s", s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				if got := other.Query("SELECT coalesce(current_setting('app.tenant', true), '') || current_user"); got != d.Server.Superuser() {
					t.Fatalf("after %.200q another client finds %s", s.send, got)
				}
			}
		})
	}
}

// Where the server knows no characters it counts bytes.
func TestPositionsBehindAResetInADatabaseWithoutEncoding(t *testing.T) {
	d := database(t)
	name := d.Name + "_bytes"
	enterDirectly(t, d).Query(fmt.Sprintf("CREATE DATABASE %q ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0", name))
	w := start(t, d, "")
	params := []string{"work_mem", "8192", "client_encoding", "UTF8"}
	through := dial(t, w.Addr, d.Server.Superuser(), name, params...)
	directly := dial(t, d.Server.Addr(), d.Server.Superuser(), name, params...)
	for _, text := range []string{"SELECT 'é'; RESET work_mem; SELECT missing", "SELECT 'éüö€', missing; RESET work_mem; SELECT 1"} {
		if got, want := told(through, queries(text)), told(directly, queries(text)); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\ndirectly\n%s", text, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A name that a startup packet may have and SQL cannot write, and values that look like the end of a literal.
func TestWhatSQLCannotWriteIsGivenBack(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for _, o := range [][2]string{
		{"app." + strings.Repeat("n", 70), "5"}, {"app.é", "5"}, {"app.select", "5"}, {"app.x", `\'; SELECT 1/0; --`}, {"app.x", `é'' \\'; $$`}, {"app.x", "\x01\n\x7f\\"},
	} {
		params := []string{o[0], o[1], "backslash_quote", "off", "standard_conforming_strings", "off"}
		through, directly := enter(t, w, d, params...), enterDirectly(t, d, params...)
		shows := "SELECT current_setting('" + o[0] + "')"
		for _, s := range []step{queries("RESET ALL; " + shows), queries("RESET ALL"), queries(shows), synced(t, pipelined(t, "RESET ALL", shows)...)} {
			if got, want := told(through, s), told(directly, s); !slices.Equal(got, want) {
				t.Errorf("%q %.200q:\n%s\ndirectly\n%s", o, s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// A session may be in settings that its client_encoding cannot show: a client gets them, and leaves them, all the same.
func TestSettingsThatTheEncodingCannotShow(t *testing.T) {
	d := database(t)
	enterDirectly(t, d).Query(fmt.Sprintf("ALTER DATABASE %q SET app.place = 'Łódź'", d.Name))
	w := start(t, d, "[pool]\npool_size = 1")
	params := []string{"app.tenant", "Łukasz", "client_encoding", "LATIN1"}
	through, directly, other := enter(t, w, d, params...), enterDirectly(t, d, params...), enter(t, w, d, "client_encoding", "SJIS")
	const shows = "SELECT length(current_setting('app.tenant', true)), length(current_setting('app.place', true)), current_setting('client_encoding')"
	for _, s := range []step{
		queries(shows), queries("RESET ALL; " + shows), queries("SET app.place = 'Bern'"), queries(shows), queries("RESET app.place; " + shows), queries("SET app.place = 'Bern'"),
		queries("SET client_encoding = 'UTF8'"), queries("SET app.tenant = '7'"), queries(shows), synced(t, pipelined(t, "SET client_encoding = 'SJIS'", "RESET app.tenant", shows)...),
		queries(shows), queries("DISCARD ALL"), queries(shows),
	} {
		if got, want := told(through, s), told(directly, s); !slices.Equal(got, want) {
			t.Errorf("%.200q:\n%s\ndirectly\n%s", s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := other.Query("SELECT length(current_setting('app.place')) || coalesce(current_setting('app.tenant', true), '')"); got != "4" {
			t.Fatalf("after %.200q another client finds %s", s.send, got)
		}
	}
}

// What weir cannot give back fails the client's batch, and leaves nothing in the way of later ones, this client's or another's.
func TestWhatCannotBeGivenBackIsInNobodysWay(t *testing.T) {
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			d := database(t)
			w := start(t, d, fmt.Sprintf("[pool]\npool_size = 1\npool_mode = %q", mode))
			c := enter(t, w, d, "log_min_messages", "error", "work_mem", "8192")
			for _, s := range []step{
				queries("SET ROLE pg_monitor"), synced(t, pipelined(t, "RESET ALL", "SELECT 1")...), queries("RESET ROLE"), // which may not set the first
			} {
				told(c, s)
			}
			for range 2 {
				c.SendBytes(synced(t, pipelined(t, "RESET ALL", "SHOW work_mem")...).send)
				if got := c.Answer(); got.Err() != nil {
					t.Fatal(got.Err())
				}
			}
		})
	}
}

// A text that names prepared statements goes to the server with other names; what errors and notices say of places in it is right all the same.
func TestPositionsBehindExchangedNames(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	params := []string{"work_mem", "8192", "standard_conforming_strings", "off"}
	through, directly := enter(t, w, d, params...), enterDirectly(t, d, params...)
	for _, s := range []step{
		synced(t, parse("s", "SELECT 1"), parse("a_name_that_is_longer_than_any_of_weirs", "SELECT $1::text"), parse("é", "SELECT 2"), parse("takes", "SELECT $1::text")), queries("CREATE TEMP TABLE there (a int, b int)"),
		synced(t, parse("column_of", "SELECT b, a FROM there")),
		queries("EXECUTE s; SELECT missing"), queries("SELECT missing; EXECUTE s"), queries("EXECUTE s; EXECUTE a_name_that_is_longer_than_any_of_weirs('é'); SELECT 'ü', missing"),
		queries("EXECUTE \"é\"; SELECT missing"), queries("EXECUTE s; RESET ALL; EXECUTE s; RESET work_mem; SELECT missing"), queries("EXECUTE a_name_that_is_longer_than_any_of_weirs(missing)"),
		queries("EXECUTE column_of; SELECT missing"), queries("ALTER TABLE there DROP COLUMN a"), queries("EXECUTE column_of"), // which tells a place in the statement's text
		queries("EXECUTE s; RESET ALL; EXECUTE column_of"), queries("EXECUTE s; EXECUTE takes(missing)"), queries("RESET ALL; EXECUTE takes('é'); EXECUTE takes(missing)"),
		queries("EXECUTE s; SELECT 'a\\nb'; SELECT missing"), queries("SELECT 1; EXECUTE s; SELEC 2"), queries("EXECUTE s; SELEC 2"), queries("DEALLOCATE s; SELECT missing"), queries("EXECUTE s"),
	} {
		if got, want := told(through, s), told(directly, s); !slices.Equal(got, want) {
			t.Errorf("%.200q:\n%s\ndirectly\n%s", s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A statement that is executed by its name may have the same tag as a command of the text that executes it.
func TestExecutedSettingsAreNotTakenForTheTexts(t *testing.T) {
	for _, statements := range []int{10, 0} {
		t.Run(fmt.Sprint("max_prepared_statements=", statements), func(t *testing.T) {
			d := database(t)
			w := start(t, d, fmt.Sprintf("[pool]\npool_size = 1\nmax_prepared_statements = %d", statements))
			params := []string{"work_mem", "8192", "TimeZone", "Asia/Tokyo"}
			through, directly := enter(t, w, d, params...), enterDirectly(t, d, params...)
			for _, s := range []step{
				synced(t, parse("s", "RESET extra_float_digits"), parse("v", "SET extra_float_digits = 0")),
				queries("EXECUTE s; SELECT 1; RESET work_mem; SELECT 2"), queries("EXECUTE v; SELECT 1; SELECT 2; RESET IntervalStyle"), queries("RESET work_mem; SELECT 1; EXECUTE v; SELECT 2"),
			} {
				if got, want := told(through, s), told(directly, s); !slices.Equal(got, want) {
					t.Errorf("%.200q:\n%s\ndirectly\n%s", s.send, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		})
	}
}
