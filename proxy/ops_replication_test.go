package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"weir/internal/pgserver"
)

// publisher is a server that can be replicated from, with some books to replicate.
func publisher(t *testing.T) *pgserver.Database {
	d := privateServer(t, pgserver.Options{
		Settings: map[string]string{
			"wal_level": "logical", "max_wal_senders": "6", "max_replication_slots": "6", "wal_sender_timeout": "5s",
			"ssl": "on", "ssl_ca_file": "root.crt",
		},
		HBA: serverHBA, Files: serverFiles(),
	})
	d.Exec(t, "CREATE TABLE book (id int PRIMARY KEY, title text)",
		"INSERT INTO book SELECT n, 'book ' || n FROM generate_series(1, 1000) n",
		"CREATE PUBLICATION books FOR TABLE book")
	return d
}

const inTransactionMode = "[pool]\nmode = \"transaction\"\npool_size = 2\n"

// connInfo is what libpq's programs take for a connection through weir.
func connInfo(w *weirUnderTest, d *pgserver.Database) string {
	u, _ := url.Parse(w.DSN(d))
	s := fmt.Sprintf("host=%s port=%s user=%s sslmode=disable", u.Hostname(), u.Port(), d.Server.Superuser())
	if w.secret {
		s = strings.Replace(s, "sslmode=disable", "sslmode=require", 1)
	}
	return s
}

