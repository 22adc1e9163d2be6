package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// listener is a client of the driver's that listens.
type listener struct {
	t       *testing.T
	conn    *pgconn.PgConn
	heard   []*pgconn.Notification
	notices []string
}

func connectListener(t *testing.T, w *weirUnderTest, d *pgserver.Database, params ...string) *listener {
	t.Helper()
	l := &listener{t: t}
	c, err := pgconn.ParseConfig(w.DSN(d, params...))
	if err != nil {
		t.Fatal(err)
	}
	c.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { l.heard = append(l.heard, n) }
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { l.notices = append(l.notices, n.Code) }
	if l.conn, err = pgconn.ConnectConfig(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.conn.Close(context.Background()) })
	return l
}

// do runs statements and returns their rows.
func (l *listener) do(sql string) string {
	l.t.Helper()
	return ask(l.t, l.conn, sql)
}

// hears waits until exactly these have been heard, since the last time, as channel:payload.
func (l *listener) hears(want ...string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	for len(l.heard) < len(want) {
		if err := l.conn.WaitForNotification(ctx); err != nil {
			l.t.Fatalf("heard %v, want %v: %v", l.said(), want, err)
		}
	}
	if got := l.said(); !slices.Equal(got, want) {
		l.t.Fatalf("heard %v, want %v", got, want)
	}
	l.heard = nil
}

func (l *listener) said() (said []string) {
	for _, n := range l.heard {
		said = append(said, n.Channel+":"+n.Payload)
	}
	return said
}

// listening waits until so many clients listen without a backend, and no client has one.
func (w *weirUnderTest) listening(t *testing.T, clients int) {
	t.Helper()
	eventually(t, func() string {
		p := w.pool()
		active, cleaning := p.Backends[status.BackendActive], p.Backends[status.BackendCleaning] // which may still be a client's: it ceases to listen
		if p.Listen.Clients != clients || p.Pinned > 0 || active > 0 || cleaning > 0 {
			return fmt.Sprintf("%d clients listen, %d backends are pinned, %d active, %d cleaning", p.Listen.Clients, p.Pinned, active, cleaning)
		}
		return ""
	})
}

func (w *weirUnderTest) pool() status.Pool { return w.Proxy.Snapshot().Pools[0] }

// Fifty clients listen and two backends serve whoever else comes.
func TestClientsThatListenNeedNoBackends(t *testing.T) {
	const clients = 50
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	var all []*listener
	for i := range clients {
		l := connectListener(t, w, d)
		l.do(fmt.Sprintf("LISTEN own_%d; LISTEN \"All of them\"", i))
		all = append(all, l)
	}
	w.listening(t, clients)
	expectBackends(t, d, 3)
	other := connectListener(t, w, d)
	other.do(`NOTIFY "All of them", 'one'`)
	for i := range clients {
		other.do(fmt.Sprintf("SELECT pg_notify('own_%d', '%d'), pg_sleep(0)", i, i))
	}
	other.do(`BEGIN; NOTIFY "All of them", 'two'; COMMIT; NOTIFY "All of them"`)
	for i, l := range all {
		l.hears("All of them:one", fmt.Sprintf("own_%d:%d", i, i), "All of them:two", "All of them:")
	}
	p := w.pool()
	if p.Listen.Delivered != 4*clients || len(p.Listen.Channels) != clients+1 || !p.Listen.Connected {
		t.Errorf("%d delivered, %d channels", p.Listen.Delivered, len(p.Listen.Channels))
	}
	if c := p.Listen.Channels[0]; c.Name != "All of them" || c.Clients != clients {
		t.Errorf("the first channel is %+v", c)
	}
	for _, l := range all {
		_ = l.conn.Close(t.Context())
	}
	w.listening(t, 0)
}

