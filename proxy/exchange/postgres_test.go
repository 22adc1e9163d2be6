package exchange

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/pgserver"
	"weir/proxy/wire"
)

func TestMain(m *testing.M) { pgserver.Main(m) }

var oracleFlag = flag.Int("oracle", 400, "number of random programs for a real PostgreSQL; the i-th has seed + i")

// texts are what the oracle's programs say, by name.
var texts = map[string]string{
	"one":      "SELECT 1",
	"three":    "SELECT generate_series(1,3)",
	"empty":    "",
	"syntax":   "SELEC 1",
	"runtime":  "SELECT 1/x FROM (SELECT generate_series(2,0,-1)) AS g(x)", // fails after two rows
	"insert":   "INSERT INTO plain VALUES (1)",
	"deferred": "INSERT INTO child VALUES (4711)", // fails at the commit
	"begin":    "BEGIN",
	"commit":   "COMMIT",
	"rollback": "ROLLBACK",
	"set":      "SET application_name = 'oracle'",
	"notice":   "DO $$ BEGIN RAISE NOTICE 'hear'; END $$",
	"copyin":   "COPY plain FROM STDIN",
	"copynone": "COPY absent FROM STDIN",
	"copytrig": "COPY guarded FROM STDIN", // fails once the COPY is announced, before any data is read
	"copyview": "COPY shown FROM STDIN",
	"copyout":  "COPY (SELECT generate_series(1,9)) TO STDOUT",
	"outbad":   "COPY (SELECT 1/x FROM generate_series(2,0,-1) AS g(x)) TO STDOUT",
}

// compound texts may stand in a Query only.
var compounds = []string{
	"SELECT 1; SELECT 2", "SELECT 1; SELEC 2", "SELECT 1; SELECT 1/0; SELECT 3", "BEGIN; SELECT 1", "BEGIN; SELECT 1; COMMIT", ";;",
	"COPY plain FROM STDIN; COPY plain FROM STDIN", "SELECT 1; COPY plain FROM STDIN; SELECT 2", "COPY (SELECT 1) TO STDOUT; COPY plain FROM STDIN",
}

// oracleHabits are what drivers and madmen send: P=copyin is a Parse of that text; a bare letter is drawn at random.
var oracleHabits = []string{
	"P B D E S", "P B E S", "P B E S", "P B E S P B E S P B E S", "P D S", "B E S", "P B E H", "P B E H E H S", "P B E", "P B D", "P B Q", "P B E Q", "P=one B E Q=one S", "P=insert B E Q=one S", "C S", "S", "S S S",
	"Q", "Q", "Q Q Q", "Q=", "Q=", "F", "F F", "H", "E E S", "P=begin B E P B E P=commit B E S", "Q=begin Q Q Q=commit", "Q=rollback", "Q=rollback",
	"P=deferred B E S", "P=deferred B E Q", "Q=deferred", "P=deferred B E S P B E S",
	"Q=copyin d d c", "Q=copyin d c Q Q", "Q=copyin d f", "Q=copyin d d S d c", "Q=copytrig d c", "Q=copyview d c Q", "Q=copytrig S d c", "Q=copynone d c", "Q=copynone d c S", "Q=copyin",
	"P=copyin B E d c S", "P=copyin B E S d d c S", "P=copyin B D E S d c S", "P=copyin B E H d d f S", "P=copyin B E S d f S", "P=copyin B E d c P B E S", "P=copyin B E S S H d S c S",
	"P=copytrig B E d c S", "P=copytrig B E S d c S", "P=copyview B E S d c S", "P=copyin B E d c B E d c S", "P=copyin B E c B E c Q", "P=copyin B E S c Q", "P=copyin B E S c c Q", "P=copynone B E d c S", "P=copynone B E S d c S",
	"P=copyin B E S c", "P=copyin B E d Q", "Q=copyin P", "P=copyout B E S", "P=outbad B E S", "Q=outbad Q", "d", "c", "f", "d c d c", "P B d c E S", "S=junk", "P=junk S",
}