// tool is one of PostgreSQL's client programs, ready to run for a while.
func tool(t *testing.T, d *pgserver.Database, name string, args ...string) *exec.Cmd {
	t.Helper()
	path := clientProgram(t, d, name)
	if version, _ := exec.Command(path, "--version").Output(); name != "psql" && !strings.Contains(string(version), " "+serverMajor(d)+".") {
		t.Skipf("%s is another version's than the server: %s", name, version)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

// serverMajor is the server's major version: the programs refuse to replicate from a later one.
func serverMajor(d *pgserver.Database) string {
	_, version, _ := strings.Cut(d.Server.Version(), ") ")
	major, _, _ := strings.Cut(version, ".")
	return major
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// expectReplications waits until so many connections for replication are open.
func expectReplications(t *testing.T, w *weirUnderTest, want int) {
	t.Helper()
	eventually(t, func() string {
		now := 0
		for _, r := range w.Proxy.Snapshot().Replications {
			now += r.Clients
		}
		if now != want {
			return fmt.Sprintf("%d connections for replication, want %d", now, want)
		}
		return ""
	})
}

// TestReplicationPrograms has PostgreSQL's own programs replicate through weir, physically and logically, in transaction mode.
func TestReplicationPrograms(t *testing.T) {
	d := publisher(t)
	bothWays(t, func(t *testing.T, start starter) {
		w := start(t, d, inTransactionMode)
		t.Run("a base backup with its WAL", func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "backup")
			run(t, tool(t, d, "pg_basebackup", "-d", connInfo(w, d), "-D", dir, "-X", "stream", "-c", "fast"))
			run(t, tool(t, d, "pg_verifybackup", dir))
		})
		t.Run("a stream of WAL", func(t *testing.T) { receiveWAL(t, d, w) })
		t.Run("a stream of changes", func(t *testing.T) { receiveChanges(t, d, w) })
		t.Run("psql on such a connection", func(t *testing.T) {
			cmd := tool(t, d, "psql", "-XAt", "-d", connInfo(w, d)+" dbname="+d.Name+" replication=database application_name=replica options='-c work_mem=7MB'",
				"-c", "IDENTIFY_SYSTEM", "-c", "SELECT count(*) FROM book", "-c", "SHOW application_name", "-c", "SHOW work_mem")
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err != nil || len(lines) != 4 || !strings.HasSuffix(lines[0], "|"+d.Name) || lines[2] != "replica" || lines[3] != "7MB" {
				t.Fatalf("%v\n%s", err, out)
			}
		})
		expectReplications(t, w, 0)
	})
}

// receiveWAL streams physically until a segment is whole.
func receiveWAL(t *testing.T, d *pgserver.Database, w *weirUnderTest) {
	dir, slot := t.TempDir(), "physical_"+strings.ToLower(filepath.Base(t.Name()))
	run(t, tool(t, d, "pg_receivewal", "-d", connInfo(w, d), "--create-slot", "-S", slot, "-D", dir))
	cmd := tool(t, d, "pg_receivewal", "-d", connInfo(w, d), "-S", slot, "-D", dir, "--no-loop")
	running := background(t, cmd)
	expectReplications(t, w, 1)
	admin := direct(t, d)
	eventually(t, func() string {
		ask(t, admin, "INSERT INTO book SELECT max(id) + 1, 'late' FROM book; SELECT pg_switch_wal()")
		if whole, _ := filepath.Glob(filepath.Join(dir, strings.Repeat("[0-9A-F]", 24))); len(whole) == 0 {
			return "no segment is whole"
		}
		return ""
	})
	running.interrupt()
	slotIsFree(t, admin, slot)
	run(t, tool(t, d, "pg_receivewal", "-d", connInfo(w, d), "--drop-slot", "-S", slot))
}

// receiveChanges streams logically until a change has come.
func receiveChanges(t *testing.T, d *pgserver.Database, w *weirUnderTest) {
	info, slot := connInfo(w, d)+" dbname="+d.Name, "logical_"+strings.ToLower(filepath.Base(t.Name()))
	run(t, tool(t, d, "pg_recvlogical", "-d", info, "--create-slot", "-S", slot, "-P", "pgoutput"))
	file := filepath.Join(t.TempDir(), "changes")
	running := background(t, tool(t, d, "pg_recvlogical", "-d", info, "--start", "-S", slot, "-f", file, "-F", "1", "--no-loop",
		"-o", "proto_version=1", "-o", "publication_names=books"))
	expectReplications(t, w, 1)
	d.Exec(t, "INSERT INTO book SELECT max(id) + 1, 'a change of its own' FROM book")
	eventually(t, func() string {
		if b, _ := os.ReadFile(file); !strings.Contains(string(b), "a change of its own") {
			return fmt.Sprintf("%d bytes of changes", len(b))
		}
		return ""
	})
	running.interrupt()
	slotIsFree(t, direct(t, d), slot)
	run(t, tool(t, d, "pg_recvlogical", "-d", info, "--drop-slot", "-S", slot))
}

// slotIsFree waits for the sender of a stream that has ended to be gone: until then its slot cannot be dropped.
func slotIsFree(t *testing.T, admin *pgconn.PgConn, slot string) {
	t.Helper()
	eventually(t, func() string {
		if active := ask(t, admin, "SELECT active FROM pg_replication_slots WHERE slot_name = '"+slot+"'"); active != "f" {
			return "active: " + active
		}
		return ""
	})
}

type runningProgram struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan error
	out  *strings.Builder
}

// background starts a program that ends when it is interrupted, and is to end without an error then.
func background(t *testing.T, cmd *exec.Cmd) *runningProgram {
	t.Helper()
	r := &runningProgram{t: t, cmd: cmd, done: make(chan error, 1), out: new(strings.Builder)}
	cmd.Stdout, cmd.Stderr = r.out, r.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return r
}

func (r *runningProgram) interrupt() {
	r.t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGINT)
	if err := <-r.done; err != nil {
		r.t.Errorf("%s: %v\n%s", r.cmd, err, r.out)
	}
}

