package proxy_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

var soakFor = flag.Duration("soak", 0, "how long TestSoak works; 0 skips it (make soak)")

const (
	soakClients = 24 // for each loop: more than a lane must have before the pool gets one more
	soakBackend = 4
)

// soakLanes is over how many loops the pool spreads (-weirloops).
func soakLanes() int { return max(*everywhereLoops, 1) }

// TestSoak has clients work while all is done to weir and its servers that operators do and that befalls them. It holds weir to four
// promises: no client gets an error that weir could have avoided, every commit that was acknowledged is there exactly once, a query that its
// client cancels ends, and nothing leaks.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("runs with -soak=5m, or make soak")
	}
	s := &soak{t: t, path: buildWeir(t), primary: privateServer(t, pgserver.Options{Settings: map[string]string{"synchronous_commit": "on"}}), port: "0"}
	s.user = s.primary.Server.Superuser()
	s.clients, s.size = soakClients*soakLanes(), soakBackend*soakLanes()
	s.primary.Exec(t, "CREATE TABLE ledger (client int, number int, PRIMARY KEY (client, number))", "CREATE SEQUENCE drawn")
	s.standby = standbyOf(t, s.primary)
	s.weir = launch(t, s.path, s.primary, s.toml(s.size), "")
	s.boss = s.console()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var all sync.WaitGroup
	workers := make([]*soakWorker, s.clients)
	for i := range workers {
		workers[i] = &soakWorker{soak: s, id: i, acked: map[int]bool{}}
		all.Go(func() { workers[i].work(ctx) })
	}
	s.works()
	early := s.footprint()
	rounds := 0
	for end := time.Now().Add(*soakFor); time.Now().Before(end) && !t.Failed(); rounds++ {
		for _, step := range s.steps() {
			began := time.Now()
			s.during(step.excuse)
			step.do()
			s.works() // before the next one nothing is left of this one's excuse
			s.during("")
			s.works()
			t.Logf("%-28s %6s, %d commits, %d excused", step.name, time.Since(began).Round(time.Millisecond), s.commits.Load(), s.excused.Load())
		}
	}
	stop()
	all.Wait()
	s.expectLedger(workers)
	s.expectNoLeak(early)
	t.Logf("%d rounds, %d commits, %d cancelled queries, %d errors that could not be avoided", rounds, s.commits.Load(), s.cancels.Load(), s.excused.Load())
}

// soak is what the steps and the workers share.
type soak struct {
	t                *testing.T
	path             string
	primary, standby *pgserver.Database
	weir             *weirProcess
	boss             *pgconn.PgConn
	addr             atomic.Pointer[string] // where clients find weir
	user             string
	clients, size    int
	port             string                 // at which the present weir was told to listen
	excuse           atomic.Pointer[string] // codes that the present step explains
	commits, excused atomic.Int64
	cancels          atomic.Int64
}

type soakStep struct {
	name   string
	excuse string // SQLSTATEs that it makes unavoidable
	do     func()
}

// steps is one round. What has no excuse must be invisible to clients.
func (s *soak) steps() []soakStep {
	resize := func(size int) func() {
		return func() { s.reconfigure(s.toml(size)) }
	}
	return []soakStep{
		{"reload", "", func() { s.order("RELOAD") }},
		{"pool grows", "", resize(2 * s.size)},
		{"pool shrinks", "", resize(2)},
		{"pool as before", "", resize(s.size)},
		{"pause, resume", "", func() { s.order("PAUSE shop"); s.order("RESUME shop") }},
		{"reconnect", "", func() { s.order("RECONNECT shop"); s.order("WAIT_CLOSE shop") }},
		{"a bad file is refused", "", s.badFile},
		{"backends are killed", "57P01 08006", s.killBackends},
		{"PostgreSQL restarts", "57P01 57P02 57P03 08006", s.restartServer},
		{"planned switchover", "", s.switchover},
		{"the primary dies", "57P01 57P02 08006", s.failover},
		{"weir restarts", "57P01", s.restartWeir},
	}
}

