package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"weir/internal/pgserver"
)

// withClerk is a database with a role that others can take.
func withClerk(t *testing.T) *pgserver.Database {
	t.Helper()
	d := database(t)
	d.Exec(t, "DROP ROLE IF EXISTS switched", "CREATE ROLE switched")
	return d
}

const (
	asClerk   = "-c role=switched -c search_path=a -c statement_timeout=1234567"
	whoAndHow = "SELECT current_user || ' ' || current_setting('search_path') || ' ' || current_setting('statement_timeout')"
)

// Only DISCARD ALL takes back everything; what else server_reset_query is does not matter to the next client.
func TestNextClientHasItsOwnSettingsWhateverTheResetQuery(t *testing.T) {
	d := withClerk(t)
	for _, query := range []string{"DISCARD ALL", "discard  all ;", "", "DEALLOCATE ALL", "UNLISTEN *", "RESET ALL", "SET search_path TO b", "SELECT 1/0"} {
		for _, left := range []string{"SELECT 1", "SET work_mem = '1234kB'", "CREATE TEMP TABLE mine ()"} {
			t.Run(query+" after "+left, func(t *testing.T) {
				w := start(t, d, fmt.Sprintf("[pool]\npool_size = 1\nmode = \"session\"\nserver_reset_query = %q", query))
				expectNoTrace(t, w, d, whoAndHow+" || current_setting('work_mem') || coalesce(to_regclass('pg_temp.mine')::text, '')",
					[]string{"options", "-c search_path=a"}, queries(left))
				c := enter(t, w, d, "options", asClerk)
				if got := c.Query(whoAndHow); got != "switched a 1234567ms" {
					t.Errorf("the third is %s", got)
				}
				c.Terminate()
				next := enter(t, w, d)
				if got := next.Query(whoAndHow); got != d.Server.Superuser()+` "$user", public 0` {
					t.Errorf("the fourth is %s", got)
				}
			})
		}
	}
}

// After DISCARD ALL a session is as at its login, also for what is under way with it.
func TestWhatFollowsDiscardAllHasTheStartupSettings(t *testing.T) {
	d := withClerk(t)
	batch := func(sql string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{parse("", sql), &pgproto3.Bind{}, &pgproto3.Execute{}}
	}
	one := func(texts ...string) (s step) {
		var all []pgproto3.FrontendMessage
		for _, text := range texts {
			all = append(all, batch(text)...)
		}
		return synced(t, all...)
	}
	each := func(texts ...string) (s step) {
		for _, text := range texts {
			s = inOneWrite(s, one(text))
		}
		return s
	}
	changes := "SET search_path TO changed"
	for _, mode := range []string{"transaction", "session", "statement"} {
		w := start(t, d, fmt.Sprintf("[pool]\npool_size = 1\nmode = %q", mode))
		for name, s := range map[string]step{
			"simple":                     queries(changes, "DISCARD ALL", whoAndHow),
			"with comments":              queries(changes, "/* all of it */ discard all; -- now", whoAndHow),
			"a Sync each":                each(changes, "DISCARD ALL", whoAndHow),
			"no Sync in between":         one("DISCARD ALL", whoAndHow),
			"the DISCARD ALL fails":      queries("SELECT 1; DISCARD ALL", whoAndHow),
			"before a transaction":       queries("DISCARD ALL", "BEGIN", whoAndHow, "COMMIT"),
			"twice":                      queries("DISCARD ALL", "DISCARD ALL", whoAndHow),
			"simple, then extended":      inOneWrite(queries("DISCARD ALL"), one(whoAndHow)),
			"extended, then simple":      inOneWrite(one("DISCARD ALL"), queries(whoAndHow)),
			"what is set afterwards too": queries("DISCARD ALL", "SET search_path TO later", whoAndHow),
		} {
			if mode == "statement" && strings.Contains(name, "transaction") {
				continue
			}
			t.Run(name+", "+mode, func(t *testing.T) {
				c, directly := enter(t, w, d, "options", asClerk), enterDirectly(t, d, "options", asClerk)
				got, want := strings.Join(c.take(s), "\n"), strings.Join(directly.take(s), "\n")
				if got != want {
					t.Errorf("%s\ndirectly\n%s", got, want)
				}
				c.Terminate()
				directly.Terminate()
			})
		}
		w.Stop()
	}
}