// oracle is one connection to PostgreSQL with the account of what passes over it.
type oracle struct {
	t      *testing.T
	r      *rand.Rand
	conn   net.Conn
	frames chan frame
	x      Exchange
	script strings.Builder
	what   strings.Builder // the client's messages in words
	queue  []string
	nonce  int
	hung   atomic.Bool
	failed bool // a COPY has failed: the only reason for doubts
	seen   struct{ programs, probes, ready, copies, lost, tainted, doubts int }
}

type frame struct {
	kind byte
	body []byte
}

// TestAccountAgreesWithPostgreSQL sends random messages to a real PostgreSQL and enters both directions into an account.
// Whenever the account says that the server is free, a Query must be answered by its own answer and nothing else, as it would
// be for the next client. In the end, behind a barrier, the account must owe nothing.
func TestAccountAgreesWithPostgreSQL(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	d := pgserver.ForTest(t)
	d.Exec(t, `CREATE UNLOGGED TABLE plain (n int)`, `CREATE TABLE parent (n int PRIMARY KEY)`,
		`CREATE TABLE child (n int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`,
		`CREATE TABLE guarded (n int)`, `CREATE VIEW shown AS SELECT n FROM plain`,
		`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$`,
		`CREATE TRIGGER refuse BEFORE INSERT ON guarded FOR EACH STATEMENT EXECUTE FUNCTION refuse()`)
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-seed %d on %s", seed, d.Server.Version())
	o := &oracle{t: t}
	for ; o.seen.programs < *oracleFlag; o.seen.programs++ {
		seed := seed + uint64(o.seen.programs)
		o.r = rand.New(rand.NewPCG(seed, 2))
		if o.conn == nil {
			o.x.Reset()
			o.dial(d.Server.Addr(), d.Server.Superuser(), d.Name)
		}
		o.script.Reset()
		o.what.Reset()
		o.queue, o.failed = nil, false
		err := o.program()
		if err == nil && o.x.Taint()&Doubt != 0 && !o.failed {
			err = errors.New("the account doubts without a reason")
		}
		if err != nil && (!errors.Is(err, errGone) || o.hung.Load()) {
			t.Fatalf("-seed %d: %v\n\n%s\n\nrun\n%s----\n", seed, err, o.what.String(), o.script.String())
		}
		o.count(err)
		if err != nil || o.x.Taint() != 0 {
			_ = o.conn.Close()
			for range o.frames { // until its reader has ended
			}
			o.conn = nil
		}
	}
	if o.conn != nil {
		_ = o.conn.Close()
	}
	t.Logf("%+v", o.seen)
	if n := o.seen.programs / 10; o.seen.probes < n || o.seen.copies < n {
		t.Errorf("only %d probes and %d COPYs in %d programs", o.seen.probes, o.seen.copies, o.seen.programs)
	}
}

// count notes what kind of program has ended.
func (o *oracle) count(err error) {
	if err != nil {
		o.seen.lost++
	}
	if o.x.Taint()&QueryBehindExecute != 0 {
		o.seen.tainted++
	}
	if o.x.Taint()&Doubt != 0 {
		o.seen.doubts++
	}
}

func (o *oracle) dial(addr, user, database string) {
	o.t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		o.t.Fatal(err)
	}
	o.conn = conn
	o.hung.Store(false)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Minute)) // bounds a hang
	body := "\x00\x03\x00\x00user\x00" + user + "\x00database\x00" + database + "\x00\x00"
	o.write(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), []byte(body))
	o.frames = make(chan frame, 1<<16)
	go func() {
		defer close(o.frames)
		for {
			var head [wire.HeaderLen]byte
			if _, err := io.ReadFull(conn, head[:]); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					o.hung.Store(true)
				}
				return
			}
			f := wire.PeekFrame(head[:])
			body := make([]byte, f.Total()-wire.HeaderLen)
			if _, err := io.ReadFull(conn, body); err != nil {
				return
			}
			o.frames <- frame{f.Type, body}
		}
	}()
	for f := range o.frames {
		if f.kind == wire.ServerReadyForQuery {
			return
		}
	}
	o.t.Fatal("PostgreSQL ended the login")
}

