package proxy_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
	"weir/proxy/status"
)

// cluster is several weirs that are peers, each with a unix socket in a folder that is called by its id.
type cluster struct {
	dir   string
	weirs map[int]*weirUnderTest
}

// startCluster starts weirs with these ids; sections is what each is told beside.
func startCluster(t *testing.T, d *pgserver.Database, sections string, ids ...int) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), weirs: map[int]*weirUnderTest{}}
	for _, id := range ids {
		if err := os.Mkdir(c.folder(id), 0o700); err != nil {
			t.Fatal(err)
		}
		c.weirs[id] = start(t, d, peerAt(id, c.folder(id))+sections+fmt.Sprintf("\n[peers.1-300]\nhost = %q\n", c.dir+"/{id}"))
	}
	return c
}

// stop ends all weirs. Tests defer it, so that no weir is running when the first is looked at for what it has left behind.
func (c *cluster) stop() {
	for _, w := range c.weirs {
		w.Stop()
	}
}

func (c *cluster) folder(id int) string { return filepath.Join(c.dir, strconv.Itoa(id)) }

// peerAt is [listen] of a peer.
func peerAt(id int, dir string) string {
	return fmt.Sprintf("[listen]\naddresses = [\"127.0.0.1:0\"]\nunix_socket_dir = %q\nunix_socket_port = 6432\nreuse_port = true\npeer_id = %d\n", dir, id)
}

// viaPeer logs in to one weir, and has cancel requests go to a unix socket or an address of another.
func viaPeer(t *testing.T, d *pgserver.Database, w *weirUnderTest, network, cancelAt string, params ...string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.ParseConfig(w.DSN(d, params...))
	if err != nil {
		t.Fatal(err)
	}
	if network == "unix" {
		c.TLSConfig = nil // there is none on a unix socket, and the driver cancels with what it has logged in with
	}
	var dials atomic.Int32
	c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		if dials.Add(1) == 1 {
			return new(net.Dialer).DialContext(ctx, "tcp", w.Addr)
		}
		return new(net.Dialer).DialContext(ctx, network, cancelAt)
	}
	conn, err := pgconn.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// cancelsItsOwn starts a query on a connection, cancels it with a request of the driver's, and wants it to have been cancelled.
func cancelsItsOwn(t *testing.T, d *pgserver.Database, conn *pgconn.PgConn) {
	t.Helper()
	const query = "SELECT pg_sleep(60)"
	ended := make(chan error, 1)
	go func() {
		_, err := tryAsk(conn, query)
		ended <- err
	}()
	expectRunning(t, d, query, 1)
	if err := conn.CancelRequest(t.Context()); err != nil {
		t.Errorf("the request: %v", err)
	}
	if e, ok := errors.AsType[*pgconn.PgError](<-ended); !ok || e.Code != "57014" {
		t.Errorf("%v, want 57014", e)
	}
}

func (w *weirUnderTest) peers() status.Peers { return w.Proxy.Snapshot().Peers }