// What weir asks a backend between two clients runs under neither's limits.
func TestSwitchOfSettingsDoesNotRunUnderTheLastClientsLimits(t *testing.T) {
	d := withClerk(t)
	d.Exec(t, "CREATE TABLE book ()")
	w := start(t, d, "[pool]\npool_size = 1")
	open := enterDirectly(t, d) // what a deferrable transaction would wait for
	open.Query("BEGIN ISOLATION LEVEL SERIALIZABLE")
	open.Query("INSERT INTO book DEFAULT VALUES")
	const deferrable = "-c default_transaction_isolation=serializable -c default_transaction_read_only=on -c default_transaction_deferrable=on"
	for name, options := range map[string]string{
		"jit":          "-c statement_timeout=1 -c jit=on -c jit_above_cost=0 -c jit_inline_above_cost=0 -c jit_optimize_above_cost=0",
		"deferrable":   deferrable,
		"with a limit": deferrable + " -c statement_timeout=1 -c lock_timeout=1",
		"role":         "-c role=switched -c statement_timeout=1",
		"idle":         "-c idle_session_timeout=1 -c idle_in_transaction_session_timeout=1",
		"idle session": "-c idle_session_timeout=1",
		"search_path":  "-c search_path=nowhere",
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				last, err := tryDial(t, w.Addr, d.Server.Superuser(), d.Name, "options", options)
				if err == nil && !strings.Contains(options, "deferrable") {
					_, _ = last.TryRun("SELECT 1") // within a millisecond, or not
				}
				if err == nil {
					last.Vanish()
				}
				next := enter(t, w, d)
				if got := next.Query(whoAndHow); got != d.Server.Superuser()+` "$user", public 0` {
					t.Errorf("the next client is %s", got)
				}
				next.Terminate()
			}
		})
	}
	open.Query("ROLLBACK")
}

// A client is told what its settings are, when they change and at the end of a transaction, and nothing of others'.
func TestClientIsToldOfItsOwnLocalSettingsOnly(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	told := func(c *wireClient, sql string) (values []string) {
		c.Send(&pgproto3.Query{String: sql})
		for {
			switch m := c.Receive().(type) {
			case *pgproto3.ParameterStatus:
				if m.Name == "application_name" {
					values = append(values, m.Value)
				}
			case *pgproto3.ErrorResponse:
				t.Fatalf("%s: %s", sql, m.Message)
			case *pgproto3.ReadyForQuery:
				return values
			}
		}
	}
	for end, last := range map[string]string{"COMMIT": "kept", "ROLLBACK": "login"} {
		c, other := enter(t, w, d, "application_name", "login"), enter(t, w, d, "application_name", "other")
		for _, s := range []struct{ sql, told string }{
			{"BEGIN", "[]"}, {"SET application_name = 'kept'", "[kept]"}, {"SET LOCAL application_name = 'local'", "[local]"}, {end, "[" + last + "]"},
		} {
			if got := fmt.Sprint(told(c, s.sql)); got != s.told {
				t.Errorf("after %s it is told %s, want %s", s.sql, got, s.told)
			}
		}
		if got := c.Query("SHOW application_name"); got != last {
			t.Errorf("at last it is %s", got)
		}
		c.Terminate() // it may have kept the backend
		if got := told(other, "SELECT 1"); len(got) > 0 || other.Query("SHOW application_name") != "other" {
			t.Errorf("the other is told %s", got)
		}
		other.Terminate()
	}
}
