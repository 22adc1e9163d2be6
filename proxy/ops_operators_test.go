package proxy_test

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgproto3/v2"

	"weir/proxy/status"
)

// Settings of PgBouncer's that change what weir does with backends and messages.

// A backend that has been idle answers server_check_query before it gets a client. One that does not is replaced, and no client notices.
func TestIdleBackendsAreCheckedBeforeTheirNextClient(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE SEQUENCE checks", "CREATE TABLE health (n int)", "INSERT INTO health VALUES (1)")
	w := start(t, d, "[pool]\npool_size = 1\nserver_check_query = \"SELECT 1/n, nextval('public.checks') FROM public.health\"\nserver_check_delay = \"0s\"")
	c := enter(t, w, d)
	pid := c.Query(pidQuery)
	c.Query("SET search_path = pg_catalog") // settings of the client's own follow after the check
	other := enter(t, w, d)
	if got := other.Query(pidQuery); got != pid {
		t.Errorf("served by %s, then by %s", pid, got)
	}
	if n := atoi(t, other.Query("SELECT last_value FROM checks")); n < 3 {
		t.Errorf("%d checks before four leases", n)
	}
	d.Exec(t, "UPDATE health SET n = 0")
	if got := other.Query(pidQuery); got == pid {
		t.Errorf("backend %s has failed its check and serves a client", pid)
	}
	c.Query("SELECT 1")
}

// server_check_delay spares backends that were used lately.
func TestBackendsThatWereUsedLatelyAreNotChecked(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE SEQUENCE checks")
	w := start(t, d, "[pool]\nserver_check_query = \"SELECT nextval('checks')\"\nserver_check_delay = \"1m\"")
	c := enter(t, w, d)
	c.Query("SELECT 1")
	if got := c.Query("SELECT is_called FROM checks"); got != "f" {
		t.Error("a backend was checked that had just been used")
	}
}

// An empty query is PgBouncer's default.
func TestCheckMayBeAnEmptyQuery(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1\nserver_check_query = \"<empty>\"\nserver_check_delay = \"0s\"")
	c := enter(t, w, d)
	pid := c.Query(pidQuery)
	if got := c.Query(pidQuery); got != pid {
		t.Errorf("served by %s, then by %s", pid, got)
	}
}

// server_reset_query_always resets backends in transaction mode, too, and prepared statements survive it.
func TestResetQueryIsRunAfterEachLeaseWhereItIsWanted(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE SEQUENCE resets")
	w := start(t, d, "[pool]\npool_size = 1\nserver_reset_query = \"SELECT nextval('resets')\"\nserver_reset_query_always = true\nsession_state = \"ignore\"")
	c, other := enter(t, w, d), enter(t, w, d)
	c.Query("SET work_mem = '1234kB'") // is not followed, and so would stay
	if got := other.Query("SHOW work_mem"); got == "1234kB" {
		t.Error("a setting of another client's has stayed")
	}
	c.Send(&pgproto3.Parse{Name: "s", Query: "SELECT 7"}, &pgproto3.Sync{})
	if err := c.Answer().Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		other.Query("SELECT 1")
		c.Send(&pgproto3.Bind{PreparedStatement: "s"}, &pgproto3.Execute{}, &pgproto3.Sync{})
		if err := c.Answer().Err(); err != nil {
			t.Fatal("after a reset:", err)
		}
	}
	if n := atoi(t, other.Query("SELECT last_value FROM resets")); n < 6 {
		t.Errorf("%d resets after seven leases", n)
	}
}

// server_fast_close: a session that keeps a backend which is to be replaced ends at the end of its transaction.
func TestBackendsThatAreReplacedDoNotWaitForTheEndOfTheSession(t *testing.T) {
	d := database(t)
	w, _ := consoleWeir(t, d, "[pool]\nmode = \"session\"\nserver_fast_close = true")
	idle, busy := enter(t, w, d), enter(t, w, d)
	idle.Query("SELECT 1")
	busy.Query("BEGIN")
	ask(t, w.console(t, "boss"), "RECONNECT")
	if e := idle.expectLastError("57P01"); !strings.Contains(e.Hint, "server_fast_close (true, set in [pool])") {
		t.Errorf("told %v", e)
	}
	busy.Query("SELECT 1")
	busy.Query("COMMIT")
	busy.expectLastError("57P01")
	enter(t, w, d).Query("SELECT 1")
}

// max_packet_size holds for what a client sends and for what it is sent, and others go on.
func TestMessagesLongerThanLetThroughEndTheirClient(t *testing.T) {
	d := database(t)
	w := start(t, d, "[limits]\nmax_packet_size = \"64KiB\"\n[pool]\npool_size = 1")
	sends, gets, other := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	if got := sends.Query("SELECT '" + strings.Repeat("x", 60_000) + "'"); len(got) != 60_000 {
		t.Errorf("%d bytes came back", len(got))
	}
	sends.SendBytes(queryBytes("SELECT '" + strings.Repeat("x", 70_000) + "'"))
	if e := sends.expectLastError("54000"); !strings.Contains(e.Hint, "max_packet_size (65536 bytes, set in [limits])") || !strings.Contains(e.Detail, "'Q' and 70015 bytes") {
		t.Errorf("told %v", e)
	}
	expectLine(t, w, "it has sent what the operator does not let through", "length=70015")
	gets.inBackground("SELECT 'short' UNION ALL SELECT repeat('x', 1000000)")
	if e := gets.expectLastError("54000"); !strings.Contains(e.Detail, "server") {
		t.Errorf("told %v", e)
	}
	other.Query("SELECT 1")
}

