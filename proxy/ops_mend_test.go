package proxy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"
)

// What a client resets becomes what its own login gave, at once and within a transaction, and it is told of no other value meanwhile.
func TestResetGivesWhatTheLoginGaveAtOnce(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nsession_audit = \"learn\"")
	params := []string{"search_path", "a,public", "TimeZone", "Asia/Tokyo", "work_mem", "8192", "app.tenant", "7", "application_name", "x"}
	through, directly, other := enter(t, w, d, params...), enterDirectly(t, d, params...), enter(t, w, d)
	const shows = "SELECT current_setting('search_path'), current_setting('TimeZone'), current_setting('work_mem'), current_setting('app.tenant', true), current_setting('application_name')"
	for _, s := range []step{
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
	} {
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

// told is take with what a server reports in passing.
func told(c *wireClient, s step) (heard []string) {
	c.t.Helper()
	c.SendBytes(s.send)
	for s.answers > 0 {
		m := c.Receive()
		if _, ready := m.(*pgproto3.ReadyForQuery); ready {
			s.answers--
		}
		heard = append(heard, printMessage(m))
	}
	return heard
}
