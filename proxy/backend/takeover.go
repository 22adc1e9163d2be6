package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"weir/proxy/session"
	"weir/proxy/socket"
)

// syncTries bounds how often a server that keeps talking is read empty.
const syncTries = 3

// errTalkative is a server that never was silent between two messages.
var errTalkative = errors.New("the server did not come to rest after the login")

// errOpened is what pgconn is told that wants a second connection.
var errOpened = errors.New("a login has one connection")

// link is one attempt at a connection: what lies under pgconn's hands.
type link struct {
	dial       func(context.Context) (net.Conn, error)
	encryption *tls.Config // nil: none
	spare      net.Conn    // a connection to use instead of dialling; nil: none

	opened  atomic.Bool     // pgconn has had its connection
	nc      net.Conn        // once dialled
	adapter *socket.Adapter // between nc and TLS
	answer  *answerConn     // between adapter and nc
	reader  io.Reader       // what pgconn's message reader reads from

	count tally // without TLS
}

// open is pgconn's DialFunc. When a login fails, pgconn asks for a second
// connection, on a goroutine of its own, to send a cancel request: nothing runs
// there that could be cancelled.
func (l *link) open(ctx context.Context) (net.Conn, error) {
	if l.opened.Swap(true) {
		return nil, errOpened
	}
	nc := l.spare
	if nc == nil {
		var err error
		if nc, err = l.dial(ctx); err != nil {
			return nil, err
		}
	}
	l.nc = nc
	if l.encryption != nil {
		l.answer = &answerConn{Conn: nc}
		l.adapter = socket.NewAdapter(l.answer)
		return l.adapter, nil
	}
	return &countedConn{nc, &l.count}, nil
}

// swallow notes that n bytes were used that pgconn does not see.
func (l *link) swallow(n int) { l.count.used.Add(int64(n)) }

// declined is the connection on which the server has said that it has no TLS, and
// nothing else; nil if it has not. It is open still.
func (l *link) declined() net.Conn {
	if l.answer == nil || !l.answer.declined() {
		return nil
	}
	return l.nc
}

// answerConn watches for the answer to the request for TLS. pgconn closes a
// connection on which that is no; libpq goes on with it, which saves the server a
// process.
type answerConn struct {
	net.Conn
	first byte
	read  int
}

func (c *answerConn) declined() bool { return c.read == 1 && c.first == 'N' }

func (c *answerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read == 0 && n > 0 {
		c.first = p[0]
	}
	c.read += n
	return n, err
}

func (c *answerConn) Close() error {
	if c.declined() {
		return nil
	}
	return c.Conn.Close()
}

// takeOver takes the connection out of pgconn's hands. It closes it on an error.
//
// SyncConn must come right before Hijack (pgconn's documentation): pgconn reads
// ahead, and from the background if a write is slow. What it has read and not
// used would be lost to the loop, which would then wait for it forever. Without
// TLS the bytes are counted, and pgconn asked again until it has used them all;
// with TLS they are taken from it.
//
// A server of replication speaks no SQL that pgconn could ask it with. There the
// bytes are taken from pgconn in any case.
func (t Target) takeOver(ctx context.Context, pg *pgconn.PgConn, l *link) (*Conn, error) {
	var err error
	if t.Replication == "" {
		err = l.sync(ctx, pg)
	}
	var hijacked *pgconn.HijackedConn
	if err == nil {
		hijacked, err = pg.Hijack()
	}
	if err != nil {
		_ = pg.Close(ctx)
		return nil, err
	}
	said, err := unused(hijacked.Frontend)
	if err == nil {
		err = l.settle(hijacked)
	}
	if err != nil {
		_ = l.nc.Close()
		return nil, err
	}
	conn := &Conn{
		Net: l.nc, TLS: l.adapter, PID: hijacked.PID, Secret: hijacked.SecretKey, TxStatus: hijacked.TxStatus, Said: said,
		Params: sorted(hijacked.ParameterStatuses), RemoteAddr: l.nc.RemoteAddr(), Target: t,
	}
	conn.Target.Password, conn.Target.Substitutes = "", Substitutes{} // a cancel request needs neither
	conn.ServerVersion = versionOf(hijacked.ParameterStatuses["server_version"])
	if tcp, ok := conn.RemoteAddr.(*net.TCPAddr); ok {
		conn.Target.ServerName = t.serverName()
		conn.Target.Host = tcp.AddrPort().Addr().Unmap().String()
	}
	return conn, nil
}