// TestSubscriptionThroughWeir has one database subscribe to another's publication by way of weir: rows from before and from now.
func TestSubscriptionThroughWeir(t *testing.T) {
	d := publisher(t)
	w := start(t, d, inTransactionMode)
	if err := d.Server.CreateDatabase(context.Background(), "copy"); err != nil {
		t.Fatal(err)
	}
	d.Exec(t, "SELECT pg_create_logical_replication_slot('books', 'pgoutput')") // a subscription on the same server cannot make it
	reader := &pgserver.Database{Server: d.Server, Name: "copy"}
	reader.Exec(t, "CREATE TABLE book (id int PRIMARY KEY, title text)",
		fmt.Sprintf("CREATE SUBSCRIPTION books CONNECTION '%s dbname=%s' PUBLICATION books WITH (create_slot = false, slot_name = books)",
			connInfo(w, d), d.Name))
	copied := direct(t, reader)
	count := func(want string) {
		t.Helper()
		eventually(t, func() string {
			if got := ask(t, copied, "SELECT count(*), max(title) FROM book"); got != want {
				return got + " copied, want " + want
			}
			return ""
		})
	}
	count("1000|book 999")
	d.Exec(t, "UPDATE book SET title = 'changed' WHERE id = 7", "DELETE FROM book WHERE id <= 6")
	count("994|changed")
	reader.Exec(t, "ALTER SUBSCRIPTION books DISABLE", "ALTER SUBSCRIPTION books SET (slot_name = NONE)", "DROP SUBSCRIPTION books")
	expectReplications(t, w, 0)
}

// replica is a connection for logical replication through weir.
func replica(t *testing.T, w *weirUnderTest, d *pgserver.Database) *pgconn.PgConn {
	t.Helper()
	c, err := tryReplica(w, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(c) })
	return c
}

func tryReplica(w *weirUnderTest, d *pgserver.Database) (*pgconn.PgConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return pgconn.Connect(ctx, w.DSN(d, "replication", "database"))
}

func closeNow(c *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = c.Close(ctx)
}

// TestReplicationCountsAmongBackends holds it to the limits over pools: it takes an idle backend's place, waits while there is
// none, and is refused in the end.
func TestReplicationCountsAmongBackends(t *testing.T) {
	d := publisher(t)
	w := start(t, d, "[limits]\nmax_db_connections = 1\n[timeouts]\nquery_wait_timeout = \"1s\"\n"+inTransactionMode)
	c := enter(t, w, d)
	c.Query("SELECT 1") // its backend is idle now
	first := replica(t, w, d)
	eventually(t, func() string { // the server takes its time to end a backend
		if got := ask(t, first, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); got != "0" {
			return got + " other backends, want the idle one's place to be taken"
		}
		return ""
	})
	_, err := tryReplica(w, d)
	serverSays(t, err, "53300")
	c.inBackground("SELECT 1")
	refused(t, c.Answer().Err(), "53300")
	closeNow(first)
	again := make(chan *pgconn.PgConn, 1)
	go func() {
		c, err := tryReplica(w, d)
		if err != nil {
			t.Error(err)
		}
		again <- c
	}()
	closeNow(<-again)
	c.Query("SELECT 1")
	expectReplications(t, w, 0)
}

func serverSays(t *testing.T, err error, want string) {
	t.Helper()
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != want {
		t.Errorf("%v, want an error %s", err, want)
	}
}