// A cancel request that lands on the wrong weir cancels the query that it is for, and no other: with protocol 3.0 and 3.2, over TCP and
// over unix sockets, from and to any peer, wherever in its table of loops and slots the client is.
func TestCancelRequestIsPassedOnToThePeer(t *testing.T) {
	d := database(t)
	c := startCluster(t, d, "[loops]\ncount = 2\n[pool]\npool_size = 10\n[admin]\nadmin_users = [\"boss\"]\n", 1, 2, 258)
	defer c.stop()
	draw := bolt(t, d)
	var bystanders []*wireClient
	for _, w := range c.weirs {
		for range 3 {
			b := enter(t, w, d)
			b.inBackground(boltedQuery)
			bystanders = append(bystanders, b)
		}
	}
	expectRunning(t, d, boltedQuery, len(bystanders))
	for _, version := range []string{"3.0", "3.2"} {
		for _, way := range []struct {
			from, to int
			network  string
		}{{1, 2, "tcp"}, {2, 258, "unix"}, {258, 1, "tcp"}, {1, 258, "unix"}, {1, 1, "tcp"}} {
			wrong := c.weirs[way.from].Addr
			if way.network == "unix" {
				wrong = filepath.Join(c.folder(way.from), ".s.PGSQL.6432")
			}
			cancelsItsOwn(t, d, viaPeer(t, d, c.weirs[way.to], way.network, wrong, "max_protocol_version", version))
		}
	}
	draw()
	for _, b := range bystanders {
		if a := b.Answer(); a.First() != "ended" {
			t.Errorf("a bystander's query: %v", a.Err())
		}
	}
	for id, want := range map[int][2]uint64{1: {4, 2}, 2: {2, 2}, 258: {2, 4}} {
		if p := c.weirs[id].peers(); p.Passed != want[0] || p.Received != want[1] || len(p.Failed) != 0 {
			t.Errorf("weir %d: %+v, want %d passed on and %d received", id, p, want[0], want[1])
		}
	}

	boss := c.weirs[2].console(t, "boss")
	if got := column(t, boss, "SHOW PEERS", "peer_id", nil); len(got) != 299 || got[0] != "1" || got[1] != "3" {
		t.Errorf("SHOW PEERS has %d peers: %.20v", len(got), got)
	}
	if got := one(t, boss, "SHOW PEERS", "host", is("peer_id", "258")) + one(t, boss, "SHOW PEERS", "port", is("peer_id", "258")) +
		one(t, boss, "SHOW PEERS", "pool_size", is("peer_id", "258")); got != c.folder(258)+"643210" {
		t.Errorf("SHOW PEERS: %s", got)
	}
	if got := column(t, boss, "SHOW PEER_POOLS", "peer_id", nil); !slices.Equal(got, []string{"258"}) {
		t.Errorf("SHOW PEER_POOLS: %q", got)
	}
	if got := one(t, boss, "SHOW LISTS", "items", is("list", "peers")) + one(t, boss, "SHOW LISTS", "items", is("list", "peer_pools")); got != "2991" {
		t.Errorf("SHOW LISTS: %s", got)
	}
}

// Ctrl-C in psql behind a load balancer that sends each connection to another weir.
func TestInterruptInPsqlReachesTheRightPeer(t *testing.T) {
	d := database(t)
	c := startCluster(t, d, "", 1, 2)
	defer c.stop()
	balancer := newBalancer(t, c.weirs[2].Addr, c.weirs[1].Addr)
	psql := atTerminal(t, psqlCommand(t, d, balancer, nil, "-n", "-q", "-A", "-t", "-v", "PROMPT1=", "-v", "PROMPT2="))
	psql.says("SELECT 'ready';")
	psql.hears("\nready")
	psql.says("SELECT pg_sleep(60);")
	psql.interruptsOnce(d, "SELECT pg_sleep(60);")
	psql.hears("ERROR:  canceling statement due to user request")
	psql.says(`\q`)
	psql.leaves()
	if p := c.weirs[1].peers(); p.Passed != 1 {
		t.Errorf("weir 1: %+v, want one request passed on", p)
	}
}

// newBalancer sends the first connection to the first address, and all others to the second.
func newBalancer(t *testing.T, first, others string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for to := first; ; to = others {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go splice(in, out)
			go splice(out, in)
		}
	}()
	return l.Addr().String()
}

func splice(from, to net.Conn) {
	_, _ = to.(*net.TCPConn).ReadFrom(from)
	_, _ = from.Close(), to.Close()
}

// What cannot be delivered is given up, counted and logged, and costs nobody else anything.
func TestRequestForAPeerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	d := database(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // its kernel takes connections, and no process answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	port := silent.Addr().(*net.TCPAddr).Port
	w := start(t, d, peerAt(1, t.TempDir())+fmt.Sprintf(`
[timeouts]
cancel_wait_timeout = "100ms"
[peers.2]
host = "/nowhere"
[peers.3]
host = "127.0.0.1"
port = %d
sslmode = "disable"
[peers.4]
host = "127.0.0.1"
port = %d
`, port, port))
	for _, peer := range []uint32{2, 3, 4, 5} {
		if err := tryCancel(w.Addr, ofLoop0|peer<<16|7, 0xffffffff); err != nil {
			t.Errorf("peer %d: %v", peer, err)
		}
	}
	if err := tryCancel(w.Addr, ofLoop0|2<<16|7, 0xfffffffc); err != nil {
		t.Error(err)
	}
	want := map[string]uint64{"unreachable": 2, "unanswered": 1, "unknown peer": 1, "hops": 1}
	if p := w.peers(); p.Passed != 0 || fmt.Sprint(p.Failed) != fmt.Sprint(want) {
		t.Errorf("%+v, want %v failed", p, want)
	}
	for _, words := range [][]string{{"peer_id=2", "unreachable", ".s.PGSQL.6432"}, {"peer_id=3", "unanswered"}, {"peer_id=5", "unknown peer"}, {"peer_id=2", "hops"}} {
		eventuallyLogged(t, w, append([]string{"level=WARN", "cancel request not passed on"}, words...)...)
	}
	if got := enter(t, w, d).Query("SELECT 'served'"); got != "served" {
		t.Error(got)
	}
}

