package proxy_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"
)

// lines are those of the log with a message.
func (l *logCapture) lines(message string) (found []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, `msg="`+message+`"`) {
			found = append(found, line)
		}
	}
	return found
}

// awaitLines waits for so many lines of the log with a message.
func awaitLines(t *testing.T, w *weirUnderTest, message string, n int) (lines []string) {
	t.Helper()
	eventually(t, func() string {
		if lines = w.Log.lines(message); len(lines) != n {
			return strconv.Itoa(len(lines)) + " lines with " + message
		}
		return ""
	})
	return lines
}

// attribute is a value in a line of the log, "" if it has none.
func attribute(line, key string) string {
	m := regexp.MustCompile(` ` + key + `=("(?:[^"\\]|\\.)*"|\S*)`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	if text, err := strconv.Unquote(m[1]); err == nil {
		return text
	}
	return m[1]
}

// awaitSlow waits for so many lines of slow transactions that have slept. Another one may be slow, too, on a busy machine.
func awaitSlow(t *testing.T, w *weirUnderTest, n int) (slept []string) {
	t.Helper()
	eventually(t, func() string {
		slept = nil
		for _, line := range w.Log.lines("slow transaction") {
			if took, err := time.ParseDuration(attribute(line, "took")); err != nil || took < 50*time.Millisecond {
				t.Fatalf("it was not slow: %s", line)
			}
			if strings.Contains(attribute(line, "statement"), "pg_sleep") {
				slept = append(slept, line)
			}
		}
		if len(slept) != n {
			return strconv.Itoa(len(slept)) + " lines of slow transactions"
		}
		return ""
	})
	return slept
}

func expectAttributes(t *testing.T, line string, want ...string) {
	t.Helper()
	for i := 0; i < len(want); i += 2 {
		if got := attribute(line, want[i]); got != want[i+1] {
			t.Errorf("%s is %q, want %q, in %s", want[i], got, want[i+1], line)
		}
	}
}

func TestSlowTransactionIsLogged(t *testing.T) {
	d := database(t)
	r := startReloadable(t, d, "[pool]\npool_size = 1\n[log]\nslow_transaction = \"50ms\"\n")
	w := r.weirUnderTest
	c := enter(t, w, d, "application_name", "report")
	pid := c.Query(pidQuery)
	c.Query("SELECT 'fast'")
	c.Query("BEGIN")
	c.Query("SELECT 'slow', pg_sleep(0.1)")
	c.Query("COMMIT")
	c.Send(&pgproto3.Parse{Name: "s", Query: "SELECT 'prepared', pg_sleep(0.1)"}, &pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	c.Answer()
	_ = c.Run("SELECT 1 / length(pg_sleep(0.1)::text)")

	lines := awaitSlow(t, w, 3)
	user := d.Server.Superuser()
	expectAttributes(t, lines[0], "level", "WARN", "statements", "3", "statement", "SELECT 'slow', pg_sleep(0.1)", "app", "report",
		"db", d.Name, "user", user, "pool", d.Name+"/"+user, "backend", pid, "waited", "0s", "end", "", "sqlstate", "")
	expectAttributes(t, lines[1], "statements", "1", "statement", "SELECT 'prepared', pg_sleep(0.1)")
	expectAttributes(t, lines[2], "statement", "SELECT 1 / length(pg_sleep(0.1)::text)", "sqlstate", "22012")
	for _, line := range lines {
		took, err := time.ParseDuration(attribute(line, "took"))
		idle, idleErr := time.ParseDuration(attribute(line, "idle"))
		if err != nil || idleErr != nil || took < 100*time.Millisecond || idle > took-100*time.Millisecond {
			t.Errorf("took and idle make no sense: %s", line)
		}
	}

	// What the client leaves open, and what the server does.
	c.Query("BEGIN")
	c.Query("SELECT 'left', pg_sleep(0.1)")
	c.Terminate()
	expectAttributes(t, awaitSlow(t, w, 4)[3], "end", "client_left", "statement", "SELECT 'left', pg_sleep(0.1)")
	c = enter(t, w, d)
	pid = c.Query(pidQuery)
	c.Query("BEGIN")
	c.Query("SELECT 'lost', pg_sleep(0.1)")
	killBackend(t, d, pid)
	c.expectLastError("57P01")
	expectAttributes(t, awaitSlow(t, w, 5)[4], "end", "backend_lost", "statement", "SELECT 'lost', pg_sleep(0.1)")

	// A user may have a limit of its own, and a reload changes it for clients that are there.
	c = enter(t, w, d)
	c.Query("SELECT 1")
	r.reload("[pool]\npool_size = 1\n[log]\nslow_transaction = \"50ms\"\n[users." + user + "]\nslow_transaction = \"0s\"\n")
	c.Query("SELECT pg_sleep(0.1)")
	r.reload("[pool]\npool_size = 1\n[log]\nslow_transaction = \"0s\"\n[users." + user + "]\nslow_transaction = \"50ms\"\n")
	c.Query("SELECT 'again', pg_sleep(0.1)")
	expectAttributes(t, awaitSlow(t, w, 6)[5], "statement", "SELECT 'again', pg_sleep(0.1)")
}

// The first login of a pool waits for a backend's parameters, and for no statement.
func TestSlowWaitOfALoginIsLogged(t *testing.T) {
	d := database(t)
	w := start(t, d, "[log]\nslow_wait = \"1us\"\n")
	enter(t, w, d)
	line := awaitLines(t, w, "slow wait", 1)[0]
	if expectAttributes(t, line, "db", d.Name, "for", "login"); strings.Contains(line, "statement=") {
		t.Errorf("a login has no statement: %s", line)
	}
	if strings.Contains(line, "limit=") {
		t.Errorf("no limit has held it up: %s", line)
	}
}

func TestSlowWaitIsLogged(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\n[log]\nslow_wait = \"50ms\"\n")
	holder, queries, prepared, third := enter(t, w, d), enter(t, w, d, "application_name", "web"), enter(t, w, d), enter(t, w, d)
	prepared.Send(&pgproto3.Parse{Name: "s", Query: "SELECT 'prepared'"}, &pgproto3.Sync{})
	prepared.Answer()
	pid := holder.Query("BEGIN; " + pidQuery)
	queries.Send(&pgproto3.Query{String: "SELECT 'waits'" + strings.Repeat(" ", 100)})
	expectWaiting(t, w, 1)
	prepared.Send(&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{})
	expectWaiting(t, w, 2)
	third.Send(&pgproto3.Parse{Query: "SELECT 'parsed'"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	expectWaiting(t, w, 3)
	holder.Query("SELECT pg_sleep(0.1)")
	holder.Query("COMMIT")
	for _, c := range []*wireClient{queries, prepared, third} {
		c.Answer()
	}
	var lines []string
	eventually(t, func() string {
		lines = slices.DeleteFunc(w.Log.lines("slow wait"), func(line string) bool { return attribute(line, "for") == "login" })
		if len(lines) != 3 {
			return strconv.Itoa(len(lines)) + " lines"
		}
		return ""
	})
	expectAttributes(t, lines[0], "level", "WARN", "app", "web", "db", d.Name, "user", d.Server.Superuser(), "waiting", "2",
		"limit", "pool_size", "value", "1", "set_in", "pool", "backend", pid, "statement", ("SELECT 'waits'" + strings.Repeat(" ", 100))[:80])
	expectAttributes(t, lines[1], "waiting", "1", "statement", "SELECT 'prepared'")
	expectAttributes(t, lines[2], "waiting", "0", "statement", "SELECT 'parsed'")
	for _, line := range lines {
		if waited, err := time.ParseDuration(attribute(line, "waited")); err != nil || waited < 50*time.Millisecond {
			t.Errorf("it did not wait for long: %s", line)
		}
	}
}