// startReplica begins the login of a client for replication, and does not wait for its answer.
func startReplica(t *testing.T, w *weirUnderTest, d *pgserver.Database) net.Conn {
	t.Helper()
	nc := dialRaw(t, w.Addr)
	startup := &pgproto3.StartupMessage{ProtocolVersion: 3 << 16, Parameters: map[string]string{
		"user": d.Server.Superuser(), "database": d.Name, "replication": "database",
	}}
	b, err := startup.Encode(nil)
	if err == nil {
		_, err = nc.Write(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// TestReplicationThatIsNotWaitedForAnyMore leaves the queue.
func TestReplicationThatIsNotWaitedForAnyMore(t *testing.T) {
	d := publisher(t)
	w := start(t, d, "[limits]\nmax_db_connections = 1\n[timeouts]\nquery_wait_timeout = 0\n"+inTransactionMode)
	first := replica(t, w, d)
	waiter := startReplica(t, w, d)
	clients := func(want int) {
		t.Helper()
		eventually(t, func() string {
			if n := w.Proxy.Snapshot().Limits.Clients; n != want {
				return fmt.Sprintf("%d clients, want %d", n, want)
			}
			return ""
		})
	}
	clients(2)
	_ = waiter.Close()
	clients(1)
	closeNow(first)
	expectReplications(t, w, 0)
}

// TestReplicationIsKilledBeforeItHasItsBackend: KILL ends a client, too, that is still being given what it asks for.
func TestReplicationIsKilledBeforeItHasItsBackend(t *testing.T) {
	d := publisher(t)
	w := start(t, d, "[limits]\nmax_db_connections = 1\n"+inTransactionMode)
	c := enter(t, w, d)
	c.Query("BEGIN")
	waiter := startReplica(t, w, d)
	eventually(t, func() string {
		if n := w.Proxy.Snapshot().Limits.Clients; n != 2 {
			return fmt.Sprintf("%d clients, want 2", n)
		}
		return ""
	})
	if err := w.Proxy.Kill(d.Name); err != nil { // and so there is a place
		t.Fatal(err)
	}
	c.expectLastError("57P01")
	_ = waiter.SetReadDeadline(time.Now().Add(patience))
	if told, err := io.ReadAll(waiter); err != nil || !bytes.Contains(told, []byte("57P01")) {
		t.Errorf("it is told %q, %v", told, err)
	}
	expectReplications(t, w, 0)
}

// TestReplicationIsNoPoolsBackend: what such a connection does to its session nobody else meets, and it meets nobody's.
func TestReplicationIsNoPoolsBackend(t *testing.T) {
	d := publisher(t)
	w := start(t, d, "[pool]\npool_size = 1")
	r, c := replica(t, w, d), enter(t, w, d)
	ask(t, r, "SET search_path = nowhere; CREATE TEMP TABLE mine (x int)")
	if got := c.Query("SHOW search_path"); strings.Contains(got, "nowhere") {
		t.Error("another client has its search_path")
	}
	pid := ask(t, r, "SELECT pg_backend_pid()")
	closeNow(r)
	eventually(t, func() string {
		if backendsOf(d)[pid] {
			return "its backend lives on"
		}
		return ""
	})
}

// TestReplicationIsCancelled: Ctrl-C reaches the backend, and only with the right key.
func TestReplicationIsCancelled(t *testing.T) {
	d := publisher(t)
	bothWays(t, func(t *testing.T, start starter) {
		w := start(t, d, inTransactionMode)
		for _, version := range []string{"3.0", "3.2"} {
			c, err := pgconn.Connect(context.Background(), w.DSN(d, "replication", "database", "max_protocol_version", version))
			if err != nil {
				t.Fatal(err)
			}
			result := make(chan error, 1)
			go func() {
				_, err := tryAsk(c, "SELECT pg_sleep(60)")
				result <- err
			}()
			admin := direct(t, d)
			eventually(t, func() string {
				if ask(t, admin, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'") != "1" {
					return "it does not sleep"
				}
				return ""
			})
			if err := c.CancelRequest(context.Background()); err != nil {
				t.Fatal(err)
			}
			serverSays(t, <-result, "57014")
			closeNow(c)
		}
	})
}

// TestReplicationEnds tells its client why: the server's own words, or those of a weir that stops.
func TestReplicationEnds(t *testing.T) {
	d := publisher(t)
	stream := func(t *testing.T, w *weirUnderTest) *pgconn.PgConn {
		t.Helper()
		r := replica(t, w, d)
		ask(t, r, "CREATE_REPLICATION_SLOT gone TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT")
		f := r.Frontend()
		f.Send(&pgproto3.Query{String: `START_REPLICATION SLOT gone LOGICAL 0/0 (proto_version '1', publication_names 'books')`})
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		if m, err := f.Receive(); err != nil {
			t.Fatal(err)
		} else if _, ok := m.(*pgproto3.CopyBothResponse); !ok {
			t.Fatalf("%T, want CopyBothResponse", m)
		}
		return r
	}
	// lastWord reads the stream to its end.
	lastWord := func(t *testing.T, r *pgconn.PgConn, want string) {
		t.Helper()
		_ = r.Conn().SetReadDeadline(time.Now().Add(patience))
		code := ""
		for {
			m, err := r.Frontend().Receive()
			if err != nil {
				if code != want {
					t.Errorf("%v behind an error %q, want %s", err, code, want)
				}
				return
			}
			if e, ok := m.(*pgproto3.ErrorResponse); ok {
				code = e.Code
			}
		}
	}
	for name, end := range map[string]func(w *weirUnderTest){
		"the backend is terminated": func(*weirUnderTest) {
			d.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
		},
		"weir drains": func(w *weirUnderTest) { w.Proxy.Drain() },
		"weir stops":  func(w *weirUnderTest) { w.Proxy.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, d, "[timeouts]\ndrain_timeout = \"500ms\"\n"+inTransactionMode)
			r := stream(t, w)
			end(w)
			lastWord(t, r, "57P01")
			_ = r.Conn().Close()
			expectReplications(t, w, 0)
		})
	}
	t.Run("the client vanishes", func(t *testing.T) {
		w := start(t, d, inTransactionMode)
		r := stream(t, w)
		_ = r.Conn().Close()
		expectReplications(t, w, 0)
	})
}

// TestSlowReplicaHoldsBackItsServer: a base backup that is not read stays in the server.
func TestSlowReplicaHoldsBackItsServer(t *testing.T) {
	d := publisher(t)
	bothWays(t, func(t *testing.T, start starter) {
		w := start(t, d, inTransactionMode)
		r := replica(t, w, d)
		before := heap()
		f := r.Frontend()
		f.Send(&pgproto3.Query{String: "BASE_BACKUP (CHECKPOINT 'fast')"})
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		sent := func() uint64 { return w.Proxy.Snapshot().Replications[0].BytesOut }
		last := uint64(0)
		eventually(t, func() string {
			now := sent()
			if stands := now == last && now > 1<<10; stands {
				return ""
			}
			last = now
			time.Sleep(300 * time.Millisecond)
			return "it moves"
		})
		if grown := heap() - before; grown > largeGrowth {
			t.Errorf("the heap has grown by %d KiB", grown>>10)
		}
		held := sent()
		_ = r.Conn().SetReadDeadline(time.Now().Add(3 * patience))
		n, done := 0, 0
		for done == 0 {
			m, err := f.Receive()
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *pgproto3.CopyData:
				n += len(m.Data)
			case *pgproto3.ErrorResponse:
				t.Fatal(m.Message)
			case *pgproto3.ReadyForQuery:
				done++
			}
		}
		if n < 20<<20 || held > uint64(n)/2 {
			t.Errorf("%d of %d bytes were sent to a client that did not read", held, n)
		}
	})
}