// Where each of two weirs takes the other for the peer that a key names, the request ends after three hops.
func TestRequestDoesNotGoRoundInCircles(t *testing.T) {
	d := database(t)
	dir := t.TempDir()
	folder := func(id int) string { return filepath.Join(dir, strconv.Itoa(id)) }
	var weirs [3]*weirUnderTest
	for id := 1; id <= 2; id++ {
		if err := os.Mkdir(folder(id), 0o700); err != nil {
			t.Fatal(err)
		}
		weirs[id] = start(t, d, peerAt(id, folder(id))+fmt.Sprintf("[peers.9]\nhost = %q\n[peers.8]\nhost = %q\n", folder(3-id), folder(id)))
	}
	defer func() { weirs[1].Stop(); weirs[2].Stop() }()
	if err := tryCancel(weirs[1].Addr, ofLoop0|9<<16|7, 0xffffffff); err != nil {
		t.Error(err)
	}
	if err := tryCancel(weirs[1].Addr, ofLoop0|8<<16|7, 0xffffffff); err != nil { // its own address
		t.Error(err)
	}
	first, second := weirs[1].peers(), weirs[2].peers()
	if first.Passed != 2+3 || first.Failed["hops"] != 1 || second.Passed != 1 || second.Failed["hops"] != 1 {
		t.Errorf("%+v\n%+v\nwant three hops of each", first, second)
	}
}

// Keys that a stranger makes up reach no peer.
func TestRandomKeysMakeNoLoadOnPeers(t *testing.T) {
	d := database(t)
	c := startCluster(t, d, "", 1)
	defer c.stop()
	began := time.Now()
	for range 50 {
		var b [8]byte
		_, _ = rand.Read(b[:])
		b[2] |= 2 // ids of 512 and more: there are 300
		if err := cancelOver(dialRaw(t, c.weirs[1].Addr), binary.BigEndian.Uint32(b[:]), b[4:]); err != nil {
			t.Fatal(err)
		}
	}
	if p := c.weirs[1].peers(); p.Passed != 0 || len(p.Pools) != 0 || p.Failed["unknown peer"]+p.Failed["hops"] != 50 {
		t.Errorf("%+v", p)
	}
	seconds := int(time.Since(began)/time.Second) + 2
	if n := strings.Count(c.weirs[1].Log.String(), "cancel request not passed on"); n > 10*seconds {
		t.Errorf("the log has %d lines of it in less than %d seconds", n, seconds)
	}
}

// Peers come and go with a reload; one's own id does not.
func TestPeersFollowAReload(t *testing.T) {
	d := database(t)
	c := startCluster(t, d, "", 2)
	defer c.stop()
	without := peerAt(1, t.TempDir())
	with := without + fmt.Sprintf("[peers.2]\nhost = %q\n", c.folder(2))
	w := startReloadable(t, d, without)
	defer w.Stop()
	far := enter(t, c.weirs[2], d)
	ask := func() { cancelRequest(t, w.Addr, far.pid, far.secret) }
	ask()
	w.reload(with)
	ask()
	w.reload(strings.Replace(with, "peer_id = 1", "peer_id = 7", 1))
	w.expectLogged("[listen] peer_id: 1 -> 7 (needs a restart)")
	ask()
	w.reload(without)
	ask()
	if p := w.peers(); p.Passed != 2 || p.Failed["unknown peer"] != 2 || len(p.Pools) != 0 {
		t.Errorf("%+v", p)
	}
}