// What a client listens to is what a session of its own would listen to, and it shows.
func TestListenIsTransactional(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	other := connectListener(t, w, d)
	for name, test := range map[string]struct {
		run  []string
		want string // the channels
	}{
		"autocommit":        {[]string{"LISTEN a"}, "a"},
		"commit":            {[]string{"BEGIN", "LISTEN a", "LISTEN b", "COMMIT"}, "a b"},
		"rollback":          {[]string{"BEGIN", "LISTEN a", "ROLLBACK"}, ""},
		"error":             {[]string{"LISTEN a", "LISTEN b; SELECT 1/0"}, "a"},
		"savepoint":         {[]string{"BEGIN", "LISTEN a", "SAVEPOINT s", "LISTEN b", "ROLLBACK TO s", "LISTEN c", "COMMIT"}, "a c"},
		"released":          {[]string{"BEGIN", "SAVEPOINT s", "LISTEN b", "RELEASE s", "COMMIT"}, "b"},
		"unlisten":          {[]string{"LISTEN a", "LISTEN b", "UNLISTEN a"}, "b"},
		"unlisten all":      {[]string{"LISTEN a", "LISTEN b", "UNLISTEN *", "LISTEN c"}, "c"},
		"unlisten undone":   {[]string{"LISTEN a", "BEGIN", "UNLISTEN *", "ROLLBACK"}, "a"},
		"unlisten to":       {[]string{"LISTEN a", "LISTEN b", "BEGIN", "UNLISTEN a", "SAVEPOINT s", "UNLISTEN *", "ROLLBACK TO s", "COMMIT"}, "b"},
		"discard":           {[]string{"LISTEN a", "DISCARD ALL", "LISTEN b"}, "b"},
		"folded and quoted": {[]string{`LISTEN A; LISTEN "B ""x"""; LISTEN ` + strings.Repeat("y", 70)}, `B "x" a ` + strings.Repeat("y", 63)},
		"hidden":            {[]string{"DO $$BEGIN EXECUTE 'LISTEN a'; END$$"}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			l := connectListener(t, w, d)
			for _, sql := range test.run {
				_, _ = tryAsk(l.conn, sql)
			}
			const channels = "SELECT string_agg(c, ' ' ORDER BY c) FROM pg_listening_channels() c"
			if got := l.do(channels); got != test.want {
				t.Errorf("it listens to %q, want %q", got, test.want)
			}
			if got := l.do("BEGIN; " + channels + "; COMMIT"); got != test.want {
				t.Errorf("in a block it listens to %q, want %q", got, test.want)
			}
			var want []string
			for _, channel := range []string{"a", "b", "c"} {
				other.do("NOTIFY " + channel + ", 'x'")
				if slices.Contains(strings.Fields(test.want), channel) {
					want = append(want, channel+":x")
				}
			}
			l.hears(want...)
			_ = l.conn.Close(t.Context())
		})
	}
}