// TestReplicationIsRefused where the server refuses it, with the server's reason, or where weir's rules do.
func TestReplicationIsRefused(t *testing.T) {
	d := publisher(t)
	d.Exec(t, "CREATE ROLE clerk LOGIN")
	connect := func(w *weirUnderTest, user, kind string) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		dsn := strings.Replace(w.DSN(d, "replication", kind), d.Server.Superuser()+"@", user+"@", 1)
		c, err := pgconn.Connect(ctx, dsn)
		if err == nil {
			closeNow(c)
		}
		return err
	}
	t.Run("by the server", func(t *testing.T) {
		w := start(t, d, inTransactionMode)
		err := connect(w, "clerk", "database")
		if serverSays(t, err, "42501"); err == nil || !strings.Contains(err.Error(), "refused weir's login") {
			t.Error(err)
		}
		eventuallyLogged(t, w, "no backend for replication", "clerk")
	})
	t.Run("by a rule", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "hba.conf")
		if err := os.WriteFile(file, []byte("host all all 127.0.0.1/32 trust\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := start(t, d, fmt.Sprintf("[auth]\ntype = \"hba\"\nhba_file = %q\n", file)+inTransactionMode)
		if err := connect(w, d.Server.Superuser(), "database"); err != nil {
			t.Errorf("logical replication, to which \"all\" applies: %v", err)
		}
		err := connect(w, d.Server.Superuser(), "true")
		if serverSays(t, err, "28000"); err == nil || !strings.Contains(err.Error(), "replication connection from host") {
			t.Error(err)
		}
	})
}