// simple_query = false, PgBouncer's disable_pqexec.
func TestSimpleQueriesMayBeRefused(t *testing.T) {
	d := database(t)
	w := start(t, d, "[clients]\nsimple_query = false")
	c := enter(t, w, d)
	c.Send(&pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if err := c.Answer().Err(); err != nil {
		t.Fatal(err)
	}
	c.inBackground("SELECT 1; DROP TABLE accounts")
	c.expectLastError("0A000")
}

// A client that takes nothing of its result gives its backend and its locks back; one that reads slowly goes on.
func TestClientThatStandsStillWithAResultIsDisconnected(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE kept (i int)")
	w := start(t, d, "[pool]\npool_size = 3\n[timeouts]\nclient_stall_timeout = \"1s\"")
	still, slow, other := enter(t, w, d), enter(t, w, d), enter(t, w, d)
	const much = "SELECT repeat('x', 1000) FROM generate_series(1, 30000)"
	slow.inBackground(much)
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	still.Query("BEGIN")
	still.Query("LOCK TABLE kept")
	still.inBackground(much)
	piece := make([]byte, 64<<10)
	for began := time.Now(); time.Since(began) < 2*time.Second; <-pace.C {
		if _, err := io.ReadFull(slow.conn, piece); err != nil {
			t.Fatal("a client that reads was ended:", err)
		}
	}
	other.Query("BEGIN; LOCK TABLE kept; COMMIT")
	expectLine(t, w, "timeout: client disconnected", "setting=client_stall_timeout", "limit=1s")
	expectPool(t, w, "counting one", func(p status.Pool) bool { return p.Totals.Timeouts[status.StalledClientTimeout] == 1 })
}

// A client that stops amid a message gives its backend back; one that goes on slowly, and one that has no rows for its COPY, keep theirs.
func TestClientThatStopsAmidAMessageIsDisconnected(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE TABLE rows (t text)")
	w := start(t, d, "[pool]\npool_size = 3\n[timeouts]\nclient_stall_timeout = \"1s\"")
	long := encode(t, &pgproto3.Query{String: "SELECT length('" + strings.Repeat("x", 200_000) + "')"})
	row := encode(t, &pgproto3.CopyData{Data: []byte(strings.Repeat("y", 1000) + "\n")})
	copies, slow := enter(t, w, d), enter(t, w, d)
	copies.Send(&pgproto3.Query{String: "COPY rows FROM STDIN"})
	if _, ok := copies.Receive().(*pgproto3.CopyInResponse); !ok {
		t.Fatal("no COPY")
	}
	copies.SendBytes(row[:500])
	for name, begun := range map[string][]byte{
		"a long one":     long[:100_000],
		"a short one":    append(encode(t, &pgproto3.Query{String: "BEGIN"}), encode(t, &pgproto3.Query{String: "COMMIT"})[:8]...),
		"a header":       append(encode(t, &pgproto3.Query{String: "BEGIN"}), 'Q'),
		"behind a Parse": append(encode(t, &pgproto3.Parse{Query: "SELECT 1"}), 'B', 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := enter(t, w, d)
			c.SendBytes(begun)
			for {
				if m, ok := c.Receive().(*pgproto3.ErrorResponse); ok {
					if want := "57P05 terminating connection because the client does not send the rest of its message"; m.Code+" "+m.Message != want {
						t.Errorf("%s %s", m.Code, m.Message)
					}
					return
				}
			}
		})
	}
	for rest := long; len(rest) > 0; time.Sleep(50 * time.Millisecond) {
		n := min(len(rest), 10_000)
		slow.SendBytes(rest[:n])
		rest = rest[n:]
	}
	if err := slow.Answer().Err(); err != nil {
		t.Error("a client that sends slowly:", err)
	}
	copies.SendBytes(row[500:])
	copies.Send(&pgproto3.CopyDone{})
	if err := copies.Answer().Err(); err != nil {
		t.Error("a COPY that pauses:", err)
	}
	expectLine(t, w, "timeout: client disconnected", "setting=client_stall_timeout", "limit=1s")
}

// The log has a line of what was done each stats_period.
func TestLogHasALineOfWhatWasDone(t *testing.T) {
	d := database(t)
	w := start(t, d, "[admin]\nstats_period = \"1s\"")
	c := enter(t, w, d)
	for range 30 {
		c.Query("SELECT 1")
	}
	done := regexp.MustCompile(`msg=stats transactions_per_s=[1-9]\d* queries_per_s=[1-9].* bytes_in_per_s=[1-9].* transaction=\S+ query=\S+ wait=`)
	eventually(t, func() string {
		if !done.MatchString(w.Log.String()) {
			return "no line of the last second"
		}
		return ""
	})
}

// A reload changes them for clients and backends that are there.
func TestReloadOfWhatMessagesAndBackendsMayDo(t *testing.T) {
	d := database(t)
	w := startReloadable(t, d, "[pool]\npool_size = 1")
	long, simple := enter(t, w.weirUnderTest, d), enter(t, w.weirUnderTest, d)
	text := "SELECT length('" + strings.Repeat("x", 9000) + "')"
	long.Query(text)
	w.reload("[pool]\npool_size = 1\n[limits]\nmax_packet_size = \"8KiB\"")
	w.expectLogged("[limits] max_packet_size: \\\"0\\\" -> \\\"8KiB\\\"")
	simple.Query("SELECT 1")
	long.SendBytes(queryBytes(text))
	long.expectLastError("54000")
	w.reload("[pool]\npool_size = 1\n[clients]\nsimple_query = false")
	simple.inBackground("SELECT 1")
	simple.expectLastError("0A000")
}