// A client hears its own notifications before the answer's end, and knows them by its own process ID; those of others by theirs.
func TestNotificationsNameTheClientThatNotifies(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	a, b := connectListener(t, w, d), connectListener(t, w, d)
	outside := direct(t, d)
	a.do("LISTEN x")
	w.listening(t, 1)
	a.do("NOTIFY x, 'own'")
	if len(a.heard) != 1 || a.heard[0].PID != a.conn.PID() {
		t.Errorf("its own: %v from %v, it is %d", a.said(), a.heard, a.conn.PID())
	}
	a.hears("x:own")
	for _, from := range []*pgconn.PgConn{b.conn, outside} {
		ask(t, from, "NOTIFY x, 'other'")
		for len(a.heard) == 0 {
			if err := a.conn.WaitForNotification(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if a.heard[0].PID != from.PID() {
			t.Errorf("another's: from %d, want %d", a.heard[0].PID, from.PID())
		}
		a.hears("x:other")
	}
}

// What is committed before a LISTEN is not heard, what is committed after it is, and nothing twice, however often the client goes
// from one backend to another.
func TestNothingIsHeardTwiceOrInVain(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	l, other := connectListener(t, w, d), connectListener(t, w, d)
	for round := range 20 {
		other.do("NOTIFY a, 'before'")
		l.do("BEGIN")
		l.do("LISTEN a")
		other.do("NOTIFY a, 'amid'")
		l.do("COMMIT")
		want := []string{}
		for n := range 5 {
			other.do(fmt.Sprintf("NOTIFY a, '%d'", n))
			want = append(want, fmt.Sprintf("a:%d", n))
			if n%2 == round%2 {
				l.do("BEGIN; SELECT 1; COMMIT")
			}
		}
		l.hears(want...)
		l.do("UNLISTEN *")
	}
	other.do("NOTIFY a, 'after'")
	l.do("LISTEN b; NOTIFY b, 'end'")
	l.hears("b:end")
}

// When the connection that listens is lost, the clients are told once there is another.
func TestClientsAreToldOfNotificationsThatTheyMayHaveMissed(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\nlisten_lost_channel = \"lost\"")
	l, plain := connectListener(t, w, d), connectListener(t, w, d)
	l.do("LISTEN a")
	plain.do("SELECT 1")
	w.listening(t, 1)
	killed := ask(t, direct(t, d), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
	if killed != "1" {
		t.Fatalf("%s connections listen", killed)
	}
	l.hears("lost:notifications may have been missed")
	if !slices.Contains(l.notices, "01000") {
		t.Errorf("the notices are %v", l.notices)
	}
	plain.do("NOTIFY a, 'again'")
	l.hears("a:again")
	if n := w.pool().Listen.Reconnections; n != 1 {
		t.Errorf("%d reconnections", n)
	}
	if len(plain.notices) > 0 || len(plain.heard) > 0 {
		t.Error("a client that does not listen was told")
	}
	eventuallyLogged(t, w, "listener connection lost")
}

// Clients of one pool on three loops listen by way of one connection. It outlives those for whom it was made, and when it is lost each client
// is told once.
func TestClientsThatListenOnSeveralLoopsShareAConnection(t *testing.T) {
	const clients = 9
	d := database(t)
	w := spreading(t, d, 3, "[pool]\npool_size = 3\nlisten_lost_channel = \"lost\"")
	server := direct(t, d)
	listen := func() string {
		return ask(t, server, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^(UN)?LISTEN \"'")
	}
	var all []*listener
	for i := range clients {
		l := connectListener(t, w, d)
		l.do(fmt.Sprintf("LISTEN shared; LISTEN own_%d", i))
		all = append(all, l)
	}
	w.listening(t, clients)
	if n := listen(); n != "1" {
		t.Errorf("%s connections listen", n)
	}
	for i, l := range all {
		ask(t, server, fmt.Sprintf("NOTIFY shared, '%d'; NOTIFY own_%d", i, i))
		for j, other := range all {
			if want := fmt.Sprintf("shared:%d", i); j != i {
				other.hears(want)
			} else {
				l.hears(want, fmt.Sprintf("own_%d:", i))
			}
		}
	}
	ask(t, server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'")
	for i, l := range all {
		if l.hears("lost:notifications may have been missed"); !slices.Equal(l.notices, []string{"01000"}) {
			t.Errorf("client %d has the notices %v", i, l.notices)
		}
	}
	if p := w.pool().Listen; p.Reconnections != 1 || !p.Connected {
		t.Errorf("%d reconnections", p.Reconnections)
	}
	for i := range all {
		_ = all[i].conn.Close(t.Context())
		w.listening(t, clients-i-1)
		ask(t, server, "NOTIFY shared, 'still'")
		for _, l := range all[i+1:] {
			l.hears("shared:still")
		}
		if n := listen(); n != "1" {
			t.Errorf("%d clients have left, and %s connections listen", i+1, n)
		}
	}
}

// A listener connection that does not answer any more is given up, and the clients of all loops get another.
func TestListenerConnectionThatDoesNotAnswerIsReplaced(t *testing.T) {
	const clients = 6
	d := database(t)
	w := spreading(t, d, 3, "[pool]\npool_size = 3\nlisten_lost_channel = \"lost\"")
	var all []*listener
	for range clients {
		l := connectListener(t, w, d)
		l.do("LISTEN a")
		all = append(all, l)
	}
	w.listening(t, clients)
	server := direct(t, d)
	pid, err := strconv.Atoi(ask(t, server, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^(UN)?LISTEN \"'"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	for i, l := range all {
		l.do(fmt.Sprintf("LISTEN own_%d", i))
	}
	for _, l := range all {
		l.hears("lost:notifications may have been missed")
	}
	w.listening(t, clients)
	for i, l := range all {
		ask(t, server, fmt.Sprintf("NOTIFY own_%d, 'again'", i))
		l.hears(fmt.Sprintf("own_%d:again", i))
	}
}

// A client that listens outlives its server's restart.
func TestListeningOutlivesARestartOfTheServer(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	l := connectListener(t, w, d)
	l.do("LISTEN a")
	w.listening(t, 1)
	if err := d.Server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(l.notices) == 0 {
		if _, err := l.conn.ReceiveMessage(ctx); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, direct(t, d), "NOTIFY a, 'again'")
	l.hears("a:again")
}

// A client that listens and does not read costs bounded memory, and no other client anything.
func TestClientThatDoesNotReadItsNotificationsIsClosed(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\nmax_notification_bytes = \"100KiB\"")
	deaf, l := enter(t, w, d), connectListener(t, w, d)
	deaf.Query("LISTEN a")
	l.do("LISTEN a")
	w.listening(t, 2)
	other := connectListener(t, w, d)
	for n := 0; !w.Log.Contains("client closed: it does not read its notifications"); n++ {
		if n > 2000 {
			t.Fatal("it is not closed")
		}
		other.do("SELECT pg_notify('a', repeat('x', 7000)), pg_notify('a', repeat('y', 7000))")
		l.heard = nil
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for len(l.heard) < 2 {
			if err := l.conn.WaitForNotification(ctx); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
	}
	w.listening(t, 1)
}

func TestPgxWaitsForNotifications(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 1")
	for _, mode := range pgxModes {
		conn, err := pgx.Connect(t.Context(), w.DSN(d, "default_query_exec_mode", strings.ReplaceAll(mode.String(), " ", "_")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "LISTEN a"); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			if _, err := conn.Exec(t.Context(), "SELECT pg_notify('a', $1)", fmt.Sprint(n)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			heard, err := conn.WaitForNotification(ctx)
			cancel()
			if err != nil || heard.Payload != fmt.Sprint(n) {
				t.Fatalf("%v: heard %v: %v", mode, heard, err)
			}
		}
		if _, err := conn.Exec(t.Context(), "UNLISTEN *"); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
	}
}

// Many clients listen, notify and cease to listen at once, with two backends, beside others that only work.
func TestListenersAndOthersShareTwoBackends(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	together(t, 30, func(ctx context.Context, client int) error {
		conn, err := pgx.Connect(ctx, w.DSN(d))
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		for round := range 5 {
			if client%3 == 0 {
				var n int
				if err := conn.QueryRow(ctx, "SELECT $1::int", round).Scan(&n); err != nil || n != round {
					return fmt.Errorf("got %d: %w", n, err)
				}
				continue
			}
			channel := fmt.Sprint("channel_", client)
			if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
				return err
			}
			for n := range 3 {
				if _, err := conn.Exec(ctx, "SELECT pg_notify($1, $2)", channel, fmt.Sprint(n)); err != nil {
					return err
				}
				heard, err := conn.WaitForNotification(ctx)
				if err != nil || heard.Channel != channel || heard.Payload != fmt.Sprint(n) || heard.PID != conn.PgConn().PID() {
					return fmt.Errorf("heard %v: %w", heard, err)
				}
			}
			if _, err := conn.Exec(ctx, "UNLISTEN *"); err != nil {
				return err
			}
		}
		return nil
	})
	w.listening(t, 0)
}

// A client whose encoding is not that of the connection that listens is not handed over, and one that changes its own is taken back.
func TestClientsThatListenHearInTheirOwnEncoding(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 3")
	latin, changes, other := connectListener(t, w, d, "client_encoding", "LATIN1"), connectListener(t, w, d), connectListener(t, w, d)
	for _, l := range []*listener{changes, latin} {
		l.do("LISTEN a")
	}
	changes.do("SET client_encoding = 'LATIN1'")
	other.do("NOTIFY a, 'é'")
	for _, l := range []*listener{changes, latin} {
		l.hears("a:\xe9")
	}
	changes.do("SET client_encoding = 'UTF8'")
	eventually(t, func() string {
		if p := w.pool(); p.Listen.Clients != 1 || p.Pinned != 1 {
			return fmt.Sprintf("%d clients listen without a backend, %d are pinned", p.Listen.Clients, p.Pinned)
		}
		return ""
	})
	other.do("NOTIFY a, 'é'")
	changes.hears("a:é")
	latin.hears("a:\xe9")
}

// The connection that listens counts under the limits over pools. An idle backend makes room for it; where there is none, the backend of
// the client that listens goes on to.
func TestTheConnectionThatListensCountsUnderTheLimits(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2\n[limits]\nmax_db_connections = 2")
	l, holder := connectListener(t, w, d), connectListener(t, w, d)
	holder.do("BEGIN")
	l.do("LISTEN a")
	l.do("NOTIFY a, 'by its backend'")
	l.hears("a:by its backend")
	if w.pool().Listen.Connected {
		t.Fatal("three connections where two may be")
	}
	holder.do("COMMIT")
	w.listening(t, 1)
	holder.do("NOTIFY a, 'by the other'")
	l.hears("a:by the other")
	expectBackends(t, d, 2)
}

func TestListenInStatementMode(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\nmode = \"statement\"\npool_size = 1")
	a, b := connectListener(t, w, d), connectListener(t, w, d)
	a.do("LISTEN x")
	b.do("LISTEN x")
	a.do("NOTIFY x, '1'")
	a.hears("x:1")
	b.hears("x:1")
}

// A client whose backend ends goes on listening, whether it is its own backend or not.
func TestClientsGoOnListeningWhenIdleBackendsEnd(t *testing.T) {
	d := database(t)
	w := start(t, d, "[pool]\npool_size = 2")
	l, other := connectListener(t, w, d), connectListener(t, w, d)
	l.do("LISTEN a")
	w.listening(t, 1)
	killed := ask(t, direct(t, d), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query NOT LIKE 'LISTEN%' AND pid <> pg_backend_pid()")
	eventually(t, func() string {
		if n := fmt.Sprint(w.pool().Totals.BackendsLost); n != killed {
			return n + " backends are lost, want " + killed
		}
		return ""
	})
	other.do("NOTIFY a, 'still'")
	l.hears("a:still")
	if len(l.notices) > 0 {
		t.Errorf("it was told that %v", l.notices)
	}
}

// An UNLISTEN in a function that is named in opaque_functions counts as one in the text.
func TestUnlistenInAFunctionThatIsNamed(t *testing.T) {
	d := database(t)
	d.Exec(t, "CREATE FUNCTION quiet() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'UNLISTEN a'; END $$")
	w := start(t, d, "[session]\nopaque_functions = [\"quiet\"]")
	l, other := connectListener(t, w, d), enter(t, w, d)
	l.do("LISTEN a; LISTEN b")
	other.Query("NOTIFY a, '1'")
	l.hears("a:1")
	l.do("SELECT quiet()")
	other.Query("NOTIFY a, '2'; NOTIFY b, '3'")
	l.hears("b:3")
}