// TestReplicationLogsInAsItsClient with what the client's own login has shown, for a server that asks for SCRAM; and a password that
// has changed is no lasting trouble for the pool of that user.
func TestReplicationLogsInAsItsClient(t *testing.T) {
	d := guarded(t, pgserver.Options{Settings: map[string]string{"wal_level": "logical"}})
	d.Exec(t, "ALTER ROLE app REPLICATION")
	w := start(t, d, asksForUsers+"[timeouts]\nserver_login_retry = \"1h\"\n")
	if got := logInAs(t, w, d, "app", "right", "replication", "database"); got != "app" {
		t.Error(got)
	}
	if got := logInAs(t, w, d, "app", "right"); got != "app" {
		t.Error(got)
	}
	d.Exec(t, "ALTER ROLE app PASSWORD 'new'", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
	eventually(t, func() string {
		time.Sleep(200 * time.Millisecond)
		if got := logInAs(t, w, d, "app", "new", "replication", "database"); got != "app" {
			return got
		}
		return ""
	})
	if got := logInAs(t, w, d, "app", "new"); got != "app" {
		t.Error(got)
	}
}

// TestReplicaThatTakesNothingIsDisconnected, so that its server does not keep what it would have to send.
func TestReplicaThatTakesNothingIsDisconnected(t *testing.T) {
	d := database(t)
	w := start(t, d, "[timeouts]\nclient_stall_timeout = \"300ms\"\n"+inTransactionMode)
	r := replica(t, w, d)
	f := r.Frontend()
	f.Send(&pgproto3.Query{String: "BASE_BACKUP (CHECKPOINT 'fast')"})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	expectLine(t, w, "timeout: client disconnected", "setting=client_stall_timeout", "limit=300ms", "db="+d.Name)
	expectReplications(t, w, 0)
	_ = r.Conn().Close()
}

// TestMessagesOfReplicationAreBounded by max_packet_size in both directions, as it is now.
func TestMessagesOfReplicationAreBounded(t *testing.T) {
	d := database(t)
	w := start(t, d, "[auth]\ntype = \"trust\"\n[admin]\nadmin_users = [\"boss\"]\n[limits]\nmax_packet_size = \"64KiB\"\n"+inTransactionMode)
	long := "SELECT length('" + strings.Repeat("x", 100<<10) + "')"
	_, err := tryAsk(replica(t, w, d), long)
	serverSays(t, err, "54000")
	expectLine(t, w, "client closed: it has sent what the operator does not let through", "type='Q'", "db="+d.Name)
	_, err = tryAsk(replica(t, w, d), "SELECT repeat('x', 102400)")
	serverSays(t, err, "54000")
	expectLine(t, w, "client closed: a message of the server's is longer than max_packet_size", "limit=65536")
	r := replica(t, w, d)
	orders(t, w.console(t, "boss"), "SET max_packet_size = '1MiB'")
	if got := ask(t, r, long); got != "102400" {
		t.Errorf("with a greater limit: %s", got)
	}
}