func (o *oracle) write(parts ...[]byte) {
	_, _ = o.conn.Write(bytes.Join(parts, nil)) // a lost connection shows in the frames
}

var errGone = errors.New("the connection is gone")

// program is one client's life.
func (o *oracle) program() error {
	burst := 1 + o.r.IntN(8) // how far this client runs ahead
	for range 4 + o.r.IntN(20) {
		var p []byte
		for range 1 + o.r.IntN(burst) {
			p = append(p, o.next()...)
		}
		o.write(p)
		if err := o.listen(o.r.IntN(3)); err != nil {
			return err
		}
		if o.x.Free() && o.x.Taint() == 0 && o.r.IntN(2) == 0 {
			if err := o.probe(); err != nil {
				return fmt.Errorf("the account said free: %w", err)
			}
		}
		if o.x.Free() && o.x.Taint() != 0 {
			break // the relay retires it here
		}
	}
	return o.barrier()
}

// listen enters what the server has said by now, and waits a little for so many messages.
func (o *oracle) listen(want int) error {
	for {
		select {
		case f, ok := <-o.frames:
			if !ok {
				return errGone
			}
			o.hear(f)
			want--
			continue
		default:
		}
		if want <= 0 {
			return nil
		}
		select {
		case f, ok := <-o.frames:
			if !ok {
				return errGone
			}
			o.hear(f)
			want--
		case <-time.After(time.Millisecond):
			return nil
		}
	}
}

func (o *oracle) hear(f frame) {
	switch f.kind {
	case wire.ServerReadyForQuery:
		o.seen.ready++
		fmt.Fprintf(&o.script, "server Z:%s\n", f.body)
		o.x.Ready(wire.TxStatus(f.body[0]))
	case wire.ServerErrorResponse:
		o.failed = o.failed || o.x.Copying() == CopyIn || o.x.Copying() == CopyInDone
		fmt.Fprintf(&o.script, "server E\n")
		o.x.Server(f.kind)
	case wire.ServerCopyInResponse:
		o.seen.copies++
		fallthrough
	default:
		if !bytes.ContainsRune([]byte("DNSAdtV"), rune(f.kind)) {
			fmt.Fprintf(&o.script, "server %c\n", f.kind)
		}
		o.x.Server(f.kind)
	}
}

// ask sends a Query that has an answer like no other.
func (o *oracle) ask() []byte {
	o.nonce++
	return o.message(wire.ClientQuery, fmt.Sprintf("SELECT 'nonce %d'", o.nonce), append(fmt.Appendf(nil, "SELECT 'nonce %d'", o.nonce), 0))
}

func (o *oracle) isNonce(f frame) bool {
	return f.kind == wire.ServerDataRow && bytes.HasSuffix(f.body, fmt.Appendf(nil, "nonce %d", o.nonce))
}

// probe asks as the next client would.
func (o *oracle) probe() error {
	o.seen.probes++
	o.write(o.ask())
	var heard []byte
	for f := range o.frames {
		o.hear(f)
		switch {
		case bytes.ContainsRune([]byte("NSA"), rune(f.kind)):
			continue
		case f.kind == wire.ServerDataRow && !o.isNonce(f), f.kind == wire.ServerErrorResponse:
			return fmt.Errorf("the next client got somebody else's answer: %c %q", f.kind, f.body)
		}
		if heard = append(heard, f.kind); f.kind == wire.ServerReadyForQuery {
			break
		}
	}
	if string(heard) != "TDCZ" {
		return fmt.Errorf("the next client was answered %q", heard)
	}
	if !o.x.Free() || o.x.Taint() != 0 {
		return fmt.Errorf("the account of the next client: %s", describe(&o.x))
	}
	return nil
}