// sync lets pgconn come to rest.
func (l *link) sync(ctx context.Context, pg *pgconn.PgConn) error {
	for range syncTries {
		if err := pg.SyncConn(ctx); err != nil {
			return err
		}
		if l.adapter != nil || l.count.even() {
			return nil
		}
		if err := pg.Ping(ctx); err != nil {
			return err
		}
	}
	return errTalkative
}

// settle checks that the connection is as the loop wants it, and hands over what
// pgconn's reader has still.
func (l *link) settle(hijacked *pgconn.HijackedConn) error {
	if hijacked.TxStatus != 'I' {
		return fmt.Errorf("the login ended in transaction status %q", hijacked.TxStatus)
	}
	if err := l.nc.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if l.adapter == nil {
		return nil
	}
	top, ok := under(hijacked.Conn).(*tls.Conn)
	if !ok {
		return fmt.Errorf("pgconn gave a %T for a connection with TLS", hijacked.Conn)
	}
	l.adapter.Over(top)
	return l.takeUnread()
}

// unused takes the messages that pgconn's message reader holds; a part of one is
// waited for. Behind sync there is none.
func unused(f *pgproto3.Frontend) (said []byte, err error) {
	for f.ReadBufferLen() > 0 && len(said) <= loginMessageMax {
		message, err := f.Receive()
		if err == nil {
			said, err = message.Encode(said)
		}
		if err != nil {
			return nil, err
		}
	}
	return said, nil
}

// takeUnread takes what pgconn's background reader, which is at rest, and TLS have
// read from the server and nobody has used: a notice, mostly nothing.
func (l *link) takeUnread() error {
	l.adapter.Poll(true)
	defer l.adapter.Poll(false)
	var unread []byte
	for len(unread) <= loginMessageMax {
		var b [4096]byte
		n, err := l.reader.Read(b[:])
		unread = append(unread, b[:n]...)
		if errors.Is(err, socket.ErrWouldBlock) {
			l.adapter.Unread(unread)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errTalkative
}

// sorted lists reported parameters by name.
func sorted(params map[string]string) []session.Setting {
	list := make([]session.Setting, 0, len(params))
	for name, value := range params {
		list = append(list, session.Setting{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b session.Setting) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// versionOf turns server_version into the number that PostgreSQL calls
// server_version_num: "15.20 (Debian 15.20-0)" into 150020, "19beta1" into
// 190000. Servers before 10 count otherwise ("9.6.24" is 90624).
func versionOf(text string) int {
	text, _, _ = strings.Cut(text, " ")
	var parts [3]int
	for i, part := range strings.SplitN(text, ".", 3) {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil || n >= 1000 {
			return 0
		}
		parts[i] = n
	}
	if parts[0] >= 10 {
		return parts[0]*10000 + parts[1]
	}
	return parts[0]*10000 + parts[1]*100 + parts[2]
}

// tally counts what came from the socket and what pgconn has used of it. Its
// reader in the background may count while a ping is under way.
type tally struct{ read, used atomic.Int64 }

// even tells whether nothing lies between socket and pgconn.
func (t *tally) even() bool { return t.read.Load() == t.used.Load() }

// countedConn counts what is read from the socket.
type countedConn struct {
	net.Conn
	count *tally
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count.read.Add(int64(n))
	return n, err
}

// countedReader counts what pgconn's message reader has taken.
type countedReader struct {
	io.Reader
	count *tally
}

func (r countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.count.used.Add(int64(n))
	return n, err
}

// counted puts a countedReader in front of the message reader that build makes,
// whose type is of no interest here, and notes what that reads from.
func counted[F any](build func(io.Reader, io.Writer) F, l *link) func(io.Reader, io.Writer) F {
	return func(r io.Reader, w io.Writer) F {
		l.reader = r
		return build(countedReader{r, &l.count}, w)
	}
}