func (s *soak) toml(size int) string {
	hosts := ledBy("shop", `target_session_attrs = "primary"`, s.primary, s.standby)
	return fmt.Sprintf("[http]\naddress = \"127.0.0.1:0\"\n[listen]\naddresses = [\"127.0.0.1:%s\"]\nreuse_port = true\n[admin]\nadmin_users = [\"boss\"]\n[timeouts]\ndrain_timeout = \"0s\"\n"+
		"[pool]\npool_size = %d\nsession_audit = \"always\"\n%s", s.port, size, hosts)
}

func (s *soak) during(excuse string) { s.excuse.Store(&excuse) }

func (s *soak) console() *pgconn.PgConn {
	s.addr.Store(&s.weir.Addr)
	return consoleAt(s.t, "postgres://boss@"+s.weir.Addr+"/pgbouncer?sslmode=disable")
}

func (s *soak) order(command string) {
	s.t.Helper()
	if _, err := s.boss.Exec(context.Background(), command).ReadAll(); err != nil {
		s.t.Errorf("%s: %+v", command, err)
	}
}

// reconfigure gives weir another file, whole.
func (s *soak) reconfigure(toml string) {
	s.t.Helper()
	if err := os.WriteFile(s.weir.file, []byte(complete(s.primary, toml)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.order("RELOAD")
}

// badFile: a reload that fails changes nothing.
func (s *soak) badFile() {
	good, err := os.ReadFile(s.weir.file)
	if err == nil {
		err = os.WriteFile(s.weir.file, []byte("[pool]\npool_size = -1\n"), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.boss.Exec(context.Background(), "RELOAD").ReadAll(); err == nil {
		s.t.Error("a bad file is taken")
	}
	if err := os.WriteFile(s.weir.file, good, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) killBackends() {
	c := direct(s.t, &pgserver.Database{Server: s.primary.Server, Name: "postgres"})
	ask(s.t, c, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '"+s.primary.Name+"'")
}

func (s *soak) restartServer() {
	if err := s.primary.Server.Restart(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// switchover makes the standby the primary, and the old primary's successor its standby.
func (s *soak) switchover() {
	t := s.t
	s.order("PAUSE shop")
	lsn, replay := ask(t, direct(t, s.primary), "SELECT pg_current_wal_insert_lsn()"), direct(t, s.standby)
	eventually(t, func() string {
		if got := ask(t, replay, "SELECT pg_last_wal_replay_lsn() >= '"+lsn+"'"); got != "t" {
			return "the standby lags"
		}
		return ""
	})
	_ = replay.Close(context.Background())
	s.primary.Server.Stop()
	promote(t, s.standby)
	s.order("RECONNECT shop")
	s.order("RESUME shop")
	s.succeed()
}

// failover has the primary die as in a crash, after it has begun to wait for its standby at each commit.
func (s *soak) failover() {
	t := s.t
	c := direct(t, s.primary)
	ask(t, c, "ALTER SYSTEM SET synchronous_standby_names = '*'")
	ask(t, c, "SELECT pg_reload_conf()")
	eventually(t, func() string {
		return differ(ask(t, c, "SELECT string_agg(sync_state, ',') FROM pg_stat_replication"), "sync")
	})
	s.works()
	s.primary.Server.Kill()
	promote(t, s.standby)
	s.succeed()
}

// succeed takes the new primary's word for it, and gives it a standby.
func (s *soak) succeed() {
	s.works()
	s.primary.Server.Stop()
	s.primary, s.standby = s.standby, standbyOf(s.t, s.standby)
	s.reconfigure(s.toml(s.size))
}

// restartWeir starts the next one beside the old one.
func (s *soak) restartWeir() {
	old := s.weir
	_ = s.boss.Close(context.Background())
	_, s.port, _ = strings.Cut(old.Addr, ":")
	s.weir = launch(s.t, s.path, s.primary, s.toml(s.size), "")
	old.signal(syscall.SIGTERM)
	old.expectExit()
	s.boss = s.console() // before that it might be the old one's
}

// works waits until the clients have committed something more. How fast they do is the machine's business: they must not stand still.
func (s *soak) works() {
	s.t.Helper()
	was := s.commits.Load()
	for want := was + int64(10*s.clients); was < want && !s.t.Failed(); was = s.commits.Load() {
		eventually(s.t, func() string {
			if s.commits.Load() == was && !s.t.Failed() {
				return fmt.Sprintf("%d commits, want %d", was, want)
			}
			return ""
		})
	}
}

// soakWorker is an application's connection, which is made again when it was lost.
type soakWorker struct {
	soak  *soak
	id    int
	next  int
	acked map[int]bool // by number: true for acknowledged, false for doubtful
	conn  *pgconn.PgConn
}

func (w *soakWorker) work(ctx context.Context) {
	for ctx.Err() == nil && !w.soak.t.Failed() {
		err := w.connected()
		if err == nil {
			w.next++
			w.acked[w.next] = false
			if err = w.transaction(w.next); err == nil {
				w.acked[w.next] = true
				w.soak.commits.Add(1)
				continue
			}
		}
		w.failed(err)
	}
	if w.conn != nil {
		_ = w.conn.Close(context.Background())
	}
}

func (w *soakWorker) connected() error {
	if w.conn != nil && !w.conn.IsClosed() {
		return nil
	}
	s := w.soak
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dsn := fmt.Sprintf("postgres://%s@%s/shop?sslmode=disable&application_name=worker%d", s.user, *s.addr.Load(), w.id)
	var err error
	w.conn, err = pgconn.Connect(ctx, dsn)
	if err == nil {
		_, err = w.conn.Exec(ctx, "SET work_mem = '"+w.mark()+"'").ReadAll()
	}
	return err
}

// mark is a value of the worker's own: seen elsewhere it has leaked.
func (w *soakWorker) mark() string { return strconv.Itoa(1100+w.id) + "kB" } // shown as it is: no whole MB

// transaction commits one row, in one of the ways that applications have. Some leave state in the session for a while, which keeps its backend.
func (w *soakWorker) transaction(number int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	insert := fmt.Sprintf("INSERT INTO ledger VALUES (%d, %d)", w.id, number)
	switch number % 9 {
	case 0:
		return w.exec(ctx, insert)
	case 1:
		return w.exec(ctx, "BEGIN; "+insert+"; COMMIT")
	case 2:
		return w.exec(ctx, "BEGIN", insert, "SAVEPOINT s", "SELECT 1/1", "ROLLBACK TO s", "COMMIT")
	case 3:
		return w.exec(ctx, "CREATE TEMP TABLE own (n int)", insert, "INSERT INTO own VALUES (1)", "DROP TABLE own")
	case 4:
		own := fmt.Sprintf("own_%d", w.id)
		return w.exec(ctx, "LISTEN "+own, insert, "NOTIFY "+own, "UNLISTEN *")
	case 5:
		return w.draws(ctx, insert)
	case 7:
		if err := w.cancels(ctx, number%2 == 0); err != nil {
			return err
		}
		return w.exec(ctx, insert)
	case 6:
		const name = "add" // the clients' names are the same, and their texts are not
		if _, err := w.conn.Prepare(ctx, name, fmt.Sprintf("INSERT INTO ledger VALUES (%d, $1) RETURNING current_setting('work_mem')", w.id), nil); err != nil {
			return err
		}
		if err := w.marked(w.conn.ExecPrepared(ctx, name, [][]byte{[]byte(strconv.Itoa(number))}, nil, nil)); err != nil {
			return err
		}
		return w.conn.Deallocate(ctx, name)
	default:
		return w.marked(w.conn.ExecParams(ctx, "INSERT INTO ledger VALUES ($1, $2) RETURNING current_setting('work_mem')",
			[][]byte{[]byte(strconv.Itoa(w.id)), []byte(strconv.Itoa(number))}, nil, nil, nil))
	}
}

// marked expects the worker's own setting in the answer.
func (w *soakWorker) marked(answer *pgconn.ResultReader) error {
	r := answer.Read()
	if r.Err == nil && len(r.Rows) == 1 && string(r.Rows[0][0]) != w.mark() {
		w.soak.t.Errorf("client %d has work_mem %s", w.id, r.Rows[0][0])
	}
	return r.Err
}

// draws asks for the value that its transaction has drawn from a sequence.
func (w *soakWorker) draws(ctx context.Context, insert string) error {
	if err := w.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	var values []string
	for _, sql := range []string{"SELECT nextval('drawn')", "SELECT currval('drawn')"} {
		r, err := w.conn.Exec(ctx, sql).ReadAll()
		if err != nil {
			return err
		}
		values = append(values, string(r[0].Rows[0][0]))
	}
	if values[0] != values[1] {
		w.soak.t.Errorf("client %d has drawn %s, and currval is %s", w.id, values[0], values[1])
	}
	return w.exec(ctx, insert, "COMMIT")
}

// cancels has an endless query cancelled shortly after it was sent, in a transaction or not. One request must do.
func (w *soakWorker) cancels(ctx context.Context, within bool) error {
	if within {
		if err := w.exec(ctx, "BEGIN"); err != nil {
			return err
		}
	}
	s := w.soak
	failed, over := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(over)
		time.Sleep(time.Duration(rand.IntN(80)) * time.Millisecond)
		failed <- w.conn.CancelRequest(ctx)
	}()
	err := w.exec(ctx, "SELECT pg_sleep(10)")
	<-over
	if broken := <-failed; broken != nil && *s.excuse.Load() == "" {
		s.t.Errorf("client %d cannot cancel: %v", w.id, broken)
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil && *s.excuse.Load() != "": // the request has gone to a weir that is not this client's, or to a server that went
		s.excused.Add(1)
	case err == nil:
		s.t.Errorf("client %d has cancelled a query in vain", w.id)
	case !ok || e.Code != "57014":
		return err
	}
	s.cancels.Add(1)
	if within {
		return w.exec(ctx, "ROLLBACK")
	}
	return nil
}

func (w *soakWorker) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := w.conn.Exec(ctx, sql).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// failed accepts an error that the present step explains.
func (w *soakWorker) failed(err error) {
	excuse := *w.soak.excuse.Load()
	code := "08006" // the connection broke
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		code = e.Code
	} else if excuse != "" {
		code = strings.Fields(excuse)[0]
	}
	if excuse == "" || !strings.Contains(excuse, code) {
		w.soak.t.Errorf("client %d got an error that nothing explains: %v", w.id, err)
		return
	}
	w.soak.excused.Add(1)
	if w.conn != nil {
		_ = w.conn.Close(context.Background())
	}
}

// expectLedger: what was acknowledged is there, and nothing that was not asked for.
func (s *soak) expectLedger(workers []*soakWorker) {
	c := direct(s.t, s.primary)
	r, err := c.Exec(context.Background(), "SELECT client, number FROM ledger").ReadAll()
	if err != nil {
		s.t.Fatal(err)
	}
	there := map[[2]string]bool{}
	for _, row := range r[0].Rows {
		there[[2]string{string(row[0]), string(row[1])}] = true
	}
	for _, w := range workers {
		for number, acked := range w.acked {
			key := [2]string{strconv.Itoa(w.id), strconv.Itoa(number)}
			if acked && !there[key] {
				s.t.Errorf("client %d: commit %d was acknowledged and is lost", w.id, number)
			}
			delete(there, key)
		}
	}
	if len(there) != 0 {
		s.t.Errorf("%d rows that no client has asked for", len(there))
	}
}

// soakFootprint is what the weir process takes.
type soakFootprint struct {
	descriptors int
	rss         int64 // KiB
}

func (s *soak) footprint() soakFootprint {
	proc := fmt.Sprintf("/proc/%d/", s.weir.cmd.Process.Pid)
	fds, _ := os.ReadDir(proc + "fd")
	f := soakFootprint{descriptors: len(fds)}
	text, _ := os.ReadFile(proc + "status")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(value, &f.rss)
		}
	}
	return f
}

// expectNoLeak: the clients have gone, and what is left is less than weir had when they came.
func (s *soak) expectNoLeak(early soakFootprint) {
	eventually(s.t, func() string {
		now := s.footprint()
		if now.descriptors > early.descriptors-s.clients {
			return fmt.Sprintf("%d descriptors, %d with clients at first", now.descriptors, early.descriptors)
		}
		if n := len(backendsOf(s.primary)); n > s.size+2 { // and this test's own, and the listener's
			return fmt.Sprintf("%d backends", n)
		}
		return ""
	})
	now := s.footprint()
	s.t.Logf("resident memory: %d KiB at first, %d KiB at the end", early.rss, now.rss)
	if now.rss > early.rss+16<<10 {
		s.t.Errorf("memory has grown from %d to %d KiB", early.rss, now.rss)
	}
}