// barrier brings the server to rest, whatever state it is in, and compares. The ROLLBACK may fail; it also takes the failure of
// a poisoned server upon itself, so that the nonce comes in any case.
func (o *oracle) barrier() error {
	o.write(o.message(wire.ClientCopyFail, "f", []byte("enough\x00")), o.message(wire.ClientSync, "S", nil),
		o.message(wire.ClientQuery, "rollback", []byte("ROLLBACK\x00")), o.message(wire.ClientQuery, "discard", []byte("DISCARD ALL\x00")), o.ask())
	nonce := false
	for f := range o.frames {
		o.hear(f)
		nonce = nonce || o.isNonce(f)
		switch doubt := o.x.Taint()&Doubt != 0; {
		case nonce && f.kind == wire.ServerReadyForQuery:
			if !doubt && !o.x.Free() {
				return fmt.Errorf("at rest the account says %s", describe(&o.x))
			}
			return nil
		case doubt:
		case nonce && o.x.Due() != 1:
			return fmt.Errorf("at the barrier the account says %s", describe(&o.x))
		case !nonce && o.x.Settled():
			return fmt.Errorf("the account says settled, the barrier's answer is still to come")
		}
	}
	return errGone
}

// message enters a message of the client into the account and returns its bytes.
func (o *oracle) message(kind byte, words string, body []byte) []byte {
	fmt.Fprintf(&o.script, "client %c\n", kind)
	fmt.Fprintf(&o.what, "%s  ", words)
	o.x.Client(kind)
	p := append([]byte{kind}, binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))...)
	return append(p, body...)
}

func (o *oracle) pick(from ...string) string { return from[o.r.IntN(len(from))] }

func (o *oracle) next() []byte {
	if len(o.queue) == 0 {
		o.queue = strings.Fields(oracleHabits[o.r.IntN(len(oracleHabits))])
	}
	word := o.queue[0]
	o.queue = o.queue[1:]
	if o.r.IntN(40) == 0 {
		word = o.pick("P", "B", "D", "E", "C", "H", "S", "Q", "F", "c", "f", "d")
	}
	kind, text, fixed := strings.Cut(word, "=")
	if !fixed {
		text = o.anyText()
	}
	portal, statement := o.pick("", "", "", "p"), o.pick("", "", "", "s")
	var body []byte
	switch kind[0] {
	case wire.ClientParse:
		body = fmt.Appendf(nil, "%s\x00%s\x00\x00\x00", statement, texts[text])
		if text == "junk" {
			body = []byte("no end")
		}
	case wire.ClientBind:
		body = fmt.Appendf(nil, "%s\x00%s\x00\x00\x00\x00\x00\x00\x00", portal, statement)
	case wire.ClientDescribe, wire.ClientClose:
		body = fmt.Appendf(nil, "%s\x00", o.pick("P", "S", "Ss", "Pp", "X"))
	case wire.ClientExecute:
		body = fmt.Appendf(nil, "%s\x00\x00\x00\x00%c", portal, o.r.IntN(2))
	case wire.ClientQuery:
		if fixed && text == "" {
			text = o.pick(compounds...)
			body = append([]byte(text), 0)
			break
		}
		body = append([]byte(texts[text]), 0)
	case wire.ClientFunctionCall: // int4pl, or a function that is not there
		body = []byte("\x00\x00\x00\xb1\x00\x01\x00\x01\x00\x02\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x04\x00\x00\x00\x02\x00\x01")
		if o.r.IntN(3) == 0 {
			body[3] = 0
		}
	case wire.ClientCopyData:
		text = o.pick("1\n", "1\n2\n3\n", "bad\n", "\\.\n", "2\n", "3\n", "4\n", "5\n", strings.Repeat("7\n", 5_000))
		body = []byte(text)
		text = text[:min(len(text), 4)]
	case wire.ClientCopyFail:
		body = []byte("enough\x00")
	case wire.ClientSync:
		if text == "junk" {
			body = []byte("junk")
		}
	}
	return o.message(kind[0], kind+"="+text, body)
}

func (o *oracle) anyText() string {
	return o.pick("one", "one", "three", "empty", "syntax", "runtime", "insert", "deferred", "begin", "commit", "rollback", "rollback", "set", "notice", "copyin", "copynone", "copyout", "outbad")
}