// Where a peer is a PgBouncer, clients get keys that it passes on, whatever protocol they speak.
func TestClientsOfAPgBouncersPeersGetShortKeys(t *testing.T) {
	d := database(t)
	w := startReloadable(t, d, peerAt(1, t.TempDir())+"[peers.2]\nhost = \"bouncer\"\npgbouncer = true\n")
	defer w.Stop()
	length := func() int {
		conn := viaPeer(t, d, w.weirUnderTest, "tcp", w.Addr, "max_protocol_version", "3.2")
		cancelsItsOwn(t, d, conn)
		return len(conn.SecretKey())
	}
	if n := length(); n != 4 {
		t.Errorf("a secret of %d bytes", n)
	}
	w.reload(strings.Replace(w.text, "pgbouncer = true", "", 1))
	if n := length(); n != 32 {
		t.Errorf("among weirs a secret of %d bytes", n)
	}
}

// ofLoop0 is what a process ID of the only loop of a weir with a peer_id has beside the peer and the slot: see cancelkey.
const ofLoop0 = 0x40 << 24

// Requests reach a peer by TLS, where that is asked for, and only so.
func TestRequestIsPassedOnThroughTLS(t *testing.T) {
	d := database(t)
	dir := tlsFolder(t)
	secret := start(t, d, peerAt(2, t.TempDir())+clientTLS(dir, "require", ""))
	plain := start(t, d, peerAt(3, t.TempDir())+inPlainText)
	peers := ""
	for id, w := range map[int]*weirUnderTest{2: secret, 3: plain} {
		_, port, _ := net.SplitHostPort(w.Addr)
		peers += fmt.Sprintf("[peers.%d]\nhost = \"localhost\"\nsslmode = \"verify-full\"\nport = %s\n", id, port)
	}
	w := start(t, d, peerAt(1, t.TempDir())+peers+fmt.Sprintf("[server_tls]\nsslmode = \"disable\"\nca_file = %q\n", dir+"/ca.crt"))
	defer func() { secret.Stop(); plain.Stop(); w.Stop() }()
	for _, peer := range []uint32{2, 3} {
		if err := tryCancel(w.Addr, ofLoop0|peer<<16|7, 0xffffffff); err != nil {
			t.Error(err)
		}
	}
	if p := w.peers(); p.Passed != 1 || p.Failed["unreachable"] != 1 || secret.peers().Received != 1 {
		t.Errorf("%+v, and the peer with TLS %+v", p, secret.peers())
	}
}

// A cancel request for what the console waits for, and one for a weir that takes no clients any more, find their way, too.
func TestRequestIsPassedOnToAConsoleAndADrainingWeir(t *testing.T) {
	d := database(t)
	c := startCluster(t, d, "[pool]\npool_size = 1\n[admin]\nadmin_users = [\"boss\"]\n[timeouts]\ndrain_timeout = \"1h\"\n", 1, 2)
	defer c.stop()
	busy := enter(t, c.weirs[2], d)
	busy.Query("BEGIN")
	config, err := pgconn.ParseConfig(fmt.Sprintf("postgres://boss@%s/pgbouncer?sslmode=disable", c.weirs[2].Addr))
	if err != nil {
		t.Fatal(err)
	}
	boss, err := pgconn.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = boss.Close(context.Background()) }()
	ended := make(chan error, 1)
	go func() { _, err := tryAsk(boss, "PAUSE"); ended <- err }()
	eventually(t, func() string {
		if err := cancelOver(dialRaw(t, c.weirs[1].Addr), boss.PID(), boss.SecretKey()); err != nil {
			return err.Error()
		}
		select {
		case <-ended:
			return ""
		case <-time.After(10 * time.Millisecond):
			return "PAUSE waits on"
		}
	})
	busy.inBackground("SELECT pg_sleep(60)")
	expectRunning(t, d, "SELECT pg_sleep(60)", 1)
	c.weirs[2].Proxy.Drain()
	eventually(t, func() string {
		if !c.weirs[2].Log.Contains("draining") {
			return "it does not drain"
		}
		return ""
	})
	cancelRequest(t, c.weirs[1].Addr, busy.pid, busy.secret)
	refused(t, busy.Answer().Err(), "57014")
}
